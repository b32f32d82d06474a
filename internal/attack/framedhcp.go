package main

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// DHCP message types (RFC 2132, section 9.6).
const (
	discover = 1
	offer    = 2
	request  = 3
	decline  = 4
	release  = 7
	inform   = 8
)

// message is a BOOTP message with DHCP options.
type message struct {
	op                             byte // 1 unless it is set
	xid                            uint32
	flags                          uint16
	ciaddr, yiaddr, siaddr, giaddr netip.Addr
	chaddr                         mac
	sname, file                    string
	options                        []byte
}

// opt is one option.
func opt(code byte, value ...byte) []byte { return append([]byte{code, byte(len(value))}, value...) }

func text(code byte, value string) []byte { return opt(code, []byte(value)...) }

func address(code byte, a netip.Addr) []byte { return opt(code, a.AsSlice()...) }

func kind(k byte) []byte { return opt(53, k) }

func (m message) bytes() []byte {
	if m.op == 0 {
		m.op = 1
	}
	b := slices.Concat([]byte{m.op, 1, 6, 0}, be32(m.xid), be16(0), be16(m.flags))
	for _, a := range []netip.Addr{m.ciaddr, m.yiaddr, m.siaddr, m.giaddr} {
		if !a.IsValid() {
			a = netip.IPv4Unspecified()
		}
		b = append(b, a.AsSlice()...)
	}
	b = append(append(b, m.chaddr[:]...), make([]byte, 10)...)
	b = append(append(b, fixed(m.sname, 64)...), fixed(m.file, 128)...)
	return slices.Concat(b, []byte{99, 130, 83, 99}, m.options, []byte{255})
}

func fixed(s string, n int) []byte {
	b := make([]byte, n)
	copy(b, s)
	return b
}

// asClient is a frame as a client without an address sends it.
func asClient(m message) []byte {
	return udp(broadcast, m.chaddr, netip.IPv4Unspecified(), allIPv4, 68, 67, m.bytes())
}

// asServer is a frame as a server sends it.
func asServer(from mac, src netip.Addr, m message) []byte {
	m.op = 2
	return udp(broadcast, from, src, allIPv4, 67, 68, m.bytes())
}

