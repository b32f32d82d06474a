package main_test

import (
	"strings"
	"testing"
	"time"
)

// twoDebians is a lab of two debian guests that need nobody.
const twoDebians = `
version: 1
name: pair
bridges:
  - {name: br0, address: 10.5.0.1/24, dhcp: {range: [10.5.0.2-10.5.0.10]}}
guests:
  - {name: one, image: debian, nics: [{bridge: br0}]}
  - {name: two, image: debian, nics: [{bridge: br0}]}
`

// awaitOff waits until a domain is off, and returns how long that took.
func (s *sandbox) awaitOff(domain string) time.Duration {
	s.t.Helper()
	begin := time.Now()
	for strings.TrimSpace(s.run("virsh", "domstate", domain)) != "shut off" {
		if time.Since(begin) > expectLimit {
			s.t.Fatalf("%s is still on", domain)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(begin)
}

// TestDebianShutdown: debian guests end when they are asked to, by their agent, by their button, and with the host; and then
// their disks need no repair.
func TestDebianShutdown(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	needDebian(t, s)
	s.run("kvmlab", "up", s.writeFile("pair.yaml", twoDebians))
	for guest, mode := range map[string]string{"one": "agent", "two": "acpi"} {
		s.run("kvmlab", "exec", "-n", "--wait", "4m", guest, "--", "sh", "-c", "until pgrep -f lib/kvmlab/power; do sleep 0.1; done; echo work >/root/work")
		// The agent may be gone before it has answered: what counts is the guest's end.
		if r := s.try("virsh", "shutdown", "--mode", mode, "pair-"+guest); r.status != 0 {
			t.Logf("virsh: %s", r.err)
		}
		t.Logf("%s, by its %s: off after %v", guest, mode, s.awaitOff("pair-"+guest).Round(10*time.Millisecond))
	}
	for range 2 { // switched off by virsh, then with the host
		s.run("kvmlab", "up", "pair")
		for _, guest := range []string{"one", "two"} {
			out := s.run("kvmlab", "exec", "-n", "--wait", "4m", guest, "--", "sh", "-c", "cat /root/work; dmesg | grep -c 'vda.*recover' || true")
			if strings.TrimSpace(out) != "work\n0" {
				t.Errorf("%s has, and had to repair: %q", guest, out)
			}
		}
		if r := s.try("kvmlab", unitCommand(t, "kvmlab.service", "ExecStop")...); r.status != 0 || strings.Contains(r.err, "KL342") {
			t.Errorf("the unit's end: %+v", r)
		}
	}
	s.run("kvmlab", "down", "--purge", "--yes", "pair")
}
