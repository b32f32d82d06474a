package diag

// hostEntries are KL100–KL129: what the host must offer, as doctor checks it.
var hostEntries = []Entry{
	{
		Code: NotRoot, Exit: ExitHost, Args: []string{"command"},
		Summary: `{{.command}} needs root: it makes network interfaces and virtual machines`,
		Hint:    `run it with sudo`,
		Explanation: `
Creating links, changing their addresses and opening raw sockets need the
capability CAP_NET_ADMIN, and the system's libvirt lets only root and its own
group in. The taps that kvmlab makes under sudo still belong to you, as with
"ip tuntap add mode tap name tap1 user ana". Commands that only read files
(validate, explain, version) need no root.`,
	},
	{
		Code: NoTun, Exit: ExitHost, Args: []string{"path"},
		Summary: `{{.path}} is missing or cannot be opened`,
		Hint:    `load the module: sudo modprobe tun (in a container, pass the device in)`,
		Explanation: `
A tap is made by opening the device /dev/net/tun and asking it for an interface
(TUNSETIFF). The device comes with the kernel module tun. Where the module is
built in or loaded and the file is still missing, as in some containers,
"mkdir -p /dev/net; mknod /dev/net/tun c 10 200" makes it.`,
	},
	{
		Code: LibvirtUnreachable, Exit: ExitHost, Args: []string{"uri"},
		Summary: `libvirt does not answer at {{.uri}}`,
		Hint:    `start it: sudo systemctl start libvirtd (without systemd: virtlogd -d; libvirtd -d), or run scripts/up`,
		Explanation: `
kvmlab asks libvirt to run the guests and talks to it over a UNIX socket:
/run/libvirt/libvirt-sock of the one big daemon libvirtd, or
/run/libvirt/virtqemud-sock where libvirt is divided into several daemons.
None of them answered. Either libvirt is not installed
(libvirt-daemon-system), or it does not run, or --connect or
LIBVIRT_DEFAULT_URI points elsewhere. "virsh -c qemu:///system list" asks the
same question.`,
	},
	{
		Code: LibvirtDenied, Exit: ExitHost, Args: []string{"socket"},
		Summary: `libvirt's socket {{.socket}} does not let this user in`,
		Hint:    `run kvmlab with sudo`,
		Explanation: `
A UNIX socket is a file and has an owner, a group and permissions like any
other. libvirt's belongs to root and the group libvirt. Members of that group
may use libvirt, but kvmlab also makes network interfaces, which needs root.`,
	},
	{
		Code: KVMMissing, Severity: Warning, Args: []string{"path"},
		Summary: `there is no {{.path}}: guests run without hardware virtualisation`,
		Hint:    `everything works, only slower; on a real PC look for VT-x or SVM in the firmware set-up, then: sudo modprobe kvm_intel (or kvm_amd)`,
		Explanation: `
KVM lets the processor run a guest's code directly. Without it QEMU translates
every instruction (TCG), some ten times slower for a boot and hardly noticeable
in a DHCP exercise. Many virtual servers have no KVM since they are guests
themselves; it would need nested virtualisation, switched on by whoever runs
them.`,
	},
	{
		Code: KVMClosed, Exit: ExitHost, Args: []string{"path", "user", "mode"},
		Summary: `{{.path}} is there but QEMU's user {{.user}} may not open it (mode {{.mode}})`,
		Hint:    `sudo chown root:kvm {{.path}}; sudo chmod 0660 {{.path}} (scripts/up does it)`,
		Explanation: `
libvirt runs QEMU as a user of its own, not as root. When that user cannot open
/dev/kvm, libvirt asks QEMU again and again what it can do, for more than a
minute for each guest, before it gives up. Normally the group kvm may open the
device and QEMU's user is in that group; udev arranges that, where it runs.`,
	},
	{
		Code: KVMBroken, Severity: Warning, Args: []string{"reason"},
		Summary: `KVM is there but cannot run a guest: {{.reason}}`,
		Hint:    `guests run without it (--accel tcg); kvmlab remembers this until the next boot of the host, and kvmlab doctor --again looks again`,
		Explanation: `
That /dev/kvm opens does not mean that a guest runs: inside some virtual
machines and containers the device is there and the guest hangs at its first
instructions. So kvmlab boots a small guest under KVM and, beside it, one
without, and looks for its sign of life on the serial port. A slow KVM is a good
one as long as its guest comes further; this one had all the time in which the
other booted, and did not. Guests will use TCG, QEMU's translation in software.`,
	},
	{
		Code: NoMemory, Exit: ExitHost, Args: []string{"need", "have"},
		Summary: `the guests need about {{.need}} of memory and {{.have}} is available`,
		Hint:    `stop other labs (kvmlab status, kvmlab down), or give the guests less memory in the lab file`,
		Explanation: `
Each guest takes its own memory and a good part more for QEMU, most of all
without KVM, where QEMU keeps the translated code. "Available" is what the
kernel could free without swapping (MemAvailable in /proc/meminfo), not what
"free" shows as free. Starting all the same would end with the kernel killing
one of the guests, or something else.`,
	},
	{
		Code: NoDisk, Exit: ExitHost, Args: []string{"path", "need", "have"},
		Summary: `{{.path}} has {{.have}} free and {{.need}} are needed`,
		Hint:    `make room there, or move the state: KVMLAB_STATE_DIR=/another/disk`,
		Explanation: `
Images, the guests' disks, leases and captures live under the state directory.
A disk that fills up while a lab runs stops the DHCP server from promising
anything (it never acknowledges a lease that it could not write down), so
kvmlab looks beforehand.`,
	},
	{
		Code: BridgeNetfilter, Exit: ExitHost, Args: []string{"policy"},
		Summary: `the host's firewall drops what its bridges forward ({{.policy}})`,
		Hint:    `sudo sysctl net.bridge.bridge-nf-call-iptables=0, or bring the lab up with --isolate`,
		Explanation: `
A bridge forwards frames by their MAC addresses and should not care about IP.
But once the module br_netfilter is loaded (Docker and Kubernetes do it), the
kernel shows bridged IP packets to iptables as well, and a FORWARD policy of
DROP swallows them: DISCOVER goes out, and between the guests nothing arrives.
The setting is kept for each network namespace, and starts as 1 in a new one.`,
	},
	{
		Code: ForeignDHCP, Exit: ExitHost, Args: []string{"bridge", "server", "mac"},
		Summary: `another DHCP server, {{.server}} ({{.mac}}), answers on {{.bridge}}`,
		Hint:    `find out whose it is (ip neigh, bridge fdb show), and stop one of the two`,
		Explanation: `
A client takes whichever OFFER it likes, usually the first. With two servers on
one segment each guest gets its address from one or the other by chance, and
two servers that do not know of each other may lend the same address twice. On
the host, libvirt's own network (dnsmasq on virbr0) is a usual suspect, and in a
class the guest of a neighbour.`,
	},
	{
		Code: MissingProgram, Exit: ExitHost, Args: []string{"program", "package"},
		Summary: `{{.program}} is not installed`,
		Hint:    `sudo apt install {{.package}} (scripts/up installs all that is missing)`,
		Explanation: `
kvmlab itself is one file, but guests run in QEMU under libvirt, and building
the micro guest takes busybox and a kernel package. scripts/up installs what is
missing, and "kvmlab doctor" lists it.`,
	},
	{
		Code: AppArmor, Exit: ExitHost, Args: []string{"path"},
		Summary: `AppArmor may keep QEMU from {{.path}}`,
		Hint:    `look for DENIED in: sudo journalctl -k | grep apparmor; keep the state under /var/lib/kvmlab`,
		Explanation: `
On Debian and Ubuntu libvirt puts each guest's QEMU under an AppArmor profile
that allows only the files of that guest's description. Permissions may look
right (ls -l) and QEMU still gets "Permission denied". The kernel's log says so
with the word DENIED and the path.`,
	},
	{
		Code: NetworkManager, Exit: ExitHost, Args: []string{"link"},
		Summary: `NetworkManager takes {{.link}} for its own`,
		Hint:    `tell it to leave the lab alone: nmcli device set {{.link}} managed no`,
		Explanation: `
NetworkManager configures every interface that appears unless it is told not
to. It may ask for an address by DHCP on the lab's bridge, or take the address
away that kvmlab put there. The Debian package of kvmlab brings a udev rule,
84-kvmlab.rules, that knows the links of labs by their mark and makes
NetworkManager leave just these alone; without the package, "kvmlab doctor"
prints the command that writes such a rule.`,
	},
	{
		Code: LibvirtSlow, Exit: ExitFailed, Args: []string{"call", "limit"},
		Summary: `libvirt did not finish {{.call}} within {{.limit}}`,
		Hint:    `kvmlab doctor looks for the usual reasons; libvirt's log is in /var/log/libvirt`,
		Explanation: `
A call to libvirt came back neither with an answer nor with an error, and
kvmlab does not wait for ever. The host may be overloaded, or libvirt may be
asking QEMU for its abilities again and again (see KL105), or it may hang.`,
	},
	{
		Code: HostNotReady, Exit: ExitHost, Args: []string{"count"},
		Summary: `the host is not ready: {{.count}} {{if eq .count 1}}thing needs{{else}}things need{{end}} mending`,
		Hint:    `mend what is listed above and run kvmlab doctor again; scripts/up mends most of it`,
		Explanation: `
kvmlab doctor looks at everything that a lab needs from the host, and gives for
each finding what would mend it. Nothing was changed by looking.`,
	},
	{
		Code: NoVirtlogd, Exit: ExitHost, Args: []string{"socket"},
		Summary: `virtlogd does not answer at {{.socket}}`,
		Hint:    `start it: sudo systemctl start virtlogd (without systemd: virtlogd -d)`,
		Explanation: `
libvirt gives the logs and consoles of its guests to a second daemon, virtlogd,
so that a restart of libvirt does not cut them off. When it does not run, no
guest starts. With systemd it is started on demand; where libvirtd was started
by hand, virtlogd must be too, and first.`,
	},
	{
		Code: LibvirtOld, Exit: ExitHost, Args: []string{"program", "version", "minimum"},
		Summary: `{{.program}} {{.version}} is too old; kvmlab needs {{.minimum}} or later`,
		Hint:    `Debian 12 and Ubuntu 22.04 have new enough ones`,
		Explanation: `
kvmlab describes its guests in a way that older versions do not understand. It
is tested with libvirt 9.0 and QEMU 7.2, those of Debian 12.`,
	},
	{
		Code: KernelFeature, Exit: ExitHost, Args: []string{"feature"},
		Summary: `the kernel lacks {{.feature}}`,
		Hint:    `use a distribution's own kernel, or load the module`,
		Explanation: `
kvmlab builds on what every distribution's kernel has: bridges, tun, network
namespaces, packet sockets. Kernels made for containers or small devices
sometimes leave one of them out.`,
	},
	{
		Code: StateDirUnwritable, Exit: ExitHost, Args: []string{"path"},
		Summary: `the directory {{.path}} cannot be used`,
		Hint:    `check that it exists, belongs to root and is not on a read-only file system`,
		Explanation: `
kvmlab keeps what it knows about running labs in /run/kvmlab and what must
survive a reboot in /var/lib/kvmlab. KVMLAB_RUN_DIR and KVMLAB_STATE_DIR move
them. Without a place for its journal kvmlab does not begin, since it could not
undo what it had done.`,
	},
	{
		Code: NoBoot, Exit: ExitHost, Args: []string{"image", "reason"},
		Summary: `no guest boots on this host: {{.reason}}`,
		Hint:    `build the image anew: sudo kvmlab image build {{.image}} --force; kvmlab doctor looks at QEMU`,
		Explanation: `
Before the first lab after a start of the computer kvmlab boots a small guest,
with KVM and without, and looks for its sign of life on the serial port. It came
in no way that QEMU offers, and QEMU's own words are quoted. The image may be
damaged, the memory may not suffice, or QEMU's files may be incomplete (packages
qemu-system-x86, qemu-system-data, seabios). Nothing of this is remembered: the
next "up" tries again.`,
	},
}