// dhcpFrames is what kvmlab's own DHCP server and decoder have to stand.
var dhcpFrames = []attack{
	{
		"dhcp/starvation", "a lease for each of 3000 made-up clients, taken with DISCOVER and REQUEST",
		flood(6000, func(g *guest, i uint32) []byte {
			m := message{xid: i / 2, chaddr: numbered(i / 2), options: kind(discover)}
			if i%2 == 1 {
				m.options = slices.Concat(
					kind(request),
					address(50, sameSubnet(g.host, i/2%9)),
					address(54, g.host),
				)
			}
			return asClient(m)
		}),
	},
	{
		"dhcp/identifiers", "3000 client identifiers of one card, of the greatest length",
		flood(3000, func(g *guest, i uint32) []byte {
			id := append(be32(i), full(250)...)
			return asClient(
				message{xid: i, chaddr: g.self, options: slices.Concat(kind(discover), opt(61, id...))},
			)
		}),
	},
	{
		"dhcp/decline", "DECLINE for every address of the subnet, in the name of as many clients",
		flood(2000, func(g *guest, i uint32) []byte {
			return asClient(
				message{
					xid:     i,
					chaddr:  numbered(i),
					options: slices.Concat(kind(decline), address(50, sameSubnet(g.host, i)), address(54, g.host)),
				},
			)
		}),
	},
	{
		"dhcp/malformed", "messages with wrong lengths, cookies, kinds and options that contain themselves",
		once(malformed),
	},
	{"dhcp/mutants", "5000 messages with random octets changed", flood(5000, mutant())},
	{
		"dhcp/many-options", "every option code with every length that fits, and one option a hundred times",
		once(manyOptions),
	},
	{
		"dhcp/relay-reflection", "relayed requests whose relay is the host, loopback, or an address outside",
		flood(600, func(g *guest, i uint32) []byte {
			relays := []netip.Addr{
				outside,
				g.host,
				netip.MustParseAddr("127.0.0.1"),
				allIPv4,
				allHosts,
				netip.MustParseAddr("10.5.0.1"),
				g.neighbour,
			}
			m := message{
				xid:     i,
				chaddr:  numbered(i),
				giaddr:  relays[int(i)%len(relays)],
				options: slices.Concat(kind(discover), text(82, "\x01\x04port")),
			}
			return udp(g.hostMAC, g.self, g.addr, g.host, 67, 67, m.bytes())
		}),
	},
	{
		"dhcp/false-servers", "OFFERs of 3000 servers that are not there",
		flood(3000, func(g *guest, i uint32) []byte {
			options := slices.Concat(kind(offer), address(54, stranger(i)), opt(51, be32(600)...))
			return asServer(
				numbered(i),
				stranger(i),
				message{xid: i, yiaddr: g.addr, chaddr: g.self, options: options},
			)
		}),
	},
	{
		"dhcp/inform", "3000 INFORMs with everything that can be asked for",
		flood(3000, func(g *guest, i uint32) []byte {
			every := make([]byte, 254)
			for j := range every {
				every[j] = byte(j + 1)
			}
			m := message{
				xid:     i,
				ciaddr:  g.addr,
				chaddr:  g.self,
				options: slices.Concat(kind(inform), opt(55, every...), opt(57, be16(65535)...)),
			}
			return udp(g.hostMAC, g.self, g.addr, g.host, 68, 67, m.bytes())
		}),
	},
	{
		"dhcp/release-storm", "DISCOVER, REQUEST and RELEASE of one address 2000 times: the lease store's file",
		flood(6000, func(g *guest, i uint32) []byte {
			m := message{xid: i / 3, chaddr: numbered(7)}
			mine := sameSubnet(g.host, 7)
			switch i % 3 {
			case 0:
				m.options = slices.Concat(kind(discover), address(50, mine))
			case 1:
				m.options = slices.Concat(kind(request), address(50, mine), address(54, g.host))
			default:
				m.ciaddr = mine
				m.options = slices.Concat(kind(release), address(54, g.host))
			}
			return asClient(m)
		}),
	},
}

// malformed are messages that no client sends.
func malformed(g *guest) [][]byte {
	good := message{xid: 1, chaddr: g.self, options: kind(discover)}
	self := func(change func(b []byte) []byte) []byte {
		return udp(broadcast, g.self, netip.IPv4Unspecified(), allIPv4, 68, 67, change(good.bytes()))
	}
	var frames [][]byte
	for size := 0; size < len(good.bytes()); size += 17 {
		frames = append(frames, self(func(b []byte) []byte { return b[:size] }))
	}
	for _, at := range []int{0, 1, 2, 3, 236, 239, 240, 241, 242} {
		for _, v := range []byte{0, 1, 17, 127, 255} {
			frames = append(frames, self(func(b []byte) []byte { b[at] = v; return b }))
		}
	}
	for _, options := range [][]byte{
		{53},
		{53, 0},
		{53, 2, 1, 1},
		{55, 0},
		{61, 0},
		{82, 3, 1, 255, 0},
		opt(52, 3), slices.Concat(kind(discover), opt(52, 3), opt(52, 3)), // overload that begins again
		slices.Concat(kind(discover), []byte{12, 255, 'a'}),
		slices.Concat(kind(discover), []byte{119, 4, 1, 'a', 0xc0, 0}), // a compressed name that points at itself
		slices.Concat(kind(discover), []byte{121, 5, 33, 1, 2, 3, 4}),
		slices.Concat(kind(discover), make([]byte, 1000)),
	} {
		m := good
		m.options = options
		m.sname, m.file = strings.Repeat("\x34\x01\x03", 21), strings.Repeat("\x34\x01\x03", 42)
		frames = append(frames, asClient(m))
	}
	return frames
}

// mutant changes octets of a whole message, the same ones each time it runs.
func mutant() func(g *guest, i uint32) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	return func(g *guest, i uint32) []byte {
		m := message{
			xid:    i,
			chaddr: g.self,
			options: slices.Concat(
				kind(byte(1+i%8)),
				text(12, "pc"),
				opt(55, 1, 3, 6, 15, 119, 121),
				opt(61, 1, 2, 3),
				opt(82, 1, 2, 3, 4),
			),
		}
		b := m.bytes()
		for range 1 + random.IntN(8) {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		return udp(broadcast, g.self, netip.IPv4Unspecified(), allIPv4, 68, 67, b)
	}
}

