package main_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDoctorClass measures a lab of real guests and says how many fit, or that fewer do than are asked for.
func TestDoctorClass(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	before := s.footprint()
	for _, test := range []struct {
		asked  string
		status int
	}{{"2", 0}, {"100000", 4}} {
		r := s.try("kvmlab", "doctor", "--class", test.asked, "-o", "json")
		var report struct {
			Scenario  string
			Fit       int
			First     string  `json:"runs_out_first"`
			MemoryMiB float64 `json:"memory_mib"`
			Boot      float64 `json:"boot_seconds"`
			Idle      float64 `json:"idle_cores"`
		}
		if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.status != test.status {
			t.Fatalf("a class of %s: exit status %d, want %d (%v)\n%s%s", test.asked, r.status, test.status, err, r.out, r.err)
		}
		// Three guests of 128 MiB each, with what QEMU takes beside: less or much more was not measured on them.
		if report.Scenario != "three-taps" || report.Fit < 2 || report.First == "" || report.MemoryMiB < 100 || report.MemoryMiB > 1500 ||
			report.Boot <= 0 || report.Idle < 0 || report.Idle > 1 {
			t.Errorf("a class of %s: %+v", test.asked, report)
		}
	}
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("something is left (-before +after):\n%s", d)
	}
}

// TestClassIndividual gives each student a network of their own, with guests that have leases of it, and the same again
// the next time.
func TestClassIndividual(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	file, class := s.writeFile("small.yaml", small), s.writeFile("class.csv", "name\nAna\nLuis\n")
	type network struct{ bridge, mac, address string }
	up := func() map[string]network {
		s.run("kvmlab", "up", file, "--class-file", class, "--individual", "--class-key", "k", "--wait", "150s")
		networks := map[string]network{}
		for name, l := range s.classStatus(class) {
			nic := l.Guests[0].NICs[0]
			if nic.Lease == nil {
				t.Fatalf("%s has no lease: %+v", name, l)
			}
			networks[name] = network{l.Bridges[0].Address, nic.MAC, nic.Lease.Address}
		}
		s.run("kvmlab", "down", "--class-file", class)
		return networks
	}
	first := up()
	ana, luis := first["ana"], first["luis"]
	if ana.bridge == luis.bridge || ana.mac == luis.mac || ana.address == luis.address || strings.HasPrefix(ana.bridge, "192.168.1.1/") {
		t.Errorf("they are not each their own: %+v", first)
	}
	again := up()
	for name, n := range first {
		if other := again[name]; other.bridge != n.bridge || other.mac != n.mac {
			t.Errorf("%s: first %+v, then %+v", name, n, other)
		}
	}
}
