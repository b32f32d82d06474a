package netsetup_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup"
)

// besieged is a host with a second network, and a villain on a bridge of the lab with a firewall.
type besieged struct {
	*villain
	ns     *nstest.Namespace
	h      *netsetup.Handle
	bridge macgen.MAC
}

func newBesieged(t *testing.T, firewall bool) *besieged {
	t.Helper()
	nstest.RequireCommand(t, "nft", "ip", "sysctl")
	ns, h := open(t)
	ns.Run(t, "sysctl -qw net.ipv4.ip_forward=1")
	school(t, ns)
	mustEnsure(t, h, bridge1())
	if firewall {
		wall := netsetup.Firewall{Lab: "three-taps", LimitMACs: true, Bridges: []netsetup.FirewallBridge{walled(bridge1(), false, "station0", "station1")}}
		if _, err := h.EnsureFirewall(t.Context(), wall); err != nil {
			t.Fatal(err)
		}
	}
	b := &besieged{newVillain(t, h, "br1"), ns, h, links(t, h)["br1"].MAC}
	b.settle()
	return b
}

// settle waits until the host has seen what was sent before.
func (b *besieged) settle() { b.answered("192.168.1.1", "192.168.1.1") }

// ip sends an IPv4 packet to the host.
func (b *besieged) ip(to macgen.MAC, source, destination string, protocol layers.IPProtocol, parts ...gopacket.SerializableLayer) {
	b.t.Helper()
	packet := &layers.IPv4{
		Version: 4, IHL: 5, TTL: 64, Protocol: protocol, SrcIP: net.ParseIP(source).To4(), DstIP: net.ParseIP(destination).To4(),
	}
	b.send(append([]gopacket.SerializableLayer{ethernet(to, villainMAC, layers.EthernetTypeIPv4), packet}, parts...)...)
}

func (b *besieged) echo(source string, id uint16) {
	b.ip(b.bridge, source, "192.168.1.1", layers.IPProtocolICMPv4,
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: id, Seq: 1}, gopacket.Payload("hello"))
}

// heard opens a UDP port for everybody, and tells how many of the datagrams that attack sends arrive.
func (b *besieged) heard(attack func(port layers.UDPPort)) int {
	b.t.Helper()
	var server *net.UDPConn
	b.ns.Must(b.t, func() (err error) {
		server, err = net.ListenUDP("udp4", nil)
		return err
	})
	defer server.Close()
	attack(layers.UDPPort(server.LocalAddr().(*net.UDPAddr).Port))
	b.settle()
	count := 0
	for buffer := make([]byte, 100); ; count++ {
		if err := server.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			b.t.Fatal(err)
		}
		if _, err := server.Read(buffer); err != nil {
			return count
		}
	}
}

// TestDatagramsDoNotReachTheHost sends to all of the host's addresses, by all of its MAC addresses.
func TestDatagramsDoNotReachTheHost(t *testing.T) {
	for _, firewall := range []bool{false, true} {
		b := newBesieged(t, firewall)
		count := b.heard(func(port layers.UDPPort) {
			for _, to := range []macgen.MAC{b.bridge, everybody, {1, 0x80, 0xc2, 0, 0, 0x0e}, {1, 0x80, 0xc2, 0, 0, 0x02}} {
				for _, destination := range []string{"192.168.1.1", "10.0.0.5", "192.168.1.255", "255.255.255.255", "10.0.0.255"} {
					for _, source := range []string{"192.168.1.66", "0.0.0.0", "10.0.0.9", "8.8.8.8"} {
						b.ip(to, source, destination, layers.IPProtocolUDP, &layers.UDP{SrcPort: 68, DstPort: port}, gopacket.Payload("knock"))
					}
				}
			}
		})
		if firewall == (count > 0) {
			t.Errorf("firewall %t: %d datagrams have reached a service of the host", firewall, count)
		}
	}
}

