package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Sizes of headers, in octets.
const (
	ethernetSize = 14
	vlanSize     = 4
	arpSize      = 28 // for Ethernet and IPv4
	ipv4Size     = 20
	udpSize      = 8
	icmpSize     = 8
)

// maxLength is the largest value of the type field that is a length (IEEE 802.3 section 3.2.6).
const maxLength = 1500

// decoder decodes one frame.
type decoder struct {
	p   *Packet
	b   []byte
	cut bool // the capture kept only part of the frame
	why []string

	fragments int // b holds the payload of so many fragments, behind the headers of one; 0: b is a frame
}

// Decode decodes a frame. It keeps f.Data: the caller must not change it. Of a fragment of an IPv4 packet it decodes
// the network layer only; see [Reassembler].
func Decode(f Frame) *Packet { return newDecoder(f).decode(f.Unsummed) }

func newDecoder(f Frame) *decoder {
	length := max(f.Length, len(f.Data))
	return &decoder{
		p: &Packet{
			Time: f.Time, Interface: f.Interface, LinkType: f.Link, Length: length, Captured: len(f.Data),
			Comment: f.Comment, Serial: f.Serial, data: f.Data,
			layout: layout{arp: -1, ip: -1, icmp: -1, udp: -1, dhcp: -1},
		},
		b:   f.Data,
		cut: len(f.Data) < length,
	}
}

func (d *decoder) decode(unsummed bool) *Packet {
	d.link(unsummed)
	d.p.Malformed = strings.Join(d.why, "; ")
	return d.p
}

// bad notes a reason why decoding stops, or why a part is not as it should be.
func (d *decoder) bad(format string, args ...any) {
	d.why = append(d.why, fmt.Sprintf(format, args...))
}

// short notes that a header is not all there.
func (d *decoder) short(what string, want, have int) {
	if d.cut {
		d.bad("the capture cut the frame inside the %s: %d of %d octets are here", what, have, want)
		return
	}
	d.bad("the frame ends inside the %s: %d of %d octets are here", what, have, want)
}

func (d *decoder) ethernet(unsummed bool) {
	b := d.b
	if len(b) < ethernetSize {
		d.short("Ethernet header", ethernetSize, len(b))
		return
	}
	e := &Ethernet{Destination: HardwareAddr(b[0:6]), Source: HardwareAddr(b[6:12])}
	d.p.Ethernet = e
	kind := binary.BigEndian.Uint16(b[12:])
	if kind <= maxLength {
		e.Length = int(kind)
		return
	}
	e.Type = EtherType(kind)
	next, at := e.Type, ethernetSize
	for next == TypeVLAN || next == TypeQinQ {
		if len(b) < at+vlanSize {
			d.short("VLAN tag", vlanSize, len(b)-at)
			return
		}
		tag := binary.BigEndian.Uint16(b[at:])
		next = EtherType(binary.BigEndian.Uint16(b[at+2:]))
		e.VLAN = append(e.VLAN, VLAN{ID: tag & 0x0fff, Priority: uint8(tag >> 13), Drop: tag&0x1000 != 0, Type: next})
		at += vlanSize
	}
	d.network(next, at, unsummed)
}

// network decodes what a link layer carries, from d.b[at] on.
func (d *decoder) network(kind EtherType, at int, unsummed bool) {
	switch kind {
	case TypeARP:
		d.arp(at)
	case TypeIPv4:
		d.ipv4(at, unsummed)
	default: // nothing that this package looks into
	}
}

func (d *decoder) arp(at int) {
	b := d.b[at:]
	if len(b) < arpSize {
		d.short("ARP message", arpSize, len(b))
		return
	}
	if htype, ptype := binary.BigEndian.Uint16(b), EtherType(binary.BigEndian.Uint16(b[2:])); htype != 1 || ptype != TypeIPv4 ||
		b[4] != 6 || b[5] != 4 {
		d.bad("ARP for hardware type %d (%d octets) and protocol 0x%04x (%d octets), not for Ethernet and IPv4",
			htype, b[4], uint16(ptype), b[5])
		return
	}
	a := &ARP{
		Operation: binary.BigEndian.Uint16(b[6:]),
		SenderMAC: HardwareAddr(b[8:14]), SenderIP: addr4(b[14:]),
		TargetMAC: HardwareAddr(b[18:24]), TargetIP: addr4(b[24:]),
	}
	a.Kind = a.kind()
	d.p.ARP, d.p.layout.arp = a, at
}

// kind tells probes and announcements from requests (RFC 5227 section 1.1).
func (a *ARP) kind() ARPKind {
	switch {
	case a.Operation == 1 && a.SenderIP.IsUnspecified():
		return ARPProbe
	case (a.Operation == 1 || a.Operation == 2) && a.SenderIP == a.TargetIP:
		return ARPAnnouncement
	case a.Operation == 1:
		return ARPRequest
	case a.Operation == 2:
		return ARPReply
	default:
		return ARPOther
	}
}

// addr4 reads an IPv4 address from the beginning of b.
func addr4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b[:4])) }
