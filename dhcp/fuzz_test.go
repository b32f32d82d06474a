package dhcp_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// seedMessages are a message of each kind, and what is odd but sound.
func seedMessages() [][]byte {
	return [][]byte{
		newMessage(dhcp.Discover, alice, asking(1, 3, 6, 15, 121), with(61, 0, 1, 2), with(12, 'p', 'c')).bytes(),
		newMessage(dhcp.Discover, alice, with(80), asking(108), with(116, 1)).bytes(),
		selecting(alice, ip("192.168.1.20"), withSize(1400)).bytes(),
		reboot(alice, ip("192.168.1.20")).bytes(),
		newMessage(dhcp.Request, alice, withCIAddr(ip("192.168.1.20"))).bytes(),
		newMessage(dhcp.Inform, bob, withCIAddr(ip("192.168.1.77"))).bytes(),
		declining(alice, ip("192.168.1.20"), serverIP).bytes(),
		newMessage(dhcp.Release, alice, withCIAddr(ip("192.168.1.20")), withAddress(54, serverIP)).bytes(),
		newMessage(dhcp.Discover, bob, throughRelay(relayIP), with(82, 5, 4, 10, 10, 0, 0, 1, 1, 7)).bytes(),
		newMessage(dhcp.Discover, bob, withAddress(118, ip("10.9.0.0"))).bytes(),
		newMessage(dhcp.Discover, alice, with(52, 3), func(m *message) {
			m.file, m.sname = []byte{61, 2, 0, 1, 255}, []byte{61, 1, 2, 255}
		}).bytes(),
		newMessage(dhcp.Discover, alice, with(61, 1), asking(1), with(61, 2), asking(3)).bytes(),
		newMessage(dhcp.Discover, alice, func(m *message) { m.noEnd = true }).bytes(),
	}
}

// FuzzParse: no datagram makes the parser panic or read beyond it, and the stations' own codec finds the same options
// wherever it finds a message.
func FuzzParse(f *testing.F) {
	for _, b := range seedMessages() {
		f.Add(b)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again dhcp.Message
		if err := m.Parse(b); err != nil {
			return
		}
		r := readReply(frame{payload: b})
		for _, code := range m.Codes(nil) {
			if !m.Has(code) || m.Option(code) == nil {
				t.Errorf("option %d is there and has no value", code)
			}
			if !bytes.Equal(m.Option(code), r.option(code)) {
				t.Errorf("option %d: %x, want %x", code, m.Option(code), r.option(code))
			}
		}
		if err := again.Parse(b); err != nil || again.XID != m.XID || again.Type != m.Type {
			t.Errorf("read again: %v", err)
		}
	})
}

// fuzzTable is a table with a lease, an offer and every feature turned on.
func fuzzTable(tb testing.TB, now time.Time) *dhcp.Table {
	tb.Helper()
	set := setup{
		first: one, last: "192.168.1.22", rapidCommit: true, authoritative: true, probe: true, v6Only: time.Hour,
		noAutoConf: true, options: append(long(300, 100), dhcp.Option{Code: 121, Value: []byte{0, 192, 168, 1, 1}}),
	}
	table, err := dhcp.NewTable(set.config())
	if err != nil {
		tb.Fatal(err)
	}
	for _, m := range []*message{selecting(alice, ip(one)), newMessage(dhcp.Discover, bob)} {
		var parsed dhcp.Message
		if err := parsed.Parse(m.bytes()); err != nil {
			tb.Fatal(err)
		}
		dhcp.Handle(now, table, dhcp.Inbound{Src: nobody, Dst: everyone, Message: &parsed})
	}
	return table
}

// FuzzHandle: whatever arrives, once and again, there is one decision with a reason, and every reply is sound.
func FuzzHandle(f *testing.F) {
	for _, b := range seedMessages() {
		f.Add(b, false)
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, unicast bool) {
		var m dhcp.Message
		if err := m.Parse(b); err != nil {
			return
		}
		now := time.Unix(1_800_000_000, 0)
		table := fuzzTable(t, now)
		in := dhcp.Inbound{Src: nobody, Dst: everyone, Message: &m}
		if unicast {
			in.Dst = serverIP
		}
		for range 3 {
			r, events := dhcp.Handle(now, table, in)
			if r.Probe.IsValid() {
				checkUndecided(t, r, events)
				table.Clear(now, r.Probe)
				r, events = dhcp.Handle(now, table, in)
			}
			checkHandled(t, &m, r, events)
			if wrong := table.Contradictions(); len(wrong) > 0 {
				t.Error(wrong)
			}
			now = now.Add(time.Minute)
		}
		if err := m.Parse(b); err != nil {
			t.Errorf("the message was changed: %v", err)
		}
	})
}

