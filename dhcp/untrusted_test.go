package dhcp_test

import (
	"strings"
	"testing"
)

// TestHostNames are what the server makes of option 12: letters of any script stay, and nothing acts on a terminal.
func TestHostNames(t *testing.T) {
	for name, want := range map[string]string{
		"pc1":                    "pc1",
		"portàtil-de-josé":       "portàtil-de-josé",
		"教室-3":                   "教室-3",
		"pc1\x00\x00":            "pc1",
		"evil\x1b[2J":            `evil\x1b[2J`,
		"gpj\u202e.exe":          `gpj\u202e.exe`,
		"\u009b31m":              `\u009b31m`,
		"a\xffb":                 `a\xffb`,
		strings.Repeat("é", 40):  strings.Repeat("é", 32),
		strings.Repeat("\r", 99): strings.Repeat(`\r`, 32),
	} {
		d := newDesk(t, nil)
		d.lease(alice, with(12, []byte(name)...))
		leases := d.table.Leases(d.now)
		if len(leases) != 1 || leases[0].Hostname != want {
			t.Errorf("%q: %+v, want %q", name, leases, want)
		}
		for _, event := range d.said {
			if event.Hostname != want {
				t.Errorf("%q: the event says %q, want %q", name, event.Hostname, want)
			}
		}
	}
}
