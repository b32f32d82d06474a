// Package netsetup makes the network of a lab: bridges, taps, their addresses, and the marks that say
// whose they are.
//
// Every link it makes carries its owner as an alias and as an alternative name (see [Owner]). What has
// no mark, or another lab's, is never changed and never removed, whatever its name. A mark is on the
// link before the link can outlive the process, so not even SIGKILL leaves a link that nobody owns.
//
// The package speaks rtnetlink (rtnetlink(7)) and needs CAP_NET_ADMIN in the namespace's user
// namespace, Linux 5.5 or later for alternative names, and /dev/net/tun for taps.
package netsetup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Handle works on one network namespace, whichever namespace its callers are in. It may be used by
// several goroutines at once. Requests are answered by the kernel at once; a context is looked at
// between them.
type Handle struct {
	namespace *os.File        // What setns(2) takes.
	links     *conn           // Requests about links, several in one send.
	netlink   *netlink.Handle // Addresses and routes.
}

const threadNamespace = "/proc/thread-self/ns/net"

// Open returns a handle on the calling thread's network namespace.
func Open() (*Handle, error) { return OpenPath(threadNamespace) }

// OpenPath returns a handle on the namespace that a path refers to: /proc/PID/ns/net, or a name under
// /run/netns as `ip netns` makes them. The error is [ErrPermission] when the process may not enter it.
func OpenPath(path string) (*Handle, error) {
	namespace, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	h := &Handle{namespace: namespace}
	err = h.inside(func() (err error) {
		if h.links, err = dial(); err != nil {
			return err
		}
		h.netlink, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open network namespace %s: %w", path, classify(err)), h.Close())
	}
	return h, nil
}

// Close lets go of the namespace; links stay as they are.
func (h *Handle) Close() error {
	if h.netlink != nil {
		h.netlink.Close()
	}
	var err error
	if h.links != nil {
		err = h.links.close()
	}
	return errors.Join(err, h.namespace.Close())
}

// inside runs fn on a thread that is in the handle's namespace. Sockets and tun files belong to the
// namespace of the thread that opened them, for as long as they are open.
func (h *Handle) inside(fn func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if h.here() { // No change, and so no need for the right to make one.
		return fn()
	}
	done := make(chan error, 1)
	go func() { done <- h.visit(fn) }()
	return <-done
}

// here reports whether the calling thread is in the handle's namespace.
func (h *Handle) here() bool {
	var ours, current unix.Stat_t
	return unix.Fstat(int(h.namespace.Fd()), &ours) == nil && unix.Stat(threadNamespace, &current) == nil &&
		ours.Dev == current.Dev && ours.Ino == current.Ino
}

// visit moves the thread to the handle's namespace and back. When the way back fails, it leaves the
// thread locked: its goroutine ends next, and the runtime throws the thread away.
func (h *Handle) visit(fn func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(threadNamespace)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open the current network namespace: %w", err)
	}
	err = unix.Setns(int(h.namespace.Fd()), unix.CLONE_NEWNET)
	if err == nil {
		err = fn()
	}
	back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
	if back == nil {
		runtime.UnlockOSThread()
	}
	return errors.Join(err, back, home.Close())
}

// check looks at everything that can be known without asking the kernel.
func check(ctx context.Context, name string, owner Owner) error {
	if err := ValidName(name); err != nil {
		return err
	}
	if err := owner.Validate(); err != nil {
		return err
	}
	return context.Cause(ctx)
}
