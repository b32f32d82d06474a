package main_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// labsAtOnce is how many isolated labs TestIsolatedLabsAtOnce brings up; KVMLAB_TEST_LABS asks for another number.
func labsAtOnce(t *testing.T) int {
	t.Helper()
	text := os.Getenv("KVMLAB_TEST_LABS")
	if text == "" {
		return 10
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 2 {
		t.Fatalf("KVMLAB_TEST_LABS=%s", text)
	}
	return n
}

// TestIsolatedLabsAtOnce brings up ten labs with the same names and addresses. Each has its leases; what one's frames
// are stays in its namespace; the host sees none; and what happens to one does not touch the others.
func TestIsolatedLabsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	before := s.footprint()
	stopListening := s.listenOnHost()
	names := make([]string, labsAtOnce(t))
	for i := range names {
		names[i] = fmt.Sprintf("s%d", i+1)
	}
	s.run("kvmlab", "up", "--class", strings.Join(names, ","), "--wait", "150s")
	macs := map[string]string{} // whose each is
	for _, name := range names {
		st := s.statusOf(name)
		if st.State != "up" || st.Netns != "kvmlab-"+name || len(st.Guests) != 3 ||
			st.Bridges[0].Name != "br1" || st.Bridges[0].Address != "192.168.1.1/24" {
			t.Errorf("%s: %+v", name, st)
		}
		for i, g := range st.Guests {
			nic := g.NICs[0]
			if nic.Tap != "tap"+strconv.Itoa(i+1) || nic.Lease == nil || nic.Lease.State != "bound" || macs[nic.MAC] != "" {
				t.Errorf("%s %s: %+v (MAC of %q)", name, g.Name, nic, macs[nic.MAC])
			}
			macs[nic.MAC] = name
		}
	}
	s.checkWires(names, macs)
	if d := cmp.Diff([]string{"lo"}, s.hostLinks()); d != "" {
		t.Errorf("links in the host's namespace (-want +got):\n%s", d)
	}
	s.harmOne(names[0], names[1:])
	if frames := stopListening(); frames != "" {
		t.Errorf("frames in the host's namespace:\n%s", frames)
	}
	s.run("kvmlab", "down", "--class", strings.Join(names, ","))
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("down left something (-before +after):\n%s", d)
	}
}

// checkWires looks at all frames that each lab's bridge has seen from its beginning on: every guest's are there, and nobody
// else's. macs tells whose guest has which address.
func (s *sandbox) checkWires(names []string, macs map[string]string) {
	s.t.Helper()
	for _, name := range names {
		for _, g := range s.statusOf(name).Guests {
			s.run("kvmlab", "shell", name, "--", "ping", "-c", "1", "-W", "10", g.NICs[0].Lease.Address)
		}
		bridge := strings.TrimSpace(s.run("sh", "-c", "ip -n kvmlab-"+name+" -j link show br1 | jq -r '.[0].address'"))
		file := filepath.Join(s.t.TempDir(), name+".pcapng")
		s.run("kvmlab", "capture", "--past", "-w", file, name)
		heard := map[string]bool{}
		for line := range strings.Lines(s.run("tcpdump", "-enr", file)) {
			f := strings.Fields(line) // time, source, ">", destination and a comma
			if len(f) < 4 || f[2] != ">" {
				s.t.Fatalf("tcpdump says %q", line)
			}
			from, to := f[1], strings.TrimSuffix(f[3], ",")
			if macs[from] != name && from != bridge {
				s.t.Errorf("%s: a frame from %s, which is %q's: %s", name, from, macs[from], line)
			}
			group, err := strconv.ParseUint(to[:2], 16, 8)
			if err != nil {
				s.t.Fatal(err)
			}
			if group&1 == 0 && macs[to] != name && to != bridge { // IEEE 802: not for a group
				s.t.Errorf("%s: a frame to %s, which is %q's: %s", name, to, macs[to], line)
			}
			heard[from] = true
		}
		for mac, whose := range macs {
			if whose == name && !heard[mac] {
				s.t.Errorf("%s: not a frame from %s", name, mac)
			}
		}
	}
}

// harmOne kills the guests and the supervisor of one lab and takes its namespace away. The other labs stay as they
// were, and the lab can be mended.
func (s *sandbox) harmOne(victim string, others []string) {
	s.t.Helper()
	was, pids := s.vitalsOf(others), s.processesOf(others)
	st := s.statusOf(victim)
	for _, harm := range [][]string{
		{"kill", "-9", strconv.Itoa(st.Supervisor.PID)},
		append([]string{"kill", "-9"}, slices.Sorted(maps.Values(s.processesOf([]string{victim})))...),
		{"ip", "netns", "del", st.Netns},
	} {
		s.run(harm[0], harm[1:]...)
		if st := s.statusOf(victim); st.State == "up" {
			s.t.Errorf("%s after %v: %+v", victim, harm, st)
		}
		if d := cmp.Diff(was, s.vitalsOf(others)); d != "" {
			s.t.Errorf("the others after %v (-before +after):\n%s", harm, d)
		}
		if d := cmp.Diff(pids, s.processesOf(others)); d != "" {
			s.t.Errorf("the others' guests after %v (-before +after):\n%s", harm, d)
		}
	}
	for _, name := range others {
		s.run("kvmlab", "shell", name, "--", "ping", "-c", "1", "-W", "10", was[name].Addresses["pc1 eth0"])
	}
	s.run("kvmlab", "up", "--isolate", victim, "--wait", "150s")
	if st := s.statusOf(victim); st.State != "up" {
		s.t.Errorf("%s after it was mended: %+v", victim, st)
	}
	if d := cmp.Diff(was, s.vitalsOf(others)); d != "" {
		s.t.Errorf("the others after %s was mended (-before +after):\n%s", victim, d)
	}
}

// vitals are what of a lab stays the same as long as nobody touches it.
type vitals struct {
	State      string
	Supervisor int
	Addresses  map[string]string
}

func (s *sandbox) vitalsOf(names []string) map[string]vitals {
	s.t.Helper()
	all := map[string]vitals{}
	for _, name := range names {
		st := s.statusOf(name)
		all[name] = vitals{st.State, st.Supervisor.PID, addressesOf(st)}
	}
	return all
}

// listenOnHost records every frame on every link of the sandbox's own namespace but the loopback's own. The returned
// function ends the recording and prints it.
func (s *sandbox) listenOnHost() func() string {
	s.t.Helper()
	s.run("sh", "-ec", `
		tcpdump --immediate-mode -eni any -w /run/host.pcap 'not host 127.0.0.1' >/run/tcpdump.log 2>&1 &
		echo $! >/run/tcpdump.pid
		until grep -q listening /run/tcpdump.log; do kill -0 $(cat /run/tcpdump.pid); done`)
	return func() string {
		return s.run("sh", "-ec", `
			pid=$(cat /run/tcpdump.pid)
			kill -INT $pid
			while kill -0 $pid 2>/dev/null; do :; done
			tcpdump -enr /run/host.pcap 2>/dev/null
			rm /run/host.pcap /run/tcpdump.*`)
	}
}