func manyOptions(g *guest) [][]byte {
	var frames [][]byte
	for code := 1; code < 255; code++ {
		for _, size := range []int{0, 1, 3, 4, 5, 255} {
			frames = append(
				frames,
				asClient(
					message{
						xid:     2,
						chaddr:  g.self,
						options: slices.Concat(kind(discover), opt(byte(code), full(size)...)),
					},
				),
			)
		}
	}
	frames = append(
		frames,
		asClient(
			message{xid: 3, chaddr: g.self, options: append(kind(discover), slices.Repeat(text(12, "again"), 100)...)},
		),
	)
	return frames
}

// evidenceFloods would push what decides a check out of the rolling capture.
var evidenceFloods = []attack{
	{"evidence/icmp", "pings as fast as they go out", flood(0, func(g *guest, i uint32) []byte {
		return ping(g.neighbourMAC, g.self, g.addr, g.neighbour, 5, uint16(i), 56)
	})},
	{"evidence/icmp-large", "large pings as fast as they go out", flood(0, func(g *guest, i uint32) []byte {
		return ping(g.hostMAC, g.self, g.addr, g.host, 6, uint16(i), 1400)
	})},
	{"evidence/arp", "ARP of made-up senders as fast as it goes out", flood(0, func(g *guest, i uint32) []byte {
		return arp(
			broadcast,
			numbered(i),
			arpRequest,
			numbered(i),
			sameSubnet(g.host, i),
			mac{},
			sameSubnet(g.host, i+1),
		)
	})},
	{
		"evidence/dhcp", "DISCOVERs of made-up clients as fast as they go out",
		flood(0, func(_ *guest, i uint32) []byte {
			return asClient(
				message{
					xid:     i,
					chaddr:  numbered(i),
					options: slices.Concat(kind(discover), text(12, strings.Repeat("x", 60))),
				},
			)
		}),
	},
	{
		"evidence/dhcp-of-neighbour", "DISCOVERs in a neighbour's name as fast as they go out",
		flood(0, func(g *guest, i uint32) []byte {
			return asClient(
				message{
					xid:     i,
					chaddr:  g.neighbourMAC,
					options: slices.Concat(kind(discover), text(60, strings.Repeat("x", 200))),
				},
			)
		}),
	},
	{"evidence/dhcp-large", "the largest DHCP messages, of one sender", flood(0, func(g *guest, i uint32) []byte {
		return asClient(
			message{
				xid:     i,
				chaddr:  g.self,
				options: append(kind(discover), slices.Repeat(text(43, strings.Repeat("x", 240)), 4)...),
			},
		)
	})},
	{"evidence/mixed", "ICMP, ARP, DHCP and UDP in turn", flood(0, func(g *guest, i uint32) []byte {
		switch i % 4 {
		case 0:
			return ping(broadcast, numbered(i), g.addr, allIPv4, 5, uint16(i), 1000)
		case 1:
			return arp(broadcast, numbered(i), arpReply, numbered(i), g.host, broadcast, g.host)
		case 2:
			return asClient(message{xid: i, chaddr: numbered(i), options: kind(discover)})
		}
		return udp(broadcast, numbered(i), g.addr, allIPv4, 9, 9, full(1000))
	})},
	{
		"evidence/forged-exchange", "an ACK for a neighbour in the name of the host's server, again and again",
		forgedExchange,
	},
}

// forgedExchange says in the server's name that a neighbour has got an address that it has not.
func forgedExchange(ctx context.Context, g *guest) error {
	for i := range uint32(20) {
		options := slices.Concat(address(54, g.host), opt(51, be32(86400)...))
		m := message{xid: 0xbad0000 + i, yiaddr: sameSubnet(g.host, 200), chaddr: g.neighbourMAC}
		for _, k := range []byte{offer, 5} {
			m.options = append(kind(k), options...)
			if err := g.send(ctx, asServer(g.hostMAC, g.host, m)); err != nil {
				return err
			}
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return g.report()
}
