package capture

import (
	"encoding/binary"
	"fmt"

	"github.com/gopacket/gopacket/layers"
)

// LinkType is the form of a frame's first octets. A lab's links carry Ethernet; files of other programs may hold what
// `tcpdump -i any` sees, or packets without a link layer. The names are those of the registry of link types
// (draft-ietf-opsawg-pcaplinktype), without their prefix LINKTYPE_.
type LinkType uint8

// The link types. The zero value is that of every live link.
const (
	LinkEthernet LinkType = iota
	LinkCooked            // LINUX_SLL: what Linux gives of any interface at once
	LinkCooked2           // LINUX_SLL2: the same with the interface's index
	LinkRaw               // RAW, IPV4, IPV6: an IP packet and nothing before it
	LinkNull              // NULL: the address family in the capturing machine's order of octets, as of a BSD's loopback
	LinkLoop              // LOOP: the same in network order
	LinkUnknown           // anything else: its frames are counted, and not decoded
)

// String names the link type as JSON has it.
func (t LinkType) String() string {
	names := map[LinkType]string{
		LinkEthernet: "ethernet", LinkCooked: "linux-sll", LinkCooked2: "linux-sll2", LinkRaw: "raw-ip",
		LinkNull: "null", LinkLoop: "loop", LinkUnknown: "unknown",
	}
	if name, ok := names[t]; ok {
		return name
	}
	return fmt.Sprintf("LinkType(%d)", uint8(t))
}

