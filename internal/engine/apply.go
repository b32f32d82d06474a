package engine

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// run is one command's work on one lab.
type run struct {
	e        *Engine
	name     string // of the lab
	lab      *lab.Lab
	files    state.Lab
	journal  *state.Journal // nil when there is none to write to
	lenient  bool           // a record that cannot be written stops nothing: for Down
	domains  map[string]vm.Domain
	prepared map[string]bool            // guests that have a template
	owners   map[Address]netsetup.Owner // the marks of links that are to be removed
	own      []netip.Prefix             // the host's own networks

	mu    sync.Mutex
	begun []begun             // in the order of their begin records
	fresh []string            // guests whose disks this run has made
	keys  map[string][]string // by image: the SSH public keys for its guests
	ns    Inside              // the lab's own namespace, once it was opened
}

// begun is a change of this run that may have had an effect, and what takes it back.
type begun struct {
	change Change
	undo   undo
}

// undo is how a change is taken back.
type undo string

// The ways to take a change back; they stand in the journal.
const (
	undoNothing  undo = "" // it mended what was there, and mended it stays
	undoRemove   undo = "remove"
	undoPowerOff undo = "power off" // the guest was defined, but off
)

// undoOf tells how a change of a plan is taken back. What was deleted cannot be: it was in nobody's lab.
func undoOf(c Change, seen *Observed) undo {
	if c.Action == Create {
		return undoRemove
	}
	if d, ok := seen.domainNamed(c.Object); ok && c.Action == Update && c.Address.Kind == KindDomain && !d.Run.Active() {
		return undoPowerOff
	}
	return undoNothing
}

// apply carries the plan out. After an error nothing more is started; what is in flight is given its grace.
func (r *run) apply(ctx context.Context, plan *Plan, seen *Observed) error {
	return walk(ctx, plan.Changes, r.e.cfg.Parallel, stop, func(ctx context.Context, c Change) error {
		return r.perform(ctx, c, undoOf(c, seen))
	})
}

// perform carries one change out, with its records and events.
func (r *run) perform(ctx context.Context, c Change, back undo) error {
	record := recordOf(c)
	record.Kind, record.Undo = state.Begin, string(back)
	if err := r.record(record); err != nil {
		return err
	}
	r.mu.Lock()
	r.begun = append(r.begun, begun{c, back})
	r.mu.Unlock()

	started := r.e.cfg.Now()
	r.e.tell(Event{Kind: Started, Change: c, Time: started})
	ctx, cancel := linger(ctx, r.e.cfg.Grace, r.e.cfg.ChangeTimeout)
	defer cancel()
	var err error
	if c.Action == Delete {
		err = r.remove(ctx, c)
	} else {
		err = r.ensure(ctx, c)
		record.Applied = r.applied(c.Address)
	}
	record.Kind = state.Done
	if err != nil {
		record.Kind, record.Error, record.Applied = state.Failed, err.Error(), ""
	}
	err = errors.Join(err, r.record(record))
	r.report(Done, Failed, c, started, err)
	return err
}

// applied is what the journal keeps of an object for the next plan, see applied in observe.go.
func (r *run) applied(a Address) string {
	switch a.Kind {
	case KindSupervisor:
		return labDigest(r.lab)
	case KindDomain:
		if g, ok := r.lab.Guest(a.Name); ok {
			return g.Image
		}
	case KindNamespace, KindBridge, KindTap, KindFirewall: // the kernel tells all that there is to know
	}
	return ""
}

// rollback takes back what this run began, last first, as far as it can, and returns what is left. Every step has its
// own time limit: whoever gave the run up gave up on its success, not on the host's cleanliness, and one step that
// hangs must not take the time of the others.
func (r *run) rollback(ctx context.Context) (left []string, err error) {
	ctx = context.WithoutCancel(ctx)
	// An object is gone whether or not that can be written down: a later Down finds nothing of it.
	r.lenient = true
	r.mu.Lock()
	backs := map[Address]undo{}
	var changes []Change
	for _, b := range r.begun {
		if b.undo != undoNothing {
			backs[b.change.Address] = b.undo
			changes = append(changes, b.change)
		}
	}
	r.mu.Unlock()
	err = walk(ctx, reversed(changes), r.e.cfg.Parallel, carryOn, func(ctx context.Context, c Change) error {
		ctx, cancel := context.WithTimeout(ctx, r.e.cfg.UndoTimeout)
		defer cancel()
		err := r.takeBack(ctx, c, backs[c.Address])
		if err != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			left = append(left, c.Address.String())
		}
		return err
	})
	slices.Sort(left)
	return left, errors.Join(err, r.removeFresh())
}

func (r *run) takeBack(ctx context.Context, c Change, back undo) error {
	started := r.e.cfg.Now()
	var err error
	if back == undoPowerOff {
		err = r.removeDomain(ctx, c, false)
	} else {
		err = r.remove(ctx, c)
	}
	record := recordOf(c)
	record.Kind = state.Undone
	if err != nil {
		record.Kind, record.Error = state.Failed, "undo: "+err.Error()
	}
	err = errors.Join(err, r.record(record))
	r.report(Undone, UndoFailed, c, started, err)
	return err
}

func (r *run) report(good, bad EventKind, c Change, started time.Time, err error) {
	now := r.e.cfg.Now()
	ev := Event{Kind: good, Change: c, Time: now, Duration: now.Sub(started), Err: err}
	if err != nil {
		ev.Kind = bad
	}
	r.e.tell(ev)
}

func recordOf(c Change) state.Record {
	return state.Record{Action: c.Action.String(), Address: c.Address.String(), Object: c.Object}
}

// record writes to the journal when there is one.
func (r *run) record(rec state.Record) error {
	if r.journal == nil {
		return nil
	}
	_, err := r.journal.Append(rec)
	if err != nil && r.lenient {
		r.e.cfg.Log.Warn("go on without a record", "lab", r.name, "err", err)
		return nil
	}
	return explainState(r.files.JournalFile(), err)
}

// linger returns a context for work that must not be dropped half-way: it ends grace after ctx does, and after limit
// in any case.
func linger(ctx context.Context, grace, limit time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	unhook := context.AfterFunc(ctx, func() {
		select {
		case <-late.Done():
		case <-time.After(grace):
			cancel()
		}
	})
	return late, func() { unhook(); cancel() }
}

// openJournal opens the lab's journal for this command.
func (e *Engine) openJournal(files state.Lab) (*state.Journal, error) {
	j, err := state.OpenJournal(files.JournalFile(), state.JournalOptions{
		Run: e.cfg.Now().UTC().Format("20060102T150405.000000Z"), Now: e.cfg.Now, AfterWrite: e.cfg.AfterRecord,
	})
	return j, explainState(files.JournalFile(), err)
}
