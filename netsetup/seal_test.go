package netsetup_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup"
)

// TestSealIsMended takes back by hand what keeps guests from the host's network, and has it mended.
func TestSealIsMended(t *testing.T) {
	nstest.RequireCommand(t, "ip", "sysctl")
	for _, name := range []string{"br1", "tap1"} {
		for disturb, want := range map[string]string{
			"sysctl -qw net.ipv6.conf.NAME.disable_ipv6=0": "lets guests speak IPv6 to this computer",
			"sysctl -qw net.ipv6.conf.NAME.accept_ra=2":    "lets guests speak IPv6 to this computer",
			"sysctl -qw net.ipv6.conf.NAME.autoconf=1":     "lets guests speak IPv6 to this computer",
			"sysctl -qw net.ipv4.conf.NAME.arp_ignore=0":   "answers ARP for all addresses of this computer",
			"ip link set NAME addrgenmode random":          "makes IPv6 addresses by itself",
		} {
			ns, h := open(t)
			mustEnsure(t, h, bridge1(), tap("tap1"))
			ns.Run(t, strings.ReplaceAll(disturb, "NAME", name))
			if got := driftOf(t, h); got != want {
				t.Errorf("%s: %s: drift %q, want %q", name, disturb, got, want)
			}
			mustEnsure(t, h, bridge1(), tap("tap1"))
			if got := driftOf(t, h); got != "" {
				t.Errorf("%s: %s: %q is not mended", name, disturb, got)
			}
		}
	}
}

// driftOf says what is not as it should be of br1 and tap1.
func driftOf(t *testing.T, h *netsetup.Handle) string {
	t.Helper()
	all := links(t, h)
	return strings.Join(append(netsetup.BridgeDrift(all["br1"], bridge1()), netsetup.TapDrift(all["tap1"], tap("tap1"))...), ", ")
}

// villain is a guest who sends whatever he likes.
type villain struct {
	t    *testing.T
	card *netsetup.Card
}

var (
	villainMAC = macgen.MAC{2, 0xbb, 0, 0, 0, 1}
	everybody  = macgen.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes   = macgen.MAC{0x33, 0x33, 0, 0, 0, 1}
)

func newVillain(t *testing.T, h *netsetup.Handle, bridge string) *villain {
	t.Helper()
	card, err := h.OpenStation(t.Context(), bridge, "three-taps")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	return &villain{t, card}
}

// send puts a frame together, with its lengths and checksums, and sends it.
func (v *villain) send(parts ...gopacket.SerializableLayer) {
	v.t.Helper()
	for i, part := range parts {
		var lower gopacket.NetworkLayer
		if i > 0 {
			lower, _ = parts[i-1].(gopacket.NetworkLayer)
		}
		if part, ok := part.(interface {
			SetNetworkLayerForChecksum(l gopacket.NetworkLayer) error
		}); ok && lower != nil {
			_ = part.SetNetworkLayerForChecksum(lower)
		}
	}
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, parts...); err != nil {
		v.t.Fatal(err)
	}
	if _, err := v.card.Write(buffer.Bytes()); err != nil {
		v.t.Fatal(err)
	}
}

func ethernet(to, from macgen.MAC, kind layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{DstMAC: to[:], SrcMAC: from[:], EthernetType: kind}
}

func arp(op uint16, sender, target string) *layers.ARP {
	return &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: op,
		SourceHwAddress: villainMAC[:], SourceProtAddress: net.ParseIP(sender).To4(),
		DstHwAddress: make([]byte, 6), DstProtAddress: net.ParseIP(target).To4(),
	}
}

func (v *villain) arp(op uint16, sender, target string) {
	v.t.Helper()
	v.send(ethernet(everybody, villainMAC, layers.EthernetTypeARP), arp(op, sender, target))
}

// icmp6 sends a message of neighbour discovery to all nodes.
func (v *villain) icmp6(kind uint8, body gopacket.SerializableLayer) {
	v.t.Helper()
	v.send(ethernet(allNodes, villainMAC, layers.EthernetTypeIPv6),
		&layers.IPv6{
			Version: 6, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6,
			SrcIP: net.ParseIP("fe80::bb"), DstIP: net.ParseIP("ff02::1"),
		},
		&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, 0)}, body)
}

