package watch_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

var (
	pcMAC     = capture.HardwareAddr{2, 0, 0x5e, 0, 0x53, 1}
	serverMAC = capture.HardwareAddr{2, 0, 0x5e, 0, 0x53, 0xfe}
	everybody = capture.HardwareAddr{255, 255, 255, 255, 255, 255}
	start     = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
)

// message describes a DHCP packet as Decode would.
type message struct {
	kind    capture.MessageType
	xid     capture.XID
	ciaddr  string
	yiaddr  string
	to      string // L3 destination; "": broadcast
	options map[int]any
}

func (m message) packet(at time.Duration) *capture.Packet {
	addr := func(s string) netip.Addr {
		if s == "" {
			return netip.IPv4Unspecified()
		}
		return netip.MustParseAddr(s)
	}
	p := &capture.Packet{
		Time: start.Add(at), Ethernet: &capture.Ethernet{Source: pcMAC, Destination: everybody, Type: capture.TypeIPv4},
		IP:  &capture.IPv4{Source: netip.IPv4Unspecified(), Destination: addr("255.255.255.255"), Protocol: 17},
		UDP: &capture.UDP{SourcePort: 68, DestinationPort: 67},
		DHCP: &capture.DHCP{
			Op: 1, XID: m.xid, CHAddr: pcMAC, Type: m.kind, CIAddr: addr(m.ciaddr), YIAddr: addr(m.yiaddr), SIAddr: addr(""),
			GIAddr: addr(""), Options: map[int]*capture.Option{},
		},
	}
	if m.kind == capture.Offer || m.kind == capture.Ack || m.kind == capture.Nak {
		p.DHCP.Op = 2
		p.Ethernet.Source, p.Ethernet.Destination = serverMAC, pcMAC
		p.UDP.SourcePort, p.UDP.DestinationPort = 67, 68
		p.IP.Source = addr("192.168.1.1")
	}
	if m.to != "" {
		p.IP.Destination = addr(m.to)
	}
	for code, value := range m.options {
		p.DHCP.Options[code] = &capture.Option{Name: capture.OptionName(code), Value: value}
	}
	return p
}

var (
	offered = netip.MustParseAddr("192.168.1.2")
	chosen  = netip.MustParseAddr("192.168.1.1")
)

// TestStates walks a client through every state, and reads step and note on the way.
func TestStates(t *testing.T) {
	t.Parallel()
	lease := map[int]any{51: uint32(600), 54: chosen}
	steps := []struct {
		at    time.Duration
		m     message
		step  string
		state watch.ClientState
		note  string
	}{
		{0, message{kind: capture.Discover, xid: 1}, "1/4", watch.Selecting, "1/4 DISCOVER from pc1"},
		{1, message{kind: capture.Offer, xid: 1, yiaddr: "192.168.1.2", options: lease}, "2/4", watch.Selecting, "2/4 OFFER 192.168.1.2 to pc1"},
		{2, message{kind: capture.Request, xid: 1, options: map[int]any{50: offered, 54: chosen}}, "3/4", watch.Requesting, "3/4 REQUEST 192.168.1.2 from pc1"},
		{3, message{kind: capture.Ack, xid: 1, yiaddr: "192.168.1.2", options: lease}, "4/4", watch.Bound, "4/4 ACK 192.168.1.2 to pc1"},
		{300, message{kind: capture.Request, xid: 2, ciaddr: "192.168.1.2", to: "192.168.1.1"}, "1/2", watch.Renewing, "1/2 REQUEST 192.168.1.2 from pc1"},
		{525, message{kind: capture.Request, xid: 2, ciaddr: "192.168.1.2"}, "1/2", watch.Rebinding, "1/2 REQUEST 192.168.1.2 from pc1"},
		{526, message{kind: capture.Ack, xid: 2, yiaddr: "192.168.1.2", options: lease}, "2/2", watch.Bound, "2/2 ACK 192.168.1.2 to pc1"},
		{530, message{kind: capture.Inform, xid: 3, ciaddr: "192.168.1.2"}, "1/2", watch.Bound, "1/2 INFORM 192.168.1.2 from pc1"},
		{531, message{kind: capture.Ack, xid: 3, options: map[int]any{54: chosen}}, "2/2", watch.Bound, "2/2 ACK to pc1"},
		{540, message{kind: capture.Request, xid: 4, options: map[int]any{50: offered}}, "1/2", watch.InitReboot, "1/2 REQUEST 192.168.1.2 from pc1"},
		{541, message{kind: capture.Nak, xid: 4, options: map[int]any{54: chosen}}, "2/2", watch.Init, "2/2 NAK to pc1"},
		{550, message{kind: capture.Release, xid: 5, ciaddr: "192.168.1.2"}, "", watch.Init, "RELEASE 192.168.1.2 from pc1"},
	}
	names := watch.NewNames()
	names.Tell(pcMAC, "pc1", watch.Client)
	follower := watch.NewFollower(names)
	var exchanges []int
	for i, step := range steps {
		r := follower.Next(step.m.packet(step.at * time.Second))
		client := follower.Tracker.Clients()[0]
		if r.Step != step.step || client.State != step.state || r.Note != step.note {
			t.Errorf("packet %d: step %q, state %s, note %q; want %q, %s, %q", i+1, r.Step, client.State, r.Note, step.step, step.state, step.note)
		}
		exchanges = append(exchanges, r.Exchange)
	}
	if d := cmp.Diff([]int{1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5}, exchanges); d != "" {
		t.Errorf("exchanges: %s", d)
	}
	if got := names.Of(serverMAC); got != "server" {
		t.Errorf("the server is called %q", got)
	}
}