// checkUndecided is what holds for a message that waits for a probe.
func checkUndecided(t *testing.T, r dhcp.Reply, events []dhcp.Event) {
	t.Helper()
	if r.Type != 0 || len(r.Payload) > 0 {
		t.Errorf("a reply before the probe: %+v", r)
	}
	for _, e := range events {
		if e.Decision != dhcp.DecisionNote {
			t.Errorf("a decision before the probe: %+v", e)
		}
	}
}

// checkHandled is what holds for every message.
func checkHandled(t *testing.T, m *dhcp.Message, r dhcp.Reply, events []dhcp.Event) {
	t.Helper()
	if r.Probe.IsValid() {
		t.Errorf("%v is probed again", r.Probe)
	}
	if len(events) == 0 {
		t.Fatal("no event")
	}
	for i, e := range events {
		if e.Reason == "" || e.Text() == "" || e.Direction != dhcp.In {
			t.Errorf("event without reason: %+v", e)
		}
		if decides := e.Decision != dhcp.DecisionNote; decides != (i == 0) {
			t.Errorf("event %d is %v", i, e.Decision)
		}
	}
	decided := map[dhcp.MessageType]dhcp.Decision{
		dhcp.Offer: dhcp.DecisionOffer, dhcp.Ack: dhcp.DecisionAck, dhcp.Nak: dhcp.DecisionNak,
	}
	switch got := events[0].Decision; {
	case r.Type != 0 && decided[r.Type] != got:
		t.Errorf("%v after the decision to %v", r.Type, got)
	case r.Type == 0 && got != dhcp.DecisionIgnore && got != dhcp.DecisionAccept:
		t.Errorf("silence after the decision to %v", got)
	case r.Type == 0:
		return
	}
	reply := readReply(frame{payload: r.Payload})
	if reply.problem != "" || reply.xid != m.XID || reply.op != 2 || reply.parts[0].Code != 53 {
		t.Errorf("reply: %q %x", reply.problem, r.Payload)
	}
	room := 548
	if v := m.Option(57); len(v) == 2 {
		room = min(max(548, int(binary.BigEndian.Uint16(v))-28), 1472)
	}
	if n := len(r.Payload); n < 300 || n > room {
		t.Errorf("reply of %d octets, the client takes %d", n, room)
	}
	if !r.To.IP.IsValid() || r.To.Port != 67 && r.To.Port != 68 {
		t.Errorf("reply to %+v", r.To)
	}
}

// FuzzJournal: no file makes loading panic; what is loaded is consistent, and loads again as the same.
func FuzzJournal(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	whole := fuzzTable(f, now).Journal()
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(bytes.Clone(whole), make([]byte, 64)...))
	f.Add(dhcp.EmptyJournal())
	f.Add(movedJournal(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		table := fuzzTable(t, now.Add(-time.Hour))
		end, _, _ := table.Load(dhcp.Restamped(b))
		if end > len(b) {
			t.Fatalf("the good part ends at %d of %d", end, len(b))
		}
		again := fuzzTable(t, now.Add(-time.Hour))
		again.Load(table.Journal())
		want, got := table.Leases(now), again.Leases(now)
		if len(got) != len(want) {
			t.Fatalf("loaded again:\n%+v, want\n%+v", got, want)
		}
		for i, l := range want {
			if got[i].Address != l.Address || got[i].MAC != l.MAC || got[i].State != l.State {
				t.Fatalf("loaded again:\n%+v, want\n%+v", got, want)
			}
		}
		checkLoaded(t, table, now)
	})
}

// movedJournal says of a client that it has one address, and then that it has another, without a word of the first one's
// end, as a crash may leave it.
func movedJournal(tb testing.TB) []byte {
	tb.Helper()
	journal := dhcp.EmptyJournal()
	for _, a := range []string{one, "192.168.1.21"} {
		table, err := dhcp.NewTable(setup{}.config())
		if err != nil {
			tb.Fatal(err)
		}
		var parsed dhcp.Message
		if err := parsed.Parse(selecting(alice, ip(a)).bytes()); err != nil {
			tb.Fatal(err)
		}
		dhcp.Handle(start, table, dhcp.Inbound{Src: nobody, Dst: everyone, Message: &parsed})
		journal = append(journal, table.Changes()...)
	}
	return journal
}

// checkLoaded: no address is owned twice, no client has two addresses in one subnet, and what is given out from now on
// keeps it so.
func checkLoaded(t *testing.T, table *dhcp.Table, now time.Time) {
	t.Helper()
	for _, b := range append([][]byte{nil}, seedMessages()...) {
		var m dhcp.Message
		if b != nil && m.Parse(b) == nil {
			r, _ := dhcp.Handle(now, table, dhcp.Inbound{Src: nobody, Dst: everyone, Message: &m})
			if r.Probe.IsValid() {
				table.Clear(now, r.Probe)
			}
		}
		if wrong := table.Contradictions(); len(wrong) > 0 {
			t.Fatal(wrong)
		}
	}
}
