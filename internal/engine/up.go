package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/vm"
)

// UpOptions are the choices of Up.
type UpOptions struct {
	// Planned, when set, is called once with the lab before the first change; not when there is nothing to change.
	Planned func(l *lab.Lab)
	// Ready, when set, is called after all changes were made, to wait until the lab does what it should. Its error
	// takes this run back, like that of a change.
	Ready func(ctx context.Context, l *lab.Lab) error
}

// Plan says what Up would do, without a lock and without writing anything. When the plan could not be carried out,
// it is returned beside the error.
func (e *Engine) Plan(ctx context.Context, name string, resolve Resolver) (*Plan, *lab.Lab, error) {
	files, err := e.cfg.Dirs.Lab(name)
	if err != nil {
		return nil, nil, err
	}
	p, err := e.prepare(ctx, files, resolve)
	return p.plan, p.want, err
}

// prepared is what Up knows before it changes anything.
type prepared struct {
	want   *lab.Lab
	seen   *Observed
	plan   *Plan
	stored []byte // lab.json as it was; nil when there was none
}

// prepare observes, resolves and plans. What it returns beside an error is as complete as it could get.
func (e *Engine) prepare(ctx context.Context, files state.Lab, resolve Resolver) (p prepared, err error) {
	if p.seen, err = e.observeAll(ctx, files); err != nil {
		return p, err
	}
	previous, stored, err := storedLab(files)
	p.stored = stored
	if err != nil {
		return p, err
	}
	if previous == nil {
		previous = p.seen.fromMarks(files.Name())
	}
	if p.want, err = resolve(previous, p.seen.taken(files.Name())); err != nil {
		return p, err
	}
	if p.want.Name != files.Name() {
		return p, fmt.Errorf("resolve lab %q: it calls itself %q", files.Name(), p.want.Name)
	}
	if err := e.overlaps(ctx, p.want, p.seen); err != nil {
		return p, err
	}
	if err := e.lookFirewall(ctx, p.want, p.seen); err != nil {
		return p, err
	}
	p.plan = NewPlan(p.want, p.seen, e.cfg.TapOwner)
	return p, p.plan.Err()
}

// storedLab reads lab.json: nil and no error when there is none.
func storedLab(files state.Lab) (*lab.Lab, []byte, error) {
	data, err := files.ReadLabFile()
	if err != nil || data == nil {
		return nil, nil, explainState(files.LabFile(), err)
	}
	l, err := lab.Decode(files.LabFile(), data)
	return l, data, err
}

