package netsetup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// NamespaceDir is where `ip netns` keeps network namespaces by name: each is a file with the namespace
// mounted on it.
const NamespaceDir = "/run/netns"

// namespacePrefix begins the name of every lab's namespace.
const namespacePrefix = "kvmlab-"

// loopback is the object that carries a namespace's mark: each has it, and it cannot be removed or moved.
const (
	loopback      = "lo"
	loopbackIndex = 1 // LOOPBACK_IFINDEX, in every namespace.
)

var (
	// ErrNoNamespace means that a lab has no network namespace of its own.
	ErrNoNamespace = errors.New("no such network namespace")
	// ErrBareNamespace means that of a lab's network namespace there is only the file: its maker was killed.
	ErrBareNamespace = errors.New("a network namespace that was never finished")
)

// ForeignNamespaceError says that a network namespace has a lab's name and not its mark.
type ForeignNamespaceError struct{ Name string }

func (e *ForeignNamespaceError) Error() string {
	return fmt.Sprintf("network namespace %q exists and was not made by kvmlab", e.Name)
}

// NamespaceName is the name of a lab's network namespace, as `ip netns` lists it.
func NamespaceName(lab string) string { return namespacePrefix + lab }

// NamespacePath is the file of a lab's network namespace, as [OpenPath] takes it.
func NamespacePath(lab string) string { return filepath.Join(NamespaceDir, NamespaceName(lab)) }

// namespaceOwner is the mark of a lab's namespace. It is on the loopback, where `ip -n NAME link show lo`
// shows it, and so it is in the namespace itself and cannot get lost with a file.
func namespaceOwner(lab string) Owner { return Owner{Lab: lab, Object: loopback} }

// namespaceState is what is found under the name of a lab's namespace.
type namespaceState int

const (
	namespaceAbsent   namespaceState = iota + 1
	namespaceLeftover                // The lab's file, but no namespace on it: a process was killed in between.
	namespaceOurs
	namespaceForeign
)

// lookNamespace finds out what is under the name of a lab's namespace. The handle is nil unless it is
// the lab's.
func lookNamespace(lab string) (namespaceState, *Handle, error) {
	if err := namespaceOwner(lab).Validate(); err != nil {
		return 0, nil, err
	}
	path := NamespacePath(lab)
	var fsInfo unix.Statfs_t
	err := unix.Statfs(path, &fsInfo)
	switch {
	case errors.Is(err, unix.ENOENT):
		return namespaceAbsent, nil, nil
	case err != nil:
		return 0, nil, fmt.Errorf("look at %s: %w", path, err)
	case fsInfo.Type != unix.NSFS_MAGIC:
		// A namespace's file holds its mark as text until the namespace covers it (see nameNamespace).
		text, err := os.ReadFile(path)
		if err != nil || string(text) != namespaceOwner(lab).Alias() {
			return namespaceForeign, nil, nil //nolint:nilerr // what cannot be read is not ours
		}
		return namespaceLeftover, nil, nil
	}
	h, err := OpenPath(path)
	if err != nil {
		return 0, nil, err
	}
	link, err := h.loopback()
	if err != nil || link.Owner != namespaceOwner(lab) {
		return namespaceForeign, nil, errors.Join(err, h.Close())
	}
	return namespaceOurs, h, nil
}

// loopback looks at the namespace's loopback.
func (h *Handle) loopback() (*Link, error) {
	answers, err := h.links.exchange(getLink(unix.IFLA_IFNAME, loopback))
	if err != nil {
		return nil, fmt.Errorf("look for link %q: %w", loopback, classify(err))
	}
	link, err := foundLink(answers[0])
	if err == nil && link == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("look for link %q: %w", loopback, err)
	}
	return link, nil
}

// OpenNamespace returns a handle on a lab's own network namespace. The error is [ErrNoNamespace] when it
// has none, [ErrBareNamespace] when only its remains are there, and a [*ForeignNamespaceError] when the
// name belongs to somebody else's.
func OpenNamespace(lab string) (*Handle, error) {
	state, h, err := lookNamespace(lab)
	switch {
	case err != nil:
		return nil, fmt.Errorf("open network namespace %q: %w", NamespaceName(lab), err)
	case state == namespaceForeign:
		return nil, &ForeignNamespaceError{Name: NamespaceName(lab)}
	case state == namespaceLeftover:
		return nil, fmt.Errorf("open network namespace %q: %w", NamespaceName(lab), ErrBareNamespace)
	case state != namespaceOurs:
		return nil, fmt.Errorf("open network namespace %q: %w", NamespaceName(lab), ErrNoNamespace)
	}
	return h, nil
}

