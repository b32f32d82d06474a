package lab_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/macgen"
)

const individualLab = `
version: 1
name: class
bridges:
  - name: br1
    address: 192.168.1.1/24
    dhcp: {range: [192.168.1.2-192.168.1.10], lease: 10m, dns: [192.168.1.1, 9.9.9.9]}
  - name: br2
    address: 192.168.2.1/26
    dhcp:
      range: [192.168.2.2-192.168.2.10]
      reservations: [{guest: pc1, address: 192.168.2.20}]
  - name: bare
guests:
  - name: pc1
    nics: [{bridge: br1}, {bridge: br2}]
  - name: pc2
    nics: [{bridge: br1}, {bridge: bare}]
`

// individual resolves the lab for one student.
func individual(t *testing.T, key string, words ...string) *lab.Lab {
	t.Helper()
	spec, err := lab.Parse("class.yaml", []byte(individualLab))
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.Resolve(spec, lab.ResolveOptions{Random: bytes.NewReader(bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7}, 100))})
	if err != nil {
		t.Fatal(err)
	}
	lab.Individualise(l, lab.Stream(key, words...))
	return l
}

func TestIndividualise(t *testing.T) {
	t.Parallel()
	same := cmp.Options{cmpopts.EquateComparable(macgen.MAC{}), cmpopts.EquateEmpty()}
	first := individual(t, "key", "ana")
	if !jsonEqual(t, first, individual(t, "key", "ana")) {
		t.Errorf("not the same every time: %s", cmp.Diff(first, individual(t, "key", "ana"), same))
	}
	subnets, macs, leases := map[string]string{}, map[macgen.MAC]string{}, map[time.Duration]bool{}
	for i := range 60 {
		who := fmt.Sprintf("s%d", i)
		l := individual(t, "key", who)
		for _, b := range l.Bridges[:2] {
			if other, taken := subnets[b.Address.Masked().String()]; taken {
				t.Errorf("%s of %s is %s, as of %s", b.Name, who, b.Address, other)
			}
			subnets[b.Address.Masked().String()] = who
			checkBridge(t, b)
			leases[b.DHCP.Lease] = true
		}
		if l.Bridges[2].Address.IsValid() {
			t.Errorf("the bare bridge of %s has %s", who, l.Bridges[2].Address)
		}
		for _, g := range l.Guests {
			for _, nic := range g.NICs {
				if err := macgen.ValidateStation(nic.MAC); err != nil || macs[nic.MAC] != "" {
					t.Errorf("%s %s: %s (%v), as of %q", who, g.Name, nic.MAC, err, macs[nic.MAC])
				}
				macs[nic.MAC] = who
			}
		}
		if r := l.Bridges[1].DHCP.Reservations[0]; r.MAC != l.Guests[0].NICs[1].MAC {
			t.Errorf("%s: the reservation is for %s, not %s", who, r.MAC, l.Guests[0].NICs[1].MAC)
		}
		if dns := l.Bridges[0].DHCP.DNS; dns[0] != l.Bridges[0].Address.Addr() || dns[1].String() != "9.9.9.9" {
			t.Errorf("%s: resolvers %v", who, dns)
		}
	}
	if len(leases) < 5 {
		t.Errorf("only %d lease times for 60 students", len(leases))
	}
}

// checkBridge looks whether a bridge's addresses still fit together.
func checkBridge(t *testing.T, b lab.Bridge) {
	t.Helper()
	subnet, d := b.Address.Masked(), b.DHCP
	pool := d.Ranges[0]
	switch {
	case !strings.HasPrefix(b.Address.String(), "10."):
		t.Errorf("%s is %s", b.Name, b.Address)
	case d.Router != b.Address.Addr():
		t.Errorf("%s: router %s of %s", b.Name, d.Router, b.Address)
	case pool.Count() != 9 || !subnet.Contains(pool.First) || !subnet.Contains(pool.Last) || pool.Contains(b.Address.Addr()):
		t.Errorf("%s: pool %s in %s", b.Name, pool, b.Address)
	case d.Lease < 5*time.Minute && b.Name == "br1" || d.Lease < 30*time.Second:
		t.Errorf("%s: lease %s", b.Name, d.Lease)
	}
	for _, r := range d.Reservations {
		if !subnet.Contains(r.Address) || pool.Contains(r.Address) {
			t.Errorf("%s: reservation of %s in %s", b.Name, r.Address, b.Address)
		}
	}
}

func jsonEqual(t *testing.T, x, y *lab.Lab) bool {
	t.Helper()
	a, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := y.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(a, b)
}

func TestStream(t *testing.T) {
	t.Parallel()
	read := func(key string, words ...string) string {
		data := make([]byte, 100)
		if _, err := io.ReadFull(lab.Stream(key, words...), data); err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if first, again := read("k", "a", "b"), read("k", "a", "b"); first != again {
		t.Error("not the same for the same words")
	}
	for _, other := range []string{read("k", "ab"), read("k", "ab", ""), read("l", "a", "b"), read("k", "b", "a")} {
		if other == read("k", "a", "b") {
			t.Error("the same for other words")
		}
	}
	// In pieces as in one go.
	s := lab.Stream("k", "a", "b")
	var pieces []byte
	for n := range 14 {
		piece := make([]byte, n)
		if _, err := io.ReadFull(s, piece); err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, piece...)
	}
	if want := read("k", "a", "b"); !strings.HasPrefix(want, string(pieces)) {
		t.Error("not the same in pieces")
	}
}
