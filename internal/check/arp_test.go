package check_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/check"
)

// arpCache is a guest that has known an address, which nobody has any more.
type arpCache struct{ check.Evidence }

// Guest implements check.Evidence.
func (arpCache) Guest(_ context.Context, _, script string) (check.Output, error) {
	known := "192.168.1.50 0x1 0x2 02:00:00:00:00:09 * eth0\n"
	if strings.Contains(script, "ip neigh flush to 192.168.1.50") {
		known = "192.168.1.50 0x1 0x0 00:00:00:00:00:00 * eth0\n"
	}
	return check.Output{Text: "IP address HW type Flags HW address Mask Device\n" + known}, nil
}

// TestARPOfYesterday: what a guest still remembers is no evidence of what is on its link now.
func TestARPOfYesterday(t *testing.T) {
	t.Parallel()
	src := `
version: 1
checks:
  - id: neighbour
    within: 1ms
    message: {en: m, es: m, ca: m}
    assert: {arp: {from: pc1, to: 192.168.1.50}}
`
	file, err := check.Parse("checks.yaml", []byte(src), parseLab(t))
	if err != nil {
		t.Fatal(err)
	}
	r := &check.Runner{File: file, Evidence: arpCache{}, Now: time.Now}
	results, err := r.Run(t.Context())
	if err != nil || results[0].State != check.Failed || results[0].Verdict.Why.ID != "check.why.no-neighbour" {
		t.Errorf("%v, %v: %+v", results[0].State, err, results[0].Verdict.Why)
	}
}
