package doctor

import (
	"context"
	"net/netip"

	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// Host is the machine as the checks see it. System is the real one, tests have their own.
type Host interface {
	// Root reports whether kvmlab runs as root.
	Root() bool
	// OpenTun opens and closes /dev/net/tun.
	OpenTun() error
	// TryLinks makes a bridge with a tap in a network namespace that is thrown away.
	TryLinks(ctx context.Context) error
	// Writable creates and removes a file in the directory, or in the nearest one above it that exists.
	Writable(dir string) error
	// FreeDisk is the room, in bytes, that root has on the file system of the directory (or the nearest above it).
	FreeDisk(dir string) (uint64, error)
	// AvailableMemory is MemAvailable of proc(5), in bytes.
	AvailableMemory() (uint64, error)
	// Libvirt connects to libvirt.
	Libvirt(ctx context.Context) (Libvirt, error)
	// Systemd reports whether systemd starts the services of this host.
	Systemd() bool
	// Virtlogd connects to virtlogd's socket and hangs up; the path is for the report.
	Virtlogd() (socket string, err error)
	// FindProgram looks a program up in PATH.
	FindProgram(name string) (string, error)
	// CheckKVM looks whether QEMU's user can open /dev/kvm; see vm.CheckKVM.
	CheckKVM(user vm.User) error
	// KVMMode is the mode of /dev/kvm, such as "0600 root:root".
	KVMMode() string
	// ProbeAccel boots the micro image to see how guests run; see vm.ProbeAccel.
	ProbeAccel(ctx context.Context, info vm.HostInfo) (vm.Verdict, error)
	// VerifyImage reads the image whole.
	VerifyImage(name string) error
	// DroppedBridgeTraffic names the firewall chain whose policy drops what bridges forward; "" when nothing does.
	DroppedBridgeTraffic(ctx context.Context) (string, error)
	// TryFirewall makes a lab's firewall in a network namespace that is thrown away.
	TryFirewall(ctx context.Context) error
	// Forwards reports whether the host forwards IPv4 packets.
	Forwards() bool
	// DroppedForwarding names the firewall chain whose policy drops what the host forwards; "" when none does.
	DroppedForwarding(ctx context.Context) (string, error)
	// NetworkManager reports whether it runs and would take a link of that name.
	NetworkManager(link string) bool
	// Links lists the links of the host, Overlaps what shares addresses with a subnet (ignoring the named links).
	Links(ctx context.Context) ([]netsetup.Link, error)
	Overlaps(ctx context.Context, subnet netip.Prefix, ignore ...string) ([]netsetup.Overlap, error)
}

// Libvirt is a connection to it; *vm.Conn is one.
type Libvirt interface {
	Host(ctx context.Context) (vm.HostInfo, error)
	Close() error
}

// LabNeeds is what the lab that the host is looked at for will ask of it.
type LabNeeds struct {
	Name     string
	StateDir string         // where its state goes
	RunDir   string         // and its sockets
	Links    []string       // names of its bridges and taps
	Bridge   string         // its first bridge
	Subnets  []netip.Prefix // of its bridges
	Memory   uint64         // of its guests together, in bytes, what QEMU takes beside it included
	Disk     uint64         // bytes
	Image    string         // of its guests
	URI      string         // libvirt's; "" is qemu:///system
}
