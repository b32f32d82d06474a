package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrRunning is returned when a lab already has a supervisor.
var ErrRunning = errors.New("the lab's supervisor already runs")

// acquire takes the supervisor's lock at path for the rest of the process's life. The lock is a POSIX record lock
// (fcntl(2), F_SETLK) because the kernel then tells everybody who holds it: liveness and the process id come from
// the same place and cannot disagree, as a pid file and a process can. It is dropped when the process ends,
// however it ends, so the returned file must not be closed before.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open supervisor lock: %w", err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		err = errors.Join(err, f.Close())
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, ErrRunning
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// holder returns the process id of the lock's holder, 0 when nobody holds it. A process does not see its own lock.
func holder(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open supervisor lock: %w", err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0}
	err = unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock)
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, fmt.Errorf("read supervisor lock: %w", err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}
