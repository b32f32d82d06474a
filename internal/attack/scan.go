package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// scans look for what answers: targets, tcp and udp on the command line are lists with commas. Each answer is a line:
// what it is ("open", "refused", "answer"), how it was asked for, and who has given it.
var scans = []attack{
	{"scan/tcp", "a TCP connection to each port of each target", scanTCP},
	{"scan/udp", "a UDP datagram to each port of each target", scanUDP},
	{"scan/ping", "a ping to each target", scanPing},
	{"scan/arp", "ARP for each target: whether this link has it", scanARP},
	{
		"scan/spoofed", "datagrams to each port of each target in the names of its neighbours, the host and loopback",
		scanSpoofed,
	},
	{
		"scan/broadcast", "datagrams to each port of everybody, of the subnet and of multicast groups",
		scanBroadcast,
	},
	{"scan/ipv6", "who has an IPv6 address on this link, and ports of those", scanIPv6},
}

const (
	scanWait   = time.Second // for an answer: all are on this computer
	scanAtOnce = 64
)

func (g *guest) targets() (list []netip.Addr, err error) {
	for _, word := range words(g.values["targets"]) {
		a, err := netip.ParseAddr(word)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

func (g *guest) udpPorts() (ports []uint16, err error) {
	for _, word := range words(g.values["udp"]) {
		n, err := strconv.ParseUint(word, 10, 16)
		if err != nil {
			return nil, err
		}
		ports = append(ports, uint16(n))
	}
	return ports, nil
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// each asks every port of every target, many at once, and prints what ask says, if it says anything.
func (g *guest) each(network string, ask func(to string) string) error {
	targets, err := g.targets()
	if err != nil {
		return err
	}
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		errs  []error
		slots = make(chan struct{}, scanAtOnce)
	)
	for _, target := range targets {
		for _, port := range words(g.values[network]) {
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				to := net.JoinHostPort(target.String(), port)
				if said := ask(to); said != "" {
					mu.Lock()
					defer mu.Unlock()
					_, err := fmt.Fprintf(g.out, "%s %s %s\n", said, network, to)
					errs = append(errs, err)
				}
			})
		}
	}
	group.Wait()
	return errors.Join(errs...)
}

func scanTCP(ctx context.Context, g *guest) error {
	return g.each("tcp", func(to string) string {
		dialer := net.Dialer{Timeout: scanWait}
		conn, err := dialer.DialContext(ctx, "tcp", to)
		switch {
		case err == nil:
			_ = conn.Close()
			return "open"
		case errors.Is(err, syscall.ECONNREFUSED):
			return "refused"
		}
		return ""
	})
}

func scanUDP(ctx context.Context, g *guest) error {
	return g.each("udp", func(to string) string {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "udp", to)
		if err != nil {
			return ""
		}
		defer conn.Close() //nolint:errcheck // nothing is kept
		for range 2 {
			_, _ = conn.Write([]byte("scan\n"))
		}
		_ = conn.SetReadDeadline(time.Now().Add(scanWait))
		_, err = conn.Read(make([]byte, 64))
		switch {
		case err == nil:
			return "open"
		case errors.Is(err, syscall.ECONNREFUSED):
			return "refused"
		}
		return ""
	})
}

func scanPing(ctx context.Context, g *guest) error {
	targets, err := g.targets()
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "ip4:icmp", "0.0.0.0")
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is kept
	for range 2 {
		for _, a := range targets {
			_, _ = conn.WriteTo(icmp(8, 0, []byte{0x5c, 0xa7, 0, 1}, make([]byte, 8)), &net.IPAddr{IP: a.AsSlice()})
		}
	}
	heard := map[string]bool{}
	_ = conn.SetReadDeadline(time.Now().Add(scanWait))
	for b := make([]byte, 1500); ; {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			break
		}
		if n >= 6 && b[0] == 0 && b[4] == 0x5c { // an echo reply to one of these
			heard[from.String()] = true
		}
	}
	for a := range heard {
		if _, err := fmt.Fprintf(g.out, "answer ping %s\n", a); err != nil {
			return err
		}
	}
	return nil
}

// receiver is a packet socket that gives frames of one Ethernet type until its time is over.
func (g *guest) receiver(etherType uint16, limit time.Duration) (int, error) {
	if err := g.open(); err != nil {
		return -1, err
	}
	proto := etherType<<8 | etherType>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto))
	if err != nil {
		return -1, err
	}
	wait := unix.NsecToTimeval(limit.Nanoseconds())
	return fd, errors.Join(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: g.nic.Index}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait))
}

