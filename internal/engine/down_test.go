package engine_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

func TestDownGoesOn(t *testing.T) {
	for name, build := range bothIsolations() {
		t.Run(name, func(t *testing.T) {
			l := build()
			b := newBench(t)
			before := neighbours(b)
			b.mustUp(t, l)
			b.before = func(op string) error {
				if op == "destroy class-pc2" {
					return errFault
				}
				return nil
			}
			_, err := engine.New(b.cfg).Down(t.Context(), l.Name)
			d, ok := errors.AsType[*diag.Diagnostic](err)
			if !ok || d.Code != diag.DownIncomplete || !errors.Is(err, errFault) {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"domain.pc2"}, d.Args["left"]); diff != "" {
				t.Error(diff)
			}
			want := append(slices.Clone(before), "domain class-pc2 class running")
			slices.Sort(want)
			if diff := cmp.Diff(want, b.objects()); diff != "" {
				t.Error(diff)
			}
			b.before = nil
			b.mustDown(t, l.Name)
			if diff := cmp.Diff(before, b.objects()); diff != "" {
				t.Error(diff)
			}
			b.mustDown(t, l.Name)
			if left := b.files(t); len(left) > 0 {
				t.Errorf("down of no lab left %v", left)
			}
		})
	}
}

func TestDownWithoutItsState(t *testing.T) {
	for _, damage := range []struct {
		name string
		do   func(files state.Lab, dirs state.Dirs) error
	}{
		{"all of it", func(_ state.Lab, d state.Dirs) error { return os.RemoveAll(d.State) }},
		{"lab.json", func(f state.Lab, _ state.Dirs) error { return os.Remove(f.LabFile()) }},
		{"journal damaged", func(f state.Lab, _ state.Dirs) error { return os.WriteFile(f.JournalFile(), []byte("?\n"), 0o600) }},
		{"lab.json damaged", func(f state.Lab, _ state.Dirs) error { return os.WriteFile(f.LabFile(), []byte("?"), 0o600) }},
	} {
		t.Run(damage.name, func(t *testing.T) {
			for name, build := range bothIsolations() {
				t.Run(name, func(t *testing.T) {
					l := build()
					b := newBench(t)
					before := neighbours(b)
					b.mustUp(t, l)
					files, err := b.cfg.Dirs.Lab(l.Name)
					if err != nil {
						t.Fatal(err)
					}
					if err := damage.do(files, b.cfg.Dirs); err != nil {
						t.Fatal(err)
					}
					if names, err := engine.New(b.cfg).Labs(t.Context()); err != nil || !slices.Equal(names, []string{"class"}) {
						t.Errorf("labs: %v, %v", names, err)
					}
					b.mustDown(t, l.Name)
					if diff := cmp.Diff(before, b.objects()); diff != "" {
						t.Error(diff)
					}
					if left := b.files(t); len(left) > 0 {
						t.Errorf("left %v", left)
					}
				})
			}
		})
	}
}

func TestUpAfterTheStateWasLost(t *testing.T) {
	for name, build := range bothIsolations() {
		t.Run(name, func(t *testing.T) {
			l := build()
			b := newBench(t)
			b.mustUp(t, l)
			if err := os.RemoveAll(b.cfg.Dirs.State); err != nil {
				t.Fatal(err)
			}
			b.events = nil
			_, err := engine.New(b.cfg).Up(t.Context(), l.Name, func(prev *lab.Lab, taken func(macgen.MAC) bool) (*lab.Lab, error) {
				for _, g := range l.Guests {
					was, ok := prev.Guest(g.Name)
					if !ok || !cmp.Equal(was.NICs, g.NICs) {
						t.Errorf("%s was %v, is rebuilt as %v", g.Name, g.NICs, was)
					}
					if taken(g.NICs[0].MAC) {
						t.Errorf("the MAC of %s is taken by itself", g.Name)
					}
				}
				return l, nil
			}, engine.UpOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"supervisor"}, b.told(engine.Done)); diff != "" {
				t.Error(diff)
			}
			if plan := b.mustUp(t, l); len(plan.Changes) > 0 {
				t.Error(plan.Text(false))
			}
		})
	}
}

