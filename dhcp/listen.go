package dhcp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// port is what the server has open on one interface. The sockets are opened once: closing an AF_PACKET socket waits
// for an RCU grace period, over 10 ms.
type port struct {
	name  string
	index int
	addr  ip4
	raw   *os.File // AF_PACKET, IPv4 to UDP port 67, in
	out   *os.File // AF_PACKET, IPv4, out
	route *os.File // raw IP, out by the kernel's routes
	arp   *os.File // AF_PACKET, ARP replies, in and out; nil when nothing is probed
	udp   *os.File // bound to port 67 on the interface
	claim *os.File // says to other servers of this make that the interface is served

	rawIO, outIO, routeIO, arpIO syscall.RawConn
}

// openPort opens the sockets in the network namespace of the calling thread.
func openPort(i Interface, probe bool) (p *port, err error) {
	link, err := net.InterfaceByName(i.Name)
	if err != nil {
		return nil, fmt.Errorf("find interface %q: %w", i.Name, err)
	}
	p = &port{name: i.Name, index: link.Index, addr: toIP4(i.Address)}
	opened := p
	defer func() {
		if err != nil {
			_ = opened.close()
		}
	}()
	if p.claim, err = claimInterface(link.Index); err != nil {
		return nil, fmt.Errorf("claim %q for this server: %w", i.Name, err)
	}
	if p.raw, p.rawIO, err = openPacket(link.Index, unix.ETH_P_IP, requestFilter()); err != nil {
		return nil, fmt.Errorf("listen for DHCP on %q: %w", i.Name, err)
	}
	if err = needEthernet(p.raw); err != nil {
		return nil, fmt.Errorf("listen for DHCP on %q: %w", i.Name, err)
	}
	if p.out, p.outIO, err = openOut(unix.AF_PACKET, unix.SOCK_DGRAM, 0); err != nil {
		return nil, fmt.Errorf("open socket for replies on %q: %w", i.Name, err)
	}
	if p.route, p.routeIO, err = openRoute(i.Name); err != nil {
		return nil, fmt.Errorf("open socket for routed replies on %q: %w", i.Name, err)
	}
	if probe {
		if p.arp, p.arpIO, err = openPacket(link.Index, unix.ETH_P_ARP, arpReplyFilter()); err != nil {
			return nil, fmt.Errorf("listen for ARP on %q: %w", i.Name, err)
		}
	}
	if p.udp, err = openUDP(i.Name); err != nil {
		return nil, fmt.Errorf("bind UDP port 67 on %q: %w", i.Name, err)
	}
	return p, nil
}

// ErrNotEthernet is returned by Open for an interface whose frames are not Ethernet's, such as a tun or the loopback: a
// client without an address could not be answered there.
var ErrNotEthernet = errors.New("interface carries no Ethernet frames")

// needEthernet asks the kernel for the kind of the interface that a packet socket is bound to (packet(7), sll_hatype).
func needEthernet(packet *os.File) error {
	sa, err := unix.Getsockname(int(packet.Fd()))
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	if ll, ok := sa.(*unix.SockaddrLinklayer); !ok || ll.Hatype != unix.ARPHRD_ETHER {
		return ErrNotEthernet
	}
	return nil
}

// openPorts opens every interface, in a network namespace if its path is given. It uses a thread of its own for
// that, which the runtime throws away afterwards because it stays locked; the sockets stay in their namespace.
func openPorts(interfaces []Interface, netns string, probe bool) (ports []*port, err error) {
	open := func() {
		for _, i := range interfaces {
			var p *port
			if p, err = openPort(i, probe); err != nil {
				closePorts(ports)
				return
			}
			ports = append(ports, p)
		}
	}
	if netns == "" {
		open()
		return ports, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = enterNamespace(netns); err == nil {
			open()
		}
	}()
	<-done
	return ports, err
}

func enterNamespace(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", path, err)
	}
	return nil
}

// openPacket opens an AF_PACKET socket without link-layer headers (SOCK_DGRAM): the kernel then fills in the
// interface's own address, which for a bridge can change at any time. The filter is attached while the socket is
// bound to nothing, so that nothing unfiltered is ever queued.
func openPacket(index, proto int, filter []bpf.Instruction) (*os.File, syscall.RawConn, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socket", err)
	}
	if err := setUpPacket(fd, index, proto, filter); err != nil {
		_ = unix.Close(fd)
		return nil, nil, err
	}
	return fileOf(fd, "packet")
}

func setUpPacket(fd, index, proto int, filter []bpf.Instruction) error {
	if err := attach(fd, filter); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return os.NewSyscallError("setsockopt PACKET_AUXDATA", err)
	}
	// Room for a burst of a whole school's machines starting at once. The limit of the system does not apply to
	// root; without root, what the system allows must do.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	}
	addr := unix.SockaddrLinklayer{Protocol: htons(uint16(proto)), Ifindex: index}
	return os.NewSyscallError("bind", unix.Bind(fd, &addr))
}

// sendPatience is how long a reply waits for room in the queue of an interface that is slow.
const sendPatience = 20 * time.Millisecond

// openOut opens a socket that only sends. It blocks, and so stays out of the runtime's poller: on a socket that is
// polled, each frame that leaves is an event (EPOLLOUT) that wakes a thread for nothing, a sixth of the server's work.
func openOut(family, kind, proto int) (*os.File, syscall.RawConn, error) {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, nil, os.NewSyscallError("socket", err)
	}
	patience := unix.NsecToTimeval(sendPatience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience); err != nil {
		_ = unix.Close(fd)
		return nil, nil, os.NewSyscallError("setsockopt SO_SNDTIMEO", err)
	}
	return fileOf(fd, "out")
}

