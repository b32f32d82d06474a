package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
)

// TestIsolatedKilledAtEveryPoint is TestKilledAtEveryPoint with the lab in a network namespace of its own: SIGKILL also
// between "guest started" and "tap moved", and between that and "guest runs".
func TestIsolatedKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	killedAtEveryPoint(t, "--isolate")
}

// TestIsolatedInterruptedAtEveryPoint is TestInterruptedAtEveryPoint in a network namespace of the lab's own.
func TestIsolatedInterruptedAtEveryPoint(t *testing.T) {
	t.Parallel()
	interruptedAtEveryPoint(t, "--isolate")
}

// TestIsolatedLab is the class's lab in a network namespace of its own, from nothing to nothing, with what can happen to
// it in between. The host's namespace is watched all the while.
func TestIsolatedLab(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.plantForeign()
	before := s.footprint()
	s.run("kvmlab", "up", "--isolate")

	st := s.statusOf("three-taps")
	if st.State != "up" || st.Isolation != "netns" || st.Netns != "kvmlab-three-taps" || len(st.Drift) != 0 {
		t.Errorf("status: %+v", st)
	}
	checkThreeGuests(t, st)
	for _, g := range st.Guests {
		s.run("kvmlab", "shell", "three-taps", "--", "ping", "-c", "1", "-W", "5", g.NICs[0].Lease.Address)
	}
	if r := s.try("ping", "-c", "1", "-W", "1", st.Guests[0].NICs[0].Lease.Address); r.status == 0 {
		t.Error("a guest answers in the host's network namespace")
	}
	if d := cmp.Diff([]string{"br9", "lo", "tap9"}, s.hostLinks()); d != "" {
		t.Errorf("links in the host's namespace (-want +got):\n%s", d)
	}
	mark := s.run("sh", "-c", "ip -n kvmlab-three-taps -j link show lo | jq -r '.[0].ifalias'")
	if strings.TrimSpace(mark) != "kvmlab:three-taps/lo" {
		t.Errorf("the namespace's mark is %q", mark)
	}
	pids := s.qemuPIDs()
	for _, harm := range []struct {
		name, do string
		again    []string // the guests that are to be started again
	}{
		{"nothing", "true", nil},
		{"supervisor killed", "kill -9 " + strconv.Itoa(st.Supervisor.PID), nil},
		{"loopback down", "ip -n kvmlab-three-taps link set lo down", nil},
		{"tap unplugged", "ip -n kvmlab-three-taps link set tap3 nomaster", nil},
		{"tap deleted", "ip -n kvmlab-three-taps link del tap2", []string{"three-taps-pc2"}},
		{"guest destroyed", "virsh --quiet destroy three-taps-pc1", []string{"three-taps-pc1"}},
	} {
		t.Run(harm.name, func(t *testing.T) {
			s.run("sh", "-c", harm.do)
			if got := s.statusOf("three-taps").State; (got == "up") != (harm.name == "nothing") {
				t.Errorf("state is %s", got)
			}
			s.run("kvmlab", "up") // without the flag: it stays where it is
			after := s.statusOf("three-taps")
			if after.State != "up" || after.Isolation != "netns" {
				t.Errorf("after the second up: %+v", after)
			}
			if d := cmp.Diff(addressesOf(st), addressesOf(after)); d != "" {
				t.Errorf("leases changed:\n%s", d)
			}
			now := s.qemuPIDs()
			for name, pid := range now {
				if (pid != pids[name]) != slices.Contains(harm.again, name) {
					t.Errorf("%s: %s was process %s and is %s", harm.name, name, pids[name], pid)
				}
			}
			pids = now
			if d := cmp.Diff([]string{"br9", "lo", "tap9"}, s.hostLinks()); d != "" {
				t.Errorf("links in the host's namespace (-want +got):\n%s", d)
			}
		})
	}
	s.checkShell("three-taps")
	s.run("rm", "-rf", "/var/lib/kvmlab/labs") // found by its marks
	if st := s.statusOf("three-taps"); st.State == "down" || st.Netns != "kvmlab-three-taps" {
		t.Errorf("status without the state: %+v", st)
	}
	s.run("kvmlab", "down")
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("down left something (-before +after):\n%s", d)
	}
}

