package capture

import (
	"fmt"
	"strings"
)

// Layer is one of the four layers that a DHCP message travels in.
type Layer uint8

// The layers, outermost first.
const (
	_              Layer = iota
	LayerLink            // Ethernet, or what a capture has in its place
	LayerNetwork         // IPv4, ARP
	LayerTransport       // UDP, ICMP
	LayerMessage         // DHCP
)

// String names the layer.
func (l Layer) String() string {
	names := map[Layer]string{LayerLink: "link", LayerNetwork: "network", LayerTransport: "transport", LayerMessage: "message"}
	if name, ok := names[l]; ok {
		return name
	}
	return fmt.Sprintf("Layer(%d)", uint8(l))
}

// Field is one field of a packet and the octets of the frame that it comes from.
type Field struct {
	Layer      Layer
	Key        string // as in JSON: "dhcp.yiaddr", "dhcp.options.54"
	Name       string // as its RFC names it
	Text       string // the value for people
	Start, End int    // Data()[Start:End]
	Code       int    // the option's code, 0 for other fields
}

// Fields lists everything that was decoded, in the order in which it is on the wire.
func (p *Packet) Fields() []Field {
	f := &fieldList{p: p}
	f.ethernet()
	f.arp()
	f.ipv4()
	f.transport()
	f.dhcp()
	return f.all
}

// fieldList collects fields.
type fieldList struct {
	p   *Packet
	all []Field
}

func (f *fieldList) add(layer Layer, key, name string, at, size int, value any) {
	f.all = append(f.all, Field{Layer: layer, Key: key, Name: name, Text: fmt.Sprint(value), Start: at, End: at + size})
}

func (f *fieldList) ethernet() {
	f.cooked()
	e := f.p.Ethernet
	if e == nil {
		return
	}
	f.add(LayerLink, "eth.dst", "destination", 0, 6, e.Destination)
	f.add(LayerLink, "eth.src", "source", 6, 6, e.Source)
	if e.Type == 0 {
		f.add(LayerLink, "eth.length", "length", 12, 2, e.Length)
		return
	}
	f.add(LayerLink, "eth.type", "type", 12, 2, fmt.Sprintf("0x%04x (%s)", uint16(e.Type), e.Type))
	for i, tag := range e.VLAN {
		f.add(LayerLink, "eth.vlan", "VLAN", ethernetSize+vlanSize*i, 4, tag.ID)
	}
}

// cooked lists what the pseudo header tells; the two versions have it in different places.
func (f *fieldList) cooked() {
	c := f.p.Cooked
	if c == nil {
		return
	}
	kind := fmt.Sprintf("0x%04x (%s)", uint16(c.Type), c.Type)
	if f.p.LinkType == LinkCooked2 {
		f.add(LayerLink, "sll.type", "type", 0, 2, kind)
		f.add(LayerLink, "sll.ifindex", "interface index", 4, 4, c.Index)
		f.add(LayerLink, "sll.arphrd", "hardware type", 8, 2, c.Hardware)
		f.add(LayerLink, "sll.packet_type", "packet type", 10, 1, c.Way)
		f.add(LayerLink, "sll.src", "source", 12, len(c.Source), c.Source)
		return
	}
	f.add(LayerLink, "sll.packet_type", "packet type", 0, 2, c.Way)
	f.add(LayerLink, "sll.arphrd", "hardware type", 2, 2, c.Hardware)
	f.add(LayerLink, "sll.src", "source", 6, len(c.Source), c.Source)
	f.add(LayerLink, "sll.type", "type", 14, 2, kind)
}

func (f *fieldList) arp() {
	a, at := f.p.ARP, f.p.layout.arp
	if a == nil {
		return
	}
	f.add(LayerNetwork, "arp.op", "operation", at+6, 2, fmt.Sprintf("%d (%s)", a.Operation, a.Kind))
	f.add(LayerNetwork, "arp.sender_mac", "sender MAC", at+8, 6, a.SenderMAC)
	f.add(LayerNetwork, "arp.sender_ip", "sender IP", at+14, 4, a.SenderIP)
	f.add(LayerNetwork, "arp.target_mac", "target MAC", at+18, 6, a.TargetMAC)
	f.add(LayerNetwork, "arp.target_ip", "target IP", at+24, 4, a.TargetIP)
}

func (f *fieldList) ipv4() {
	ip, at := f.p.IP, f.p.layout.ip
	if ip == nil {
		return
	}
	f.add(LayerNetwork, "ip.total_length", "total length", at+2, 2, ip.TotalLen)
	f.add(LayerNetwork, "ip.id", "identification", at+4, 2, fmt.Sprintf("0x%04x", ip.ID))
	if ip.Fragment() {
		more := map[bool]int{true: 1}[ip.MoreFrags]
		f.add(LayerNetwork, "ip.fragment_offset", "fragment offset", at+6, 2, fmt.Sprintf("%d, MF=%d", ip.FragOffset, more))
	}
	f.add(LayerNetwork, "ip.ttl", "TTL", at+8, 1, ip.TTL)
	protocol := map[uint8]string{protoICMP: "1 (ICMP)", 6: "6 (TCP)", protoUDP: "17 (UDP)"}[ip.Protocol]
	if protocol == "" {
		protocol = fmt.Sprint(ip.Protocol)
	}
	f.add(LayerNetwork, "ip.proto", "protocol", at+9, 1, protocol)
	f.add(LayerNetwork, "ip.src", "source", at+12, 4, ip.Source)
	f.add(LayerNetwork, "ip.dst", "destination", at+16, 4, ip.Destination)
}

