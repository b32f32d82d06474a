package main_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/scenarios"
)

// provenWithin bounds the proof of one exercise: of the longest, with thirteen mistakes, it is a fifth on an idle machine.
const provenWithin = 15 * time.Minute

// TestScenarios proves every built-in exercise of micro guests, with all its mistakes.
func TestScenarios(t *testing.T) {
	t.Parallel()
	proveScenarios(t, newSandbox(t), exercises(t, false))
}

// TestFullScenarios proves those with a full system, which boots slowly: three hosts beside each other have a third of them
// each. A mistake takes a quarter of a minute, so of those that have more than three these many are proven, spread over the
// list; all of them with KVMLAB_MISTAKES=-1 in the environment.
func TestFullScenarios(t *testing.T) {
	t.Parallel()
	most := os.Getenv("KVMLAB_MISTAKES")
	if most == "" {
		most = "3"
	}
	for part := range slices.Chunk(exercises(t, true), 3) {
		t.Run(strings.Join(part, "+"), func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			needDebian(t, s)
			proveScenarios(t, s, part, "--mistakes", most)
		})
	}
}

// exercises names the built-in exercises that are of micro guests alone, or those that have a full system.
func exercises(t *testing.T, full bool) []string {
	t.Helper()
	var names []string
	for _, name := range scenarios.Names() {
		if !scenarios.HasChecks(name) {
			continue
		}
		s, err := scenarios.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(s.Images(), "debian") == full {
			names = append(names, name)
		}
	}
	return names
}

// proveScenarios has exercises prove themselves one after the other, and leave nothing behind.
func proveScenarios(t *testing.T, s *sandbox, names []string, flags ...string) {
	t.Helper()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			before := s.footprint()
			args := slices.Concat([]string{"scenario", "test", name}, flags)
			if r := s.tryFor(provenWithin, "kvmlab", args...); r.status != 0 {
				t.Errorf("status %d\n%s\n%s", r.status, r.out, r.err)
			}
			if diff := cmp.Diff(before, s.footprint()); diff != "" {
				t.Errorf("left behind (-before +after):\n%s", diff)
			}
		})
	}
}

// TestNewScenario makes a scenario as a teacher would, proves it, and breaks it.
func TestNewScenario(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	dir := t.TempDir() + "/mine"
	s.run("kvmlab", "scenario", "new", dir)
	if r := s.try("kvmlab", "scenario", "new", dir); r.status != 2 || !strings.Contains(r.err, "KL644") {
		t.Errorf("a second time: status %d\n%s", r.status, r.err)
	}
	if out := s.run("kvmlab", "scenario", "test", dir); strings.Contains(out, "no ") {
		t.Errorf("the skeleton does not pass its own test:\n%s", out)
	}
	// A mistake that the checks do not catch is told.
	s.run("sed", "-i", `s/value: "ff:ff:ff:ff:ff:ff"//; s/{answer: server-mac, }/{answer: server-mac}/`, dir+"/checks.yaml")
	if r := s.try("kvmlab", "scenario", "test", dir); r.status != 1 || !strings.Contains(r.err, "KL643") ||
		!strings.Contains(r.out, "--> "+dir+"/checks.yaml:") {
		t.Errorf("a mistake that is none: status %d\n%s\n%s", r.status, r.out, r.err)
	}
	s.run("rm", dir+"/README.ca.md")
	if r := s.try("kvmlab", "scenario", "test", dir); r.status != 2 || !strings.Contains(r.err, "README.ca.md") {
		t.Errorf("without a language: status %d\n%s", r.status, r.err)
	}
}

// checkResult is what a student's `kvmlab check -o json` says.
type checkResult struct {
	Score  int `json:"score"`
	Points int `json:"points"`
	Checks []struct {
		ID       string `json:"id"`
		State    string `json:"state"`
		Reason   string `json:"reason"`
		Why      string `json:"why"`
		PassedAt string `json:"passed_at"`
	} `json:"checks"`
	Causes []struct {
		Code string `json:"code"`
	} `json:"causes"`
}

func (s *sandbox) check(t *testing.T, wantStatus int, args ...string) checkResult {
	t.Helper()
	r := s.try("kvmlab", append([]string{"check", "-o", "json"}, args...)...)
	if r.status != wantStatus {
		t.Fatalf("check: status %d, want %d\n%s\n%s", r.status, wantStatus, r.out, r.err)
	}
	var result checkResult
	if err := json.Unmarshal([]byte(r.out), &result); err != nil {
		t.Fatalf("%v\n%s", err, r.out)
	}
	return result
}

