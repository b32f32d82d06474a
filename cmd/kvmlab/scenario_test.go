package main_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestScenarios proves every built-in exercise: those of micro guests with all their mistakes, those with a full system,
// which boots slowly, only by their solution. TestScenarioOfFullSystem proves the mistakes of one of those.
func TestScenarios(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	var list struct {
		Scenarios []struct {
			Name   string   `json:"name"`
			Images []string `json:"images"`
		} `json:"scenarios"`
	}
	if err := json.Unmarshal([]byte(s.run("kvmlab", "scenario", "list", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	needDebian(t, s)
	for _, one := range list.Scenarios {
		t.Run(one.Name, func(t *testing.T) {
			before := s.footprint()
			args := []string{"scenario", "test", one.Name}
			if slices.Contains(one.Images, "debian") {
				args = append(args, "--no-mistakes")
			}
			if r := s.try("kvmlab", args...); r.status != 0 {
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
	if r := s.try("kvmlab", "scenario", "test", dir); r.status != 1 || !strings.Contains(r.err, "KL643") {
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
		ID    string `json:"id"`
		State string `json:"state"`
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
	s.run("kvmlab", "scenario", "up", "dhcp-server")
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
	s.run("kvmlab", "down", "--purge", "--yes")
}
