package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
	"github.com/kvmlab/kvmlab/vm/image"
)

// The oldest versions that guests are described for; the tested ones are Debian 12's (libvirt 9.0, QEMU 7.2). QEMU 6.0
// is the first whose microvm has the ACPI that libvirt's description of it asks for.
const (
	minimumLibvirt = "8.0.0"
	minimumQEMU    = "6.0.0"
)

// virtlogdSocket is where libvirt hands its guests' logs over.
const virtlogdSocket = "/run/libvirt/virtlogd-sock"

// System is the machine that kvmlab runs on.
type System struct {
	URI       string     // libvirt's; "" is qemu:///system
	Images    image.Path // where images are
	AccelFile string     // where the verdict about KVM is kept
	// Trying, if set, is called before a guest is booted to see how guests run: it takes some seconds.
	Trying func(kvm bool)
}

var _ Host = System{}

// Root implements Host.
func (System) Root() bool { return os.Geteuid() == 0 }

// OpenTun implements Host.
func (System) OpenTun() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// TryLinks implements Host. The thread that entered the new namespace ends with its goroutine, and the namespace with
// the thread: nothing has to be cleaned up.
func (System) TryLinks(ctx context.Context) error {
	return elsewhere(func(h *netsetup.Handle) error { return tryLinks(ctx, h) })
}

// TryFirewall implements Host.
func (System) TryFirewall(ctx context.Context) error {
	return elsewhere(func(h *netsetup.Handle) error {
		_, err := h.EnsureFirewall(ctx, netsetup.Firewall{Lab: "doctor", Bridges: []netsetup.FirewallBridge{
			{Name: "br1", Address: netip.MustParsePrefix("192.168.1.1/24"), DHCP: true, Taps: []string{"tap1"}},
		}})
		return err
	})
}

// Forwards implements Host.
func (System) Forwards() bool {
	on, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	return err == nil && strings.TrimSpace(string(on)) != "0"
}

// elsewhere runs try in a network namespace that is thrown away.
func elsewhere(try func(h *netsetup.Handle) error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is not fit for anything else
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("make a network namespace: %w", err)
			return
		}
		h, err := netsetup.Open()
		if err == nil {
			err = errors.Join(try(h), h.Close())
		}
		result <- err
	}()
	return <-result
}

func tryLinks(ctx context.Context, h *netsetup.Handle) error {
	bridge := netsetup.Bridge{Name: "br1", Owner: netsetup.Owner{Lab: "doctor", Object: "br1"}}
	if _, err := h.EnsureBridge(ctx, bridge); err != nil {
		return err
	}
	_, err := h.EnsureTap(ctx, netsetup.Tap{
		Name: "tap1", Bridge: "br1", Owner: netsetup.Owner{Lab: "doctor", Object: "tap1"},
	})
	return err
}

