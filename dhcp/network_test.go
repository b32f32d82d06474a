package dhcp_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/nstest"
)

// The addresses of the test network: the class's own.
var (
	serverIP  = netip.MustParseAddr("192.168.1.1")
	clientMAC = net.HardwareAddr{0x02, 0, 0x5e, 0, 0x53, 1}
	otherMAC  = net.HardwareAddr{0x02, 0, 0x5e, 0, 0x53, 2}
	thirdMAC  = net.HardwareAddr{0x02, 0, 0x5e, 0, 0x53, 3}
	broadcast = net.HardwareAddr{255, 255, 255, 255, 255, 255}
)

func ip(s string) netip.Addr             { return netip.MustParseAddr(s) }
func netIP(a netip.Addr) net.IP          { return net.IP(a.AsSlice()) }
func eth(m net.HardwareAddr) dhcp.HWAddr { return dhcp.Ethernet([6]byte(m)) }

// network is a server in one namespace and a station on the other end of the wire.
type network struct {
	testing.TB
	srv      *dhcp.Server
	cfg      dhcp.Config
	opts     dhcp.Options
	events   *dhcp.EventRing
	servers  *nstest.Namespace
	clients  *nstest.Namespace
	conn     *packet.Conn
	heard    chan heard
	srvMAC   net.HardwareAddr
	xid      uint32
	stop     func()
	lastSeen uint64
}

// classConfig is the class's subnet: .2 to .10 for ten minutes, without probes, so that tests do not wait for them.
func classConfig() dhcp.Config {
	return dhcp.Config{
		Interfaces: []dhcp.Interface{{Name: "br1", Address: serverIP}},
		Subnets: []dhcp.Subnet{{
			Prefix:  netip.MustParsePrefix("192.168.1.0/24"),
			Ranges:  []dhcp.Range{{First: ip("192.168.1.2"), Last: ip("192.168.1.10")}},
			Lease:   10 * time.Minute,
			Options: []dhcp.Option{dhcp.AddressesOption(3, serverIP), dhcp.AddressesOption(6, serverIP)},
		}},
		NoProbe: true,
	}
}

// newNetwork makes the namespaces, the wire between them, and a running server.
func newNetwork(tb testing.TB, change func(*dhcp.Config)) *network {
	tb.Helper()
	n := newWire(tb)
	n.cfg = classConfig()
	if change != nil {
		change(&n.cfg)
	}
	n.opts.LeaseDir = tb.TempDir()
	n.start()
	return n
}

// newWire makes the namespaces and the wire, without a server.
func newWire(tb testing.TB) *network {
	tb.Helper()
	n := &network{
		TB: tb, servers: nstest.New(tb), clients: nstest.New(tb), heard: make(chan heard, 4096),
		events: dhcp.NewEventRing(8192),
	}
	n.servers.Run(tb, "ip link add br1 type veth peer name eth0 netns "+n.clients.Path())
	n.servers.Run(tb, "ip addr add 192.168.1.1/24 dev br1")
	n.servers.Run(tb, "ip link set br1 up")
	n.clients.Run(tb, "ip link set eth0 up")
	n.servers.Must(tb, func() error {
		i, err := net.InterfaceByName("br1")
		if err == nil {
			n.srvMAC = i.HardwareAddr
		}
		return err
	})
	n.clients.Must(tb, func() error {
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		n.conn, err = packet.Listen(i, packet.Raw, unix.ETH_P_IP, nil)
		return err
	})
	tb.Cleanup(func() { _ = n.conn.Close() })
	go n.listen()
	return n
}

// start opens and runs a server; the test's end, or stop, ends it.
func (n *network) start() {
	n.Helper()
	n.opts.Events = n.events.Add
	n.opts.NetNS = n.servers.Path()
	srv, err := dhcp.Open(n.cfg, n.opts)
	if err != nil {
		n.Fatalf("open server: %v", err)
	}
	n.srv = srv
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	var once atomic.Bool
	n.stop = func() {
		if once.Swap(true) {
			return
		}
		cancel()
		if err := <-done; err != nil {
			n.Errorf("serve: %v", err)
		}
	}
	n.Cleanup(n.stop)
}

// heard is a frame that the station received.
type heard struct {
	eth     layers.Ethernet
	ip      layers.IPv4
	udp     layers.UDP
	payload []byte
	msg     *dhcpv4.DHCPv4
	sums    error // nil when both checksums are right
}

// listen takes every frame from the server's port 67.
func (n *network) listen() {
	b := make([]byte, 65536)
	for {
		size, _, err := n.conn.ReadFrom(b)
		if err != nil {
			return
		}
		p := gopacket.NewPacket(append([]byte(nil), b[:size]...), layers.LayerTypeEthernet, gopacket.Default)
		udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
		if !ok || udp.SrcPort != 67 {
			continue
		}
		h := heard{eth: *p.LinkLayer().(*layers.Ethernet), ip: *p.NetworkLayer().(*layers.IPv4), udp: *udp}
		h.payload = udp.Payload
		h.msg, _ = dhcpv4.FromBytes(udp.Payload)
		h.sums = checkSums(h.ip, udp)
		n.heard <- h
	}
}