// TestLease: it begins with the REQUEST, T1 and T2 are from the wire or by default, and its end ends BOUND.
func TestLease(t *testing.T) {
	t.Parallel()
	follower := watch.NewFollower(watch.NewNames())
	follower.Next(message{kind: capture.Request, xid: 1, options: map[int]any{50: offered, 54: chosen}}.packet(0))
	follower.Next(message{kind: capture.Ack, xid: 1, yiaddr: "192.168.1.2", options: map[int]any{51: uint32(800), 54: chosen}}.packet(2 * time.Second))
	client := follower.Tracker.Clients()[0]
	want := &watch.Lease{
		Address: offered, Server: chosen, Start: start, Length: 800 * time.Second, T1: 400 * time.Second, T2: 700 * time.Second,
	}
	if d := cmp.Diff(want, client.Lease, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("lease (-want +got):\n%s", d)
	}
	if client.At(start.Add(799*time.Second)) != watch.Bound || client.At(start.Add(801*time.Second)) != watch.Init {
		t.Error("the lease's end does not end BOUND")
	}
	follower.Next(message{kind: capture.Ack, xid: 1, yiaddr: "192.168.1.2", options: map[int]any{
		51: uint32(0xffffffff), 54: chosen, 58: uint32(100), 59: uint32(200),
	}}.packet(3 * time.Second))
	if lease := client.Lease; lease.Length != 0 || lease.T1 != 100*time.Second || !lease.T1FromWire {
		t.Errorf("a lease for ever: %+v", lease)
	}
}

// TestSelection: of several guests or kinds one is enough, different conditions must all hold.
func TestSelection(t *testing.T) {
	t.Parallel()
	all, _ := records(t)
	tests := map[string]struct {
		filters []string
		want    int
	}{
		"none":               {nil, 29},
		"kind":               {[]string{"kind=dhcp"}, 12},
		"message type":       {[]string{"kind=OFFER"}, 3},
		"two kinds":          {[]string{"kind=arp,kind=offer"}, 7},
		"guest and kind":     {[]string{"guest=server,kind=arp"}, 1},
		"kind and BPF":       {[]string{"kind=dhcp", "src port 67"}, 6},
		"BPF with its name":  {[]string{"bpf=arp or udp"}, 16},
		"guest that is none": {[]string{"guest=pc9"}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			selection, err := watch.ParseSelection(test.filters)
			if err != nil {
				t.Fatal(err)
			}
			got := 0
			for _, r := range all {
				if selection.Wants(r) {
					got++
				}
			}
			if got != test.want {
				t.Errorf("%d packets, want %d", got, test.want)
			}
		})
	}
	for _, bad := range []string{"kind=dns", "greater 5"} {
		if _, err := watch.ParseSelection([]string{bad}); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

// TestSentences keeps one sentence of each kind in each language.
func TestSentences(t *testing.T) {
	t.Parallel()
	for _, lang := range cliuiLanguages {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			all, _ := records(t)
			say := speaker(t, lang)
			var text string
			for _, r := range all {
				r.Time = r.Time.In(time.Local)
				line := r.Sentence(say, 1500*time.Microsecond)
				text += line[len("15:04:05.000000 "):] + "\n"
			}
			golden(t, "sentences-"+lang+".golden", text)
		})
	}
}

var cliuiLanguages = []string{"en", "es", "ca"}

// TestTopics: every topic is found by each of its words, words are not shared, and every field that a DHCP packet has
// and the class looks at is explained.
func TestTopics(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	say := map[string]interface{ Has(string) bool }{}
	for _, lang := range cliuiLanguages {
		say[lang] = speaker(t, lang)
	}
	for _, topic := range watch.Topics() {
		for _, word := range append([]string{topic.Name}, topic.Words...) {
			if seen[word] != "" {
				t.Errorf("%q is a word for %s and for %s", word, seen[word], topic.Name)
			}
			seen[word] = topic.Name
			if found, ok := watch.FindTopic("  " + word); !ok || found.Message != topic.Message {
				t.Errorf("%q finds %q, want %q", word, found.Name, topic.Name)
			}
		}
		for lang, messages := range say {
			if !messages.Has(topic.Message) {
				t.Errorf("%s: no message %s", lang, topic.Message)
			}
		}
	}
	all, _ := records(t)
	for _, field := range all[1].Fields() {
		if _, ok := watch.TopicOf(field); !ok && field.Code != 81 && field.Key != "ip.total_length" && field.Key != "ip.id" &&
			field.Key != "ip.proto" && field.Key != "udp.length" {
			t.Errorf("nothing explains %s (%s)", field.Key, field.Name)
		}
	}
}