// answered asks by ARP, and returns whether the host answers. Frames stay in order, so that everything sent before has
// been looked at by the time that the bridge's own address answers.
func (v *villain) answered(address, sentinel string) (answered bool) {
	v.t.Helper()
	v.arp(layers.ARPRequest, "192.168.1.66", address)
	heard := make(chan struct{})
	defer close(heard)
	go func() { // Until the bridge has seen its first cable, what it sends is lost.
		again := time.NewTicker(50 * time.Millisecond)
		defer again.Stop()
		for {
			v.arp(layers.ARPRequest, "192.168.1.66", sentinel)
			select {
			case <-heard:
				return
			case <-again.C:
			}
		}
	}()
	for frame := make([]byte, 2048); ; {
		n, err := v.card.Read(frame)
		if err != nil {
			v.t.Fatal(err)
		}
		packet := gopacket.NewPacket(frame[:n], layers.LayerTypeEthernet, gopacket.Default)
		reply, ok := packet.Layer(layers.LayerTypeARP).(*layers.ARP)
		if !ok || reply.Operation != layers.ARPReply {
			continue
		}
		switch net.IP(reply.SourceProtAddress).String() {
		case sentinel:
			return answered || address == sentinel
		case address:
			answered = true
		}
	}
}

// TestGuestsChangeNothingOfTheHost sends what makes an unwary host take a route, an address, a neighbour, or all memory
// for MAC addresses. Its second network, and what it knows of it, are as before.
func TestGuestsChangeNothingOfTheHost(t *testing.T) {
	nstest.RequireCommand(t, "ip", "bridge", "sysctl")
	for _, forwarding := range []string{"0", "1"} {
		ns, h := open(t)
		ns.Run(t, "sysctl -qw net.ipv4.ip_forward="+forwarding)
		school(t, ns)
		mustEnsure(t, h, bridge1())
		v := newVillain(t, h, "br1")
		v.answered("192.168.1.1", "192.168.1.1")
		before := networkOf(t, ns)

		v.neighbourDiscovery()
		for _, claimed := range []string{"10.0.0.1", "10.0.0.5", "192.168.1.1"} { // the router, the host, the bridge
			v.arp(layers.ARPReply, claimed, claimed)
			v.arp(layers.ARPRequest, claimed, claimed)
		}
		v.protocols()
		for _, address := range []string{"10.0.0.5", "127.0.0.1"} {
			if v.answered(address, "192.168.1.1") {
				t.Errorf("the host answers ARP on the bridge for %s", address)
			}
		}
		if diff := cmp.Diff(before, networkOf(t, ns)); diff != "" {
			t.Errorf("forwarding %s: the host's network (-before +after):\n%s", forwarding, diff)
		}
	}
}

// school gives a host a second network with a router, which does not answer.
func school(t *testing.T, ns *nstest.Namespace) {
	t.Helper()
	for _, line := range []string{
		"ip link add eth0 type veth peer name cable",
		"ip link set cable up",
		"ip link set eth0 up",
		"ip addr add 10.0.0.5/24 dev eth0",
		"ip route add default via 10.0.0.1",
		"ip neigh add 10.0.0.1 dev eth0 lladdr 02:00:00:00:0a:01 nud reachable",
	} {
		ns.Run(t, line)
	}
}

// networkOf is what the host knows of its networks, but for the neighbours on the lab's bridge, and what comes by itself.
func networkOf(t *testing.T, ns *nstest.Namespace) []string {
	t.Helper()
	out := ns.Run(t, "ip -o addr") + ns.Run(t, "ip -4 route show table all") + ns.Run(t, "ip -6 route show table all") +
		ns.Run(t, "ip -4 neigh") + ns.Run(t, "ip -6 neigh")
	lines := slices.DeleteFunc(strings.Split(out, "\n"), func(line string) bool {
		return strings.Contains(line, "fe80:") && !strings.Contains(line, "br1") || strings.Contains(line, "lladdr") && strings.Contains(line, "dev br1") ||
			strings.Contains(line, "ff00::/8 dev") && !strings.Contains(line, "br1")
	})
	for i, line := range lines {
		line, _, _ = strings.Cut(line, "valid_lft")
		lines[i] = strings.TrimSuffix(strings.TrimSuffix(line, " REACHABLE"), " STALE")
	}
	slices.Sort(lines)
	return lines
}

