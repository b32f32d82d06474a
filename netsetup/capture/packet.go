package capture

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// Packet is a decoded frame. Its JSON form is documented in docs/watch.schema.json: keys are stable, and a layer that
// was not on the wire is absent.
type Packet struct {
	Time      time.Time `json:"time"`                // RFC 3339 with nanoseconds
	Interface string    `json:"interface,omitempty"` // the link that it was seen on
	LinkType  LinkType  `json:"link_type,omitzero"`  // absent for Ethernet
	Length    int       `json:"length"`              // octets on the wire
	Captured  int       `json:"captured"`            // octets that were kept of them
	Ethernet  *Ethernet `json:"eth,omitempty"`
	Cooked    *Cooked   `json:"sll,omitempty"` // in place of eth, in a capture of any interface
	ARP       *ARP      `json:"arp,omitempty"`
	IP        *IPv4     `json:"ip,omitempty"`
	ICMP      *ICMP     `json:"icmp,omitempty"`
	UDP       *UDP      `json:"udp,omitempty"`
	DHCP      *DHCP     `json:"dhcp,omitempty"`
	Comment   string    `json:"comment,omitempty"`   // what the file says about it
	Malformed string    `json:"malformed,omitempty"` // why not all of it could be decoded
	Serial    uint64    `json:"-"`                   // the frame's; 0: not told

	data   []byte
	layout layout
}

// layout remembers where the layers begin; -1 for a layer that is not there.
type layout struct {
	arp, ip, icmp, udp, dhcp int
	ipEnd, dhcpEnd           int
	options                  []optionSpan
}

// Data is the frame that was decoded.
func (p *Packet) Data() []byte { return p.data }

// Ethernet is the link layer (IEEE 802.3 section 3).
type Ethernet struct {
	Source      HardwareAddr `json:"src"`
	Destination HardwareAddr `json:"dst"`
	Type        EtherType    `json:"type,omitzero"`   // of what follows; absent in an 802.3 frame with a length
	Length      int          `json:"length,omitzero"` // of the payload, in such a frame
	VLAN        []VLAN       `json:"vlan,omitempty"`  // tags, outermost first
}

// VLAN is an IEEE 802.1Q tag.
type VLAN struct {
	ID       uint16    `json:"id"`
	Priority uint8     `json:"priority"`
	Drop     bool      `json:"dei"`
	Type     EtherType `json:"type"` // of what follows the tag
}

// EtherType says what an Ethernet frame carries; JSON has it as "0x0800".
type EtherType uint16

// The types that Decode looks into.
const (
	TypeIPv4 EtherType = 0x0800
	TypeARP  EtherType = 0x0806
	TypeRARP EtherType = 0x8035 // QEMU sends such frames for a guest that was moved or resumed
	TypeVLAN EtherType = 0x8100
	TypeQinQ EtherType = 0x88a8
	TypeIPv6 EtherType = 0x86dd
)

// String names the types that a class meets.
func (t EtherType) String() string {
	names := map[EtherType]string{TypeIPv4: "IPv4", TypeARP: "ARP", TypeRARP: "RARP", TypeVLAN: "802.1Q", TypeQinQ: "802.1ad", TypeIPv6: "IPv6"}
	if name, ok := names[t]; ok {
		return name
	}
	return fmt.Sprintf("0x%04x", uint16(t))
}

// MarshalText writes "0x0800".
func (t EtherType) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "0x%04x", uint16(t)), nil }

// UnmarshalText reads what MarshalText writes.
func (t *EtherType) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 0, 16)
	*t = EtherType(n)
	return err
}

// ARP is an address resolution message (RFC 826).
type ARP struct {
	Operation uint16       `json:"op"`
	Kind      ARPKind      `json:"kind"` // what it is for, by its addresses
	SenderMAC HardwareAddr `json:"sender_mac"`
	SenderIP  netip.Addr   `json:"sender_ip"`
	TargetMAC HardwareAddr `json:"target_mac"`
	TargetIP  netip.Addr   `json:"target_ip"`
}

// ARPKind says what an ARP message is for.
type ARPKind string

