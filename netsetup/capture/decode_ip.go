package capture

import (
	"encoding/binary"
	"fmt"
)

// The protocols and ports that Decode looks into.
const (
	protoICMP  = 1
	protoUDP   = 17
	serverPort = 67
	clientPort = 68
)

func (d *decoder) ipv4(at int, unsummed bool) {
	b := d.b[at:]
	if len(b) < ipv4Size {
		d.short("IPv4 header", ipv4Size, len(b))
		return
	}
	if version := b[0] >> 4; version != 4 {
		d.bad("IP version %d in a frame of type 0x0800 (IPv4)", version)
		return
	}
	headerLen, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	fragment := binary.BigEndian.Uint16(b[6:])
	ip := &IPv4{
		Source: addr4(b[12:]), Destination: addr4(b[16:]), Protocol: b[9], TTL: b[8], ID: binary.BigEndian.Uint16(b[4:]),
		HeaderLen: headerLen, TotalLen: total, TOS: b[1],
		DontFrag: fragment&0x4000 != 0, MoreFrags: fragment&0x2000 != 0, FragOffset: int(fragment&0x1fff) * 8,
	}
	d.p.IP, d.p.layout.ip = ip, at
	switch {
	case headerLen < ipv4Size:
		d.bad("an IPv4 header of %d octets; the smallest is %d", headerLen, ipv4Size)
		return
	case total < headerLen:
		d.bad("an IPv4 packet of %d octets with a header of %d", total, headerLen)
		return
	case len(b) < headerLen:
		d.short("IPv4 header", headerLen, len(b))
		return
	}
	ip.ChecksumOK, ip.Fragments = new(checksum(0, b[:headerLen]) == 0), d.fragments
	whole := len(b) >= total
	switch {
	case d.fragments > 0: // the length in the header is one fragment's
	case !whole:
		d.short("IPv4 packet", total, len(b))
	default:
		b = b[:total] // Ethernet pads short frames
	}
	d.p.layout.ipEnd = at + len(b)
	if ip.Fragment() && d.fragments == 0 {
		return // what is above is in several frames
	}
	switch ip.Protocol {
	case protoUDP:
		d.udp(at+headerLen, at+len(b), whole, unsummed)
	case protoICMP:
		d.icmp(at+headerLen, at+len(b), whole)
	}
}

func (d *decoder) udp(at, end int, whole, unsummed bool) {
	b := d.b[at:end]
	if len(b) < udpSize {
		if whole {
			d.bad("the IPv4 packet ends inside the UDP header: %d of %d octets are here", len(b), udpSize)
		}
		return
	}
	u := &UDP{
		SourcePort: binary.BigEndian.Uint16(b), DestinationPort: binary.BigEndian.Uint16(b[2:]),
		Length: int(binary.BigEndian.Uint16(b[4:])), Checksum: ChecksumUnknown,
	}
	d.p.UDP, d.p.layout.udp = u, at
	switch {
	case u.Length < udpSize:
		d.bad("a UDP datagram of %d octets; its header alone has %d", u.Length, udpSize)
		return
	case u.Length > len(b):
		if whole {
			d.bad("a UDP datagram of %d octets in an IPv4 packet with room for %d", u.Length, len(b))
		}
	default:
		b = b[:u.Length]
		if whole {
			u.Checksum = d.udpChecksum(b, unsummed)
		}
	}
	if u.Checksum == ChecksumGood || u.Checksum == ChecksumBad {
		u.ChecksumOK = new(u.Checksum == ChecksumGood)
	}
	if isDHCPPort(u.SourcePort) || isDHCPPort(u.DestinationPort) {
		d.dhcp(at+udpSize, at+len(b))
	}
}

// udpChecksum judges the checksum of a whole datagram. One that a network card was to finish holds the sum of the
// pseudo header only: Linux leaves it so (CHECKSUM_PARTIAL), and it is seen like that on the sending machine.
func (d *decoder) udpChecksum(b []byte, unsummed bool) Checksum {
	sent := binary.BigEndian.Uint16(b[6:])
	if sent == 0 {
		return ChecksumNone
	}
	addresses := d.b[d.p.layout.ip+12 : d.p.layout.ip+20]
	pseudo := uint64(protoUDP + len(b))
	switch {
	case checksum(sum16(pseudo, addresses), b) == 0:
		return ChecksumGood
	case unsummed || sent == ^checksum(pseudo, addresses):
		return ChecksumUnfinished
	default:
		return ChecksumBad
	}
}

func isDHCPPort(port uint16) bool { return port == serverPort || port == clientPort }

func (d *decoder) icmp(at, end int, whole bool) {
	b := d.b[at:end]
	if len(b) < icmpSize {
		if whole {
			d.bad("the IPv4 packet ends inside the ICMP header: %d of %d octets are here", len(b), icmpSize)
		}
		return
	}
	m := &ICMP{Type: b[0], Code: b[1], Name: icmpName(b[0], b[1])}
	if whole {
		m.ChecksumOK = new(checksum(0, b) == 0)
	}
	if m.Type == 0 || m.Type == 8 {
		m.ID, m.Sequence = new(binary.BigEndian.Uint16(b[4:])), new(binary.BigEndian.Uint16(b[6:]))
	}
	d.p.ICMP, d.p.layout.icmp = m, at
}

// icmpName names a message as RFC 792 does.
func icmpName(kind, code uint8) string {
	switch {
	case kind == 3 && code == 1:
		return "host unreachable"
	case kind == 3 && code == 3:
		return "port unreachable"
	}
	names := map[uint8]string{
		0: "echo reply", 3: "destination unreachable", 4: "source quench", 5: "redirect", 8: "echo",
		11: "time exceeded", 12: "parameter problem", 13: "timestamp", 14: "timestamp reply",
	}
	if name, ok := names[kind]; ok {
		return name
	}
	return fmt.Sprintf("type %d", kind)
}

// checksum is the internet checksum (RFC 1071) of b, begun with acc; over data that carries a right one it is zero.
func checksum(acc uint64, b []byte) uint16 {
	acc = sum16(acc, b)
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return ^uint16(acc)
}

// sum16 adds the 16-bit words of b.
func sum16(acc uint64, b []byte) uint64 {
	for ; len(b) >= 2; b = b[2:] {
		acc += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		acc += uint64(b[0]) << 8
	}
	return acc
}