// neighbourDiscovery claims to be router, neighbour and better way (RFC 4861).
func (v *villain) neighbourDiscovery() {
	v.t.Helper()
	option := func(kind layers.ICMPv6Opt, data ...byte) layers.ICMPv6Option {
		return layers.ICMPv6Option{Type: kind, Data: data}
	}
	prefix := append([]byte{64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0}, net.ParseIP("2001:db8:bad::")...)
	v.icmp6(layers.ICMPv6TypeRouterAdvertisement, &layers.ICMPv6RouterAdvertisement{
		HopLimit: 64, RouterLifetime: 1800,
		Options: layers.ICMPv6Options{option(layers.ICMPv6OptSourceAddress, villainMAC[:]...), option(layers.ICMPv6OptPrefixInfo, prefix...)},
	})
	v.icmp6(layers.ICMPv6TypeNeighborAdvertisement, &layers.ICMPv6NeighborAdvertisement{
		Flags: 0xa0, TargetAddress: net.ParseIP("fe80::1"),
		Options: layers.ICMPv6Options{option(layers.ICMPv6OptTargetAddress, villainMAC[:]...)},
	})
	v.icmp6(layers.ICMPv6TypeRedirect, &layers.ICMPv6Redirect{
		TargetAddress: net.ParseIP("fe80::bb"), DestinationAddress: net.ParseIP("2001:db8::1"),
	})
}

// protocols sends what speaks to the bridge itself: spanning tree, LLDP, VLANs.
func (v *villain) protocols() {
	v.t.Helper()
	reserved := func(last byte) macgen.MAC { return macgen.MAC{1, 0x80, 0xc2, 0, 0, last} }
	v.send(&layers.Ethernet{DstMAC: net.HardwareAddr{1, 0x80, 0xc2, 0, 0, 0}, SrcMAC: villainMAC[:], EthernetType: layers.EthernetTypeLLC},
		&layers.LLC{DSAP: 0x42, SSAP: 0x42, Control: 3}, &layers.STP{RouteID: layers.STPSwitchID{HwAddr: villainMAC[:]}, BridgeID: layers.STPSwitchID{HwAddr: villainMAC[:]}})
	v.send(ethernet(reserved(0x0e), villainMAC, layers.EthernetTypeLinkLayerDiscovery), gopacket.Payload("\x02\x07\x04villai\x00\x00"))
	for _, vlan := range []uint16{0, 1, 4094} {
		v.send(ethernet(everybody, villainMAC, layers.EthernetTypeDot1Q),
			&layers.Dot1Q{VLANIdentifier: vlan, Type: layers.EthernetTypeARP}, arp(layers.ARPReply, "10.0.0.1", "10.0.0.1"))
	}
	// A bridge passes a few group addresses to its port's own link, past itself.
	v.send(ethernet(reserved(0x0e), villainMAC, layers.EthernetTypeARP), arp(layers.ARPRequest, "10.0.0.1", "10.0.0.5"))
}

// TestManyMACs floods a bridge with addresses. It learns some, and goes on with all frames.
func TestManyMACs(t *testing.T) {
	nstest.RequireCommand(t, "bridge")
	ns, h := open(t)
	mustEnsure(t, h, bridge1())
	v, neighbour := newVillain(t, h, "br1"), newVillain(t, h, "br1")
	found := make(chan struct{})
	go func() {
		for frame := make([]byte, 2048); ; {
			n, err := neighbour.card.Read(frame)
			if err != nil {
				return
			}
			if strings.Contains(string(frame[:n]), "to the new one") {
				close(found)
				return
			}
		}
	}()
	for i := range 5 * netsetup.MaxLearned {
		from := macgen.MAC{2, 0xcc, 0, 0, byte(i >> 8), byte(i)}
		v.send(ethernet(everybody, from, 0x88b5), gopacket.Payload("flood"))
	}
	v.answered("192.168.1.1", "192.168.1.1")
	learned := strings.Count(ns.Run(t, "bridge fdb show br br1 dynamic"), "\n")
	if learned < netsetup.MaxLearned/2 || learned > netsetup.MaxLearned {
		t.Errorf("the bridge has learned %d addresses", learned)
	}
	// One that it has no room for is heard everywhere.
	last := macgen.MAC{2, 0xcd, 0, 0, 0, 1}
	neighbour.send(ethernet(everybody, last, 0x88b5), gopacket.Payload("I am new"))
	v.send(ethernet(last, villainMAC, 0x88b5), gopacket.Payload("to the new one"))
	<-found
}