// The kinds of ARP message; RFC 5227 section 1.1 defines probe and announcement.
const (
	ARPRequest      ARPKind = "request"      // who has this address?
	ARPReply        ARPKind = "reply"        // I have
	ARPProbe        ARPKind = "probe"        // does anybody have it? from 0.0.0.0
	ARPAnnouncement ARPKind = "announcement" // I have it now, nobody asked
	ARPOther        ARPKind = "other"
)

// IPv4 is the network layer (RFC 791).
type IPv4 struct {
	Source      netip.Addr `json:"src"`
	Destination netip.Addr `json:"dst"`
	Protocol    uint8      `json:"proto"`
	TTL         uint8      `json:"ttl"`
	ID          uint16     `json:"id"`
	HeaderLen   int        `json:"header_length"`
	TotalLen    int        `json:"total_length"`
	TOS         uint8      `json:"tos"`
	DontFrag    bool       `json:"dont_fragment"`
	MoreFrags   bool       `json:"more_fragments"`
	FragOffset  int        `json:"fragment_offset"` // in octets
	// Fragments is how many fragments the layers above were put together from, in the packet that completed them.
	Fragments  int   `json:"fragments,omitempty"`
	ChecksumOK *bool `json:"checksum_ok,omitempty"`
}

// Fragment reports whether the frame has only a part of the IPv4 packet (RFC 791 section 2.3).
func (ip *IPv4) Fragment() bool { return ip.MoreFrags || ip.FragOffset > 0 }

// UDP is the transport layer (RFC 768).
type UDP struct {
	SourcePort      uint16 `json:"sport"`
	DestinationPort uint16 `json:"dport"`
	Length          int    `json:"length"`
	// ChecksumOK is absent when it cannot be told: no checksum was sent, the datagram is a fragment or was cut, or the
	// frame was captured before its sender's network card had filled it in.
	ChecksumOK *bool    `json:"checksum_ok,omitempty"`
	Checksum   Checksum `json:"checksum"`
}

// Checksum is the verdict on a UDP checksum.
type Checksum string

// The verdicts.
const (
	ChecksumGood       Checksum = "good"
	ChecksumBad        Checksum = "bad"
	ChecksumNone       Checksum = "none"       // the sender sent none (RFC 768: zero)
	ChecksumUnfinished Checksum = "unfinished" // only the pseudo header is summed: left to a network card
	ChecksumUnknown    Checksum = "unknown"    // not all of the datagram is here
)

// ICMP is a control message (RFC 792).
type ICMP struct {
	Type       uint8   `json:"type"`
	Code       uint8   `json:"code"`
	Name       string  `json:"name"`
	ID         *uint16 `json:"id,omitempty"`  // of an echo
	Sequence   *uint16 `json:"seq,omitempty"` // of an echo
	ChecksumOK *bool   `json:"checksum_ok,omitempty"`
}

// XID is a DHCP transaction identifier; JSON has it as "0x3903f326".
type XID uint32

// String writes it as RFC 2131 does, in hexadecimal.
func (x XID) String() string { return fmt.Sprintf("0x%08x", uint32(x)) }

// MarshalText writes "0x3903f326".
func (x XID) MarshalText() ([]byte, error) { return []byte(x.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (x *XID) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 0, 32)
	*x = XID(n)
	return err
}

// DHCP is a DHCP or BOOTP message (RFC 2131 section 2).
type DHCP struct {
	Op        uint8           `json:"op"` // 1 BOOTREQUEST, 2 BOOTREPLY
	HType     uint8           `json:"htype"`
	HLen      uint8           `json:"hlen"`
	Hops      uint8           `json:"hops"`
	XID       XID             `json:"xid"`
	Secs      uint16          `json:"secs"`
	Flags     uint16          `json:"flags"` // 0x8000 asks for broadcast answers
	Broadcast bool            `json:"broadcast"`
	CIAddr    netip.Addr      `json:"ciaddr"`
	YIAddr    netip.Addr      `json:"yiaddr"`
	SIAddr    netip.Addr      `json:"siaddr"`
	GIAddr    netip.Addr      `json:"giaddr"`
	CHAddr    HardwareAddr    `json:"chaddr"`
	SName     string          `json:"sname,omitempty"` // unless it holds options
	File      string          `json:"file,omitempty"`  // unless it holds options
	BOOTP     bool            `json:"bootp,omitempty"` // no magic cookie, or no option 53
	Type      MessageType     `json:"type,omitzero"`   // option 53
	Options   map[int]*Option `json:"options"`         // by code; Pad and End are left out
	Order     []int           `json:"option_order"`    // codes by their first place on the wire
	End       bool            `json:"end"`             // the End option was there
}

