package netsetup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// inNewNamespace runs fn on a thread that is in a network namespace of its own. The namespace ends
// with the call, unless fn gave it a name.
func inNewNamespace(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(threadNamespace)
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("open the current network namespace: %w", err)
			return
		}
		err = unix.Unshare(unix.CLONE_NEWNET)
		if err != nil {
			err = fmt.Errorf("make a network namespace: %w", err)
		} else {
			err = fn()
		}
		// As in visit: a thread whose way back fails is thrown away with its goroutine.
		back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
		if back == nil {
			runtime.UnlockOSThread()
		}
		done <- errors.Join(err, back, home.Close())
	}()
	return <-done
}

// nameNamespace gives the calling thread's network namespace a name in the way of `ip netns add`: a file
// with the namespace mounted on it. The file comes to be with the mark as its content, at once, so that
// what a SIGKILL before the mount leaves can be told from a stranger's file.
func nameNamespace(path, mark string) (err error) {
	dir, err := shareNamespaceDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	file, err := os.OpenFile(dir.Name(), unix.O_TMPFILE|os.O_WRONLY, 0o444) // A file without a name.
	if err != nil {
		return fmt.Errorf("make a file for the network namespace: %w", err)
	}
	_, err = file.WriteString(mark)
	if err == nil {
		nameless := "/proc/self/fd/" + strconv.Itoa(int(file.Fd()))
		err = unix.Linkat(unix.AT_FDCWD, nameless, unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	if err := unix.Mount(threadNamespace, path, "", unix.MS_BIND, ""); err != nil {
		return errors.Join(fmt.Errorf("mount the network namespace on %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// shareNamespaceDir makes the folder of the namespaces' names a shared mount, as `ip netns` does: other
// mount namespaces, such as those of system services and of QEMU, then lose a name when we remove it
// instead of keeping the namespace alive. The lock, which `ip netns` takes too, keeps two processes from
// mounting the folder on itself twice. It is held until the file is closed.
func shareNamespaceDir(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = unix.Flock(int(dir.Fd()), unix.LOCK_EX)
	if err == nil {
		err = unix.Mount("", path, "none", unix.MS_SHARED|unix.MS_REC, "")
		if errors.Is(err, unix.EINVAL) { // It is no mount yet.
			err = errors.Join(
				unix.Mount(path, path, "none", unix.MS_BIND|unix.MS_REC, ""),
				unix.Mount("", path, "none", unix.MS_SHARED|unix.MS_REC, ""))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("share %s: %w", path, err), dir.Close())
	}
	return dir, nil
}

// forwardingFile belongs to the network namespace of the thread that opens it.
const forwardingFile = "/proc/sys/net/ipv4/ip_forward"

// setForwarding makes the calling thread's network namespace a router, or not. It writes only what is
// not so yet: in containers /proc/sys can be read-only.
func setForwarding(on bool) error {
	want := []byte("0")
	if on {
		want = []byte("1")
	}
	have, err := os.ReadFile(forwardingFile)
	if err != nil {
		return fmt.Errorf("read whether packets are forwarded: %w", err)
	}
	if bytes.Equal(bytes.TrimSpace(have), want) {
		return nil
	}
	if err := os.WriteFile(forwardingFile, want, 0o644); err != nil {
		return fmt.Errorf("set whether packets are forwarded: %w", err)
	}
	return nil
}