// Up brings the lab called name up, or mends what is missing of it. A second Up finds nothing to do. On an error, or
// when ctx ends, what this run changed is taken back before Up returns; the error then carries the cause and, if
// something could not be taken back, that too. The Result is returned as far as it got.
func (e *Engine) Up(ctx context.Context, name string, resolve Resolver, opts UpOptions) (res *Result, err error) {
	files, err := e.cfg.Dirs.Lab(name)
	if err != nil {
		return nil, err
	}
	lock, err := files.Lock()
	if err != nil {
		return nil, explainState(files.LockFile(), err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	p, err := e.prepare(ctx, files, resolve)
	res = &Result{Lab: p.want, Plan: p.plan}
	if err == nil {
		err = e.bringUp(ctx, files, p, opts)
	}
	if err != nil {
		err = errors.Join(err, e.tidy(ctx, files, p))
	}
	return res, err
}

// bringUp carries a plan out, and takes it back when that does not succeed.
func (e *Engine) bringUp(ctx context.Context, files state.Lab, p prepared, opts UpOptions) (err error) {
	r := &run{e: e, name: files.Name(), lab: p.want, files: files, own: p.seen.Firewall.Own}
	defer func() { err = errors.Join(err, r.leave()) }()
	if len(p.plan.Changes) == 0 {
		// What was there before this run is not this run's to take back.
		err := r.store(p.stored)
		if err == nil && opts.Ready != nil {
			err = opts.Ready(ctx, p.want)
		}
		if err == nil {
			err = explainState(files.BootFile(), files.NoteBoot())
		}
		return err
	}
	if err := r.describeGuests(ctx, p.plan); err != nil {
		return err
	}
	if err := r.open(p.stored); err != nil {
		return errors.Join(err, r.close(), r.files.WriteLabFile(p.stored))
	}
	if opts.Planned != nil {
		opts.Planned(p.want)
	}
	err = r.apply(ctx, p.plan, p.seen)
	if err == nil && ctx.Err() == nil && opts.Ready != nil {
		err = opts.Ready(ctx, p.want)
	}
	if err == nil && ctx.Err() == nil {
		return errors.Join(explainState(files.BootFile(), files.NoteBoot()), r.close())
	}
	return r.giveUp(ctx, err, p.stored)
}

// giveUp takes the run back and says what went wrong.
func (r *run) giveUp(ctx context.Context, err error, stored []byte) error {
	what := "a step failed"
	if ctx.Err() != nil {
		what = "it was interrupted"
		err = diag.New(diag.Cancelled, diag.Args{"action": "up"}).Wrap(errors.Join(ctx.Err(), err))
	}
	left, undoErr := r.rollback(ctx)
	storeErr := explainState(r.files.LabFile(), r.files.WriteLabFile(stored))
	all := errors.Join(err, undoErr, storeErr, r.close())
	if undoErr != nil {
		return diag.New(diag.RollbackIncomplete, diag.Args{"lab": r.name, "left": left}).Wrap(all)
	}
	return diag.New(diag.RolledBack, diag.Args{"lab": r.name, "what": what}).Wrap(all)
}

// open makes the state that the run needs: folders, the stored lab that the supervisor reads, the journal.
func (r *run) open(stored []byte) error {
	err := r.store(stored)
	if err == nil {
		r.journal, err = r.e.openJournal(r.files)
	}
	return err
}

// store writes lab.json unless it says the same already.
func (r *run) store(stored []byte) error {
	data, err := r.lab.Encode()
	if err != nil {
		return err
	}
	if err := r.files.Create(); err != nil {
		return explainState(r.files.Dir(), err)
	}
	if bytes.Equal(data, stored) {
		return nil
	}
	return explainState(r.files.LabFile(), r.files.WriteLabFile(data))
}

func (r *run) close() error {
	if r.journal == nil {
		return nil
	}
	return r.journal.Close()
}

// describeGuests gets images and platform for the guests that the plan starts, before anything is changed.
func (r *run) describeGuests(ctx context.Context, plan *Plan) error {
	r.domains, r.prepared = map[string]vm.Domain{}, map[string]bool{}
	var on Platform
	images := map[string]Image{}
	r.keys = map[string][]string{}
	for _, c := range plan.Changes {
		g, ok := r.lab.Guest(c.Address.Name)
		if c.Address.Kind != KindDomain || c.Action == Delete || !ok {
			continue
		}
		image, have := images[g.Image]
		var err error
		if !have {
			if image, err = r.e.cfg.Image(ctx, g.Image); err != nil {
				return fmt.Errorf("find image %q: %w", g.Image, err)
			}
			images[g.Image], r.keys[g.Image] = image, image.Keys
		}
		if len(r.domains) == 0 {
			if on, err = r.e.cfg.Platform(ctx); err != nil {
				return fmt.Errorf("find out how guests run here: %w", err)
			}
		}
		var disk *vm.Disk
		if image.Disk != "" {
			if disk, image, err = r.diskOf(ctx, *g, image); err != nil {
				return err
			}
		}
		d := domainOf(r.lab, *g, image, on, r.files)
		d.Disk = disk
		r.domains[g.Name] = d
		r.prepareTemplate(ctx, d)
	}
	return nil
}

// prepareTemplate sees to the template of a guest that can come from one. Without one the guest boots.
func (r *run) prepareTemplate(ctx context.Context, d vm.Domain) {
	if r.e.cfg.Templates == nil || !d.Lean() {
		return
	}
	err := r.e.cfg.Templates.Prepare(ctx, d)
	r.prepared[d.Owner.Guest] = err == nil
	if err != nil && ctx.Err() == nil {
		r.e.cold(d.Owner.Guest, err)
	}
}

// tidy removes the state of a lab of which nothing exists after an Up that failed.
func (e *Engine) tidy(ctx context.Context, files state.Lab, p prepared) error {
	if p.stored != nil || p.seen == nil {
		return nil // it was there before this run
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.UndoTimeout)
	defer cancel()
	seen, err := e.observe(ctx, files)
	if err != nil || !seen.empty(files.Name()) {
		return nil // not known to be empty; the error that led here is the one to tell
	}
	return files.Remove()
}
