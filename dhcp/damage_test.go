package dhcp_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// TestDamage: what a power cut leaves at the end of a journal is no damage; what is wrong before it is.
func TestDamage(t *testing.T) {
	t.Parallel()
	whole := fullJournal(t, dhcp.Config{
		Interfaces: []dhcp.Interface{{Name: "br1", Address: ip("10.0.0.1")}},
		Subnets: []dhcp.Subnet{{
			Prefix: netip.MustParsePrefix("10.0.0.0/8"), Lease: time.Hour,
			Ranges: []dhcp.Range{{First: ip("10.1.0.0"), Last: ip("10.1.1.0")}},
		}},
		NoProbe: true,
	}, 4)
	inFirst := append([]byte{}, whole...)
	inFirst[60] ^= 1
	header := append([]byte{}, whole...)
	header[3] ^= 1
	for name, test := range map[string]struct {
		journal []byte
		want    string
	}{
		"whole":               {whole, ""},
		"preallocated":        {append(append([]byte{}, whole...), make([]byte, 4096)...), ""},
		"torn":                {append(append([]byte{}, whole[:len(whole)-7]...), make([]byte, 4096)...), ""},
		"a flipped bit":       {inFirst, "damaged after octet 24, and records follow"},
		"another file's head": {header, "no valid header"},
		"empty":               {nil, "no valid header"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, dhcp.JournalName(1)), test.journal, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := dhcp.Damage(dir)
		if err != nil || (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := dhcp.Damage(filepath.Join(t.TempDir(), "none")); got != "" || err != nil {
		t.Errorf("no directory: %q, %v", got, err)
	}
}
