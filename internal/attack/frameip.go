package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
)

// arpFrames is what the host's ARP would believe, or would have to remember.
var arpFrames = []attack{
	{"frames/arp-host-address", "the host's own address is mine: reply and request", once(func(g *guest) [][]byte {
		return [][]byte{
			arp(g.hostMAC, g.self, arpReply, g.self, g.host, g.hostMAC, g.host),
			arp(broadcast, g.self, arpRequest, g.self, g.host, mac{}, g.neighbour),
			arp(g.neighbourMAC, g.self, arpReply, g.self, g.host, g.neighbourMAC, g.neighbour),
		}
	})},
	{
		"frames/arp-gratuitous", "gratuitous ARP for the host's and a neighbour's address, both forms",
		once(func(g *guest) [][]byte {
			var frames [][]byte
			for _, a := range []netip.Addr{g.host, g.neighbour} {
				frames = append(
					frames,
					arp(broadcast, g.self, arpRequest, g.self, a, mac{}, a),
					arp(broadcast, g.self, arpReply, g.self, a, broadcast, a),
				)
			}
			return frames
		}),
	},
	{
		"frames/arp-other-networks", "ARP that places the addresses of other networks here",
		once(func(g *guest) [][]byte {
			var frames [][]byte
			for _, text := range []string{"203.0.113.9", "127.0.0.1", "10.5.0.1", "169.254.169.254"} {
				a := netip.MustParseAddr(text)
				frames = append(
					frames,
					arp(g.hostMAC, g.self, arpReply, g.self, a, g.hostMAC, g.host),
					arp(g.hostMAC, g.self, arpRequest, g.self, a, mac{}, g.host),
				)
			}
			return frames
		}),
	},
	{"frames/arp-storm", "5000 replies that nobody asked for", flood(5000, func(g *guest, i uint32) []byte {
		return arp(g.hostMAC, numbered(i), arpReply, numbered(i), sameSubnet(g.host, i), g.hostMAC, g.host)
	})},
	{
		"frames/arp-requests", "5000 requests of as many senders: the host's neighbour table, which all links share",
		flood(5000, func(g *guest, i uint32) []byte {
			return arp(g.hostMAC, g.self, arpRequest, numbered(i), stranger(i), mac{}, g.host)
		}),
	},
	{"frames/arp-malformed", "ARP with wrong lengths, kinds and operations", once(func(g *guest) [][]byte {
		good := arp(g.hostMAC, g.self, arpRequest, g.self, g.addr, mac{}, g.host)
		var frames [][]byte
		for at := 14; at < 22; at++ {
			bad := slices.Clone(good)
			bad[at] ^= 0xff
			frames = append(frames, bad)
		}
		return frames
	})},
}

