package dhcp_test

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kvmlab/kvmlab/dhcp"
)

// model is what the clients of a server believe, beside the table that it keeps and the journal that outlives it. It
// knows nothing of how the table decides: only what must never happen.
type model struct {
	table   *dhcp.Table
	cfg     dhcp.Config
	now     time.Time
	journal []byte // what is on the disk
	last    uint64 // the sequence of its last record
	xid     uint32

	leases  map[int]belief // by client: what an ACK has told it
	offers  map[int]belief // by client: what an OFFER has told it
	probing map[netip.Addr]pending
}

// belief is an address that a client was told of, and until when it counts on it.
type belief struct {
	addr netip.Addr
	end  time.Time
}

// pending is a DISCOVER that waits for a probe.
type pending struct {
	client  int
	payload []byte
}

const modelClients = 6

func modelConfig(probe bool) dhcp.Config {
	return dhcp.Config{
		Interfaces: []dhcp.Interface{{Name: "br1", Address: serverIP}},
		Subnets: []dhcp.Subnet{{
			Prefix: netip.MustParsePrefix("192.168.1.0/24"),
			Ranges: []dhcp.Range{{First: ip("192.168.1.20"), Last: ip("192.168.1.24")}},
			Lease:  20 * time.Second, MinLease: 5 * time.Second, MaxLease: 60 * time.Second,
			Reservations: []dhcp.Reservation{
				{MAC: eth(modelMAC(0)), Address: ip("192.168.1.21")}, {MAC: eth(modelMAC(1)), Address: ip("192.168.1.90")},
			},
		}},
		RapidCommit: true, NoProbe: !probe, OfferHold: 30 * time.Second, Quarantine: 40 * time.Second,
	}
}

func modelMAC(client int) net.HardwareAddr {
	return net.HardwareAddr{2, 0, 0x5e, 0, 0x55, byte(client)}
}

func newModel(t *rapid.T) *model {
	m := &model{
		cfg: modelConfig(rapid.Bool().Draw(t, "probe")), now: time.Unix(1_800_000_000, 0), journal: dhcp.EmptyJournal(),
		leases: map[int]belief{}, offers: map[int]belief{}, probing: map[netip.Addr]pending{},
	}
	m.table = m.newTable(t)
	return m
}

