package watch

import (
	"fmt"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// Speaker says messages of the catalogues in the user's language.
type Speaker interface {
	// T says a message of the catalogues.
	T(id string, pairs ...any) string
	// Phrase says an English phrase: a note, a reason, the name of a field.
	Phrase(english string) string
}

// typeSentences are the messages that say what each DHCP message does.
var typeSentences = map[capture.MessageType]string{
	capture.Discover: "watch.say.discover", capture.Offer: "watch.say.offer", capture.Request: "watch.say.request",
	capture.Ack: "watch.say.ack", capture.Nak: "watch.say.nak", capture.Decline: "watch.say.decline",
	capture.Release: "watch.say.release", capture.Inform: "watch.say.inform",
}

// arpSentences are the messages that say what each kind of ARP message does.
var arpSentences = map[capture.ARPKind]string{
	capture.ARPProbe: "watch.say.arp-probe", capture.ARPAnnouncement: "watch.say.arp-announcement",
	capture.ARPRequest: "watch.say.arp-request", capture.ARPReply: "watch.say.arp-reply",
}

// Sentence says a packet in one sentence: time, the time since the packet before, what it does, and how it travels.
func (r *Record) Sentence(say Speaker, since time.Duration) string {
	what := r.saying(say)
	if r.Step != "" {
		what = r.Step + " " + what
	}
	text := fmt.Sprintf("%s (%s) %s", r.Time.Local().Format("15:04:05.000000"), Delta(since), what)
	if travels := r.travel(say); travels != "" {
		text += "; " + travels
	}
	text += "."
	if r.Malformed != "" {
		text += " " + say.T("watch.say.malformed", "reason", say.Phrase(r.Malformed))
	}
	return text
}

// Delta writes a time difference with its unit: "+0.0012 s".
func Delta(d time.Duration) string { return fmt.Sprintf("%+.4f s", d.Seconds()) }

// briefly is the note in the reader's language.
func (r *Record) briefly(say Speaker) string {
	if r.DHCP != nil {
		return r.dhcpNote(say.Phrase("from"), say.Phrase("to"))
	}
	return say.Phrase(r.Note)
}

// saying is the sentence's middle: who does what.
func (r *Record) saying(say Speaker) string {
	source := "?"
	if r.Stations != nil {
		source = r.Stations.Source
	}
	switch {
	case r.DHCP != nil:
		if id := typeSentences[r.DHCP.Type]; id != "" {
			return say.T(id, r.dhcpPairs(source)...)
		}
	case r.ARP != nil:
		if id := arpSentences[r.ARP.Kind]; id != "" {
			return say.T(id, "station", source, "address", r.ARP.TargetIP, "own", r.ARP.SenderIP, "mac", r.ARP.SenderMAC)
		}
	case r.ICMP != nil:
		return say.T("watch.say.icmp", "station", source, "message", say.Phrase(r.ICMP.Name), "address", r.IP.Destination)
	}
	return say.T("watch.say.other", "station", source, "what", r.briefly(say))
}

func (r *Record) dhcpPairs(source string) []any {
	d := r.DHCP
	server, lease, reason := "", "", ""
	if address, ok := d.Addr(54); ok {
		server = address.String()
	}
	if seconds, ok := d.Seconds(51); ok && d.Op == 2 {
		lease = (time.Duration(seconds) * time.Second).String()
		if seconds == 0xffffffff {
			lease = "∞"
		}
	}
	if option := d.Option(56); option != nil {
		reason = option.Describe()
	}
	return []any{
		"station", source, "client", r.client, "address", subject(d), "server", server, "lease", lease, "reason", reason,
	}
}

// travel says how the packet reaches its receivers: both layers, because they may differ.
func (r *Record) travel(say Speaker) string {
	var parts []string
	switch way := say.T(r.way()); {
	case r.Ethernet != nil:
		parts = append(parts, say.T("watch.say.link", "way", way, "src", r.Ethernet.Source, "dst", r.Ethernet.Destination))
	case r.From() != nil:
		parts = append(parts, say.T("watch.say.link-from", "way", way, "src", r.From()))
	}
	if r.IP != nil {
		id := "watch.say.ip"
		pairs := []any{"src", r.IP.Source, "dst", r.IP.Destination}
		if r.UDP != nil {
			id, pairs = "watch.say.udp", append(pairs, "sport", r.UDP.SourcePort, "dport", r.UDP.DestinationPort)
		}
		parts = append(parts, say.T(id, pairs...))
	}
	return strings.Join(parts, ", ")
}

// way is the message that names how the frame is addressed.
func (r *Record) way() string {
	switch {
	case r.Broadcast():
		return "watch.way.broadcast"
	case r.Multicast():
		return "watch.way.multicast"
	default:
		return "watch.way.unicast"
	}
}