// existing goes up from dir to the first directory that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// Writable implements Host.
func (System) Writable(dir string) error {
	f, err := os.CreateTemp(existing(dir), ".kvmlab-doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// FreeDisk implements Host.
func (System) FreeDisk(dir string) (uint64, error) {
	var st unix.Statfs_t
	dir = existing(dir)
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("measure the room in %s: %w", dir, err)
	}
	return st.Bfree * uint64(st.Bsize), nil
}

// AvailableMemory implements Host.
func (System) AvailableMemory() (uint64, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "MemAvailable:" {
			kib, err := strconv.ParseUint(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("read /proc/meminfo: no MemAvailable")
}

// Libvirt implements Host.
func (s System) Libvirt(ctx context.Context) (Libvirt, error) {
	conn, err := vm.Dial(ctx, s.URI)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Systemd implements Host, by the test of sd_booted(3).
func (System) Systemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// Virtlogd implements Host. Where systemd listens for it, connecting starts it.
func (System) Virtlogd() (string, error) {
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "unix", virtlogdSocket)
	if err != nil {
		return virtlogdSocket, err
	}
	return virtlogdSocket, conn.Close()
}

// FindProgram implements Host.
func (System) FindProgram(name string) (string, error) { return exec.LookPath(name) }

// CheckKVM implements Host.
func (System) CheckKVM(u vm.User) error { return vm.CheckKVM(vm.DefaultKVM, u) }

// KVMMode implements Host.
func (System) KVMMode() string {
	info, err := os.Stat(vm.DefaultKVM)
	if err != nil {
		return err.Error()
	}
	mode := fmt.Sprintf("%04o", info.Mode().Perm())
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		mode += " " + userName(int(st.Uid)) + ":" + groupName(int(st.Gid))
	}
	return mode
}

// userName names a user, by number when the system has no name.
func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

func groupName(gid int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(gid)
}

// ProbeAccel implements Host.
func (s System) ProbeAccel(ctx context.Context, info vm.HostInfo) (vm.Verdict, error) {
	img, err := s.Images.Lookup(image.Micro)
	if err != nil {
		return vm.Verdict{}, err
	}
	return vm.ProbeAccel(ctx, vm.ProbeOptions{
		Emulator: info.Emulator, QEMUVersion: info.QEMU, Kernel: img.Kernel, Initrd: img.Initrd, Cmdline: img.Cmdline,
		TSCkHz: info.TSCkHz, User: info.QEMUUser, CacheFile: s.AccelFile,
		Trying: s.Trying,
	})
}

// VerifyImage implements Host.
func (s System) VerifyImage(name string) error {
	img, err := s.Images.Lookup(name)
	if err != nil {
		return err
	}
	return img.Verify()
}

// NetworkManager implements Host: it runs, and neither udev nor any of its files says that the link is not its business.
func (System) NetworkManager(link string) bool {
	if _, err := os.Stat("/run/NetworkManager"); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if hasUdevRule("/usr/lib/udev/rules.d", "/lib/udev/rules.d", "/etc/udev/rules.d") {
		return false
	}
	files, err := filepath.Glob("/etc/NetworkManager/conf.d/*.conf")
	if err != nil {
		return true
	}
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && unmanaged(string(data), link) {
			return false
		}
	}
	return true
}

// udevRule is the file, of kvmlab's package or written by doctor's fix, that has udev mark the links of labs as none of
// NetworkManager's.
const udevRule = "84-kvmlab.rules"

// hasUdevRule reports whether it is in one of udev's folders; an empty file there, or a link to /dev/null, switches it off
// (udev(7)).
func hasUdevRule(dirs ...string) bool {
	found := false
	for _, dir := range dirs {
		if info, err := os.Stat(filepath.Join(dir, udevRule)); err == nil {
			found = info.Mode().IsRegular() && info.Size() > 0
		}
	}
	return found
}

// unmanaged reports whether a NetworkManager.conf(5) lists the link, by name or pattern, as unmanaged.
func unmanaged(conf, link string) bool {
	for line := range strings.Lines(conf) {
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.TrimSpace(key) != "unmanaged-devices" {
			continue
		}
		for spec := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(";, \n", r) }) {
			pattern := strings.TrimPrefix(strings.TrimPrefix(spec, "interface-name:"), "=")
			if match, err := filepath.Match(pattern, link); err == nil && match {
				return true
			}
		}
	}
	return false
}

// Links implements Host.
func (System) Links(ctx context.Context) (links []netsetup.Link, err error) {
	h, err := netsetup.OpenHost()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	return h.Links(ctx)
}

// Overlaps implements Host.
func (System) Overlaps(ctx context.Context, subnet netip.Prefix, ignore ...string) (_ []netsetup.Overlap, err error) {
	h, err := netsetup.OpenHost()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	return h.Overlaps(ctx, subnet, ignore...)
}

// older compares versions such as 7.2.13 number by number; what is not a number counts as 0.
func older(have, minimum string) bool {
	a, b := strings.Split(have, "."), strings.Split(minimum, ".")
	for i := range b {
		var x, y int
		if i < len(a) {
			x, _ = strconv.Atoi(a[i])
		}
		y, _ = strconv.Atoi(b[i])
		if x != y {
			return x < y
		}
	}
	return false
}
