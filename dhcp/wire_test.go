package dhcp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/nstest"
)

// The addresses of the test network. The server's end of the wire is br1, the stations' is eth0. Two more networks
// lie behind a relay.
var (
	serverIP   = ip("192.168.1.1")
	strangerIP = ip("192.168.1.99") // another server, which is not there
	gatewayIP  = ip("192.168.1.254")
	relayIP    = ip("10.9.0.1") // the relay's address in the network of its clients
	everyone   = ip("255.255.255.255")
	nobody     = netip.IPv4Unspecified()

	serverMAC = mac("02:00:5e:00:53:fe")
	relayMAC  = mac("02:00:5e:00:53:fd")
	alice     = mac("02:00:5e:00:53:01")
	bob       = mac("02:00:5e:00:53:02")
	broadcast = mac("ff:ff:ff:ff:ff:ff")
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func mac(s string) net.HardwareAddr {
	m, err := net.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func eth(m net.HardwareAddr) dhcp.HWAddr { return dhcp.Ethernet([6]byte(m)) }

// wire is a veth pair between a server's namespace and that of the stations, whose frames are written and read raw.
type wire struct {
	servers, clients *nstest.Namespace

	ip, arp *packet.Conn
	heard   chan frame // from port 67

	mu    sync.Mutex
	own   map[netip.Addr]net.HardwareAddr // stations that answer ARP
	asked map[netip.Addr]bool             // whom the server's end has asked for by ARP
}

func newWire(tb testing.TB, mtu int) *wire {
	tb.Helper()
	w := &wire{
		servers: nstest.New(tb), clients: nstest.New(tb), heard: make(chan frame, 4096),
		own: map[netip.Addr]net.HardwareAddr{}, asked: map[netip.Addr]bool{},
	}
	if mtu == 0 {
		mtu = 1500
	}
	w.servers.Must(tb, func() error { return w.connect(mtu) })
	w.clients.Must(tb, func() error {
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		if w.ip, err = packet.Listen(i, packet.Raw, unix.ETH_P_IP, nil); err != nil {
			return err
		}
		w.arp, err = packet.Listen(i, packet.Raw, unix.ETH_P_ARP, nil)
		return err
	})
	var readers sync.WaitGroup
	readers.Go(w.listen)
	readers.Go(w.answerARP)
	tb.Cleanup(func() {
		if err := errors.Join(w.ip.Close(), w.arp.Close()); err != nil {
			tb.Errorf("close the stations' sockets: %v", err)
		}
		readers.Wait()
	})
	return w
}

// connect makes the veth pair and what the servers' end knows of the relay. It runs in the servers' namespace.
func (w *wire) connect(mtu int) error {
	clients, err := os.Open(w.clients.Path())
	if err != nil {
		return err
	}
	defer clients.Close()
	link := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "br1", MTU: mtu, HardwareAddr: serverMAC},
		PeerName:  "eth0", PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(clients.Fd()),
	}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("make the wire: %w", err)
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: serverIP.AsSlice(), Mask: net.CIDRMask(24, 32)}}
	return errors.Join(
		netlink.AddrAdd(link, address),
		netlink.LinkSetUp(link),
		w.clients.Do(func() error {
			eth0, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			return errors.Join(netlink.LinkSetUp(eth0), awaitOperational("eth0"))
		}),
		awaitOperational("br1"),
		netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: link.Index, State: netlink.NUD_PERMANENT, IP: gatewayIP.AsSlice(), HardwareAddr: relayMAC,
		}),
		netlink.RouteAdd(&netlink.Route{
			LinkIndex: link.Index, Gw: gatewayIP.AsSlice(),
			Dst: &net.IPNet{IP: net.IPv4(10, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		}),
	)
}

// awaitOperational waits until a link that was set up sends what it is given: before the kernel's link watch has seen its
// carrier, it drops all of it and says nothing (net/core/link_watch.c, noop_qdisc).
func awaitOperational(name string) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
	}
	return fmt.Errorf("%s has no carrier", name)
}

// frame is a frame that the stations received from port 67.
type frame struct {
	eth     layers.Ethernet
	ip      layers.IPv4
	udp     layers.UDP
	payload []byte
	sums    error // nil when both checksums are right
}

// listen takes every frame that comes from the server's port 67.
func (w *wire) listen() {
	b := make([]byte, 1<<16)
	for {
		size, _, err := w.ip.ReadFrom(b)
		if err != nil {
			return
		}
		p := gopacket.NewPacket(bytes.Clone(b[:size]), layers.LayerTypeEthernet, gopacket.Default)
		udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
		if !ok || udp.SrcPort != 67 {
			continue
		}
		f := frame{eth: *p.LinkLayer().(*layers.Ethernet), ip: *p.NetworkLayer().(*layers.IPv4), udp: *udp}
		f.payload = udp.Payload
		f.sums = checkSums(f.ip, udp)
		select {
		case w.heard <- f:
		default: // nobody reads any more
		}
	}
}