// MarshalText writes the name.
func (t LinkType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (t *LinkType) UnmarshalText(text []byte) error {
	for kind := LinkEthernet; kind <= LinkUnknown; kind++ {
		if kind.String() == string(text) {
			*t = kind
			return nil
		}
	}
	return fmt.Errorf("read link type %q: there is none of that name", text)
}

// rawBSD are the numbers that some systems' own DLT_RAW has in files.
var rawBSD = map[layers.LinkType]bool{12: true, 14: true}

// linkTypeOf gives the form of the frames behind a number of the registry.
func linkTypeOf(number layers.LinkType) LinkType {
	switch {
	case number == layers.LinkTypeEthernet:
		return LinkEthernet
	case number == layers.LinkTypeLinuxSLL:
		return LinkCooked
	case number == layers.LinkTypeLinuxSLL2:
		return LinkCooked2
	case number == layers.LinkTypeRaw, number == layers.LinkTypeIPv4, number == layers.LinkTypeIPv6, rawBSD[number]:
		return LinkRaw
	case number == layers.LinkTypeNull:
		return LinkNull
	case number == layers.LinkTypeLoop:
		return LinkLoop
	default:
		return LinkUnknown
	}
}

// Cooked is the pseudo header that Linux puts before a packet of "any" interface, in place of the link layer's own
// (LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2). It does not tell the destination's address.
type Cooked struct {
	Way      CookedWay    `json:"packet_type"` // to whom the frame went
	Hardware uint16       `json:"arphrd"`      // the kind of interface (ARPHRD_ETHER is 1, ARPHRD_LOOPBACK 772)
	Index    uint32       `json:"ifindex,omitzero"`
	Source   HardwareAddr `json:"src"` // of the sender; empty where the link has no addresses
	Type     EtherType    `json:"type"`
}

// CookedWay tells to whom a frame went, as seen from the machine that captured it (packet(7), sll_pkttype).
type CookedWay string

// The ways.
const (
	CookedHost      CookedWay = "host"      // to this machine
	CookedBroadcast CookedWay = "broadcast" // to everybody
	CookedMulticast CookedWay = "multicast" // to a group
	CookedOther     CookedWay = "other"     // to another machine
	CookedOutgoing  CookedWay = "outgoing"  // sent by this machine, to whomever
)

// cookedWay reads sll_pkttype; what later kernels may add counts as "other".
func cookedWay(kind uint16) CookedWay {
	ways := []CookedWay{CookedHost, CookedBroadcast, CookedMulticast, CookedOther, CookedOutgoing}
	if int(kind) < len(ways) {
		return ways[kind]
	}
	return CookedOther
}

// Sizes of the headers in place of Ethernet's, in octets.
const (
	cookedSize  = 16
	cooked2Size = 20
	familySize  = 4
)

// link decodes the frame from its first octet on.
func (d *decoder) link(unsummed bool) {
	switch d.p.LinkType {
	case LinkEthernet:
		d.ethernet(unsummed)
	case LinkCooked, LinkCooked2:
		d.cooked(unsummed)
	case LinkRaw:
		d.rawIP(0, unsummed)
	case LinkNull, LinkLoop:
		if len(d.b) < familySize {
			d.short("loopback header", familySize, len(d.b))
			return
		}
		// The family of IPv6 has another number on every system; the IP header's version says the same.
		d.rawIP(familySize, unsummed)
	case LinkUnknown:
	}
}

func (d *decoder) cooked(unsummed bool) {
	b, size, c := d.b, cookedSize, &Cooked{}
	if d.p.LinkType == LinkCooked2 {
		size = cooked2Size
	}
	if len(b) < size {
		d.short("Linux cooked header", size, len(b))
		return
	}

	var address []byte
	var octets int
	if d.p.LinkType == LinkCooked {
		c.Way, c.Hardware = cookedWay(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint16(b[2:])
		octets, address = int(binary.BigEndian.Uint16(b[4:])), b[6:14]
		c.Type = EtherType(binary.BigEndian.Uint16(b[14:]))
	} else {
		c.Type, c.Index = EtherType(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint32(b[4:])
		c.Hardware, c.Way = binary.BigEndian.Uint16(b[8:]), cookedWay(uint16(b[10]))
		octets, address = int(b[11]), b[12:20]
	}
	c.Source = HardwareAddr(address[:min(octets, len(address))])
	d.p.Cooked = c
	d.network(c.Type, size, unsummed)
}

// rawIP decodes an IP packet that nothing says the version of but itself.
func (d *decoder) rawIP(at int, unsummed bool) {
	if len(d.b) > at && d.b[at]>>4 == 6 {
		return // nothing that this package looks into
	}
	d.ipv4(at, unsummed)
}

// From is the link-layer address of the frame's sender, nil when the frame does not tell one.
func (p *Packet) From() HardwareAddr {
	switch {
	case p.Ethernet != nil:
		return p.Ethernet.Source
	case p.Cooked != nil && len(p.Cooked.Source) > 0:
		return p.Cooked.Source
	default:
		return nil
	}
}

// To is the link-layer address that the frame was sent to, nil when the frame does not tell one.
func (p *Packet) To() HardwareAddr {
	if p.Ethernet == nil {
		return nil
	}
	return p.Ethernet.Destination
}

// Broadcast reports whether the frame was sent to everybody on its link.
func (p *Packet) Broadcast() bool {
	return p.To().Broadcast() || p.Cooked != nil && p.Cooked.Way == CookedBroadcast
}

// Multicast reports whether the frame was sent to a group of stations, and not to all.
func (p *Packet) Multicast() bool {
	to := p.To()
	return len(to) > 0 && to[0]&1 == 1 && !to.Broadcast() || p.Cooked != nil && p.Cooked.Way == CookedMulticast
}

// Linked reports whether the frame tells anything about a link layer.
func (p *Packet) Linked() bool { return p.Ethernet != nil || p.Cooked != nil }

// asEthernet is the frame with an Ethernet header in place of its own, for filters, which are compiled for Ethernet. A
// destination that is not known is zero.
func (p *Packet) asEthernet() []byte {
	if p.LinkType == LinkEthernet {
		return p.data
	}
	header, kind, at := make([]byte, ethernetSize), TypeIPv4, 0
	switch p.LinkType {
	case LinkCooked, LinkCooked2:
		if p.Cooked == nil {
			return header
		}
		at = map[LinkType]int{LinkCooked: cookedSize, LinkCooked2: cooked2Size}[p.LinkType]
		kind = p.Cooked.Type
		copy(header[6:12], p.Cooked.Source)
		if p.Broadcast() {
			copy(header, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		}
	case LinkNull, LinkLoop:
		at = min(familySize, len(p.data))
	case LinkUnknown:
		return header
	default:
	}
	if len(p.data) > at && kind == TypeIPv4 && p.data[at]>>4 == 6 {
		kind = TypeIPv6
	}
	binary.BigEndian.PutUint16(header[12:], uint16(kind))
	return append(header, p.data[at:]...)
}
