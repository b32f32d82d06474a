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
