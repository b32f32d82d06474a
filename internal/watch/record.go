package watch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/kvmlab/kvmlab/netsetup/capture"
	"github.com/kvmlab/kvmlab/untrusted"
)

// recordVersion is the version of the JSON form. Keys may be added within it; none is renamed or removed.
const recordVersion = 1

// Stations are the names of the two ends of a frame.
type Stations struct {
	Source      string `json:"src"`
	Destination string `json:"dst,omitempty"` // a name, or broadcast or multicast; absent when the capture does not tell
}

// Record is a packet with what the traffic around it tells. Its JSON form is one line of `kvmlab watch -o json`.
type Record struct {
	Version int `json:"version"`
	Number  int `json:"n"`
	*capture.Packet
	Stations *Stations `json:"stations,omitempty"` // absent when the frame is too short to have them
	Exchange int       `json:"exchange,omitempty"` // counts DHCP exchanges: one client's messages with one xid
	Step     string    `json:"step,omitempty"`     // the packet's place in its exchange: "2/4"
	Note     string    `json:"note"`               // one line in English

	step   Step
	client string      // the client's name, in a DHCP message
	after  *ClientView // the client after the message
}

// Follower turns packets into records, one after the other. Packets that know their number keep it; others are
// counted.
type Follower struct {
	Names   *Names
	Tracker *Tracker
	count   int
}

// NewFollower begins at packet 1.
func NewFollower(names *Names) *Follower { return &Follower{Names: names, Tracker: NewTracker()} }

// Next is the record of the next packet.
func (f *Follower) Next(p *capture.Packet) *Record {
	f.count++
	if p.Serial > 0 {
		f.count = int(p.Serial)
	}
	f.Names.Learn(p)
	r := &Record{Version: recordVersion, Number: f.count, Packet: p}
	if p.Linked() {
		r.Stations = f.stations(p)
	}
	r.Exchange, r.step = f.Tracker.See(p)
	if r.step.Of > 0 {
		r.Step = fmt.Sprintf("%d/%d", r.step.Number, r.step.Of)
	}
	if p.DHCP != nil {
		r.client = f.Names.Of(p.DHCP.CHAddr)
		r.after = f.Tracker.view(p.DHCP.CHAddr)
	}
	r.Note = r.note()
	return r
}

// WriteJSON writes the record as one line.
func (r *Record) WriteJSON(w io.Writer) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("encode packet %d: %w", r.Number, err)
	}
	_, err := w.Write(untrusted.JSON(line.Bytes()))
	return err
}

// stations names the two ends of a frame. A cooked capture tells of a receiver only whether it is everybody or a group.
func (f *Follower) stations(p *capture.Packet) *Stations {
	s := &Stations{Source: f.Names.Of(p.From())}
	switch {
	case p.Broadcast():
		s.Destination = Everybody
	case p.Multicast():
		s.Destination = Group
	case p.To() != nil:
		s.Destination = f.Names.Of(p.To())
	}
	return s
}

// note is the packet in a few English words: what a pcapng comment says.
func (r *Record) note() string {
	switch {
	case r.DHCP != nil:
		return r.dhcpNote("from", "to")
	case r.ARP != nil:
		return arpNote(r.ARP)
	case r.ICMP != nil:
		return "ICMP " + r.ICMP.Name
	case r.IP != nil && r.IP.Fragment() && r.IP.Fragments == 0:
		return r.fragmentNote()
	case r.IP != nil && r.UDP != nil:
		return fmt.Sprintf("UDP from port %d to %d", r.UDP.SourcePort, r.UDP.DestinationPort)
	case r.IP != nil && r.IP.Protocol == protoTCP:
		return "TCP"
	case r.IP != nil:
		return fmt.Sprintf("IP protocol %d", r.IP.Protocol)
	case r.Ethernet != nil && r.Ethernet.Type != 0:
		return r.Ethernet.Type.String()
	case r.Cooked != nil:
		return r.Cooked.Type.String()
	case r.LinkType == capture.LinkUnknown:
		return "not decoded"
	case r.LinkType != capture.LinkEthernet:
		return capture.TypeIPv6.String() // version 4 has a network layer, and nothing else goes without a link layer
	default:
		return "Ethernet"
	}
}

const (
	protoTCP = 6
	protoUDP = 17
)

// fragmentNote is what a part of a packet is. What the whole is, its last part says.
func (r *Record) fragmentNote() string {
	kind := map[uint8]string{1: "ICMP", protoTCP: "TCP", protoUDP: "UDP"}[r.IP.Protocol]
	if kind == "" {
		kind = fmt.Sprint(r.IP.Protocol)
	}
	last := r.IP.FragOffset + r.IP.TotalLen - r.IP.HeaderLen - 1
	return fmt.Sprintf("IP fragment of %s: octets %d to %d of packet 0x%04x", kind, r.IP.FragOffset, last, r.IP.ID)
}

// dhcpNote is "2/4 OFFER 192.168.1.2 to pc1", with the words for from and to.
func (r *Record) dhcpNote(from, to string) string {
	d := r.DHCP
	var words []string
	if r.Step != "" {
		words = append(words, r.Step)
	}
	kind := d.Type.String()
	if d.Type == 0 {
		kind = "BOOTP"
	}
	words = append(words, kind)
	if address := subject(d); address != "" {
		words = append(words, address)
	}
	way := from
	if d.Op == 2 {
		way = to
	}
	return strings.Join(append(words, way, r.client), " ")
}

// subject is the address that a message is about, "" when it is about none.
func subject(d *capture.DHCP) string {
	if d.Op == 2 {
		if d.YIAddr.IsUnspecified() {
			return ""
		}
		return d.YIAddr.String()
	}
	if address, ok := d.Addr(50); ok {
		return address.String()
	}
	if !d.CIAddr.IsUnspecified() {
		return d.CIAddr.String()
	}
	return ""
}

func arpNote(a *capture.ARP) string {
	switch a.Kind {
	case capture.ARPProbe:
		return fmt.Sprintf("ARP probe: does anybody have %s?", a.TargetIP)
	case capture.ARPAnnouncement:
		return fmt.Sprintf("ARP announcement: %s is at %s", a.SenderIP, a.SenderMAC)
	case capture.ARPRequest:
		return fmt.Sprintf("ARP request: who has %s? tell %s", a.TargetIP, a.SenderIP)
	case capture.ARPReply:
		return fmt.Sprintf("ARP reply: %s is at %s", a.SenderIP, a.SenderMAC)
	default:
		return fmt.Sprintf("ARP operation %d", a.Operation)
	}
}

// Involves reports whether a station sent the packet, is its destination, or is the client that it is about. A
// broadcast involves everybody as a destination, which would be no filter, so it counts by its sender alone.
func (r *Record) Involves(station string) bool {
	return r.client == station || (r.Stations != nil && (r.Stations.Source == station || r.Stations.Destination == station))
}

// Kind sorts packets for filters: dhcp, arp, icmp or other.
func (r *Record) Kind() string {
	switch {
	case r.DHCP != nil:
		return "dhcp"
	case r.ARP != nil:
		return "arp"
	case r.ICMP != nil:
		return "icmp"
	default:
		return "other"
	}
}
