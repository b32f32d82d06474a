package engine_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// TestPlansOfAnIsolatedLab goes through what only a lab with its own network namespace can be found in.
func TestPlansOfAnIsolatedLab(t *testing.T) {
	inside := func(w *world, name string, change func(*netsetup.Link)) {
		l := w.spaces["class"][name]
		change(&l)
		w.spaces["class"][name] = l
	}
	for _, test := range []struct {
		name   string
		change func(w *world)
	}{
		{"isolated-fresh", nil},
		{"isolated-nothing", func(*world) {}},
		{"isolated-namespace-deleted", func(w *world) { delete(w.spaces, "class") }},
		{"isolated-loopback-down", func(w *world) { inside(w, "lo", func(l *netsetup.Link) { l.Up = false }) }},
		{"isolated-bridge-deleted", func(w *world) { space{w, "class"}.deleteLink("br1") }},
		{"isolated-tap-deleted", func(w *world) { space{w, "class"}.deleteLink("tap2") }},
		{"isolated-tap-unplugged", func(w *world) { inside(w, "tap3", func(l *netsetup.Link) { l.Master = "" }) }},
		{"isolated-guest-off", func(w *world) { w.domains["class-pc1"].Run, w.domains["class-pc1"].open = vm.RunShutoff, nil }},
		{"isolated-guest-paused-by-somebody", func(w *world) { w.domains["class-pc3"].Run = vm.RunPaused }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			l := isolated(threeTaps("class", 0))
			if test.change != nil {
				b.mustUp(t, l)
				b.byHand(test.change)
			}
			plan, _, err := engine.New(b.cfg).Plan(t.Context(), l.Name, fixed(l))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, test.name+".txt", plan.Text(true))
			b.mustUp(t, l)
			if again := b.mustUp(t, l); len(again.Changes) > 0 {
				t.Errorf("not mended:\n%s", again.Text(false))
			}
			for _, link := range b.links {
				t.Errorf("%s is in the host's namespace", link.Name)
			}
			down, err := engine.New(b.cfg).PlanDown(t.Context(), l.Name)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "isolated-down.txt", down.Text(true))
			b.mustDown(t, l.Name)
			if left := append(b.objects(), b.files(t)...); len(left) > 0 {
				t.Errorf("left after down: %v", left)
			}
		})
	}
}

// A guest whose starter was killed is paused, with its taps in the host's namespace or in the lab's. Up starts it
// again; Down removes all of it, also without the state.
func TestKilledBeforeAGuestRuns(t *testing.T) {
	for _, at := range []struct {
		point string
		lab   *lab.Lab
	}{
		{"resumed from the template, not run", threeTaps("class", 0)},
		{"resumed from the template, not run", isolated(threeTaps("class", 0))},
		{"started, taps not moved", isolated(threeTaps("class", 0))},
		{"taps moved, not resumed", isolated(threeTaps("class", 0))},
	} {
		for _, lose := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v", at.point, at.lab.Isolation), func(t *testing.T) {
				b := newBench(t)
				b.cfg.Templates = templates{b.world}
				point, l := at.point, at.lab
				killed := &counter{at: 1}
				b.cfg.Passed = func(at string) {
					if at == point {
						killed.step()
					}
				}
				b.before = func(string) error {
					if killed.reached() {
						return errCrashed
					}
					return nil
				}
				b.cfg.AfterRecord = func(state.Record) {}
				if _, err := b.up(t.Context(), l); !errors.Is(err, errCrashed) {
					t.Fatal(err)
				}
				b.before, b.cfg.Passed = nil, nil
				paused := 0
				b.byHand(func(w *world) {
					for _, d := range w.domains {
						if d.Run == vm.RunPaused {
							paused++
						}
					}
				})
				if paused == 0 {
					t.Fatalf("no guest is paused: %v", b.objects())
				}
				if !lose {
					b.mustUp(t, l)
					if again := b.mustUp(t, l); len(again.Changes) > 0 {
						t.Errorf("not mended:\n%s", again.Text(false))
					}
				}
				b.mustDown(t, l.Name)
				if left := append(b.objects(), b.files(t)...); len(left) > 0 {
					t.Errorf("left after down: %v", left)
				}
			})
		}
	}
}