// TestRedirectsAreNotBelieved sends ICMP redirects about a connection that the host has through its router.
func TestRedirectsAreNotBelieved(t *testing.T) {
	for _, firewall := range []bool{false, true} {
		b := newBesieged(t, firewall)
		for _, all := range []string{"ip_forward=0", "conf.all.accept_redirects=1", "conf.all.secure_redirects=0"} {
			b.ns.Run(t, "sysctl -qw net.ipv4."+all)
		}
		b.ns.Run(t, "ip route add 198.51.100.0/24 via 192.168.1.66") // A guest is a router.
		var conn net.Conn
		b.ns.Must(t, func() (err error) {
			conn, err = net.Dial("udp4", "198.51.100.7:53")
			return err
		})
		defer conn.Close()
		if _, err := conn.Write([]byte("a question")); err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		b.arp(layers.ARPRequest, "192.168.1.77", "192.168.1.1") // The better router is somebody whom the host knows.
		b.settle()
		b.redirect(layers.UDPPort(number))
		b.settle()
		route := b.ns.Run(t, "ip route get 198.51.100.7")
		if believed := strings.Contains(route, "192.168.1.77"); believed == firewall {
			t.Errorf("firewall %t: the route is now %s", firewall, route)
		}
	}
}

// redirect says that another guest is a better router.
func (b *besieged) redirect(port layers.UDPPort) {
	b.t.Helper()
	quoted := gopacket.NewSerializeBuffer()
	inner := &layers.IPv4{
		Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{192, 168, 1, 1}, DstIP: net.IP{198, 51, 100, 7},
	}
	err := gopacket.SerializeLayers(quoted, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		inner, gopacket.Payload([]byte{byte(port >> 8), byte(port), 0, 53, 0, 18, 0, 0}))
	if err != nil {
		b.t.Fatal(err)
	}
	better := net.IP{192, 168, 1, 77}
	b.ip(b.bridge, "192.168.1.66", "192.168.1.1", layers.IPProtocolICMPv4,
		&layers.ICMPv4{
			TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeRedirect, layers.ICMPv4CodeHost),
			Id:       uint16(better[0])<<8 | uint16(better[1]), Seq: uint16(better[2])<<8 | uint16(better[3]),
		}, gopacket.Payload(quoted.Bytes()))
}

// TestFloodsAreBounded asks the host from all addresses of the subnet, and under all numbers. What the host keeps of it
// in tables that all of its networks share has an end.
func TestFloodsAreBounded(t *testing.T) {
	for _, firewall := range []bool{false, true} {
		b := newBesieged(t, firewall)
		for i := 2; i < 255; i++ {
			b.arp(layers.ARPRequest, fmt.Sprintf("192.168.1.%d", i), "192.168.1.1")
		}
		for i := range 3000 {
			b.echo(fmt.Sprintf("192.168.1.%d", 2+i%200), uint16(i))
		}
		b.settle()
		const senders = 32 + 2*2
		neighbours := strings.Count(b.ns.Run(t, "ip -4 neigh show dev br1"), "\n")
		if firewall == (neighbours > 2*senders) {
			t.Errorf("firewall %t: the host has %d neighbours", firewall, neighbours)
		}
		if !firewall {
			continue // Nobody counts connections then.
		}
		count, err := strconv.Atoi(strings.TrimSpace(b.ns.Run(t, "sysctl -n net.netfilter.nf_conntrack_count")))
		if err != nil || count > 500 {
			t.Errorf("the host keeps records of %d connections, %v", count, err)
		}
	}
}

// TestManyMACsOnOldKernels floods a bridge whose firewall has the limit.
func TestManyMACsOnOldKernels(t *testing.T) {
	b := newBesieged(t, true)
	for i := range 3 * netsetup.MaxLearned {
		from := macgen.MAC{2, 0xcc, 0, 0, byte(i >> 8), byte(i)}
		b.send(ethernet(everybody, from, 0x88b5), gopacket.Payload("flood"))
	}
	b.settle() // The villain's own address was there before, and is heard.
	seen := strings.Count(b.ns.Run(t, "nft list set bridge kvmlab-three-taps macs"), "expires")
	if seen < netsetup.MaxLearned/2 || seen > netsetup.MaxLearned {
		t.Errorf("%d addresses are remembered", seen)
	}
	if learned := b.ns.Run(t, "bridge fdb show br br1 dynamic"); strings.Contains(learned, "02:cc:00:00:0b:ff") {
		t.Error("the last address was learned")
	}
}