func scanARP(ctx context.Context, g *guest) error {
	targets, err := g.targets()
	if err != nil {
		return err
	}
	fd, err := g.receiver(typeARP, scanWait)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is kept
	for range 2 {
		for _, a := range targets {
			if err := g.send(ctx, arp(broadcast, g.self, arpRequest, g.self, g.addr, mac{}, a)); err != nil {
				return err
			}
		}
	}
	heard := map[netip.Addr]bool{}
	for b := make([]byte, 1500); ; {
		n, err := unix.Read(fd, b)
		if err != nil {
			break // nothing has come for a while
		}
		if n >= 42 && b[21] == arpReply {
			heard[netip.AddrFrom4([4]byte(b[28:32]))] = true
		}
	}
	for a := range heard {
		if _, err := fmt.Fprintf(g.out, "answer arp %s\n", a); err != nil {
			return err
		}
	}
	return nil
}

// scanSpoofed gets no answers: who listens at the targets tells what has arrived.
func scanSpoofed(ctx context.Context, g *guest) error {
	targets, err := g.targets()
	if err != nil {
		return err
	}
	if err := g.open(); err != nil {
		return err
	}
	ports, err := g.udpPorts()
	if err != nil {
		return err
	}
	for _, target := range append(targets, netip.MustParseAddr("127.0.0.1")) {
		a := target.As4()
		a[3] ^= 3
		for _, src := range []netip.Addr{netip.AddrFrom4(a), g.host, netip.MustParseAddr("127.0.0.1"), outside} {
			for _, port := range ports {
				if err := g.send(ctx, udp(g.hostMAC, g.self, src, target, 4000, port, []byte("scan\n"))); err != nil {
					return err
				}
			}
		}
	}
	return g.report()
}

func scanBroadcast(ctx context.Context, g *guest) error {
	if err := g.open(); err != nil {
		return err
	}
	subnet := g.host.As4()
	subnet[3] = 255
	groups := []netip.Addr{allHosts, netip.MustParseAddr("224.0.0.251"), netip.MustParseAddr("239.255.255.250")}
	ports, err := g.udpPorts()
	if err != nil {
		return err
	}
	for _, port := range ports {
		for _, dst := range []netip.Addr{allIPv4, netip.AddrFrom4(subnet), g.host} {
			if err := g.send(ctx, udp(broadcast, g.self, g.addr, dst, 4000, port, []byte("scan\n"))); err != nil {
				return err
			}
		}
		for _, dst := range groups {
			if err := g.send(ctx, udp(group4(dst), g.self, g.addr, dst, 4000, port, []byte("scan\n"))); err != nil {
				return err
			}
		}
	}
	return g.report()
}

func scanIPv6(ctx context.Context, g *guest) error {
	fd, err := g.receiver(typeIPv6, scanWait)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is kept
	self := linkLocal(g.self)
	for range 2 {
		err := g.send(
			ctx,
			icmp6(group6(allNodes), g.self, self, allNodes, 128, be32(7), make([]byte, 8)),
			icmp6(g.hostMAC, g.self, self, linkLocal(g.hostMAC), 128, be32(8), make([]byte, 8)),
			icmp6(
				broadcast,
				g.self,
				self,
				linkLocal(g.hostMAC),
				135,
				be32(0),
				linkLocal(g.hostMAC).AsSlice(),
				lladdr(sourceLayer, g.self),
			),
		)
		if err != nil {
			return err
		}
	}
	heard := map[netip.Addr]bool{}
	for b := make([]byte, 1500); ; {
		n, err := unix.Read(fd, b)
		if err != nil {
			break
		}
		from := netip.AddrFrom16([16]byte(b[22:38]))
		if n >= 55 && mac(b[6:12]) == g.hostMAC && from != self { // other guests may have IPv6
			heard[from] = true
		}
	}
	for a := range heard {
		if _, err := fmt.Fprintf(g.out, "answer ipv6 %s\n", a); err != nil {
			return err
		}
	}
	return nil
}

// listen is the other end of a scan: it opens ports at all addresses, answers, and prints who has reached which.
func listen(ctx context.Context, args []string, out io.Writer) error {
	values := map[string]string{}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		values[key] = value
	}
	var (
		lc   net.ListenConfig
		mu   sync.Mutex
		errs []error
	)
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintf(out, format+"\n", args...)
	}
	for _, port := range words(values["tcp"]) {
		l, err := lc.Listen(ctx, "tcp", ":"+port)
		errs = append(errs, err)
		if err == nil {
			go serveTCP(l, port, say)
		}
	}
	for _, port := range words(values["udp"]) {
		conn, err := lc.ListenPacket(ctx, "udp", ":"+port)
		errs = append(errs, err)
		if err == nil {
			go serveUDP(conn, port, say)
		}
	}
	if err := errors.Join(slices.Clip(errs)...); err != nil {
		return err
	}
	say("ready")
	<-ctx.Done()
	return nil
}

func serveTCP(l net.Listener, port string, say func(string, ...any)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		say("reached tcp %s from %s", port, conn.RemoteAddr())
		_ = conn.Close()
	}
}

func serveUDP(conn net.PacketConn, port string, say func(string, ...any)) {
	for b := make([]byte, 1500); ; {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		say("reached udp %s from %s", port, from)
		_, _ = conn.WriteTo(b[:n], from)
	}
}
