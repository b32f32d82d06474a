package netsetup

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// ExecInNamespace replaces this process by a program in a lab's own network namespace; it returns only with
// an error: those of [OpenNamespace], or that of execve(2). As with `ip netns exec`, /sys shows the
// namespace's links; the mounts of the host are not touched.
func ExecInNamespace(lab, program string, argv, env []string) error {
	h, err := OpenNamespace(lab)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		// What follows is done to the thread, and execve takes the thread that calls it for the new program.
		// After an error the thread, which is locked, ends with this goroutine.
		runtime.LockOSThread()
		done <- h.become(program, argv, env)
	}()
	return errors.Join(<-done, h.Close())
}

// become moves the calling thread to the namespace and runs the program in it.
func (h *Handle) become(program string, argv, env []string) error {
	if err := unix.Setns(int(h.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace: %w", classify(err))
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", classify(err))
	}
	// What is done to /sys must not reach the host. All other mounts stay shared with it: a lab that `kvmlab up` isolates
	// from here has its namespace mounted for everybody.
	for path, flags := range map[string]uintptr{"/": 0, "/sys": unix.MS_REC} {
		if err := unix.Mount("", path, "none", unix.MS_SLAVE|flags, ""); err != nil && (path == "/" || !errors.Is(err, unix.EINVAL)) {
			return fmt.Errorf("keep mounts from the host: %w", err)
		}
	}
	// sysfs shows the links of the namespace in which it was mounted.
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount /sys: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	return &os.PathError{Op: "exec", Path: program, Err: unix.Exec(program, argv, env)}
}
