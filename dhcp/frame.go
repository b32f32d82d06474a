package dhcp

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Ways in which an IP packet is not a whole, sound UDP datagram to the DHCP server port.
var (
	errNotForUs    = errors.New("not a datagram to port 67")
	errBadChecksum = errors.New("wrong checksum")
	errFragment    = errors.New("one of several fragments")
	errTruncated   = errors.New("longer than the interface's largest packet, or cut short")
)

// moreFragments is the flag of an IP header that the rest of the datagram comes in other packets (RFC 791 section 3.1).
const moreFragments = 0x2000

// datagram is what a received IP packet holds.
type datagram struct {
	src, dst netip.Addr
	payload  []byte
}

// parsePacket takes an IPv4 packet apart. partial means that the kernel has not filled in the UDP checksum yet: the
// packet comes from this machine, which left it to a card (PACKET_AUXDATA, TP_STATUS_CSUMNOTREADY).
func parsePacket(b []byte, partial bool) (d datagram, err error) {
	return parseDatagram(b, partial, ServerPort)
}

// parseDatagram is parsePacket for any port.
func parseDatagram(b []byte, partial bool, port uint16) (d datagram, err error) {
	if len(b) < udpOverIP || b[0]>>4 != 4 {
		return d, errNotForUs
	}
	ihl := int(b[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if ihl < 20 || total < ihl+8 || b[9] != 17 || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return d, errNotForUs
	}
	if total > len(b) {
		return d, errTruncated
	}
	b = b[:total] // Ethernet pads short frames
	d.src, d.dst = addrAt(b, 12), addrAt(b, 16)
	u := b[ihl:]
	if binary.BigEndian.Uint16(u[2:]) != port {
		return d, errNotForUs
	}
	if fold(sum(0, b[:ihl])) != 0xffff {
		return d, errBadChecksum
	}
	if binary.BigEndian.Uint16(b[6:])&moreFragments != 0 {
		return d, errFragment
	}
	n := int(binary.BigEndian.Uint16(u[4:]))
	if n < 8 || n > len(u) {
		return d, errTruncated
	}
	u = u[:n]
	if binary.BigEndian.Uint16(u[6:]) != 0 && !partial && fold(sum(pseudo(b[12:20], n), u)) != 0xffff {
		return d, errBadChecksum
	}
	d.payload = u[8:]
	return d, nil
}

// appendPacket writes an IPv4 packet with both checksums: a frame without offload information must be complete, or
// guests drop it. It is never fragmented, so DF is set and the identification is zero (RFC 6864 section 4.1).
func appendPacket(dst []byte, from, to ip4, port uint16, payload []byte) []byte {
	return appendDatagram(dst, from, ServerPort, to, port, payload)
}

// allowFragments takes DF out of a packet that is routed. The kernel then gives it an identification, and does its header's
// checksum anew, as for all that leaves by a raw socket (raw(7)).
func allowFragments(packet []byte) { packet[6] = 0 }

// appendDatagram is appendPacket from any port.
func appendDatagram(dst []byte, from ip4, fromPort uint16, to ip4, port uint16, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, udpOverIP)...)
	dst = append(dst, payload...)
	b := dst[start:]
	b[0], b[8], b[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[6:], 0x4000)
	binary.BigEndian.PutUint32(b[12:], uint32(from))
	binary.BigEndian.PutUint32(b[16:], uint32(to))
	binary.BigEndian.PutUint16(b[10:], ^fold(sum(0, b[:20])))
	u := b[20:]
	binary.BigEndian.PutUint16(u, fromPort)
	binary.BigEndian.PutUint16(u[2:], port)
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	check := ^fold(sum(pseudo(b[12:20], len(u)), u))
	if check == 0 {
		check = 0xffff // zero means "no checksum" (RFC 768)
	}
	binary.BigEndian.PutUint16(u[6:], check)
	return dst
}

// pseudo is the sum over the pseudo header of RFC 768: both addresses, the protocol, the length.
func pseudo(addrs []byte, n int) uint64 { return sum(uint64(17+n), addrs) }

// sum adds 16-bit words as RFC 1071 does, four octets at a time; fold brings the carries home.
func sum(acc uint64, b []byte) uint64 {
	for len(b) >= 4 {
		acc += uint64(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		acc += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		acc += uint64(b[0]) << 8
	}
	return acc
}

func fold(acc uint64) uint16 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}
