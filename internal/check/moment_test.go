package check_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// heard is evidence of a wire alone. What is looked for elsewhere panics.
type heard struct {
	check.Evidence

	records []*watch.Record
}

// Wire implements check.Evidence.
func (s heard) Wire(context.Context) ([]*watch.Record, error) { return s.records, nil }

// spoken is a DHCP message of pc1 or to it.
type spoken struct {
	at             time.Duration
	kind           capture.MessageType
	xid            capture.XID
	from, to       string // in IP
	ciaddr, giaddr string
}

func (m spoken) record(mac capture.HardwareAddr, number int) *watch.Record {
	addr := func(s string) netip.Addr {
		if s == "" {
			return netip.IPv4Unspecified()
		}
		return netip.MustParseAddr(s)
	}
	d := &capture.DHCP{
		Op: 1, XID: m.xid, Type: m.kind, CHAddr: mac, CIAddr: addr(m.ciaddr), YIAddr: addr(""), GIAddr: addr(m.giaddr),
		Options: map[int]*capture.Option{},
	}
	if m.kind == capture.Offer || m.kind == capture.Ack {
		d.Op, d.Options[51] = 2, &capture.Option{Value: uint32(60)}
	}
	return &watch.Record{
		Number: number, Exchange: int(m.xid), Stations: &watch.Stations{Source: "pc1", Destination: "broadcast"},
		Packet: &capture.Packet{
			Time: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC).Add(m.at), Ethernet: &capture.Ethernet{Source: mac, Destination: mac},
			IP: &capture.IPv4{Source: addr(m.from), Destination: addr(m.to)}, UDP: &capture.UDP{SourcePort: 68, DestinationPort: 67}, DHCP: d,
		},
	}
}

const relayServer, all = "192.168.1.1", "255.255.255.255"

// lifeOfALease is a lease of a minute whose server falls silent after the first renewal.
var lifeOfALease = []spoken{
	{at: 0, kind: capture.Discover, xid: 1, to: all},
	{at: 0, kind: capture.Offer, xid: 1, from: relayServer, to: "192.168.1.2"},
	{at: 0, kind: capture.Request, xid: 1, to: all},
	{at: 0, kind: capture.Ack, xid: 1, from: relayServer, to: "192.168.1.2"},
	{at: 30 * time.Second, kind: capture.Request, xid: 2, from: "192.168.1.2", to: relayServer, ciaddr: "192.168.1.2"},
	{at: 30 * time.Second, kind: capture.Ack, xid: 2, from: relayServer, to: "192.168.1.2"},
	{at: 60 * time.Second, kind: capture.Request, xid: 3, from: "192.168.1.2", to: relayServer, ciaddr: "192.168.1.2"},
	{at: 83 * time.Second, kind: capture.Request, xid: 3, from: "192.168.1.2", to: all, ciaddr: "192.168.1.2"},
	{at: 91 * time.Second, kind: capture.Discover, xid: 4, to: all},
}

// withOneXID is what dhclient makes of it: a new xid only for a new DISCOVER.
func withOneXID(wire []spoken) []spoken {
	out := slices.Clone(wire)
	for i := range out {
		out[i].xid = 1 + out[i].xid/4
	}
	return out
}

// relayed is one DISCOVER on both sides of a relay.
var relayed = []spoken{
	{kind: capture.Discover, xid: 1, to: all},
	{kind: capture.Discover, xid: 1, from: "10.0.0.1", to: "10.0.0.2", giaddr: relayServer},
}

func TestMoments(t *testing.T) {
	for _, c := range []struct {
		ask         string // settings of the question
		wire        []spoken
		right, lies string
	}{
		{"at: T1, field: dst_ip", lifeOfALease, relayServer, all},
		{"at: T2, field: dst_ip", lifeOfALease, all, relayServer},
		{"at: expiry, field: type", lifeOfALease, "DISCOVER", "REQUEST"},
		{"at: T1, field: dst_ip ", withOneXID(lifeOfALease), relayServer, all},
		{"at: T2, field: dst_ip ", withOneXID(lifeOfALease), all, relayServer},
		{"at: expiry, field: type ", withOneXID(lifeOfALease), "DISCOVER", "REQUEST"},
		{"type: REQUEST, field: dst_ip", lifeOfALease[:5], relayServer, all},
		{"type: DISCOVER, field: giaddr", relayed, relayServer, "10.0.0.1"},
		{"type: DISCOVER, field: src_ip", relayed, "10.0.0.1", "0.0.0.0"},
	} {
		t.Run(c.ask, func(t *testing.T) {
			r := questionRunner(t, c.ask, c.wire)
			if err := r.Apply(t.Context(), r.File.Solution); err != nil {
				t.Fatal(err)
			}
			if got := r.Answers["q"]; got != c.right {
				t.Errorf("the solution answers %q, not %q", got, c.right)
			}
			for answer, want := range map[string]check.State{c.right: check.Passed, c.lies: check.Failed, "": check.Failed} {
				r.Answers = map[string]string{"q": answer}
				results, err := r.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if results[0].State != want {
					t.Errorf("%q: %v, not %v", answer, results[0].State, want)
				}
			}
		})
	}
}

// questionRunner asks one question about pc1.
func questionRunner(t *testing.T, settings string, wire []spoken) *check.Runner {
	t.Helper()
	spec := parseLab(t)
	l, err := lab.Resolve(spec, lab.ResolveOptions{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	file, err := check.Parse("checks.yaml", fmt.Appendf(nil, `
version: 1
checks:
  - id: q
    assert: {answer: {guest: pc1, %s, ask: {en: q, es: q, ca: q}}}
    message: {en: q, es: q, ca: q}
solution: [{answer: q}]
`, settings), spec)
	if err != nil {
		t.Fatal(err)
	}
	pc1, _ := l.Guest("pc1")
	var evidence heard
	for i, m := range wire {
		evidence.records = append(evidence.records, m.record(capture.HardwareAddr(pc1.NICs[0].MAC[:]), i+1))
	}
	return &check.Runner{File: file, Lab: l, Evidence: evidence, Now: time.Now}
}