// ipFrames is what the host's IPv4 would believe, or would have to remember.
var ipFrames = []attack{
	{"frames/redirect", "ICMP redirects: to the host, past its router", once(redirects)},
	{
		"frames/unreachable", "ICMP errors about connections that are none: path MTU 68, source quench",
		once(func(g *guest) [][]byte {
			inner := packet{src: g.host, dst: g.neighbour, proto: protoTCP, payload: make([]byte, 8)}.bytes()
			var frames [][]byte
			for _, rest := range [][]byte{be32(68), be32(0), be32(552)} {
				p := packet{src: g.addr, dst: g.host, proto: protoICMP, payload: icmp(3, 4, rest, inner)}
				frames = append(frames, ether(g.hostMAC, g.self, typeIPv4, p.bytes()))
			}
			quench := packet{src: g.addr, dst: g.host, proto: protoICMP, payload: icmp(4, 0, be32(0), inner)}
			return append(frames, ether(g.hostMAC, g.self, typeIPv4, quench.bytes()))
		}),
	},
	{
		"frames/router-discovery", "ICMP router advertisements (RFC 1256), RIP and OSPF with a default route",
		once(routingProtocols),
	},
	{
		"frames/igmp", "IGMP reports for 2000 groups, queries, and a version that there is not",
		flood(2000, func(g *guest, i uint32) []byte {
			group := netip.AddrFrom4([4]byte{239, 7, byte(i >> 8), byte(i)})
			a := group.As4()
			m := slices.Concat([]byte{[]byte{0x16, 0x11, 0x12, 0x22, 0x77}[i%5], 0, 0, 0}, a[:])
			copy(m[2:], be16(checksum(m)))
			return ether(
				group4(group),
				g.self,
				typeIPv4,
				packet{
					src:     g.addr,
					dst:     group,
					proto:   protoIGMP,
					ttl:     1,
					options: []byte{0x94, 4, 0, 0},
					payload: m,
				}.bytes(),
			)
		}),
	},
	{
		"frames/fragments-overlap",
		"fragments that overlap, end before they begin, and are longer than a packet can be",
		once(overlaps),
	},
	{
		"frames/fragments-flood", "5000 first fragments without a second: the host's reassembly memory",
		flood(5000, func(g *guest, i uint32) []byte {
			return ether(
				g.hostMAC,
				g.self,
				typeIPv4,
				packet{
					src:     g.addr,
					dst:     g.host,
					proto:   protoICMP,
					id:      uint16(i),
					frag:    0x2000,
					payload: full(1400),
				}.bytes(),
			)
		}),
	},
	{
		"frames/spoofed-host", "packets from the host's own address, and to it from loopback",
		once(func(g *guest) [][]byte {
			return [][]byte{
				ping(
					g.hostMAC,
					g.self,
					g.host,
					g.host,
					7,
					1,
					56,
				), ping(broadcast, g.hostMAC, g.host, allIPv4, 7, 2, 56),
				udp(
					g.hostMAC,
					g.self,
					g.host,
					g.host,
					67,
					67,
					[]byte("x"),
				), udp(g.hostMAC, g.self, netip.MustParseAddr("127.0.0.1"), g.host, 53, 53, []byte("x")),
				udp(g.hostMAC, g.self, g.addr, netip.MustParseAddr("127.0.0.1"), 53, 53, []byte("x")),
			}
		}),
	},
	{"frames/martians", "packets from where no packet can come from", once(func(g *guest) [][]byte {
		var frames [][]byte
		for _, text := range []string{
			"0.0.0.0", "0.1.2.3", "127.0.0.1", "169.254.1.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "203.0.113.9",
		} {
			frames = append(frames, ping(g.hostMAC, g.self, netip.MustParseAddr(text), g.host, 9, 1, 56))
		}
		return frames
	})},
	{
		"frames/multicast", "datagrams to everybody and to the groups of mDNS, SSDP and LLMNR",
		once(func(g *guest) [][]byte {
			var frames [][]byte
			for _, to := range []struct {
				group string
				port  uint16
			}{{"224.0.0.1", 9}, {"224.0.0.251", 5353}, {"239.255.255.250", 1900}, {"224.0.0.252", 5355}} {
				group := netip.MustParseAddr(to.group)
				frames = append(frames, udp(group4(group), g.self, g.addr, group, to.port, to.port, []byte("x")))
			}
			return append(
				frames,
				udp(broadcast, g.self, g.addr, allIPv4, 137, 137, []byte("x")),
				ping(group4(allHosts), g.self, g.addr, allHosts, 3, 1, 56),
			)
		}),
	},
	{"frames/ip-options", "source routes, record route, router alert and options without an end", once(ipOptions)},
	{
		"frames/ipv6-headers", "chains of extension headers, a routing header of type 0, fragments of length 0",
		once(extensionHeaders),
	},
	{
		"frames/protocols", "one packet of each of the 256 IP protocols to the host",
		flood(256, func(g *guest, i uint32) []byte {
			return ether(
				g.hostMAC,
				g.self,
				typeIPv4,
				packet{src: g.addr, dst: g.host, proto: byte(i), payload: make([]byte, 40)}.bytes(),
			)
		}),
	},
	{
		"frames/syn-flood", "5000 connections to the host from made-up addresses",
		flood(5000, func(g *guest, i uint32) []byte {
			return tcpSyn(g.hostMAC, g.self, sameSubnet(g.host, i), g.host, uint16(1024+i), uint16(22+i%4*31))
		}),
	},
	{
		"frames/conntrack-flood", "10000 pings of as many identifiers and senders: the host's table of connections",
		flood(10000, func(g *guest, i uint32) []byte {
			return ping(g.hostMAC, g.self, sameSubnet(g.host, i), g.host, uint16(i), 1, 8)
		}),
	},
	{
		"frames/broadcast-ping", "pings to everybody in the name of a neighbour",
		flood(2000, func(g *guest, i uint32) []byte {
			return ping(broadcast, g.self, g.neighbour, allIPv4, 11, uint16(i), 56)
		}),
	},
}