// openRoute opens the socket for what needs routes and neighbours: replies to relays. It takes whole packets, because a
// UDP socket leaves the checksum to the card (CHECKSUM_PARTIAL), and a bridge or veth to nobody: a relay that reads
// from a packet socket would get it unfinished.
func openRoute(name string) (f *os.File, c syscall.RawConn, err error) {
	if f, c, err = openOut(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW); err != nil {
		return nil, nil, err
	}
	var bound error
	if err = c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), name) }); err == nil {
		err = os.NewSyscallError("setsockopt SO_BINDTODEVICE", bound)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, c, nil
}

// claimPatience is how long a claim is waited for: a process that the last server was just starting has it until its exec.
const claimPatience = 500 * time.Millisecond

// claimInterface keeps a second server off an interface: port 67 is shared, and a server does not hear what its own host
// sends. The name is an abstract one (unix(7)): it belongs to the network namespace, and goes with the process.
func claimInterface(index int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	name := &unix.SockaddrUnix{Name: fmt.Sprintf("@kvmlab-dhcp-%d", index)}
	for end := time.Now().Add(claimPatience); ; <-time.After(claimPatience / 50) { // the kernel tells of no end
		err := unix.Bind(fd, name)
		if err == nil {
			return os.NewFile(uintptr(fd), "claim"), nil
		}
		if !errors.Is(err, unix.EADDRINUSE) || time.Now().After(end) {
			_ = unix.Close(fd)
			return nil, os.NewSyscallError("bind", err)
		}
	}
}

// openUDP binds port 67 on the interface. Without it the kernel would answer a renewal with an ICMP
// port-unreachable, and `ss` would not show the server. What arrives there is dropped by a filter, because the
// packet socket has it too.
func openUDP(name string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = errors.Join(
		attach(fd, []bpf.Instruction{bpf.RetConstant{Val: 0}}),
		os.NewSyscallError("setsockopt SO_REUSEADDR", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)),
		os.NewSyscallError("setsockopt SO_BINDTODEVICE", unix.BindToDevice(fd, name)),
	)
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrInet4{Port: ServerPort}))
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "udp"), nil
}

// fileOf hands a socket to the runtime, and to its poller if it is non-blocking.
func fileOf(fd int, name string) (*os.File, syscall.RawConn, error) {
	f := os.NewFile(uintptr(fd), name)
	c, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, c, nil
}

// isUp tells whether the interface is up, whatever its name is now; unix.ENODEV when it was deleted.
func (p *port) isUp() (up bool, err error) {
	ask := func(fd uintptr) {
		var r *unix.Ifreq
		if r, err = unix.NewIfreq(p.name); err != nil {
			return
		}
		r.SetUint32(uint32(p.index))
		if err = unix.IoctlIfreq(int(fd), unix.SIOCGIFNAME, r); err != nil { // fills in the name
			return
		}
		if err = unix.IoctlIfreq(int(fd), unix.SIOCGIFFLAGS, r); err == nil {
			up = r.Uint16()&unix.IFF_UP != 0
		}
	}
	if err := p.rawIO.Control(ask); err != nil {
		return false, err
	}
	return up, err
}

// wake makes reads that wait return, now and from now on.
func (p *port) wake() error {
	past := time.Unix(1, 0)
	err := p.raw.SetReadDeadline(past)
	if p.arp != nil {
		err = errors.Join(err, p.arp.SetReadDeadline(past))
	}
	return err
}

func (p *port) close() error {
	var errs []error
	for _, f := range []*os.File{p.claim, p.raw, p.out, p.route, p.arp, p.udp} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

func closePorts(ports []*port) {
	for _, p := range ports {
		_ = p.close()
	}
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// attach sets a socket filter.
func attach(fd int, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return fmt.Errorf("assemble filter: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	p := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET,
		unix.SO_ATTACH_FILTER, &p))
}

// requestFilter passes UDP datagrams to port 67 that are for this machine: not what it sends itself, and not
// what a promiscuous interface overhears (a unicast to a guest that is a DHCP server, say).
func requestFilter() []bpf.Instruction {
	return datagramFilter(ServerPort, bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: unix.PACKET_MULTICAST})
}

// datagramFilter passes UDP datagrams to a port, of fragments the first, which alone has the port, unless not applies to their packet type (packet(7)).
func datagramFilter(port uint32, not bpf.JumpIf) []bpf.Instruction {
	const drop = 10
	not.SkipTrue = drop - 2
	return []bpf.Instruction{
		0:  bpf.LoadExtension{Num: bpf.ExtType},
		1:  not,
		2:  bpf.LoadAbsolute{Off: 9, Size: 1},
		3:  bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: drop - 4},
		4:  bpf.LoadAbsolute{Off: 6, Size: 2},
		5:  bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: drop - 6}, // a later fragment
		6:  bpf.LoadMemShift{Off: 0},
		7:  bpf.LoadIndirect{Off: 2, Size: 2},
		8:  bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: port, SkipTrue: drop - 9},
		9:  bpf.RetConstant{Val: 0xffff},
		10: bpf.RetConstant{Val: 0},
	}
}

// arpReplyFilter passes ARP replies to this machine.
func arpReplyFilter() []bpf.Instruction {
	return []bpf.Instruction{
		0: bpf.LoadExtension{Num: bpf.ExtType},
		1: bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: unix.PACKET_MULTICAST, SkipTrue: 3},
		2: bpf.LoadAbsolute{Off: 6, Size: 2},
		3: bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 2, SkipTrue: 1},
		4: bpf.RetConstant{Val: 64},
		5: bpf.RetConstant{Val: 0},
	}
}