func (m *model) newTable(t *rapid.T) *dhcp.Table {
	table, err := dhcp.NewTable(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// send puts a message of a client to the server. unicast says how it travels.
func (m *model) send(t *rapid.T, client int, msg *message, unicast bool) {
	m.xid++
	msg.xid = m.xid
	m.handle(t, client, msg.bytes(), unicast)
}

// handle lets the table decide, and then the disk, and then the clients hear of it.
func (m *model) handle(t *rapid.T, client int, payload []byte, unicast bool) {
	var parsed dhcp.Message
	if err := parsed.Parse(payload); err != nil {
		t.Fatal(err)
	}
	in := dhcp.Inbound{Src: nobody, Dst: everyone, Message: &parsed}
	if unicast {
		in.Dst = serverIP
	}
	r, events := dhcp.Handle(m.now, m.table, in)
	m.checkEvents(t, r, events)
	changes := m.table.Changes()
	if r.Type == dhcp.Ack && parsed.Type != dhcp.Inform && (!r.Commit || len(changes) == 0) {
		t.Fatalf("an ACK that does not wait for the disk: commit %v, %d octets of records", r.Commit, len(changes))
	}
	r.Payload = slices.Clone(r.Payload)
	m.last = dhcp.Stamp(changes, m.last)
	m.journal = append(m.journal, changes...)
	if r.Probe.IsValid() {
		m.probing[r.Probe] = pending{client, payload}
		return
	}
	if r.Type != 0 {
		m.hear(t, client, &parsed, r)
	}
}

// checkEvents: one decision about each message, first, and a reason for each event.
func (m *model) checkEvents(t *rapid.T, r dhcp.Reply, events []dhcp.Event) {
	for i, e := range events {
		if e.Reason == "" || e.Text() == "" || e.Decision == 0 || e.Direction == 0 {
			t.Fatalf("event without reason or text: %+v", e)
		}
		if decides := e.Decision != dhcp.DecisionNote; decides != (i == 0) && !r.Probe.IsValid() {
			t.Fatalf("event %d is %v", i, e.Decision)
		}
	}
	if len(events) == 0 && !r.Probe.IsValid() {
		t.Fatal("a message without an event")
	}
	if r.Type != 0 && r.Sent.Reason == "" {
		t.Fatal("a reply without a reason")
	}
}

// hear is what a client makes of a reply, and what must not be.
func (m *model) hear(t *rapid.T, client int, asked *dhcp.Message, r dhcp.Reply) {
	reply := readReply(frame{payload: r.Payload})
	if reply.problem != "" || reply.kind != r.Type || reply.xid != asked.XID {
		t.Fatalf("reply %v: %s", r.Type, reply.problem)
	}
	told := belief{reply.yiaddr, m.now.Add(time.Duration(reply.seconds(51)) * time.Second)}
	switch {
	case r.Type == dhcp.Nak:
		delete(m.leases, client)
	case asked.Type == dhcp.Inform:
	case r.Type == dhcp.Offer:
		m.mustBeFree(t, client, told.addr)
		for other, o := range m.offers {
			if other != client && o.addr == told.addr && o.end.After(m.now) {
				t.Fatalf("%v was offered to client %d and to client %d", told.addr, other, client)
			}
		}
		m.offers[client] = belief{told.addr, m.now.Add(m.cfg.OfferHold)}
	default:
		m.mustBeFree(t, client, told.addr)
		m.leases[client] = told
		delete(m.offers, client)
	}
}

// mustBeFree: an address that a client gets is nobody else's.
func (m *model) mustBeFree(t *rapid.T, client int, a netip.Addr) {
	if !a.IsValid() || a == nobody {
		t.Fatalf("a reply without an address")
	}
	for other, l := range m.leases {
		if other != client && l.addr == a && l.end.After(m.now) {
			t.Fatalf("client %d gets %v, which client %d has until %v", client, a, other, l.end.Sub(m.now))
		}
	}
}

// check compares the table, as it is and as the disk would restore it, with what clients believe.
func (m *model) check(t *rapid.T) {
	restored := m.newTable(t)
	if end, _, rest := restored.Load(m.journal); rest || end != len(m.journal) {
		t.Fatalf("the journal is readable up to %d of %d octets", end, len(m.journal))
	}
	for name, table := range map[string]*dhcp.Table{"table": m.table, "restored": restored} {
		if wrong := table.Contradictions(); len(wrong) > 0 {
			t.Fatalf("%s: %v", name, wrong)
		}
		held := map[netip.Addr]dhcp.Lease{}
		for _, l := range table.Leases(m.now) {
			if _, twice := held[l.Address]; twice {
				t.Fatalf("%s: %v is there twice", name, l.Address)
			}
			held[l.Address] = l
		}
		for client, b := range m.leases {
			l := held[b.addr]
			if b.end.After(m.now) && (l.State != dhcp.StateBound || l.MAC != eth(modelMAC(client)) || l.Expires.Before(b.end)) {
				t.Fatalf("%s: client %d counts on %v for %v; the server has %+v", name, client, b.addr, b.end.Sub(m.now), l)
			}
		}
	}
}

func (m *model) actions() map[string]func(*rapid.T) {
	client := rapid.IntRange(0, modelClients-1)
	address := rapid.Map(rapid.IntRange(18, 26), func(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 1, byte(n)}) })
	known := func(t *rapid.T, c int) netip.Addr { // the address that a client would speak of, or any
		b, ok := m.leases[c]
		if !ok {
			b, ok = m.offers[c]
		}
		if other := address.Draw(t, "address"); !ok || rapid.IntRange(0, 3).Draw(t, "any") == 0 {
			return other
		}
		return b.addr
	}
	return map[string]func(*rapid.T){
		"": m.check,
		"discover": func(t *rapid.T) {
			var changes []change
			if rapid.Bool().Draw(t, "wants") {
				changes = append(changes, withAddress(50, address.Draw(t, "address")))
			}
			if rapid.IntRange(0, 5).Draw(t, "rapid") == 0 {
				changes = append(changes, with(80))
			}
			if rapid.Bool().Draw(t, "time") {
				changes = append(changes, withSeconds(51, rapid.Uint32Range(0, 100).Draw(t, "seconds")))
			}
			c := client.Draw(t, "client")
			delete(m.offers, c) // whoever asks anew has not chosen the last one
			m.send(t, c, newMessage(dhcp.Discover, modelMAC(c), changes...), false)
		},
		"select": func(t *rapid.T) {
			c := client.Draw(t, "client")
			a := address.Draw(t, "address")
			if o, ok := m.offers[c]; ok && rapid.IntRange(0, 4).Draw(t, "any") > 0 {
				a = o.addr
			}
			m.send(t, c, selecting(modelMAC(c), a), false)
		},
		"select another server": func(t *rapid.T) {
			c := client.Draw(t, "client")
			msg := newMessage(dhcp.Request, modelMAC(c), withAddress(50, known(t, c)), withAddress(54, strangerIP))
			delete(m.offers, c)
			m.send(t, c, msg, false)
		},
		"reboot": func(t *rapid.T) {
			c := client.Draw(t, "client")
			m.send(t, c, reboot(modelMAC(c), known(t, c)), false)
		},
		"extend": func(t *rapid.T) {
			c := client.Draw(t, "client")
			_, msg := renewal(modelMAC(c), known(t, c))
			m.send(t, c, msg, rapid.Bool().Draw(t, "unicast"))
		},
		"release": func(t *rapid.T) {
			c := client.Draw(t, "client")
			a := known(t, c)
			if m.leases[c].addr == a {
				delete(m.leases, c)
			}
			_, msg := releasing(modelMAC(c), a, serverIP)
			m.send(t, c, msg, true)
		},
		"decline": func(t *rapid.T) {
			c := client.Draw(t, "client")
			a := known(t, c)
			if m.leases[c].addr == a {
				delete(m.leases, c)
			}
			delete(m.offers, c)
			m.send(t, c, declining(modelMAC(c), a, serverIP), false)
		},
		"inform": func(t *rapid.T) {
			c := client.Draw(t, "client")
			m.send(t, c, newMessage(dhcp.Inform, modelMAC(c), withCIAddr(address.Draw(t, "address"))), true)
		},
		"probe ends": func(t *rapid.T) {
			if len(m.probing) == 0 {
				return
			}
			addrs := slices.SortedFunc(maps.Keys(m.probing), netip.Addr.Compare)
			a := rapid.SampledFrom(addrs).Draw(t, "probed")
			p := m.probing[a]
			delete(m.probing, a)
			if rapid.IntRange(0, 2).Draw(t, "answered") == 0 {
				for _, e := range m.table.Conflict(m.now, a, eth(bob)) {
					if e.Reason != dhcp.ReasonConflict {
						t.Fatalf("event %+v", e)
					}
				}
				changes := m.table.Changes()
				m.last = dhcp.Stamp(changes, m.last)
				m.journal = append(m.journal, changes...)
			} else {
				m.table.Clear(m.now, a)
			}
			m.handle(t, p.client, p.payload, false)
		},
		"time": func(t *rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.IntRange(1, 50).Draw(t, "seconds")) * time.Second)
		},
		"crash": func(t *rapid.T) {
			m.table = m.newTable(t)
			m.table.Load(m.journal)
			clear(m.offers)
			clear(m.probing)
		},
		"compaction": func(*rapid.T) {
			m.journal = m.table.Journal()
			m.last = uint64(dhcp.Records(m.journal))
		},
	}
}

// TestModel plays random exchanges of several clients, with lost time, crashes and compactions, and wants: no address
// bound to two clients, no ACK before its lease is on the disk, no address offered to two clients at once, a reason for
// every event, and everything that a client counts on there after a crash.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { t.Repeat(newModel(t).actions()) })
}