// sameSubnet is an address of the host's /24, another one for each number below 250.
func sameSubnet(host netip.Addr, i uint32) netip.Addr {
	a := host.As4()
	a[3] = byte(2 + i%250)
	return netip.AddrFrom4(a)
}

func redirects(g *guest) [][]byte {
	var frames [][]byte
	inner := packet{src: g.host, dst: outside, proto: protoUDP, payload: make([]byte, 8)}.bytes()
	self := g.addr.As4()
	for _, code := range []byte{0, 1, 2, 3} {
		for _, src := range []netip.Addr{g.addr, g.neighbour, g.host} {
			p := packet{src: src, dst: g.host, proto: protoICMP, payload: icmp(5, code, self[:], inner)}
			frames = append(frames, ether(g.hostMAC, g.self, typeIPv4, p.bytes()))
		}
	}
	return frames
}

func ipOptions(g *guest) [][]byte {
	to := outside.As4()
	loose := slices.Concat([]byte{131, 7, 4}, to[:], []byte{0})
	strict := slices.Concat([]byte{137, 7, 4}, to[:], []byte{0})
	record := append([]byte{7, 39, 4}, make([]byte, 37)...)
	var frames [][]byte
	for _, options := range [][]byte{loose, strict, record, {148, 4, 0, 0}, {68, 255, 5, 0}, {1, 1, 1, 131}} {
		for _, dst := range []netip.Addr{g.host, outside} {
			p := packet{src: g.addr, dst: dst, proto: protoICMP, options: options, payload: icmp(8, 0, be32(1), nil)}
			frames = append(frames, ether(g.hostMAC, g.self, typeIPv4, p.bytes()))
		}
	}
	return frames
}

func routingProtocols(g *guest) [][]byte {
	self := g.addr.As4()
	advertisement := icmp(9, 0, slices.Concat([]byte{1, 2}, be16(9000)), slices.Concat(self[:], be32(0x7fffffff)))
	rip := slices.Concat([]byte{2, 2, 0, 0, 0, 2, 0, 0}, make([]byte, 12), be32(1))
	ripGroup, ospfGroup := netip.MustParseAddr("224.0.0.9"), netip.MustParseAddr("224.0.0.5")
	hello := slices.Concat(
		[]byte{2, 1, 0, 44},
		self[:],
		be32(0),
		be16(0),
		be16(0),
		be32(0),
		be32(0),
		be32(0xffffff00),
		be16(10),
		[]byte{2, 255},
		be32(40),
		self[:],
		be32(0),
	)
	copy(hello[12:], be16(checksum(hello)))
	return [][]byte{
		ether(
			group4(allHosts),
			g.self,
			typeIPv4,
			packet{src: g.addr, dst: allHosts, proto: protoICMP, ttl: 1, payload: advertisement}.bytes(),
		),
		ether(
			g.hostMAC,
			g.self,
			typeIPv4,
			packet{src: g.addr, dst: g.host, proto: protoICMP, ttl: 1, payload: advertisement}.bytes(),
		),
		udp(group4(ripGroup), g.self, g.addr, ripGroup, 520, 520, rip),
		udp(g.hostMAC, g.self, g.addr, g.host, 520, 520, rip),
		ether(
			group4(ospfGroup),
			g.self,
			typeIPv4,
			packet{src: g.addr, dst: ospfGroup, proto: 89, ttl: 1, payload: hello}.bytes(),
		),
	}
}