// checkSums computes both checksums again.
func checkSums(head layers.IPv4, udp *layers.UDP) error {
	copyOf := *udp
	_ = copyOf.SetNetworkLayerForChecksum(&head)
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true, FixLengths: true},
		&head, &copyOf, gopacket.Payload(udp.Payload)); err != nil {
		return err
	}
	again := gopacket.NewPacket(buf.Bytes(), layers.LayerTypeIPv4, gopacket.Default)
	if got := again.NetworkLayer().(*layers.IPv4).Checksum; got != head.Checksum {
		return fmt.Errorf("IP checksum %#x, want %#x", head.Checksum, got)
	}
	if got := again.TransportLayer().(*layers.UDP).Checksum; got != udp.Checksum {
		return fmt.Errorf("UDP checksum %#x, want %#x", udp.Checksum, got)
	}
	return nil
}

// envelope says how a message travels; the zero value is a client's broadcast.
type envelope struct {
	src, dst netip.Addr
	srcPort  uint16
	from, to net.HardwareAddr
	noSum    bool
	badSum   bool
}

// send puts a UDP payload on the wire.
func (n *network) send(e envelope, payload []byte) {
	n.Helper()
	if !e.src.IsValid() {
		e.src = netip.IPv4Unspecified()
	}
	if !e.dst.IsValid() {
		e.dst = netip.MustParseAddr("255.255.255.255")
	}
	if e.srcPort == 0 {
		e.srcPort = 68
	}
	if e.from == nil {
		e.from = clientMAC
	}
	if e.to == nil {
		e.to = broadcast
		if e.dst != netip.MustParseAddr("255.255.255.255") {
			e.to = n.srvMAC
		}
	}
	head := layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: netIP(e.src), DstIP: netIP(e.dst),
	}
	udp := layers.UDP{SrcPort: layers.UDPPort(e.srcPort), DstPort: 67}
	_ = udp.SetNetworkLayerForChecksum(&head)
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true, FixLengths: true},
		&layers.Ethernet{SrcMAC: e.from, DstMAC: e.to, EthernetType: layers.EthernetTypeIPv4}, &head, &udp,
		gopacket.Payload(payload))
	if err != nil {
		n.Fatal(err)
	}
	frame := buf.Bytes()
	if e.noSum {
		frame[40], frame[41] = 0, 0
	}
	if e.badSum {
		frame[40] ^= 0x55
	}
	n.sendFrame(frame)
}

func (n *network) sendFrame(frame []byte) {
	n.Helper()
	if _, err := n.conn.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])}); err != nil {
		n.Fatalf("send frame: %v", err)
	}
}

// message begins a client's message with a new xid.
func (n *network) message(kind dhcpv4.MessageType, mac net.HardwareAddr, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	n.Helper()
	n.xid++
	var xid dhcpv4.TransactionID
	xid[2], xid[3] = byte(n.xid>>8), byte(n.xid)
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind), dhcpv4.WithHwAddr(mac), dhcpv4.WithTransactionID(xid),
	}, mods...)...)
	if err != nil {
		n.Fatal(err)
	}
	return m
}

func (n *network) sendMessage(e envelope, m *dhcpv4.DHCPv4) {
	n.Helper()
	if e.from == nil {
		e.from = m.ClientHWAddr
	}
	n.send(e, m.ToBytes())
}

// ask sends a message and returns the reply to it.
func (n *network) ask(e envelope, m *dhcpv4.DHCPv4) heard {
	n.Helper()
	n.sendMessage(e, m)
	return n.reply(m)
}

// reply waits for the reply to a message, and checks what holds for every reply: both checksums, the server's
// addresses, op, xid, chaddr, hops and secs.
func (n *network) reply(m *dhcpv4.DHCPv4) heard {
	n.Helper()
	timeout := time.After(5 * time.Second)
	for {
		select {
		case h := <-n.heard:
			if h.msg == nil {
				n.Fatalf("a reply that the oracle cannot read: %x", h.payload)
			}
			if h.msg.TransactionID != m.TransactionID {
				continue
			}
			n.checkReply(m, h)
			return h
		case <-timeout:
			n.Fatalf("no reply to %v; events: %v", m.MessageType(), n.eventTexts())
		}
	}
}

func (n *network) checkReply(m *dhcpv4.DHCPv4, h heard) {
	n.Helper()
	if h.sums != nil {
		n.Error(h.sums)
	}
	if h.ip.SrcIP.String() != serverIP.String() || h.eth.SrcMAC.String() != n.srvMAC.String() {
		n.Errorf("reply from %v %v", h.eth.SrcMAC, h.ip.SrcIP)
	}
	if h.msg.OpCode != dhcpv4.OpcodeBootReply || h.msg.HopCount != 0 || h.msg.NumSeconds != 0 {
		n.Errorf("op %v, hops %d, secs %d", h.msg.OpCode, h.msg.HopCount, h.msg.NumSeconds)
	}
	if h.msg.ClientHWAddr.String() != m.ClientHWAddr.String() || !h.msg.GatewayIPAddr.Equal(m.GatewayIPAddr) {
		n.Errorf("chaddr %v, giaddr %v", h.msg.ClientHWAddr, h.msg.GatewayIPAddr)
	}
	if len(h.payload) < 300 {
		n.Errorf("reply of %d octets, want at least 300", len(h.payload))
	}
}

