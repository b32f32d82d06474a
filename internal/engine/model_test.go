package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// host is the state machine that rapid drives: two labs, strangers' objects, and everything that a user, a crash or
// a failing host can do to them, in any order.
type host struct {
	*bench
	labs    []*lab.Lab
	foreign map[string]string // what a stranger's object is, by "link NAME" or "domain NAME"
}

// strange tells how a stranger's objects are now.
func (h *host) strange() map[string]string {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	found := map[string]string{}
	for _, l := range h.links {
		if !l.Owned() {
			l.Carrier = false
			found["link "+l.Name] = fmt.Sprintf("%+v", l)
		}
	}
	for _, d := range h.domains {
		if !d.Owned {
			found["domain "+d.Name] = fmt.Sprintf("%+v", d.State)
		}
	}
	return found
}

// of lists the objects of one lab; with the run state of its domains if exact.
func (h *host) of(name string, exact bool) []string {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	found := []string{}
	for _, l := range h.links {
		// Where a staged tap waits, and whether it was moved yet or takes another's place, is the engine's business.
		if l.Owner.Lab == name {
			found = append(found, "link "+l.Owner.Object)
		}
	}
	for _, l := range h.spaces[name] {
		found = append(found, "link "+l.Owner.Object)
	}
	for _, d := range h.domains {
		if d.Owner.Lab == name {
			what := "domain " + d.Name
			if exact {
				what += " " + d.Run.String()
			}
			found = append(found, what)
		}
	}
	if _, ok := h.supervisors[name]; ok {
		found = append(found, "supervisor")
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// waiting lists the lab's taps that a crash left in the host's namespace before they were moved to the lab's own.
func (h *host) waiting(name string) []string {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	var found []string
	for _, l := range h.links {
		if l.Name == netsetup.StagingName(l.Owner) && l.Owner.Lab == name {
			found = append(found, "link "+l.Owner.Object)
		}
	}
	return found
}

func (h *host) draw(t *rapid.T) *lab.Lab {
	return h.labs[rapid.IntRange(0, len(h.labs)-1).Draw(t, "lab")]
}

// Up succeeds unless a stranger is in the way, and then a second Up finds nothing to do.
func (h *host) Up(t *rapid.T) {
	l := h.draw(t)
	before := h.of(l.Name, true)
	res, err := h.up(context.Background(), l)
	if res == nil || res.Plan == nil {
		t.Fatalf("up: no plan: %v", err)
	}
	if len(res.Plan.Conflicts) > 0 {
		if err == nil || !slices.Equal(before, h.of(l.Name, true)) {
			t.Fatalf("up in spite of %v: %v", res.Plan.Err(), err)
		}
		return
	}
	if err != nil {
		t.Fatalf("up: %v", err)
	}
	if again, err := h.up(context.Background(), l); err != nil || len(again.Plan.Changes) > 0 {
		t.Fatalf("second up: %v\n%s", err, again.Plan.Text(false))
	}
	if s, err := engine.New(h.cfg).Status(context.Background(), l.Name); err != nil || s.Condition != engine.Up {
		t.Fatalf("status after up: %v, %v", s.Drift, err)
	}
}

// FailingUp has one operation fail, or the caller give up, at some point. What was not there before is not there
// after, and what was there still is.
func (h *host) FailingUp(t *rapid.T) {
	l := h.draw(t)
	before, waiting, hadState := h.of(l.Name, false), h.waiting(l.Name), h.hasState(t, l)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	fails := &counter{at: rapid.IntRange(1, 15).Draw(t, "at")}
	interrupt := rapid.Bool().Draw(t, "interrupt")
	h.before = func(op string) error {
		if changing(op) && fails.step() {
			if interrupt {
				cancel()
			} else {
				return errFault
			}
		}
		return nil
	}
	_, err := h.up(ctx, l)
	h.before = nil
	if err == nil {
		return // not so many operations were needed
	}
	after := h.of(l.Name, false)
	// A supervisor that had to be started again and could not is not there any more.
	if i := slices.Index(before, "supervisor"); i >= 0 && !slices.Contains(after, "supervisor") {
		before = slices.Delete(before, i, i+1)
	}
	// So is a tap that waited in the host's namespace for a guest, and a stray, whose removal is not taken back.
	before = slices.DeleteFunc(before, func(o string) bool {
		return slices.Contains(waiting, o) && !slices.Contains(after, o)
	})
	before = slices.DeleteFunc(before, func(o string) bool { return strings.Contains(o, "stray") })
	after = slices.DeleteFunc(after, func(o string) bool { return strings.Contains(o, "stray") })
	if !slices.Equal(before, after) {
		t.Fatalf("up failed (%v): before %v, after %v", err, before, after)
	}
	if len(h.of(l.Name, false)) == 0 && !hadState && h.hasState(t, l) {
		t.Fatalf("up failed (%v) and left its state", err)
	}
}

// hasState reports whether a lab has a folder below one of the roots.
func (h *host) hasState(t *rapid.T, l *lab.Lab) bool {
	files, err := h.cfg.Dirs.Lab(l.Name)
	if err != nil {
		t.Fatal(err)
	}
	return exists(files.Dir()) || exists(files.RunDir())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// Crash kills kvmlab in the middle of an Up or a Down.
func (h *host) Crash(t *rapid.T) {
	l := h.draw(t)
	_, revive := h.crashAt(t, rapid.IntRange(1, 30).Draw(t, "at"))
	if rapid.Bool().Draw(t, "up") {
		_, _ = h.up(context.Background(), l)
	} else {
		_, _ = engine.New(h.cfg).Down(context.Background(), l.Name)
	}
	revive()
}

// Down leaves nothing of the lab.
func (h *host) Down(t *rapid.T) {
	l := h.draw(t)
	if _, err := engine.New(h.cfg).Down(context.Background(), l.Name); err != nil {
		t.Fatalf("down: %v", err)
	}
	if left := h.of(l.Name, true); len(left) > 0 {
		t.Fatalf("down left %v", left)
	}
	if h.hasState(t, l) {
		t.Fatalf("down left state")
	}
}

// Meddle changes or removes one of the labs' objects by hand.
func (h *host) Meddle(t *rapid.T) {
	h.byHand(func(w *world) {
		var all []string
		for name, l := range w.links {
			if l.Owned() {
				all = append(all, "link "+name)
			}
		}
		for name := range w.spaces {
			all = append(all, "netns "+name)
			for link, l := range w.spaces[name] {
				if l.Owned() && link != "lo" {
					all = append(all, "inside "+name+" "+link)
				}
			}
		}
		for name, d := range w.domains {
			if d.Owned {
				all = append(all, "domain "+name)
			}
		}
		for name := range w.supervisors {
			all = append(all, "supervisor "+name)
		}
		if len(all) == 0 {
			return
		}
		slices.Sort(all)
		kind, name, _ := strings.Cut(rapid.SampledFrom(all).Draw(t, "object"), " ")
		way := rapid.IntRange(0, 2).Draw(t, "way")
		switch kind {
		case "netns":
			delete(w.spaces, name)
		case "inside":
			name, link, _ := strings.Cut(name, " ")
			meddle(space{w, name}, link, way)
		case "supervisor":
			delete(w.supervisors, name)
		case "domain":
			switch way {
			case 0:
				delete(w.domains, name)
			case 1:
				w.domains[name].Run = vm.RunShutoff
			case 2:
				w.domains[name].Run = vm.RunCrashed
			}
		case "link":
			meddle(space{w, ""}, name, way)
		}
	})
}

func meddle(s space, name string, way int) {
	l := s.links()[name]
	switch way {
	case 0:
		s.deleteLink(name)
		return
	case 1:
		l.Up = false
	case 2:
		l.Master, l.Addresses = "", nil
	}
	s.links()[name] = l
}

// Edit changes what a lab's DHCP server hands out.
func (h *host) Edit(t *rapid.T) { h.draw(t).Bridges[0].DHCP.Lease += time.Minute }

// LeaveStray leaves a marked tap under a name that the lab does not have, as an older version of its file would.
func (h *host) LeaveStray(t *rapid.T) {
	name := h.draw(t).Name
	h.plant(netsetup.Link{
		Name: "stray-" + name, Kind: netsetup.KindTap, Owner: netsetup.Owner{Lab: name, Object: "stray-" + name},
	})
}

// Plant puts a stranger's object where there is none, sometimes in a lab's way.
func (h *host) Plant(t *rapid.T) {
	name := rapid.SampledFrom([]string{"br1", "tap2", "tap5", "eth0", "one-pc1", "two-pc3", "one"}).Draw(t, "name")
	if strings.HasPrefix(name, "one") || strings.HasPrefix(name, "two") {
		h.byHand(func(w *world) {
			if w.domains[name] == nil {
				w.domains[name] = &domain{State: vm.State{Name: name, Run: vm.RunRunning}}
			}
		})
	} else if _, taken := h.links[name]; !taken {
		h.plant(netsetup.Link{Name: name, Kind: netsetup.KindBridge, Up: true})
	}
	h.foreign = h.strange()
}

// Clear takes the strangers' objects away, so that they do not block the labs for ever.
func (h *host) Clear(*rapid.T) {
	h.byHand(func(w *world) {
		maps.DeleteFunc(w.links, func(_ string, l netsetup.Link) bool { return !l.Owned() })
		maps.DeleteFunc(w.domains, func(_ string, d *domain) bool { return !d.Owned })
	})
	h.foreign = h.strange()
}

// LoseState deletes what is on the disk.
func (h *host) LoseState(t *rapid.T) {
	if err := os.RemoveAll(h.cfg.Dirs.State); err != nil {
		t.Fatal(err)
	}
}

// Check holds after every step.
func (h *host) Check(t *rapid.T) {
	if now := h.strange(); !maps.Equal(h.foreign, now) {
		t.Fatalf("a stranger's object was touched:\n%v\n%v", h.foreign, now)
	}
}

func TestAnythingCanHappen(t *testing.T) {
	root := filepath.Join(memoryDir(t), "host")
	rapid.Check(t, func(t *rapid.T) {
		if err := os.RemoveAll(root); err != nil {
			t.Fatal(err)
		}
		h := &host{
			bench:   benchIn(root),
			labs:    []*lab.Lab{threeTaps("one", 0), threeTaps("two", 1), isolated(threeTaps("own", 0))},
			foreign: map[string]string{},
		}
		h.cfg.Templates = templates{h.world}
		t.Repeat(rapid.StateMachineActions(h))
		for _, l := range h.labs {
			if _, err := engine.New(h.cfg).Down(context.Background(), l.Name); err != nil {
				t.Fatalf("down at the end: %v", err)
			}
		}
		h.Check(t)
		if left := slices.Concat(h.of("one", true), h.of("two", true), h.of("own", true)); len(left) > 0 {
			t.Fatalf("left at the end: %v", left)
		}
	})
}
