package scenarios_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/scenarios"
)

// TestEveryScenarioIsALab also holds the built-in labs to a higher standard than
// others: they give no warnings but those that are the exercise.
func TestEveryScenarioIsALab(t *testing.T) {
	names := scenarios.Names()
	if !slices.Contains(names, scenarios.Default) {
		t.Errorf("%v lacks the default %q", names, scenarios.Default)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			file, text, err := scenarios.LabFile(name)
			if err != nil {
				t.Fatal(err)
			}
			spec, err := lab.Parse(file, text)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range spec.Warnings {
				// Ten clients on one segment are two guests with five cards each.
				if name != "exhaustion" || w.Code != diag.SharedSegment {
					t.Errorf("warning: %v", w)
				}
			}
			l, err := lab.Resolve(spec, lab.ResolveOptions{Random: rand.Reader})
			if err != nil {
				t.Fatal(err)
			}
			if l.Name != name {
				t.Errorf("the lab is called %q, its folder %q", l.Name, name)
			}
		})
	}
}

func TestUnknownName(t *testing.T) {
	for _, name := range []string{"", ".", "..", "nope", "three-taps/", "../scenarios/three-taps", "three-taps/..", "/three-taps"} {
		if file, _, err := scenarios.LabFile(name); !errors.Is(err, scenarios.ErrUnknown) {
			t.Errorf("LabFile(%q) = %v, %v", name, file, err)
		}
	}
}

// TestEveryExerciseIsWhole holds the built-in exercises to more than a teacher's own: all fourteen are there, each with a
// solution and mistakes that prove its checks, and the one that draws its fault has a dozen at least.
func TestEveryExerciseIsWhole(t *testing.T) {
	exercises := 0
	for _, name := range scenarios.Names() {
		if !scenarios.HasChecks(name) {
			continue
		}
		exercises++
		s, err := scenarios.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		least := 3
		if s.Checks.Draw.Value {
			least = 12
		}
		if len(s.Checks.Solution) == 0 || len(s.Checks.Mistakes) < least {
			t.Errorf("%s has %d steps that solve it, and %d mistakes", name, len(s.Checks.Solution), len(s.Checks.Mistakes))
		}
	}
	if exercises < 14 {
		t.Errorf("there are %d exercises", exercises)
	}
}