// silence sends a message, waits for the event that says that it is ignored, and makes sure that nothing came.
func (n *network) silence(e envelope, m *dhcpv4.DHCPv4, want dhcp.Reason) dhcp.Event {
	n.Helper()
	n.sendMessage(e, m)
	ev := n.event(func(ev dhcp.Event) bool {
		return ev.Direction == dhcp.In && ev.XID == xidOf(m) && ev.Decision != dhcp.DecisionNote
	})
	if ev.Reason != want {
		n.Errorf("%v: reason %q (%s), want %q", m.MessageType(), ev.Reason, ev.Text(), want)
	}
	n.quiet(m)
	return ev
}

// quiet makes sure that no reply to m is on its way.
func (n *network) quiet(m *dhcpv4.DHCPv4) {
	n.Helper()
	wait := time.After(30 * time.Millisecond)
	for {
		select {
		case h := <-n.heard:
			if h.msg != nil && h.msg.TransactionID == m.TransactionID {
				n.Errorf("unexpected %v to %v", h.msg.MessageType(), m.MessageType())
			}
		case <-wait:
			return
		}
	}
}

func xidOf(m *dhcpv4.DHCPv4) uint32 {
	x := m.TransactionID
	return uint32(x[0])<<24 | uint32(x[1])<<16 | uint32(x[2])<<8 | uint32(x[3])
}

// event waits for the next event that fits. Events before it are passed over for good.
func (n *network) event(fits func(dhcp.Event) bool) dhcp.Event {
	n.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		events, next, _, err := n.events.Next(ctx, n.lastSeen)
		if err != nil {
			n.Fatalf("the event did not come; all events: %v", n.eventTexts())
		}
		for i, e := range events {
			if fits(e) {
				n.lastSeen = next - uint64(len(events)-i-1)
				return e
			}
		}
		n.lastSeen = next
	}
}

func (n *network) eventTexts() (out []string) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	events, _, _, _ := n.events.Next(ctx, 0)
	for _, e := range events {
		out = append(out, fmt.Sprintf("%v %v %v %v/%v: %s", e.Direction, e.Type, e.MAC, e.Decision, e.Reason, e.Text()))
	}
	return out
}

// offer gets an OFFER.
func (n *network) offer(mac net.HardwareAddr, mods ...dhcpv4.Modifier) heard {
	n.Helper()
	h := n.ask(envelope{}, n.message(dhcpv4.MessageTypeDiscover, mac, mods...))
	if h.msg.MessageType() != dhcpv4.MessageTypeOffer {
		n.Fatalf("%v to a DISCOVER", h.msg.MessageType())
	}
	return h
}

// selecting makes the REQUEST for an offer.
func (n *network) selecting(offer heard, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	n.Helper()
	return n.message(dhcpv4.MessageTypeRequest, offer.msg.ClientHWAddr, append([]dhcpv4.Modifier{
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(offer.msg.ServerIdentifier())),
		dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(offer.msg.YourIPAddr)),
	}, mods...)...)
}

// lease goes through the whole exchange and returns the ACK.
func (n *network) lease(mac net.HardwareAddr, mods ...dhcpv4.Modifier) heard {
	n.Helper()
	return n.mustAck(n.ask(envelope{}, n.selecting(n.offer(mac, mods...), mods...)))
}

func (n *network) mustAck(h heard) heard {
	n.Helper()
	if h.msg.MessageType() != dhcpv4.MessageTypeAck {
		n.Fatalf("%v, want ACK: %v", h.msg.MessageType(), h.msg.Message())
	}
	return h
}

func (n *network) mustNak(h heard) heard {
	n.Helper()
	if h.msg.MessageType() != dhcpv4.MessageTypeNak {
		n.Fatalf("%v, want NAK", h.msg.MessageType())
	}
	return h
}

// renew makes a REQUEST in RENEWING and its envelope.
func (n *network) renew(mac net.HardwareAddr, own netip.Addr, mods ...dhcpv4.Modifier) (envelope, *dhcpv4.DHCPv4) {
	n.Helper()
	m := n.message(dhcpv4.MessageTypeRequest, mac, append([]dhcpv4.Modifier{
		dhcpv4.WithClientIP(netIP(own)),
	}, mods...)...)
	return envelope{src: own, dst: serverIP}, m
}

func address(h heard) netip.Addr {
	a, _ := netip.AddrFromSlice(h.msg.YourIPAddr.To4())
	return a
}

// held returns the lease of an address as the server has it now.
func (n *network) held(a netip.Addr) (dhcp.Lease, bool) {
	for _, l := range n.srv.Leases() {
		if l.Address == a {
			return l, true
		}
	}
	return dhcp.Lease{}, false
}

func withOption(code uint8, value ...byte) dhcpv4.Modifier {
	return dhcpv4.WithGeneric(dhcpv4.GenericOptionCode(code), value)
}