// TestScenarioAsStudent does the exercise dhcp-server at the console, with three mistakes on the way: there are no points
// before the first edit, the right cause is named after each mistake, and in the end there are all points.
func TestScenarioAsStudent(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	needDebian(t, s)
	s.checkTooEarly(t)
	srv := s.sitDown(t, "srv")
	srv.login()
	if r := s.check(t, 3); r.Score != 0 {
		t.Errorf("%d points before the first edit", r.Score)
	}
	srv.file("/etc/network/interfaces.d/eth1", "auto eth1\niface eth1 inet static\n    address 192.168.1.1/24\n")
	srv.command("echo 'source /etc/network/interfaces.d/*' >> /etc/network/interfaces")
	srv.command("ifup eth1")
	srv.command(`sed -i 's/^INTERFACESv4=.*/INTERFACESv4="eth1"/' /etc/default/isc-dhcp-server`)
	subnet := func(rangeLine string) {
		srv.file("/etc/dhcp/dhcpd.conf", "subnet 192.168.1.0 netmask 255.255.255.0 {\n  "+rangeLine+"\n}\n")
	}
	for _, mistake := range []struct {
		line, cause string
		restart     bool
	}{
		{"range 192.168.1.2 192.168.1.10", "KL702", true},
		{"range 192.168.1.2-192.168.1.10;", "KL714", true},
		{"range 192.168.1.2 192.168.1.10;", "KL752", false},
	} {
		if !mistake.restart { // the server runs with something else, and the right file is not read yet
			subnet("range 192.168.1.200 192.168.1.210;")
			srv.command("systemctl restart isc-dhcp-server")
		}
		subnet(mistake.line)
		if mistake.restart {
			srv.command("systemctl restart isc-dhcp-server")
		}
		r := s.check(t, 3)
		if len(r.Causes) == 0 || r.Causes[0].Code != mistake.cause {
			t.Errorf("%s: the causes are %v, want %s first", mistake.line, r.Causes, mistake.cause)
		}
	}
	srv.command("systemctl restart isc-dhcp-server")
	r := s.check(t, 0, "--answer", "server-address=192.168.1.1")
	if r.Score != r.Points {
		t.Errorf("%d of %d points in the end: %+v", r.Score, r.Points, r.Checks)
	}
	s.breakBoot(t, srv)
	s.run("kvmlab", "down", "--purge", "--yes")
}

// checkTooEarly brings the exercise up, and asks for checks as soon as there is something of it.
func (s *sandbox) checkTooEarly(t *testing.T) {
	t.Helper()
	up, said := s.start("kvmlab", "scenario", "up", "dhcp-server")
	for said.Scan() && !strings.Contains(said.Text(), "supervisor is ready") {
	}
	if r := s.try("kvmlab", "check"); r.status != 1 || !strings.Contains(r.err, "KL646") || !strings.Contains(r.err, "coming up") {
		t.Errorf("check while the lab comes up: status %d\n%s%s", r.status, r.out, r.err)
	}
	for said.Scan() {
	}
	if err := up.Wait(); err != nil {
		t.Fatalf("up: %v", err)
	}
}

// breakBoot has the student ruin the server, so that it does not boot any more, and begin anew with it.
func (s *sandbox) breakBoot(t *testing.T, srv *typist) {
	t.Helper()
	srv.command("mv /lib/systemd/systemd /root/")
	srv.types("reboot -f -f\r")
	srv.expect("Kernel panic")
	r := s.check(t, 3)
	if one := r.Checks[0]; one.Reason != "check.why.no-boot" || !strings.Contains(one.Why, "scenario reset dhcp-server --guest srv") {
		t.Errorf("a guest that does not boot: %+v", one)
	}
	srv.leave()
	s.refused(t, 2, "KL409", "scenario", "reset", "--guest", "srv")
	s.run("kvmlab", "scenario", "reset", "--guest", "srv", "--yes")
	s.exec("true") // waits for it
	if r := s.check(t, 3); r.Score != 0 || len(r.Causes) == 0 {
		t.Errorf("after the reset: %+v", r)
	}
}