// checkShell works in a lab's shell on a terminal, and runs single commands there.
func (s *sandbox) checkShell(lab string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), commandLimit)
	defer cancel()
	cmd := s.command(ctx, "kvmlab", "shell", lab)
	cmd.Env = append(cmd.Env, "SHELL=/bin/bash", "TERM=dumb", "HOME="+s.t.TempDir())
	terminal, err := pty.Start(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	defer terminal.Close()
	if _, err := terminal.WriteString("ls /sys/class/net | cat; echo lab is $KVMLAB_LAB; ls -l /proc/self/fd | grep -c -e kvmlab -e net:; exit 7\n"); err != nil {
		s.t.Fatal(err)
	}
	said, _ := io.ReadAll(terminal) // a terminal whose other side is closed ends with EIO
	exit := new(exec.ExitError)
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		s.t.Errorf("shell ended with %v, want exit status 7", err)
	}
	for _, want := range []string{"network namespace kvmlab-" + lab, "(" + lab + ") ", "lab is " + lab, "\nbr1\r\n", "\ntap1\r\n", "\n0\r\n"} {
		if !strings.Contains(string(said), want) {
			s.t.Errorf("shell: no %q in\n%q", want, said)
		}
	}
	if r := s.try("kvmlab", "shell", lab, "--", "sh", "-c", "ip -br link show br1 >/dev/null && exit 9"); r.status != 9 || r.err != "" {
		s.t.Errorf("one command: exit status %d\n%s", r.status, r.err)
	}
	// From inside, kvmlab sees the host as from outside, and what it makes is there for everybody.
	var inside struct{ Labs []labStatus }
	if err := json.Unmarshal([]byte(s.run("kvmlab", "shell", lab, "--", s.kvmlab, "status", "-o", "json", lab)), &inside); err != nil {
		s.t.Error(err)
	}
	if d := cmp.Diff([]labStatus{s.statusOf(lab)}, inside.Labs); d != "" {
		s.t.Errorf("status outside and in the lab's shell (-outside +inside):\n%s", d)
	}
	s.run("kvmlab", "shell", lab, "--", s.kvmlab, "up", "--isolate", s.writeFile("wire.yaml", wireLab))
	if st := s.statusOf("wire"); st.State != "up" || st.Netns != "kvmlab-wire" {
		s.t.Errorf("a lab that was brought up in another one's shell: %+v", st)
	}
	s.run("kvmlab", "down", "wire")
	if r := s.try("kvmlab", "shell", lab, "--", "no-such-program"); r.status != 2 || !strings.Contains(r.err, "no-such-program") {
		s.t.Errorf("no such program: exit status %d\n%s", r.status, r.err)
	}
	if r := s.try("kvmlab", "shell", "nobody"); r.status != 2 || !strings.Contains(r.err, "KL601") {
		s.t.Errorf("no such lab: exit status %d\n%s", r.status, r.err)
	}
}

// hostLinks are the names of the links in the sandbox's own network namespace, sorted.
func (s *sandbox) hostLinks() []string {
	s.t.Helper()
	return strings.Fields(s.run("sh", "-c", "ip -j link | jq -r '.[].ifname' | sort"))
}

// TestIsolatedRefused gives `up --isolate` what it must refuse without changing anything.
func TestIsolatedRefused(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.run("sh", "-ec", "ip netns add kvmlab-three-taps; ip netns add other; touch /run/netns/kvmlab-file")
	before := s.footprint()
	r := s.try("kvmlab", "up", "--isolate")
	if r.status != 4 || !strings.Contains(r.err, "KL208") || !strings.Contains(r.err, "hint:") {
		t.Errorf("a stranger's namespace: exit status %d\n%s", r.status, r.err)
	}
	r = s.try("kvmlab", "up", "--isolate", "--name", "file")
	if r.status != 4 || !strings.Contains(r.err, "KL208") {
		t.Errorf("a stranger's file: exit status %d\n%s", r.status, r.err)
	}
	r = s.try("kvmlab", "down", "three-taps")
	if r.status != 2 || !strings.Contains(r.err, "KL601") {
		t.Errorf("down of a stranger's namespace: exit status %d\n%s", r.status, r.err)
	}
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("something was changed (-before +after):\n%s", d)
	}
}
