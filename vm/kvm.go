package vm

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DefaultKVM is where the kernel's virtualisation is found.
const DefaultKVM = "/dev/kvm"

// Why QEMU cannot get at /dev/kvm. That it can does not yet mean that a guest
// runs: ProbeAccel tells.
var (
	// ErrKVMMissing means that there is no such device, or no driver behind it: no hardware
	// virtualisation, or switched off in the firmware, or the module is not loaded.
	ErrKVMMissing = errors.New("no KVM on this host")
	// ErrKVMDenied means that QEMU's user may not open the device. libvirt does not notice that it
	// can keep what it learned of such a QEMU, and probes it anew for every guest, which takes from
	// several seconds to a minute each time.
	ErrKVMDenied = errors.New("QEMU's user cannot open the KVM device")
)

// CheckKVM opens the KVM device as the user that libvirt runs QEMU as. Only
// root can become another user; for others the check is made as themselves.
// Errors: ErrKVMMissing, ErrKVMDenied.
func CheckKVM(device string, u User) error {
	err := openAs(device, u)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: open %s: %w", ErrKVMMissing, device, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: open %s as uid %d: %w", ErrKVMDenied, device, u.UID, err)
	default:
		return fmt.Errorf("open %s as uid %d: %w", device, u.UID, err)
	}
}

// openAs opens a file for reading and writing with another user's rights.
// Rights belong to a thread in Linux, so a thread takes them on and is then
// thrown away: it is locked to its goroutine and dies with it.
func openAs(path string, u User) error {
	result := make(chan error, 1)
	if os.Geteuid() != 0 {
		result <- tryOpen(path)
		return <-result
	}
	groups := groupsOf(u)
	go func() {
		runtime.LockOSThread()
		result <- func() error {
			if err := becomeFS(u, groups); err != nil {
				return err
			}
			return tryOpen(path)
		}()
	}()
	return <-result
}

// becomeFS gives the calling thread a user's rights on files. The package
// syscall's own calls would change every thread of the process.
func becomeFS(u User, groups []uint32) error {
	_, _, errno := syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0)
	if errno != 0 {
		return fmt.Errorf("set groups: %w", errno)
	}
	if err := unix.Setfsgid(u.GID); err != nil {
		return fmt.Errorf("set group id: %w", err)
	}
	// Last, because it also takes away root's right to ignore file modes.
	if err := unix.Setfsuid(u.UID); err != nil {
		return fmt.Errorf("set user id: %w", err)
	}
	return nil
}

// tryOpen opens and closes.
func tryOpen(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// groupsOf is a user's group and the further ones that /etc/group gives it
// (kvm, usually), as libvirt sets them for QEMU. It is never empty.
func groupsOf(u User) []uint32 {
	groups := []uint32{uint32(u.GID)}
	account, err := user.LookupId(strconv.Itoa(u.UID))
	if err != nil {
		// A user without an account has no further groups.
		return groups
	}
	ids, err := account.GroupIds()
	if err != nil {
		return groups
	}
	for _, id := range ids {
		if gid, err := strconv.ParseUint(id, 10, 32); err == nil && int(gid) != u.GID {
			groups = append(groups, uint32(gid))
		}
	}
	return groups
}
