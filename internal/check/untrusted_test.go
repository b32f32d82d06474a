package check_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"unicode"

	"github.com/kvmlab/kvmlab/internal/check"
)

// TestWhatGuestsSay has guests print escape sequences to whatever they are asked: no reason that a check gives may have them.
func TestWhatGuestsSay(t *testing.T) {
	const evil = "\x1b[2J\x1b]0;title\x07\u202eevil\u009b31m\x7f\xff"
	for name, test := range map[string]struct{ assert, text string }{
		"the state of a unit":   {`service: {guest: srv, unit: x}`, evil},
		"a value in a file":     {`file: {guest: srv, path: /etc/x, format: defaults, key: a, value: b}`, "a=" + evil},
		"a value of a kind":     {`file: {guest: srv, path: /etc/x, format: kea, key: a, value: b}`, `{"a": "` + evil + `"}`},
		"words of a dhcpd.conf": {`file: {guest: srv, path: /etc/x, format: dhcpd, key: a, value: b}`, `a "` + evil + `";`},
		"what a command prints": {`command: {guest: srv, run: x, match: y}`, evil},
		"why a command fails":   {`command: {guest: srv, run: x, status: 1}`, evil},
		"a very long line":      {`service: {guest: srv, unit: x}`, strings.Repeat("long\x1b ", 100_000)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				results := tryChecks(t, "- {id: it, message: {en: a, es: b, ca: c}, assert: {"+test.assert+"}}", &evidence{
					prints: map[string]check.Output{"pc1": {}, "srv": {Text: test.text}},
				}, nil)
				why := results[0].Verdict.Why
				if results[0].State != check.Failed || len(why.Args) == 0 {
					t.Fatalf("%s: %v", results[0].State, why)
				}
				said := false
				for _, arg := range why.Args {
					text, _ := arg.(string)
					said = said || strings.Contains(text, `\x1b`)
					if len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
						t.Errorf("%s: %.200q", why.ID, text)
					}
				}
				if !said {
					t.Errorf("what the guest said is not there: %v", why)
				}
			})
		})
	}
}

// TestAnAddressIsNoCommand has srv give a command in the place of its address: pc1, which is to ping it, must not run it.
func TestAnAddressIsNoCommand(t *testing.T) {
	for _, address := range []string{"$(reboot)", "1.1.1.1;reboot", "-f", "`reboot`", "1.1.1.1&", "", "::1", "1.1.1.1.1"} {
		for _, assert := range []string{"ping: {from: pc1, to: srv}", "arp: {from: pc1, to: srv}"} {
			synctest.Test(t, func(t *testing.T) {
				e := &evidence{prints: map[string]check.Output{"pc1": {}, "srv": {Text: "2: eth0 inet " + address + "/24 scope global eth0\n"}}}
				results := tryChecks(t, "- {id: it, message: {en: a, es: b, ca: c}, assert: {"+assert+"}}", e, nil)
				if got := results[0].Verdict.Why.ID; got != "check.why.no-address" {
					t.Errorf("%q: %s", address, got)
				}
				for _, asked := range e.asked {
					if strings.HasPrefix(asked, "pc1: ") {
						t.Errorf("%q: %s", address, asked)
					}
				}
			})
		}
	}
}