// OpenHost returns a handle on the host's network namespace. That is the calling thread's, unless the thread is in a lab's
// own, as in `kvmlab shell`: then it is that of the first process (/proc/1/ns/net).
func OpenHost() (*Handle, error) {
	h, err := Open()
	if err != nil {
		return nil, err
	}
	link, err := h.loopback()
	if err == nil && link.Owner != namespaceOwner(link.Owner.Lab) {
		return h, nil
	}
	if err = errors.Join(err, h.Close()); err != nil {
		return nil, err
	}
	return OpenPath("/proc/1/ns/net")
}

// NamespaceLabs returns the labs that have a network namespace of their own, or the remains of one,
// in the order of their names. Namespaces without a mark are left out.
func NamespaceLabs(ctx context.Context) ([]string, error) {
	entries, err := os.ReadDir(NamespaceDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	labs := []string{}
	for _, entry := range entries {
		lab, ok := strings.CutPrefix(entry.Name(), namespacePrefix)
		if !ok || namespaceOwner(lab).Validate() != nil {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		state, h, err := lookNamespace(lab)
		if err != nil {
			return nil, fmt.Errorf("list network namespaces: %w", err)
		}
		if h != nil {
			err = h.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("list network namespaces: %w", err)
		}
		if state == namespaceOurs || state == namespaceLeftover {
			labs = append(labs, lab)
		}
	}
	return labs, nil
}

// EnsureNamespace makes a lab's network namespace, with its loopback up and nothing else in it, or
// brings up the loopback of the one that is there. Changed tells whether anything had to be done. The
// error is a [*NameError], a [*ForeignNamespaceError], or [ErrPermission].
//
// The namespace carries its mark before it has a name, and without a name it ends with this process:
// not even SIGKILL leaves one that nobody owns.
func EnsureNamespace(ctx context.Context, lab string) (changed bool, err error) {
	changed, err = ensureNamespace(ctx, lab)
	if err != nil {
		return changed, fmt.Errorf("set up network namespace %q: %w", NamespaceName(lab), err)
	}
	return changed, nil
}

func ensureNamespace(ctx context.Context, lab string) (changed bool, err error) {
	if err := context.Cause(ctx); err != nil {
		return false, err
	}
	state, h, err := lookNamespace(lab)
	switch {
	case err != nil:
		return false, err
	case state == namespaceForeign:
		return false, &ForeignNamespaceError{Name: NamespaceName(lab)}
	case state == namespaceLeftover:
		if err := os.Remove(NamespacePath(lab)); err != nil {
			return false, err
		}
	case state == namespaceOurs:
		defer func() { err = errors.Join(err, h.Close()) }()
		link, err := h.loopback()
		if err != nil || link.Up {
			return false, err
		}
		_, err = h.links.do(setLink(loopbackIndex, true))
		return err == nil, err
	}
	if err := inNewNamespace(func() error { return furnishNamespace(lab) }); err != nil {
		return false, classify(err)
	}
	return true, nil
}

// furnishNamespace turns the calling thread's network namespace, which is new, into the lab's.
func furnishNamespace(lab string) (err error) {
	links, err := dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, links.close()) }()
	owner := namespaceOwner(lab)
	_, err = links.do(
		altnameOn(loopbackIndex, "", owner.Altname()),
		setLink(loopbackIndex, true, stringAttr(unix.IFLA_IFALIAS, owner.Alias())))
	if err != nil {
		return err
	}
	// The kernel copies the machine's setting into each new namespace (net.core.devconf_inherit_init_net):
	// with Docker on the host, a lab's bridges would be joined by a router that nobody asked for.
	if err := setForwarding(false); err != nil {
		return err
	}
	return nameNamespace(NamespacePath(lab), owner.Alias())
}

// RemoveNamespace takes the name off a lab's network namespace; it ends when no process is in it, no
// socket open, and nothing else mounts it. What is in it is to be removed before. Removed is false when
// there was none. The error is a [*ForeignNamespaceError], a [*NameError] or [ErrPermission].
func RemoveNamespace(ctx context.Context, lab string) (removed bool, err error) {
	removed, err = removeNamespace(ctx, lab)
	if err != nil {
		return removed, fmt.Errorf("remove network namespace %q: %w", NamespaceName(lab), err)
	}
	return removed, nil
}

func removeNamespace(ctx context.Context, lab string) (bool, error) {
	if err := context.Cause(ctx); err != nil {
		return false, err
	}
	state, h, err := lookNamespace(lab)
	if err != nil {
		return false, err
	}
	path := NamespacePath(lab)
	switch state {
	case namespaceForeign:
		return false, &ForeignNamespaceError{Name: NamespaceName(lab)}
	case namespaceOurs:
		if err := h.Close(); err != nil {
			return false, err
		}
		// Detached, because a process that looks at the file would make it busy otherwise.
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return false, classify(fmt.Errorf("unmount %s: %w", path, err))
		}
	case namespaceLeftover:
	default:
		return false, nil
	}
	if err := os.Remove(path); err != nil {
		return false, err
	}
	return true, nil
}
