package check_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// wireOnly is evidence that consists of packets.
type wireOnly struct {
	check.Evidence

	records []*watch.Record
}

// Wire implements check.Evidence.
func (w wireOnly) Wire(context.Context) ([]*watch.Record, error) { return w.records, nil }

// offers are an OFFER of pc1's from a guest, and a newer one from the embedded server.
func offers(t *testing.T, l *lab.Lab) []*watch.Record {
	t.Helper()
	pc1, _ := l.Guest("pc1")
	srv, _ := l.Guest("srv")
	offer := func(station string, mac []byte) *watch.Record {
		return &watch.Record{
			Packet: &capture.Packet{
				Ethernet: &capture.Ethernet{Source: mac},
				IP:       &capture.IPv4{Source: netip.MustParseAddr("192.168.1.1")},
				DHCP:     &capture.DHCP{Type: capture.Offer, CHAddr: pc1.NICs[0].MAC[:]},
			},
			Stations: &watch.Stations{Source: station, Destination: "pc1"},
		}
	}
	return []*watch.Record{offer("srv:eth0", srv.NICs[0].MAC[:]), offer("server", []byte{2, 0, 0, 0, 0, 9})}
}

// TestAnswers asks about one server of two, about the newest of all, and about a card.
func TestAnswers(t *testing.T) {
	t.Parallel()
	l, err := lab.Resolve(parseLab(t), lab.ResolveOptions{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	srv, _ := l.Guest("srv")
	for _, test := range []struct{ name, about, right, wrong string }{
		{"newest", "guest: pc1, type: OFFER, field: src_mac", "02-00-00-00-00-09", srv.NICs[0].MAC.String()},
		{"of one server", "guest: pc1, type: OFFER, server: srv, field: src_mac", srv.NICs[0].MAC.String(), "02:00:00:00:00:09"},
		{"first card", "guest: srv, field: mac", srv.NICs[0].MAC.String(), srv.NICs[1].MAC.String()},
		{"second card", "guest: srv, nic: eth1, field: mac", srv.NICs[1].MAC.String(), "no address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			src := fmt.Sprintf("version: 1\nchecks:\n  - id: question\n    message: &text {en: m, es: m, ca: m}\n"+
				"    assert: {answer: {%s, ask: *text}}\nsolution: [{answer: question}]\n", test.about)
			file, err := check.Parse("checks.yaml", []byte(src), parseLab(t))
			if err != nil {
				t.Fatal(err)
			}
			r := &check.Runner{File: file, Lab: l, Evidence: wireOnly{records: offers(t, l)}, Now: time.Now}
			judge := func(answer string, want check.State) {
				r.Answers = map[string]string{"question": answer}
				results, err := r.Run(t.Context())
				if err != nil || results[0].State != want {
					t.Errorf("%q: %v, %v; want %v", answer, results[0].State, err, want)
				}
			}
			judge(test.right, check.Passed)
			judge(test.wrong, check.Failed)
			if err := r.Apply(t.Context(), file.Solution); err != nil {
				t.Fatal(err)
			}
			judge(r.Answers["question"], check.Passed)
		})
	}
}
