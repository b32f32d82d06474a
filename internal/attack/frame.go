package main

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Frames are put together by hand: many of them are wrong in a way that a library would not let pass.

// mac is an Ethernet address.
type mac [6]byte

var broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Ethernet types.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeVLAN = 0x8100
	typeQinQ = 0x88a8
	typeIPv6 = 0x86dd
	typeLLDP = 0x88cc
)

// IP protocols.
const (
	protoICMP   = 1
	protoIGMP   = 2
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// ether is a frame. A type of 0 leaves the field to the payload, as IEEE 802.3 lengths need.
func ether(dst, src mac, etherType uint16, payload ...[]byte) []byte {
	frame := slices.Concat(dst[:], src[:])
	if etherType != 0 {
		frame = append(frame, be16(etherType)...)
	}
	return append(frame, slices.Concat(payload...)...)
}

// checksum is RFC 1071's.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for i, b := range slices.Concat(parts...) {
		if i%2 == 0 {
			sum += uint32(b) << 8
		} else {
			sum += uint32(b)
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// packet is an IPv4 packet; its zero fields get what an ordinary one has.
type packet struct {
	src, dst netip.Addr
	proto    byte
	id       uint16
	frag     uint16 // flags and offset as they stand in the header
	ttl      byte
	options  []byte // of a length that 4 divides
	payload  []byte
}

func (p packet) bytes() []byte {
	if p.ttl == 0 {
		p.ttl = 64
	}
	src, dst := p.src.As4(), p.dst.As4()
	header := slices.Concat([]byte{0x40 | byte(5+len(p.options)/4), 0}, be16(uint16(20+len(p.options)+len(p.payload))),
		be16(p.id), be16(p.frag), []byte{p.ttl, p.proto, 0, 0}, src[:], dst[:], p.options)
	binary.BigEndian.PutUint16(header[10:], checksum(header))
	return append(header, p.payload...)
}

// pseudo is the pseudo header that TCP, UDP and ICMPv6 count in.
func pseudo(src, dst netip.Addr, proto byte, length int) []byte {
	return slices.Concat(src.AsSlice(), dst.AsSlice(), be32(uint32(length)), []byte{0, 0, 0, proto})
}

func udpDatagram(src, dst netip.Addr, sport, dport uint16, payload []byte) []byte {
	d := slices.Concat(be16(sport), be16(dport), be16(uint16(8+len(payload))), be16(0), payload)
	binary.BigEndian.PutUint16(d[6:], checksum(pseudo(src, dst, protoUDP, len(d)), d))
	return d
}

// udp is a whole frame with a UDP datagram.
func udp(to, from mac, src, dst netip.Addr, sport, dport uint16, payload []byte) []byte {
	p := packet{src: src, dst: dst, proto: protoUDP, payload: udpDatagram(src, dst, sport, dport, payload)}
	return ether(to, from, typeIPv4, p.bytes())
}

// tcpSyn is a frame that asks for a connection.
func tcpSyn(to, from mac, src, dst netip.Addr, sport, dport uint16) []byte {
	s := slices.Concat(
		be16(sport),
		be16(dport),
		be32(uint32(sport)<<16),
		be32(0),
		[]byte{0x50, 0x02},
		be16(64240),
		be16(0),
		be16(0),
	)
	binary.BigEndian.PutUint16(s[16:], checksum(pseudo(src, dst, protoTCP, len(s)), s))
	return ether(to, from, typeIPv4, packet{src: src, dst: dst, proto: protoTCP, payload: s}.bytes())
}

// icmp is an ICMP message; rest are the four octets after the checksum.
func icmp(kind, code byte, rest []byte, payload []byte) []byte {
	m := slices.Concat([]byte{kind, code, 0, 0}, rest, payload)
	binary.BigEndian.PutUint16(m[2:], checksum(m))
	return m
}

// ping is a frame with an echo request.
func ping(to, from mac, src, dst netip.Addr, id, seq uint16, size int) []byte {
	message := icmp(8, 0, slices.Concat(be16(id), be16(seq)), make([]byte, size))
	return ether(to, from, typeIPv4, packet{src: src, dst: dst, proto: protoICMP, payload: message}.bytes())
}

const (
	arpRequest = 1
	arpReply   = 2
)

// arp is an ARP frame: a request or a reply in which one says where one is to another.
func arp(to, from mac, op uint16, sender mac, senderIP netip.Addr, target mac, targetIP netip.Addr) []byte {
	s, t := senderIP.As4(), targetIP.As4()
	return ether(to, from, typeARP, []byte{0, 1, 8, 0, 6, 4}, be16(op), sender[:], s[:], target[:], t[:])
}

// linkLocal is the IPv6 address that a card makes of its MAC address (RFC 4291, appendix A).
func linkLocal(m mac) netip.Addr {
	return netip.AddrFrom16(
		[16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]},
	)
}

// ipv6 is a frame with an IPv6 packet.
func ipv6(to, from mac, src, dst netip.Addr, next byte, payload []byte) []byte {
	return ether(
		to,
		from,
		typeIPv6,
		[]byte{0x60, 0, 0, 0},
		be16(uint16(len(payload))),
		[]byte{next, 255},
		src.AsSlice(),
		dst.AsSlice(),
		payload,
	)
}

// icmp6 is a frame with an ICMPv6 message, whose body is all that follows the checksum.
func icmp6(to, from mac, src, dst netip.Addr, kind byte, body ...[]byte) []byte {
	m := append([]byte{kind, 0, 0, 0}, slices.Concat(body...)...)
	binary.BigEndian.PutUint16(m[2:], checksum(pseudo(src, dst, protoICMPv6, len(m)), m))
	return ipv6(to, from, src, dst, protoICMPv6, m)
}

// group6 is the Ethernet address of an IPv6 multicast address (RFC 2464, section 7).
func group6(a netip.Addr) mac {
	b := a.As16()
	return mac{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// group4 is the Ethernet address of an IPv4 multicast address (RFC 1112, section 6.4).
func group4(a netip.Addr) mac {
	b := a.As4()
	return mac{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
}
