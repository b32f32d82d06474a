package scenarios_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/scenarios"
)

// TestEveryScenarioIsALab also holds the built-in labs to a higher standard than
// others: they give no warnings.
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
			if len(spec.Warnings) > 0 {
				t.Errorf("warnings: %v", spec.Warnings)
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