// Option is a DHCP option. One that came in parts is joined (RFC 3396).
type Option struct {
	Name      string `json:"name"`
	Raw       Hex    `json:"raw"`
	Value     any    `json:"value"`               // typed by the code; null when the octets do not fit the type
	Text      string `json:"text,omitempty"`      // what a number stands for
	Parts     int    `json:"parts,omitempty"`     // more than one when it was split
	Malformed string `json:"malformed,omitempty"` // why Value is null
}

// Hex is octets, written in hexadecimal.
type Hex []byte

// String writes lower-case digits without separators.
func (h Hex) String() string { return fmt.Sprintf("%x", []byte(h)) }

// MarshalText writes lower-case digits without separators.
func (h Hex) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (h *Hex) UnmarshalText(text []byte) error {
	out := make([]byte, len(text)/2)
	for i := range out {
		n, err := strconv.ParseUint(string(text[2*i:2*i+2]), 16, 8)
		if err != nil {
			return fmt.Errorf("read hexadecimal %q: %w", text, err)
		}
		out[i] = byte(n)
	}
	*h = out
	return nil
}

// Option gives an option by its code, nil when it was not on the wire.
func (d *DHCP) Option(code int) *Option { return d.Options[code] }

// Addr gives the value of an option that is one address (50, 54, …), or the first of a list.
func (d *DHCP) Addr(code int) (netip.Addr, bool) {
	option := d.Options[code]
	if option == nil {
		return netip.Addr{}, false
	}
	switch v := option.Value.(type) {
	case netip.Addr:
		return v, true
	case []netip.Addr:
		if len(v) > 0 {
			return v[0], true
		}
	}
	return netip.Addr{}, false
}

// Seconds gives the value of an option that is a time (51, 58, 59).
func (d *DHCP) Seconds(code int) (uint32, bool) {
	option := d.Options[code]
	if option == nil {
		return 0, false
	}
	v, ok := option.Value.(uint32)
	return v, ok
}

// MessageType is the value of option 53 (RFC 2132 section 9.6).
type MessageType uint8

// The message types; the names are those of RFC 2131 without their prefix DHCP.
const (
	Discover        MessageType = 1
	Offer           MessageType = 2
	Request         MessageType = 3
	Decline         MessageType = 4
	Ack             MessageType = 5
	Nak             MessageType = 6
	Release         MessageType = 7
	Inform          MessageType = 8
	ForceRenew      MessageType = 9 // RFC 3203
	LeaseQuery      MessageType = 10
	LeaseUnassigned MessageType = 11
	LeaseUnknown    MessageType = 12
	LeaseActive     MessageType = 13
)

var messageTypeNames = map[MessageType]string{
	Discover: "DISCOVER", Offer: "OFFER", Request: "REQUEST", Decline: "DECLINE", Ack: "ACK", Nak: "NAK",
	Release: "RELEASE", Inform: "INFORM", ForceRenew: "FORCERENEW", LeaseQuery: "LEASEQUERY",
	LeaseUnassigned: "LEASEUNASSIGNED", LeaseUnknown: "LEASEUNKNOWN", LeaseActive: "LEASEACTIVE",
}

// String gives the name, or the number of a type without one.
func (t MessageType) String() string {
	if name, ok := messageTypeNames[t]; ok {
		return name
	}
	return strconv.Itoa(int(t))
}

// MarshalText writes the name.
func (t MessageType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (t *MessageType) UnmarshalText(text []byte) error {
	for code, name := range messageTypeNames {
		if name == string(text) {
			*t = code
			return nil
		}
	}
	n, err := strconv.ParseUint(string(text), 10, 8)
	*t = MessageType(n)
	return err
}

var _ json.Marshaler = time.Time{} // RFC 3339 with nanoseconds, as the package promises
