package netsetup

import (
	"errors"
	"fmt"
	"os"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

// tapFile is a tap that this process has open: it plays the part of the guest's network card.
type tapFile struct {
	*water.Interface

	file *os.File
}

// openTap makes a tap and opens it; "%d" in the name becomes the first number that is free. The owner
// and group are on it from the start. It goes away when it is closed, unless it was made persistent.
//
// Water opens /dev/net/tun in the network namespace of the calling thread, and that is where the tap
// comes to be. When a request on the opened file is refused, water forgets to close the file; the
// checks before (owner and group valid, a name that is new) leave only a missing permission to refuse.
//
// Water also opens without O_CLOEXEC: a process that another goroutine started at this moment, the
// supervisor say, would keep the tap open for good, and QEMU could never have it (EBUSY). So the caller
// holds [syscall.ForkLock] for reading, as the syscall package asks of whoever opens in two steps.
func (h *Handle) openTap(name string, uid, gid uint) (*tapFile, error) {
	config := water.Config{DeviceType: water.TAP, PlatformSpecificParams: water.PlatformSpecificParams{
		Name:        name,
		Permissions: &water.DevicePermissions{Owner: uid, Group: gid},
	}}
	var tap tapFile
	err := h.inside(func() (err error) {
		tap.Interface, err = water.New(config)
		return err
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("%w: %w", ErrNoTun, err)
	case err != nil:
		return nil, fmt.Errorf("make a tap: %w", classify(err))
	}
	file, ok := tap.ReadWriteCloser.(*os.File)
	if !ok {
		return nil, errors.Join(fmt.Errorf("make a tap: water opened a %T", tap.ReadWriteCloser), tap.Close())
	}
	tap.file = file
	if err := tap.control(func(fd int) error { unix.CloseOnExec(fd); return nil }); err != nil {
		return nil, errors.Join(fmt.Errorf("make a tap: %w", err), tap.Close())
	}
	return &tap, nil
}

// persist lets the tap outlive this process, like `ip tuntap add` does.
func (tap *tapFile) persist() error {
	err := tap.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1) })
	if err != nil {
		return fmt.Errorf("make the tap persistent: %w", classify(err))
	}
	return nil
}

// control calls fn with the descriptor.
func (tap *tapFile) control(fn func(fd int) error) error {
	raw, err := tap.file.SyscallConn()
	if err != nil {
		return err
	}
	var fnErr error
	err = raw.Control(func(fd uintptr) { fnErr = fn(int(fd)) })
	return errors.Join(err, fnErr)
}
