package check_test

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/station"
)

// byStation is an exchange of the first client that is a station.
func byStation(at time.Duration) []said {
	mac := station.Part{Role: station.Client, Number: 1}.MAC()
	messages := dora(7, at)
	for i := range messages {
		messages[i].client = mac[:]
		if messages[i].kind == dhcpv4.MessageTypeDiscover || messages[i].kind == dhcpv4.MessageTypeRequest {
			messages[i].from = net.HardwareAddr(mac[:])
		}
	}
	return messages
}

// TestStationTurns is about who plays when: clients that are stations beside each other and once for all checks with the
// same one, each when what its check needs has passed; a squatter alone, with guests that begin anew before it and after.
func TestStationTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &evidence{
			said: append(append(dora(1, second), byStation(3*second)...),
				said{kind: dhcpv4.MessageTypeDecline, from: pc1, xid: 1, at: second / 4}, // before the squatter's turn
				said{kind: dhcpv4.MessageTypeDecline, from: pc1, xid: 2, at: 6 * second},
				said{kind: dhcpv4.MessageTypeDiscover, from: pc1, xid: 3, at: 8 * second},
				said{kind: dhcpv4.MessageTypeOffer, from: rogue, xid: 3, at: 8 * second}),
			prints: map[string]check.Output{"pc1": {}, "srv": {}},
		}
		results := tryChecks(t, `
- {id: squatter, station: {plays: squatter, bridge: br1, address: 192.168.1.5}, message: {en: a, es: b, ca: c}, assert: {message: {guest: pc1, type: DECLINE}}}
- {id: after, needs: squatter, within: 4s, message: {en: a, es: b, ca: c}, assert: {server: {guest: pc1, server: srv}}}
- {id: guest, message: {en: a, es: b, ca: c}, assert: {exchange: {guest: pc1, server: srv}}}
- {id: client, needs: guest, station: {bridge: br1}, message: {en: a, es: b, ca: c}, assert: {exchange: {server: srv}}}
- {id: same, needs: guest, station: {bridge: br1}, message: {en: a, es: b, ca: c}, assert: {offer: {address: 192.168.1.5}}}`, e, nil)
		var got []string
		for _, r := range results {
			got = append(got, r.Check.ID.Value+" "+r.State.String()+" "+strings.TrimPrefix(r.Verdict.Why.ID, "check.why."))
		}
		want := []string{"squatter passed ", "after failed other-server", "guest passed ", "client passed ", "same passed "}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		for i, asked := range e.asked {
			if strings.Contains(asked, "dhcp-release") {
				e.asked[i] = "pc1 begins anew"
			}
		}
		turns := []string{
			"pc1 begins anew", "station begins", "station ends", "station-squatter begins", "pc1 begins anew", "station-squatter ends",
			"pc1 begins anew",
		}
		if diff := cmp.Diff(turns, e.asked); diff != "" {
			t.Errorf("turns (-want +got):\n%s", diff)
		}
	})
}

// TestBeforeTheExercise is about messages that were on the wire before the exercise began, or began anew.
func TestBeforeTheExercise(t *testing.T) {
	for _, test := range []struct {
		assert string
		said   []said
	}{
		{`message: {guest: pc1, type: RELEASE}`, []said{{kind: dhcpv4.MessageTypeRelease, from: pc1, xid: 1, ciaddr: offered, at: -second}}},
		{`renewal: {guest: pc1, at: T2}`, append(dora(1, -9*second),
			said{kind: dhcpv4.MessageTypeRequest, from: pc1, xid: 2, ciaddr: offered, at: -2 * second})},
	} {
		for begun, want := range map[time.Duration]check.State{-3 * second: check.Passed, -second / 2: check.Failed} {
			synctest.Test(t, func(t *testing.T) {
				r := newRunner(t, "- {id: it, message: {en: a, es: b, ca: c}, assert: {"+test.assert+"}}", &evidence{said: test.said}, nil)
				r.Begun = time.Now().Add(begun)
				results, err := r.Run(t.Context())
				if err != nil || results[0].State != want {
					t.Errorf("%s, begun %v ago: %s, want %s (%v)", test.assert, -begun, results[0].State, want, err)
				}
			})
		}
	}
}

// TestStationUnplugged is about a bridge that is not there.
func TestStationUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := tryChecks(t, `
- {id: a, station: {bridge: br2}, message: {en: a, es: b, ca: c}, assert: {silence: {server: any}}}`, &evidence{}, nil)
		if results[0].State != check.Failed || results[0].Verdict.Why.ID != "check.why.no-bridge" {
			t.Errorf("%s: %+v", results[0].State, results[0].Verdict)
		}
	})
}
