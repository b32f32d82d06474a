package main_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// envWarmStarts is how often TestWarmStarts brings its lab up; more than a few take a while.
const envWarmStarts = "KVMLAB_WARM_STARTS"

// shapes is a lab in which no two guests are alike, so that each has a template of its own.
const shapes = `
version: 1
name: shapes
isolation: netns
bridges:
  - {name: br1, address: 192.168.1.1/24, dhcp: {range: [192.168.1.2-192.168.1.20]}}
  - {name: br2}
guests:
  - {name: pc1, nics: [{bridge: br1, tap: tap1}]}
  - {name: pc2, memory: 144MiB, nics: [{bridge: br1, tap: tap2}], files: [{path: /root/hello, content: "hello\n"}]}
  - {name: pc3, nics: [{bridge: br1, tap: tap3}, {bridge: br2, tap: tap4}]}
`

// TestWarmStarts brings a lab up from templates again and again: every guest has its lease each time, as itself, and no
// two share what must be different.
func TestWarmStarts(t *testing.T) {
	t.Parallel()
	rounds := 4
	if s := os.Getenv(envWarmStarts); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	s := newSandbox(t)
	before := s.footprint()
	file := s.writeFile("shapes.yaml", shapes)
	seen := map[string]bool{}
	for round := range rounds {
		up := s.try("kvmlab", "up", file)
		if up.status != 0 || strings.Contains(up.err, "KL321") || strings.Contains(up.err, "Saving") != (round == 0) {
			t.Fatalf("round %d: status %d\n%s", round, up.status, up.err)
		}
		if d := cmp.Diff([]string{"pc1", "pc2", "pc3"}, s.hostnames("shapes")); d != "" {
			t.Errorf("round %d: host names (-want +got):\n%s", round, d)
		}
		for _, id := range s.transactions("shapes") {
			if seen[id] {
				t.Errorf("round %d: transaction %s was there before", round, id)
			}
			seen[id] = true
		}
		if round == 0 {
			checkShapes(t, s)
		}
		s.run("kvmlab", "down", "shapes")
	}
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("something is left (-before +after):\n%s", d)
	}
}

// checkShapes looks into guests that came from a template.
func checkShapes(t *testing.T, s *sandbox) {
	t.Helper()
	var random []string
	for _, guest := range []string{"pc1", "pc2", "pc3"} {
		out := s.run("kvmlab", "exec", guest, "--", "sh", "-c", `
			cat /proc/sys/kernel/random/entropy_avail; uname -n; cat /proc/sys/kernel/random/boot_id`)
		fields := strings.Fields(out)
		if len(fields) != 3 || fields[0] != "256" || fields[1] != guest {
			t.Errorf("%s says %q", guest, out)
			continue
		}
		random = append(random, fields[2])
	}
	if len(slices.Compact(slices.Sorted(slices.Values(random)))) != 3 {
		t.Fatalf("guests share their randomness: %v", random)
	}
	if out := s.run("kvmlab", "exec", "pc2", "--", "cat", "/root/hello"); out != "hello\n" {
		t.Errorf("pc2's file holds %q", out)
	}
	// Its own boot: the description that it was restored with must be good for that, too.
	boot := random[2]
	s.try("kvmlab", "exec", "pc3", "--", "sh", "-c", "reboot >/dev/null 2>&1 &") // it may take the agent along
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		r := s.try("kvmlab", "exec", "--timeout", "20s", "pc3", "--", "sh", "-c",
			"uname -n; cat /proc/sys/kernel/random/boot_id; ip -4 addr show eth0 | grep -c 192.168.1")
		if fields := strings.Fields(r.out); r.status == 0 && fields[0] == "pc3" && fields[1] != boot && fields[2] == "1" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("pc3 does not come back after a boot of its own: %+v", r)
			return
		}
	}
}

// transactions are the ids of the exchanges that a lab's bridge has seen since it was brought up.
func (s *sandbox) transactions(lab string) []string {
	s.t.Helper()
	capture := filepath.Join(s.t.TempDir(), "transactions.pcapng")
	s.run("kvmlab", "capture", "--past", "-w", capture, lab)
	ids := map[string]string{} // by MAC: a client may have to ask twice
	for line := range strings.Lines(s.run("kvmlab", "watch", "--read", capture, "-o", "json", "--filter", "kind=DISCOVER")) {
		var packet struct{ DHCP struct{ XID, Chaddr string } }
		if err := json.Unmarshal([]byte(line), &packet); err != nil {
			s.t.Fatalf("%v\n%s", err, line)
		}
		ids[packet.DHCP.Chaddr] = packet.DHCP.XID
	}
	return slices.Collect(maps.Values(ids))
}

// TestTemplateFaults is what can go wrong with a template: whoever makes it is killed, or it is damaged. Nothing stays
// behind, and the lab comes up.
func TestTemplateFaults(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	before := s.footprint()
	s.run("sh", "-c", s.kvmlab+` up 2>/tmp/up.$$ & up=$!
		until grep -q Saving /tmp/up.$$ && virsh --quiet list --name | grep -q kvmlab-template; do sleep 0.02; done
		kill -9 $up; wait $up; rm /tmp/up.$$
		while virsh --quiet list --all --name | grep -q .; do sleep 0.1; done`)
	if down := s.try("kvmlab", "down", "three-taps"); down.status != 0 && !strings.Contains(down.err, "KL601") {
		t.Errorf("down: status %d\n%s", down.status, down.err)
	}
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("the killed one has left something (-before +after):\n%s", d)
	}

	up := s.try("kvmlab", "up")
	if up.status != 0 || !strings.Contains(up.err, "Saving") || strings.Contains(up.err, "KL321") {
		t.Errorf("after that: status %d\n%s", up.status, up.err)
	}
	if out := s.run("sh", "-c", "stat -c '%a %U' /var/lib/kvmlab/templates /var/lib/kvmlab/templates/*.template"); out != "700 root\n600 root\n" {
		t.Errorf("whose it is: %s", out)
	}
	s.run("kvmlab", "down")

	s.run("sh", "-c", "truncate -s 20M /var/lib/kvmlab/templates/*.template")
	up = s.try("kvmlab", "up")
	if up.status != 0 || !strings.Contains(up.err, "KL321") {
		t.Errorf("with a damaged template: status %d\n%s", up.status, up.err)
	}
	s.run("kvmlab", "down")
	up = s.try("kvmlab", "up")
	if up.status != 0 || strings.Count(up.err, "KL321") != 1 || strings.Contains(up.err, "Saving") {
		t.Errorf("a moment after: status %d\n%s", up.status, up.err)
	}
	s.run("kvmlab", "down")
	up = s.try("kvmlab", "up", "--cold")
	if up.status != 0 || strings.Contains(up.err, "Saving") || strings.Contains(up.err, "KL321") {
		t.Errorf("cold: status %d\n%s", up.status, up.err)
	}
	s.run("kvmlab", "down")
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("something is left (-before +after):\n%s", d)
	}
}