// overlaps are pairs of fragments as teardrop, its kin and the ping of death sent them.
func overlaps(g *guest) [][]byte {
	var frames [][]byte
	fragment := func(id, flags, offset uint16, size int) {
		p := packet{src: g.addr, dst: g.host, proto: protoUDP, id: id, frag: flags | offset/8, payload: full(size)}
		frames = append(frames, ether(g.hostMAC, g.self, typeIPv4, p.bytes()))
	}
	const more = 0x2000
	fragment(1, more, 0, 64)
	fragment(1, 0, 24, 4) // inside the first
	fragment(2, more, 0, 64)
	fragment(2, more, 8, 64)
	fragment(2, 0, 40, 64)
	fragment(3, 0, 65528, 1400) // past the end of the longest packet
	fragment(4, more, 8, 7)     // a length that 8 does not divide
	fragment(5, more, 0, 0)
	fragment(5, 0, 0, 8)
	return frames
}

func extensionHeaders(g *guest) [][]byte {
	src, dst := linkLocal(g.self), linkLocal(g.hostMAC)
	var frames [][]byte
	hops := []byte(nil)
	for range 60 { // hop-by-hop in hop-by-hop
		hops = append(hops, 0, 0, 1, 4, 0, 0, 0, 0)
	}
	routing := slices.Concat([]byte{59, 2, 0, 1}, be32(0), outside6.AsSlice())
	for _, x := range []struct {
		next byte
		body []byte
	}{
		{0, hops},
		{43, routing},
		{44, []byte{58, 0, 0, 1, 0, 0, 0, 1}},
		{44, []byte{58, 0, 0, 0, 0, 0, 0, 1}},
		{60, []byte{59, 255}},
		{59, nil},
	} {
		frames = append(
			frames,
			ipv6(g.hostMAC, g.self, src, dst, x.next, x.body),
			ipv6(group6(allNodes), g.self, src, allNodes, x.next, x.body),
		)
	}
	return frames
}

// jumbo has the card take the largest frames that it can, and sends them.
func jumbo(ctx context.Context, g *guest) error {
	if err := g.open(); err != nil {
		return err
	}
	size := g.nic.MTU
	for _, mtu := range []int{9000, 65535} {
		// The host's side of the card decides; whatever it lets pass is tried.
		if os.WriteFile("/sys/class/net/"+g.nic.Name+"/mtu", []byte(fmt.Sprint(mtu)), 0) == nil {
			size = mtu
		}
	}
	defer func() { _ = os.WriteFile("/sys/class/net/"+g.nic.Name+"/mtu", []byte(fmt.Sprint(g.nic.MTU)), 0) }()
	long := packet{src: g.addr, dst: g.host, proto: protoICMP, payload: icmp(8, 0, be32(1), full(size-28))}.bytes()
	liar := slices.Clone(long)
	copy(liar[2:], be16(65535))
	copy(liar[10:], be16(0))
	copy(liar[10:], be16(checksum(liar[:20])))
	for _, frame := range [][]byte{
		ether(g.hostMAC, g.self, typeIPv4, long), ether(g.hostMAC, g.self, typeIPv4, liar),
		ether(broadcast, g.self, 0x8870, full(size)),
	} {
		for range 20 {
			if err := g.send(ctx, frame); err != nil {
				return err
			}
		}
	}
	return g.report()
}
