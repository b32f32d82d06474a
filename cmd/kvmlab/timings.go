package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// timing is one thing that `up` did or waited for.
type timing struct {
	What string        // an address (tap.tap1), or a guest and its step (pc1 DISCOVER)
	At   time.Duration // after the command began
	Took time.Duration // of a guest's step: since the one before
}

// MarshalJSON writes milliseconds.
func (t timing) MarshalJSON() ([]byte, error) {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return json.Marshal(struct {
		What string  `json:"what"`
		At   float64 `json:"at_ms"`
		Took float64 `json:"took_ms"`
	}{t.What, ms(t.At), ms(t.Took)})
}

// timings is the trace of an `up`: `up --timings`. A nil one records nothing.
type timings struct {
	now   func() time.Time
	began time.Time

	mu    sync.Mutex
	list  []timing
	steps []guestStep
}

// guestStep is a moment on a guest's way to its lease.
type guestStep struct {
	guest, what string // what is "" for the moment at which it was powered on
	at          time.Time
}

// newTimings begins a trace, if one is wanted.
func newTimings(a *app, wanted bool) *timings {
	if !wanted {
		return nil
	}
	return &timings{now: a.now, began: a.now()}
}

func (t *timings) add(what string, from, to time.Time) {
	t.list = append(t.list, timing{What: what, At: from.Sub(t.began), Took: to.Sub(from)})
}

// Planned ends the time before the first change: reading the host, resolving the lab, making the plan.
func (t *timings) Planned() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add("plan", t.began, t.now())
}

// Change records a change that has ended.
func (t *timings) Change(ev engine.Event) {
	if t == nil || ev.Kind == engine.Started {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	what := ev.Change.Address.String()
	if ev.Kind != engine.Done {
		what += " " + ev.Kind.String()
	}
	t.add(what, ev.Time.Add(-ev.Duration), ev.Time)
	if ev.Change.Address.Kind == engine.KindDomain {
		t.steps = append(t.steps, guestStep{guest: ev.Change.Address.Name, at: ev.Time})
	}
}

// Event records a step of a guest on the way to its lease, as its supervisor or the wire saw it: in any order.
func (t *timings) Event(ev lab.Event) {
	_, isStep := dhcpSteps[ev.Message]
	if t == nil || ev.Guest == "" || !isStep && ev.Message != lab.GuestIdentified {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = append(t.steps, guestStep{ev.Guest, ev.Message, ev.Time})
}

// sorted is the trace in the order in which things began; never nil when there is a trace.
func (t *timings) sorted() []timing {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	list := append([]timing{}, t.list...)
	slices.SortStableFunc(t.steps, func(a, b guestStep) int { return a.at.Compare(b.at) })
	last := map[string]time.Time{} // by guest
	for _, step := range t.steps {
		if from, known := last[step.guest]; step.what != "" {
			if !known {
				from = step.at
			}
			list = append(list, timing{What: step.guest + " " + step.what, At: from.Sub(t.began), Took: step.at.Sub(from)})
		}
		last[step.guest] = step.at
	}
	slices.SortStableFunc(list, func(a, b timing) int { return cmp.Compare(a.At, b.At) })
	return list
}

// write prints the trace for people, in milliseconds.
func (t *timings) write(a *app) error {
	if t == nil {
		return nil
	}
	table := cliui.NewTable(a.OutStyle(), a.T("table.what"), a.T("table.at"), a.T("table.took"))
	for _, row := range t.sorted() {
		table.Row(row.What, fmt.Sprint(row.At.Milliseconds()), fmt.Sprint(row.Took.Milliseconds()))
	}
	_, err := table.WriteTo(a.Out)
	return err
}
