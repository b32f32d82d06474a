package main_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStations has kvmlab play every part on the bridges of a lab, on the host and in a namespace of its own: what it
// asks is answered, what it does to guests is seen, it is called by its name, and what it was lent is given back.
func TestStations(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	dir := folder(t, "stations")
	for _, isolation := range [][]string{nil, {"--isolate"}} {
		before := s.footprint()
		s.run("kvmlab", append([]string{"scenario", "up", dir}, isolation...)...)
		got := map[string]string{}
		for _, c := range s.check(t, 3).Checks {
			got[c.ID] = c.State
		}
		if diff := cmp.Diff(stationsWant, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", isolation, diff)
		}
		wire := s.run("sh", "-c", `timeout --preserve-status -s INT 3 "$0" watch --since up -o json`, s.kvmlab)
		for _, name := range []string{"station", "station-2", "station-relay", "station:br2", "station-rogue:br2", "station-squatter"} {
			if !strings.Contains(wire, `"src":"`+name+`"`) {
				t.Errorf("%v: nothing on the wire is from %s", isolation, name)
			}
		}
		if out := s.run("kvmlab", "leases"); strings.Count(out, "kvmlab-station") != strings.Count(out, "released") || strings.Contains(out, "silent") {
			t.Errorf("%v: a station keeps an address:\n%s", isolation, out)
		}
		s.killCheck(t)
		s.run("kvmlab", "down", "--purge")
		if diff := cmp.Diff(before, s.footprint()); diff != "" {
			t.Errorf("%v: left behind (-before +after):\n%s", isolation, diff)
		}
	}
}

var stationsWant = map[string]string{
	"client": "passed", "options": "passed", "record": "passed", "second": "passed", "relayed": "passed", "nobody": "passed",
	"not-served": "failed", "lured": "passed", "declined": "passed", "taken": "passed",
}

// killCheck kills a check while its stations are plugged in. Meanwhile the lab is what it was: nothing is amiss.
func (s *sandbox) killCheck(t *testing.T) {
	t.Helper()
	out := s.run("sh", "-c", `
		"$0" check >/dev/null 2>&1 &
		until "$0" shell -- ip link show station0 >/dev/null 2>&1; do sleep 0.1; done
		"$0" status
		kill -9 $!
		wait
		"$0" shell -- ip -o link | grep 'station[0-9]' && echo left
		exit 0`, s.kvmlab)
	if !strings.HasPrefix(out, "stations: up\n") || !strings.Contains(out, "DHCP server answers") || strings.Contains(out, "left") {
		t.Errorf("while stations are plugged in, and after the end of their process:\n%s", out)
	}
}
