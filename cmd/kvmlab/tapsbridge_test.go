package main_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTapsBridgeLeavesNothing does the exercise in which a student makes links by hand, and takes the lab down: the
// student's own links go with the lab's namespace, and nothing is left on the host.
func TestTapsBridgeLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	before := s.footprint()

	s.run("kvmlab", "scenario", "up", "taps-bridge")
	if r := s.try("kvmlab", "check"); r.status != 3 {
		t.Errorf("check before anything was done: exit status %d, want 3\n%s%s", r.status, r.out, r.err)
	}
	s.run("kvmlab", "scenario", "solve")
	s.run("kvmlab", "check")
	s.run("kvmlab", "shell", "--", "ip", "link", "show", "br2")
	s.run("kvmlab", "up", "taps-bridge") // mends the lab, and must leave what is the student's
	s.run("kvmlab", "shell", "--", "ip", "link", "show", "tapa")
	s.run("kvmlab", "down", "--purge")

	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("left on the host (-before +after):\n%s", d)
	}
}
