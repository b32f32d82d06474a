package dhcp_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// conformanceCase is one row of docs/dhcp-conformance.md: a stimulus on a real socket, and what must come of it. The
// same cases are tried on kvmlab (TestConformance) and on other servers (TestConformanceOthers).
type conformanceCase struct {
	name  string // stable: "delivery/giaddr" is the test TestConformance/delivery/giaddr
	rule  string // the required behaviour
	rfc   string // where it is written
	setup setup
	play  func(s *stage)
}

// allCases are in the order of the table.
func allCases() []conformanceCase {
	return slices.Concat(deliveryCases(), headerCases(), optionCases(), discoverCases(), requestCases(), otherCases(),
		relayCases(), extensionCases(), dropCases(), restartCases())
}

// on plays the case on a server. A *failureError is a failed check; any other error is a failed test.
func (c conformanceCase) on(tb testing.TB, srv subject, patience time.Duration) (err error) {
	tb.Helper()
	w := newWire(tb, c.setup.mtu)
	r, err := srv.start(tb, w, c.setup)
	if err != nil {
		return err
	}
	s := &stage{TB: tb, wire: w, running: r, set: c.setup, patience: patience}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case failure:
			err = &failureError{p.text}
		default:
			panic(p)
		}
	}()
	c.play(s)
	return nil
}

type failureError struct{ text string }

func (e *failureError) Error() string { return e.text }

// TestConformance is every row of the conformance table, over real sockets.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, c := range allCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := c.on(t, kvmlab{}, patient); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCasesAreDistinct keeps the table's rows apart.
func TestCasesAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range allCases() {
		if seen[c.name] || c.rule == "" || c.rfc == "" || strings.Contains(c.rule+c.rfc, "|") {
			t.Errorf("%s is there twice, or has no rule or RFC", c.name)
		}
		seen[c.name] = true
	}
}
