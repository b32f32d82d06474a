//kvmlab:needs systemd

package main_test

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// unitDir has the systemd units that a package installs.
const unitDir = "../../scripts/package.d/systemd"

// unitCommand is the command of a unit's Exec line, as the words after /usr/bin/kvmlab.
func unitCommand(t *testing.T, unit, key string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(unitDir, unit))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), key+"=/usr/bin/kvmlab "); ok {
			return strings.Fields(command)
		}
	}
	t.Fatalf("%s has no %s of kvmlab", unit, key)
	return nil
}

// TestUnits has systemd look at the units.
func TestUnits(t *testing.T) {
	nstest.RequireCommand(t, "systemd-analyze")
	binary, err := kvmlabBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for unit, as := range map[string]string{"kvmlab.service": "kvmlab.service", "kvmlab@.service": "kvmlab@three-taps.service"} {
		text, err := os.ReadFile(filepath.Join(unitDir, unit))
		if err != nil {
			t.Fatal(err)
		}
		here := strings.ReplaceAll(string(text), "/usr/bin/kvmlab", binary)
		if err := os.WriteFile(filepath.Join(dir, as), []byte(here), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(nstest.Limit(t), "systemd-analyze", "verify", "--man=no", filepath.Join(dir, as))
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// background is a kvmlab that runs in a sandbox until it is told to end.
type background struct {
	*sandbox
	pid   string // in the sandbox
	lines *bufio.Scanner
	cmd   *exec.Cmd
}

// inBackground starts kvmlab. What a signal to the command of a sandbox reaches is not the program in it, so that tells who
// it is.
func (s *sandbox) inBackground(args ...string) *background {
	s.t.Helper()
	cmd, lines := s.start("sh", append([]string{"-c", `echo $$ >&2; exec "$@"`, "sh", s.kvmlab}, args...)...)
	if !lines.Scan() {
		s.t.Fatalf("%v does not start", args)
	}
	return &background{s, lines.Text(), lines, cmd}
}

// terminate ends it as an init system does; the result says how it ended.
func (b *background) terminate() <-chan int {
	b.t.Helper()
	ended := make(chan int, 1)
	go func() {
		for b.lines.Scan() { // the pipe must not fill
		}
		_ = b.cmd.Wait()
		ended <- b.cmd.ProcessState.ExitCode()
	}()
	b.run("kill", "-TERM", b.pid)
	return ended
}

// restartHost is what a restart of the host does to a lab: the runtime state and the links are gone, the domains are off, and
// the kernel calls its boot by another name. What runs is killed, as by a power cut; after an orderly end nothing does.
func (s *sandbox) restartHost(lab string) {
	s.t.Helper()
	if supervisor := s.statusOf(lab).Supervisor; supervisor.Running {
		s.run("kill", "-KILL", strconv.Itoa(supervisor.PID))
	}
	s.run("sh", "-c", `
		for domain in $(virsh --quiet list --name); do virsh --quiet destroy "$domain"; done
		ip -j link | jq -r '.[] | select(.ifalias // "" | startswith("kvmlab:")) | .ifname' | while read -r link; do ip link del "$link"; done
		for space in $(ip netns list | cut -d' ' -f1); do ip netns del "$space"; done
		rm -rf /run/kvmlab
		for boot in /var/lib/kvmlab/labs/*/boot; do echo 00000000-0000-0000-0000-000000000000 >"$boot"; done`)
	if left := s.run("sh", "-c", "ip -j link | jq -r '.[].ifname' | grep -v '^lo$' || true"); left != "" {
		s.t.Fatalf("links are left: %s", left)
	}
}

// addresses are a lab's cards with their MAC and IP addresses.
func addresses(st labStatus) map[string]string {
	all := map[string]string{}
	for _, g := range st.Guests {
		for _, nic := range g.NICs {
			all[g.Name+" "+nic.Name] = nic.MAC
			if nic.Lease != nil {
				all[g.Name+" "+nic.Name] += " " + nic.Lease.Address
			}
		}
	}
	return all
}

// TestHostRestart ends the host in good order, as the unit does, and by a power cut. Afterwards status says what has happened,
// and up brings the lab back with its addresses and how far the exercise was, and what that began with.
func TestHostRestart(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *sandbox){
		"in good order": func(s *sandbox) {
			if r := s.try("kvmlab", unitCommand(t, "kvmlab.service", "ExecStop")...); r.status != 0 || strings.Contains(r.err, "KL342") {
				s.t.Errorf("the unit's end: %+v", r)
			}
			for _, guest := range []string{"pc1", "pc2", "pc3"} {
				log := "/var/lib/kvmlab/labs/conflict/console/" + guest + ".log"
				if said := s.run("cat", log); !strings.Contains(said, "the host switches this machine off") {
					s.t.Errorf("%s did not switch itself off:\n%s", guest, said)
				}
			}
			if on := s.run("virsh", "--quiet", "list"); strings.TrimSpace(on) != "" {
				s.t.Errorf("still on:\n%s", on)
			}
			if r := s.try("kvmlab", unitCommand(t, "kvmlab.service", "ExecStop")...); r.status != 0 {
				s.t.Errorf("a second time: %+v", r)
			}
		},
		"by a power cut": func(*sandbox) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			before := s.footprint()
			s.run("kvmlab", "scenario", "up", "conflict")
			s.try("kvmlab", "check", "conflict") // leaves a note of what has passed
			const progress = "/var/lib/kvmlab/labs/conflict/exercise.json"
			up, exercise := addresses(s.statusOf("conflict")), s.run("cat", progress)
			end(s)
			s.restartHost("conflict")

			st := s.statusOf("conflict")
			if st.State != "degraded" || !st.HostRestarted || len(st.Drift) == 0 {
				t.Errorf("after the restart: %+v", st)
			}
			if said := s.run("kvmlab", "status", "conflict"); !strings.Contains(said, "The host has been restarted since conflict was brought up") {
				t.Errorf("status says\n%s", said)
			}
			if r := s.try("kvmlab", "up", "conflict"); r.status != 0 || !strings.Contains(r.err, "The host has been restarted. conflict comes back") {
				t.Fatalf("up: %+v", r)
			}
			st = s.statusOf("conflict")
			if st.State != "up" || st.HostRestarted {
				t.Errorf("up again: %+v", st)
			}
			if diff := cmp.Diff(up, addresses(st)); diff != "" {
				t.Errorf("MAC and IP addresses (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(exercise, s.run("cat", progress)); diff != "" {
				t.Errorf("the exercise's progress (-before +after):\n%s", diff)
			}
			// What the exercise began with was in pc3's memory.
			if out := s.run("kvmlab", "exec", "-n", "pc3", "--", "ip", "-4", "addr", "show", "dev", "eth0"); !strings.Contains(out, "192.168.1.5/24") {
				t.Errorf("pc3 is not as the exercise begins:\n%s", out)
			}
			s.run("kvmlab", "down")
			if diff := cmp.Diff(before, s.footprint()); diff != "" {
				t.Errorf("left (-before +after):\n%s", diff)
			}
		})
	}
}

// TestEndWhileUp ends the host while an up is under way: systemd ends the up and runs the unit at the same time, and nothing
// is left half-built.
func TestEndWhileUp(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	before := s.footprint()
	up := s.inBackground("up", "--cold", "--plain")
	for up.lines.Scan() && !strings.Contains(up.lines.Text(), "booted") {
	}
	ended := up.terminate()
	if r := s.try("kvmlab", unitCommand(t, "kvmlab.service", "ExecStop")...); r.status != 0 {
		t.Errorf("the unit's end: %+v", r)
	}
	if status := nstest.Receive(t, ended); status != 5 {
		t.Errorf("up: exit status %d, want 5", status)
	}
	if diff := cmp.Diff(before, s.footprint()); diff != "" {
		t.Errorf("left (-before +after):\n%s", diff)
	}
}

// TestRunUnit runs a lab as kvmlab@.service does: it tells systemd when it is ready, and at its end the guests are off and
// the lab is kept.
func TestRunUnit(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	path := filepath.Join(t.TempDir(), "notify")
	init, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer init.Close()
	s.env = append(s.env, "NOTIFY_SOCKET="+path)
	words := unitCommand(t, "kvmlab@.service", "ExecStart")
	words[len(words)-1] = "three-taps"
	unit := s.inBackground(words...)
	deadline, _ := nstest.Limit(t).Deadline()
	if err := init.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		told := make([]byte, 100)
		if n, err := init.Read(told); err != nil || string(told[:n]) != want {
			t.Fatalf("systemd is told %q, %v, want %q", told[:n], err, want)
		}
	}
	expect("READY=1")
	checkThreeGuests(t, s.statusOf("three-taps"))
	up := addresses(s.statusOf("three-taps"))
	ended := unit.terminate()
	expect("STOPPING=1")
	if status := nstest.Receive(t, ended); status != 0 {
		t.Errorf("run after SIGTERM: exit status %d", status)
	}
	st := s.statusOf("three-taps")
	for _, g := range st.Guests {
		if g.State != "shutoff" {
			t.Errorf("%s is %s", g.Name, g.State)
		}
	}
	if diff := cmp.Diff(up, addresses(st)); diff != "" {
		t.Errorf("addresses (-up +halted):\n%s", diff)
	}
	s.run("kvmlab", "down")
}