// checkSums computes both checksums again. A sum of zero is none, which is no right one.
func checkSums(head layers.IPv4, udp *layers.UDP) error {
	if got := internetSum(0, head.Contents); got != 0xffff {
		return fmt.Errorf("the sum over the IP header is %#x", got)
	}
	pseudo := uint32(17) + uint32(len(udp.Contents)+len(udp.Payload))
	all := append(append(append([]byte(nil), head.SrcIP...), head.DstIP...), udp.Contents...)
	if got := internetSum(pseudo, append(all, udp.Payload...)); udp.Checksum == 0 || got != 0xffff {
		return fmt.Errorf("the UDP checksum is %#x and the sum %#x", udp.Checksum, got)
	}
	return nil
}

// internetSum is the one's complement sum of RFC 1071.
func internetSum(acc uint32, b []byte) uint16 {
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	for ; len(b) > 0; b = b[2:] {
		acc += uint32(binary.BigEndian.Uint16(b))
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// owns makes a station answer ARP requests for an address.
func (w *wire) owns(a netip.Addr, m net.HardwareAddr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.own[a] = m
}

// wasAsked tells whether the server's end has asked for an address by ARP.
func (w *wire) wasAsked(a netip.Addr) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[a]
}

// answerARP is the stations' ARP.
func (w *wire) answerARP() {
	b := make([]byte, 128)
	for {
		size, _, err := w.arp.ReadFrom(b)
		if err != nil {
			return
		}
		if size < 42 || binary.BigEndian.Uint16(b[20:]) != 1 {
			continue
		}
		target := netip.AddrFrom4([4]byte(b[38:42]))
		w.mu.Lock()
		w.asked[target] = true
		m := w.own[target]
		w.mu.Unlock()
		if m == nil {
			continue
		}
		reply := append(append(append([]byte(nil), b[6:12]...), m...), 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2)
		reply = append(append(append(reply, m...), target.AsSlice()...), b[22:32]...)
		_, _ = w.arp.WriteTo(reply, &packet.Addr{HardwareAddr: net.HardwareAddr(b[6:12])})
	}
}

// envelope says how a message travels; the zero value is a client's broadcast.
type envelope struct {
	src, dst netip.Addr
	srcPort  uint16
	from, to net.HardwareAddr
	noSum    bool // no UDP checksum
	badSum   bool // a wrong one
}

// frame puts an UDP payload into a frame.
func (e envelope) frame(payload []byte) []byte {
	if !e.src.IsValid() {
		e.src = nobody
	}
	if !e.dst.IsValid() {
		e.dst = everyone
	}
	if e.srcPort == 0 {
		e.srcPort = 68
	}
	if e.to == nil && e.dst == everyone {
		e.to = broadcast
	} else if e.to == nil {
		e.to = serverMAC
	}
	head := layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: e.src.AsSlice(), DstIP: e.dst.AsSlice(),
	}
	udp := layers.UDP{SrcPort: layers.UDPPort(e.srcPort), DstPort: 67}
	_ = udp.SetNetworkLayerForChecksum(&head)
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true, FixLengths: true},
		&layers.Ethernet{SrcMAC: e.from, DstMAC: e.to, EthernetType: layers.EthernetTypeIPv4}, &head, &udp,
		gopacket.Payload(payload))
	if err != nil {
		panic(err) // a mistake in the test
	}
	b := buf.Bytes()
	switch {
	case e.noSum:
		b[40], b[41] = 0, 0
	case e.badSum:
		b[40] ^= 0x55
	}
	return b
}

// fragments cuts a frame's IP packet into two.
func fragments(whole []byte) (first, second []byte) {
	const cut = 14 + 20 + 104 // a multiple of eight octets of UDP
	first = bytes.Clone(whole[:cut])
	second = append(bytes.Clone(whole[:34]), whole[cut:]...)
	seal := func(b []byte, flags uint16) {
		binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
		binary.BigEndian.PutUint16(b[20:], flags)
		binary.BigEndian.PutUint16(b[24:], 0)
		binary.BigEndian.PutUint16(b[24:], ^internetSum(0, b[14:34]))
	}
	seal(first, 0x2000)
	seal(second, (cut-34)/8)
	return first, second
}

func (w *wire) send(frame []byte) error {
	_, err := w.ip.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])})
	if err != nil {
		return fmt.Errorf("send frame: %w", err)
	}
	return nil
}