func TestDownLeavesWhatLostItsMark(t *testing.T) {
	b := newBench(t)
	l := threeTaps("class", 0)
	b.mustUp(t, l)
	b.byHand(func(w *world) {
		tap := w.links["tap2"]
		tap.Owner = netsetup.Owner{}
		w.links["tap2"] = tap
		w.domains["class-pc3"].Owned = false
	})
	res, err := engine.New(b.cfg).Down(t.Context(), l.Name)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, d := range res.Left {
		left = append(left, d.Address.String())
	}
	if diff := cmp.Diff([]string{"tap.tap2", "domain.pc3"}, left); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"domain class-pc3 class running", "link tap2"}, b.objects()); diff != "" {
		t.Error(diff)
	}
}

func TestStatus(t *testing.T) {
	b := newBench(t)
	l := threeTaps("class", 0)
	status := func() (engine.Condition, []string) {
		t.Helper()
		s, err := engine.New(b.cfg).Status(t.Context(), l.Name)
		if err != nil {
			t.Fatal(err)
		}
		drift := []string{}
		for _, d := range s.Drift {
			drift = append(drift, d.Address.String()+" "+d.Problem)
		}
		return s.Condition, drift
	}
	if c, drift := status(); c != engine.Down || len(drift) > 0 {
		t.Error(c, drift)
	}
	b.mustUp(t, l)
	if c, drift := status(); c != engine.Up || len(drift) > 0 {
		t.Error(c, drift)
	}
	b.byHand(func(w *world) {
		space{w, ""}.deleteLink("tap2")
		w.domains["class-pc3"].Run = vm.RunShutoff
		delete(w.supervisors, "class")
		w.links["eth0"] = netsetup.Link{Name: "eth0", Kind: netsetup.KindOther, Index: 50, Master: "br1"}
	})
	c, drift := status()
	want := []string{
		"bridge.br1 eth0 is plugged into br1 and is not the lab's", "supervisor does not run", "tap.tap2 does not exist",
		"domain.pc2 has lost its connection to tap2", "domain.pc3 is off",
	}
	if diff := cmp.Diff(want, drift); c != engine.Degraded || diff != "" {
		t.Error(c, diff)
	}
	if err := os.RemoveAll(b.cfg.Dirs.State); err != nil {
		t.Fatal(err)
	}
	if c, drift := status(); c != engine.Degraded || len(drift) != 7 {
		t.Error(c, drift)
	}
}

// Labs whose names and guests come to the same when they are put together have domains of their own.
func TestNamesThatRunTogether(t *testing.T) {
	b := newBench(t)
	first, second := threeTaps("a-b", 0), threeTaps("a", 1)
	first.Guests[0].Name, second.Guests[0].Name = "c", "b-c"
	first.Guests[0].UUID, second.Guests[0].UUID = lab.GuestUUID("a-b", "c"), lab.GuestUUID("a", "b-c")
	b.mustUp(t, first)
	b.mustUp(t, second)
	b.mustDown(t, "a")
	for _, object := range b.objects() {
		if !strings.Contains(object, "a-b") {
			t.Errorf("after down of a: %s", object)
		}
	}
	b.mustDown(t, "a-b")
}

func TestTwoAtOnce(t *testing.T) {
	b := newBench(t)
	l := threeTaps("class", 0)
	_, err := engine.New(b.cfg).Up(t.Context(), l.Name, func(*lab.Lab, func(macgen.MAC) bool) (*lab.Lab, error) {
		for _, second := range []func() error{
			func() error { _, err := b.up(t.Context(), l); return err },
			func() error { _, err := engine.New(b.cfg).Down(t.Context(), l.Name); return err },
		} {
			var locked *state.LockedError
			if err := second(); !errors.As(err, &locked) || diag.CodeOf(err) != diag.LabBusy {
				t.Errorf("second command: %v", err)
			}
		}
		return l, nil
	}, engine.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
