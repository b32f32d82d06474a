package netsetup

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const tunDevice = "/dev/net/tun"

// openTun makes a tap and opens it. Its name is new for certain: with IFF_TUN_EXCL the kernel refuses one that some link
// has (EBUSY, or EINVAL when that is no tap), where it would else open that one, whosoever it is. The owner and group are
// on the tap before it is anybody's to open. It goes away when it is closed, unless it was made persistent.
func (h *Handle) openTun(name string, uid, gid int) (fd int, err error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("make a tap: %w", err)
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_TUN_EXCL)
	// The tap comes to be in the network namespace of the thread that opens the device.
	err = h.inside(func() (err error) {
		fd, err = unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
		return err
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return 0, fmt.Errorf("%w: %w", ErrNoTun, err)
	case err != nil:
		return 0, fmt.Errorf("make a tap: open %s: %w", tunDevice, classify(err))
	}
	err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	if err == nil {
		err = errors.Join(unix.IoctlSetInt(fd, unix.TUNSETOWNER, uid), unix.IoctlSetInt(fd, unix.TUNSETGROUP, gid))
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("make a tap: %w", classify(err)), unix.Close(fd))
	}
	return fd, nil
}