func (f *fieldList) transport() {
	if u, at := f.p.UDP, f.p.layout.udp; u != nil {
		f.add(LayerTransport, "udp.sport", "source port", at, 2, u.SourcePort)
		f.add(LayerTransport, "udp.dport", "destination port", at+2, 2, u.DestinationPort)
		f.add(LayerTransport, "udp.length", "length", at+4, 2, u.Length)
		f.add(LayerTransport, "udp.checksum", "checksum", at+6, 2, u.Checksum)
	}
	if m, at := f.p.ICMP, f.p.layout.icmp; m != nil {
		f.add(LayerTransport, "icmp.type", "type", at, 1, fmt.Sprintf("%d (%s)", m.Type, m.Name))
		f.add(LayerTransport, "icmp.code", "code", at+1, 1, m.Code)
		if m.ID != nil {
			f.add(LayerTransport, "icmp.id", "identifier", at+4, 2, *m.ID)
			f.add(LayerTransport, "icmp.seq", "sequence", at+6, 2, *m.Sequence)
		}
	}
}

func (f *fieldList) dhcp() {
	m, at := f.p.DHCP, f.p.layout.dhcp
	if m == nil {
		return
	}
	op := map[uint8]string{1: "1 (BOOTREQUEST)", 2: "2 (BOOTREPLY)"}[m.Op]
	if op == "" {
		op = fmt.Sprint(m.Op)
	}
	flags := fmt.Sprintf("0x%04x", m.Flags)
	if m.Broadcast {
		flags += " (broadcast)"
	}
	for _, fixed := range []struct {
		name     string
		at, size int
		value    any
	}{
		{"op", 0, 1, op},
		{"htype", 1, 1, m.HType},
		{"hlen", 2, 1, m.HLen},
		{"hops", 3, 1, m.Hops},
		{"xid", 4, 4, m.XID},
		{"secs", 8, 2, m.Secs},
		{"flags", 10, 2, flags},
		{"ciaddr", 12, 4, m.CIAddr},
		{"yiaddr", 16, 4, m.YIAddr},
		{"siaddr", 20, 4, m.SIAddr},
		{"giaddr", 24, 4, m.GIAddr},
		{"chaddr", chaddrAt, len(m.CHAddr), m.CHAddr},
	} {
		f.add(LayerMessage, "dhcp."+fixed.name, fixed.name, at+fixed.at, fixed.size, fixed.value)
	}
	if m.SName != "" {
		f.add(LayerMessage, "dhcp.sname", "sname", at+snameAt, fileAt-snameAt, m.SName)
	}
	if m.File != "" {
		f.add(LayerMessage, "dhcp.file", "file", at+fileAt, dhcpHeader-fileAt, m.File)
	}
	f.options()
}

// options adds every appearance of every option; one in parts shows its whole value at each.
func (f *fieldList) options() {
	for _, span := range f.p.layout.options {
		option := f.p.DHCP.Options[span.code]
		f.all = append(f.all, Field{
			Layer: LayerMessage, Key: fmt.Sprintf("dhcp.options.%d", span.code), Name: option.Name, Text: option.Describe(),
			Start: span.start, End: span.end, Code: span.code,
		})
	}
}

// Describe writes the value for people: addresses and numbers separated by commas, times with their unit.
func (o *Option) Describe() string {
	switch {
	case o.Malformed != "":
		return "? " + o.Raw.String() + " (" + o.Malformed + ")"
	case o.Text != "":
		return fmt.Sprintf("%v (%s)", o.Value, o.Text)
	}
	switch v := o.Value.(type) {
	case string:
		return v
	case uint32:
		if strings.HasSuffix(o.Name, "Time") || strings.HasSuffix(o.Name, "Time Value") {
			return fmt.Sprintf("%d s", v)
		}
		return fmt.Sprint(v)
	case ClientID:
		return v.String()
	case map[int]*Option:
		return describeRelay(v)
	default:
		text := strings.Trim(fmt.Sprint(v), "[]")
		if strings.HasPrefix(fmt.Sprintf("%T", v), "[]") {
			text = strings.ReplaceAll(text, " ", ", ")
		}
		return text
	}
}

// String writes the identifier's type and octets.
func (id ClientID) String() string {
	switch {
	case len(id.Hardware) > 0:
		return fmt.Sprintf("%d, %s", id.Type, id.Hardware)
	case len(id.DUID) > 0:
		return fmt.Sprintf("%d, IAID %s, DUID %s", id.Type, id.IAID, id.DUID)
	case id.Text != "":
		return fmt.Sprintf("%d, %q", id.Type, id.Text)
	default:
		return fmt.Sprintf("%d, %s", id.Type, id.ID)
	}
}

// describeRelay lists sub-options by their number.
func describeRelay(subs map[int]*Option) string {
	var parts []string
	for code := range 256 {
		if sub := subs[code]; sub != nil {
			value := sub.Text
			if value == "" {
				value = sub.Raw.String()
			}
			parts = append(parts, fmt.Sprintf("%d=%s", code, value))
		}
	}
	return strings.Join(parts, ", ")
}
