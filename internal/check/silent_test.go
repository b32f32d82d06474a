package check_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/check"
)

// TestSilentGuests has one guest that no check can look into: those that need it say so, and why as far as it is known; the
// others run.
func TestSilentGuests(t *testing.T) {
	for why, err := range map[string]error{
		"no-agent":  &check.SilentError{Guest: "srv"},
		"guest-off": &check.SilentError{Guest: "srv", Off: true},
		"no-boot":   &check.SilentError{Guest: "srv", Words: "Kernel panic"},
		"nonsense":  &check.SilentError{Guest: "srv", Nonsense: true},
		"refused":   &check.SilentError{Guest: "srv", Refused: "no room"},
		"late":      &check.SilentError{Guest: "srv", Late: true},
	} {
		t.Run(why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &evidence{said: dora(1, second), prints: map[string]check.Output{"pc1": {}}, silent: map[string]error{"srv": err}}
				results := tryChecks(t, `
- {id: port, message: {en: a, es: b, ca: c}, assert: {port: {guest: srv, port: 67}}}
- {id: record, message: {en: a, es: b, ca: c}, assert: {lease: {guest: pc1, server: srv}}}
- {id: wire, message: {en: a, es: b, ca: c}, assert: {exchange: {guest: pc1, server: srv}}}
- {id: ping, message: {en: a, es: b, ca: c}, assert: {ping: {from: pc1, to: 192.168.1.1}}}
- {id: both, message: {en: a, es: b, ca: c}, assert: {ping: {from: pc1, to: srv}}}`, e, nil)
				var got []string
				for _, r := range results {
					got = append(got, r.Check.ID.Value+" "+r.State.String()+" "+strings.TrimPrefix(r.Verdict.Why.ID, "check.why."))
					if args := r.Verdict.Why.Args; len(args) > 1 && (args[0] != "guest" || args[1] != "srv") {
						t.Errorf("%s blames %v", r.Check.ID.Value, args)
					}
				}
				want := []string{"port failed " + why, "record failed " + why, "wire passed ", "ping passed ", "both failed " + why}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}
