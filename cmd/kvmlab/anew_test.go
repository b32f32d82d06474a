package main_test

import (
	"bufio"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExerciseAnew spoils what an exercise had prepared. Each check tells what is so now, not what was before; one guest, or
// all, begin anew, each with what it begins with.
func TestExerciseAnew(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.refused(t, 2, "KL613", "check") // no lab
	dir := folder(t, "anew")
	s.run("kvmlab", "scenario", "up", dir)
	s.refused(t, 2, "did you mean \"anew\"", "check", "anwe")
	s.refused(t, 2, "KL642", "scenario", "solve")

	s.states(t, 0, "pc1 passed, pc2 passed, word passed", "--answer", "word=discover")
	for _, guest := range []string{"pc1", "pc2"} {
		s.run("kvmlab", "exec", guest, "--", "rm", "/run/start")
	}
	r := s.states(t, 3, "pc1 failed, pc2 failed, word skipped")
	if one := r.Checks[0]; one.PassedAt == "" || one.Reason != "check.why.status-output" {
		t.Errorf("what passed before and does not now: %+v", one)
	}
	s.run("kvmlab", "scenario", "reset", "--guest", "pc2")
	s.states(t, 3, "pc1 failed, pc2 passed, word passed")
	s.run("kvmlab", "scenario", "reset")
	if r := s.states(t, 3, "pc1 passed, pc2 passed, word failed"); r.Checks[2].PassedAt != "" || r.Checks[2].Reason != "check.why.not-answered" {
		t.Errorf("an answer from before: %+v", r.Checks[2])
	}

	s.reports(t)
	s.hints(t)
	s.watchesWhileAnswering(t)

	s.run("virsh", "destroy", "anew-pc1")
	if r := s.states(t, 3, "pc1 failed, pc2 passed, word passed"); r.Checks[0].Reason != "check.why.guest-off" {
		t.Errorf("a guest that is off: %+v", r.Checks[0])
	}
	s.run("kvmlab", "down")
}

// reports reads the result as a spreadsheet and a CI system would.
func (s *sandbox) reports(t *testing.T) {
	t.Helper()
	r := s.try("kvmlab", "check", "-o", "csv")
	rows, err := csv.NewReader(strings.NewReader(r.out)).ReadAll()
	want := [][]string{
		{"lab", "scenario", "check", "points", "state", "why"},
		{"anew", "anew", "pc1", "1", "passed", ""},
		{"anew", "anew", "pc2", "1", "passed", ""},
		{"anew", "anew", "word", "2", "failed", "the question is not answered yet: sudo kvmlab check --answer word=…"},
	}
	if diff := cmp.Diff(want, rows); r.status != 3 || err != nil || diff != "" {
		t.Errorf("-o csv: status %d, %v (-want +got):\n%s", r.status, err, diff)
	}
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Cases    []struct {
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
		} `xml:"testcase"`
	}
	r = s.try("kvmlab", "check", "-o", "junit")
	if err := xml.Unmarshal([]byte(r.out), &suite); r.status != 3 || err != nil || suite.Tests != 3 || suite.Failures != 1 ||
		len(suite.Cases) != 3 || suite.Cases[2].Name != "word" || suite.Cases[2].Failure == nil {
		t.Errorf("-o junit: status %d, %v\n%s", r.status, err, r.out)
	}
}

// hints asks for more than there are. No solution is offered where it is forbidden.
func (s *sandbox) hints(t *testing.T) {
	t.Helper()
	for _, want := range []string{"Hint 1 of 2: It is a message.", "Hint 2 of 2: It is the first one.", "It is the first one."} {
		r := s.try("kvmlab", "hint")
		if r.status != 0 || !strings.Contains(r.out, "You know it\n"+want) || strings.Contains(r.err, "solve") {
			t.Errorf("hint: %+v, want %q", r, want)
		}
	}
}

// watchesWhileAnswering leaves `check --watch` on, answers beside it, wrongly and rightly, and sees the point ticked off.
func (s *sandbox) watchesWhileAnswering(t *testing.T) {
	t.Helper()
	watch := s.command(t.Context(), "kvmlab", "check", "--watch")
	out, err := watch.StdoutPipe()
	if err := errors.Join(err, watch.Start()); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ok    it is so" {
	}
	s.check(t, 3, "--answer", "word=offer")
	s.check(t, 0, "--answer", "word=discover")
	var got []string
	for lines.Scan() {
		got = append(got, lines.Text())
	}
	if diff := cmp.Diff([]string{"ok    it is so", "ok    You know it", "", "4 of 4 points"}, got); diff != "" || watch.Wait() != nil {
		t.Errorf("--watch: status %v (-want +got):\n%s", watch.ProcessState, diff)
	}
}

// refused runs a command that must fail with the status, and whose error must contain a text.
func (s *sandbox) refused(t *testing.T, status int, says string, args ...string) {
	t.Helper()
	if r := s.try("kvmlab", args...); r.status != status || !strings.Contains(r.err, says) {
		t.Errorf("%v: status %d, want %d and %q\n%s%s", args, r.status, status, says, r.out, r.err)
	}
}

// states runs check and compares the states of all checks.
func (s *sandbox) states(t *testing.T, wantStatus int, want string, args ...string) checkResult {
	t.Helper()
	r := s.check(t, wantStatus, args...)
	var got []string
	for _, one := range r.Checks {
		got = append(got, one.ID+" "+one.State)
	}
	if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	return r
}
