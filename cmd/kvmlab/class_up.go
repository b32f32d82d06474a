package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/macgen"
)

// What a lab needs beside its guests' memory, in KiB: measured on a host without hardware virtualisation, where QEMU
// also keeps the translated code.
const (
	guestOverheadKiB      = 96 << 10
	supervisorOverheadKiB = 25 << 10
)

// atOnce is how many labs of a class are worked on at the same time. The guests of one start in parallel already, and
// booting is work for a processor: more at once would only make each wait longer for its leases.
func atOnce() int { return max(1, runtime.NumCPU()) }

// runClass brings up a lab for each student, every one in a network namespace of its own. One that fails does not stop
// the others; Ctrl-C takes back those that are not finished.
func (o *upOptions) runClass(ctx context.Context) (err error) {
	if o.name != "" {
		return diag.New(diag.Usage, diag.Args{"message": o.app.T("class.and-name"), "command": "kvmlab up"})
	}
	students, err := o.class.students()
	if err != nil {
		return err
	}
	o.isolate = true
	jobs := make([]*classJob, len(students))
	for i, s := range students {
		if jobs[i], err = o.job(s); err != nil {
			return err
		}
	}
	o.app.showDiagnostics(jobs[0].spec.Warnings)
	if err := o.haveImages(ctx, jobs[0].draft); err != nil {
		return err
	}
	h, err := openHost(ctx, o.app, hostOptions{accel: o.accel, cold: o.cold})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := o.fits(ctx, h, jobs); err != nil {
		return err
	}
	began := o.app.now()
	show := newClassScreen(o.app, students)
	all := make([]outcome, len(jobs))
	for i, job := range jobs {
		all[i].student = job.student
	}
	eachAtOnce(len(jobs), atOnce(), func(i int) {
		if ctx.Err() == nil {
			all[i] = o.bringUpOne(ctx, h, jobs[i], show)
		}
	})
	show.Close()
	return o.finishClass(ctx, all, fmt.Sprintf("%.1f", o.app.now().Sub(began).Seconds()))
}

// runClassPlan shows what `up` would do for each student, and does nothing.
func (o *upOptions) runClassPlan(ctx context.Context) (err error) {
	students, err := o.class.students()
	if err != nil {
		return err
	}
	o.isolate = true
	h, err := openHost(ctx, o.app, hostOptions{accel: o.accel})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	var errs []error
	plans := struct {
		Labs []*engine.Plan `json:"labs"`
	}{[]*engine.Plan{}}
	for _, s := range students {
		job, err := o.job(s)
		if err != nil {
			return err
		}
		plan, _, err := h.Plan(ctx, job.Lab, job.resolve)
		errs = append(errs, err)
		if plan == nil {
			continue
		}
		plans.Labs = append(plans.Labs, plan)
		if !o.app.wantsJSON() {
			_, err := fmt.Fprintf(o.app.Out, "%s\n", o.app.OutStyle().Bold(job.Lab))
			errs = append(errs, err, showPlan(o.app, plan))
		}
	}
	if o.app.wantsJSON() {
		errs = append(errs, o.app.printJSON(plans))
	}
	return errors.Join(errs...)
}

// classJob is one student's lab that is to come up.
type classJob struct {
	student

	spec    *lab.Spec
	begins  beginning
	resolve engine.Resolver
	draft   *lab.Lab
}

// job prepares one student's lab. What is wrong with the lab file comes out here, before anything is changed.
func (o *upOptions) job(s student) (*classJob, error) {
	one := *o
	one.name = s.Lab
	spec, _, err := one.spec()
	if err != nil {
		return nil, err
	}
	job := &classJob{student: s, spec: spec, begins: one.begins}
	if job.begins.Seed == "" {
		job.begins.Seed = s.Seed
	}
	job.resolve = func(previous *lab.Lab, taken func(macgen.MAC) bool) (*lab.Lab, error) {
		random := rand.Reader
		if s.Seed != "" {
			random = lab.Stream(s.Seed, spec.Name.Value)
		}
		l, err := lab.Resolve(spec, lab.ResolveOptions{
			Previous: previous, Random: random, Taken: taken, Name: s.Lab, Isolation: lab.Netns,
		})
		if err == nil && o.individual {
			lab.Individualise(l, lab.Stream(o.classKey, s.Lab, s.Seed, spec.Name.Value))
		}
		return l, err
	}
	job.draft, err = job.resolve(nil, nil)
	return job, err
}

// fits refuses a class that the host's memory cannot hold, beside the labs of it that are up already.
func (o *upOptions) fits(ctx context.Context, h *host, jobs []*classJob) error {
	info, err := h.virt.Host(ctx)
	if err != nil || o.force {
		return err
	}
	known, err := h.Labs(ctx)
	if err != nil {
		return err
	}
	var need uint64
	fit := 0
	for _, job := range jobs {
		if !slices.Contains(known, job.Lab) {
			for _, g := range job.draft.Guests {
				need += g.Memory.KiB() + guestOverheadKiB
			}
			need += supervisorOverheadKiB
		}
		if need <= info.AvailableKiB {
			fit++
		}
	}
	if fit < len(jobs) {
		return diag.New(diag.ClassUnfit, diag.Args{
			"asked": len(jobs), "fit": fit, "need": need >> 10, "have": info.AvailableKiB >> 10,
		})
	}
	return nil
}

// bringUpOne is `up` for one student.
func (o *upOptions) bringUpOne(ctx context.Context, h *host, job *classJob, show *classScreen) (done outcome) {
	done = outcome{student: job.student, begun: true}
	began := o.app.now()
	waiter, err := newLeaseWaiter(ctx, o.app, job.Lab, o.wait)
	if err != nil {
		done.Err = err
		return done
	}
	defer waiter.Close()
	row := show.row(job.draft)
	trace := newTimings(o.app, o.timings)
	waiter.watch = func(ev lab.Event) { trace.Event(ev); row.Event(ev) }
	var unnoted error
	planned := func(*lab.Lab) {
		trace.Planned()
		unnoted = o.app.announce(job.Lab, job.begins)
	}
	opts := engine.UpOptions{Planned: planned, Ready: waiter.Wait}
	if o.noWait {
		opts.Ready = nil
	}
	one := h.with(func(ev engine.Event) { trace.Change(ev); waiter.Change(ev); row.Change(ev) })
	result, err := one.Up(ctx, job.Lab, job.resolve, opts)
	if err = errors.Join(err, unnoted); err == nil {
		err = o.app.begin(ctx, h, job.Lab, job.begins)
	}
	done.Err, done.Done = err, err == nil
	if result != nil && result.Plan != nil {
		done.Changes = len(result.Plan.Changes)
	}
	done.Seconds = o.app.now().Sub(began).Seconds()
	done.trace = trace
	row.Finish(done)
	return done
}

// finishClass sums a class up. Its error says which labs are not there.
func (o *upOptions) finishClass(ctx context.Context, all []outcome, seconds string) error {
	a := o.app
	up := labsOf(all, func(o outcome) bool { return o.Done })
	missing := labsOf(all, func(o outcome) bool { return !o.Done })
	var errs []error
	for _, o := range all {
		errs = append(errs, o.Err)
	}
	if a.wantsJSON() {
		errs = append(errs, reportClass(a, all))
	} else if err := writeClass(a, all); err != nil {
		errs = append(errs, err)
	}
	if ctx.Err() != nil {
		a.say("class.stayed", "labs", strings.Join(up, ", "), "count", len(up))
		return diag.New(diag.Cancelled, diag.Args{"action": "up"}).Wrap(errors.Join(append(errs, ctx.Err())...))
	}
	if len(missing) > 0 {
		return diag.New(diag.ClassIncomplete, diag.Args{"count": len(all), "missing": missing}).Wrap(errors.Join(errs...))
	}
	if !a.wantsJSON() {
		a.say("class.done", "count", len(up), "seconds", seconds)
	}
	return errors.Join(errs...)
}

// writeClass prints a row for each student.
func writeClass(a *app, all []outcome) error {
	table := cliui.NewTable(a.OutStyle(), a.T("table.student"), a.T("table.lab"), a.T("table.state"), a.T("table.seconds"))
	for _, o := range all {
		state, seconds := a.T("class.state.up"), fmt.Sprintf("%.1f", o.Seconds)
		switch {
		case o.Done:
		case !o.begun:
			state, seconds = a.T("class.state.not-begun"), ""
		default:
			state = a.T("class.state.failed")
		}
		table.Row(o.Name, o.Lab, state, seconds)
	}
	var errs []error
	for _, o := range all {
		if o.trace != nil {
			_, err := fmt.Fprintf(a.Out, "%s\n", a.OutStyle().Bold(o.Lab))
			errs = append(errs, err, o.trace.write(a))
		}
	}
	_, err := table.WriteTo(a.Out)
	return errors.Join(append(errs, err)...)
}

// classScreen is the one progress view of a class: a line for each lab, whose steps are done when the last of its guests
// has done them.
type classScreen struct {
	app    *app
	screen *cliui.Screen
}

func newClassScreen(a *app, students []student) *classScreen {
	names := make([]string, len(students))
	for i, s := range students {
		names[i] = s.Lab
	}
	p := cliui.NewProgress(cliui.ProgressOptions{Messages: a.msgs, Title: a.T("class.title", "count", len(names)), Guests: names})
	return &classScreen{app: a, screen: cliui.StartProgress(a.Streams, p)}
}

// Close leaves the last state on the screen.
func (s *classScreen) Close() { s.screen.Close() }

// classRow is one lab's line. Its methods may be called from any goroutine.
type classRow struct {
	screen *cliui.Screen
	lab    string
	cards  int // how many taps, and so leases, there are

	mu   sync.Mutex
	seen map[cliui.Step]map[string]bool // which cards or guests have done a step
}

func (s *classScreen) row(l *lab.Lab) *classRow {
	r := &classRow{screen: s.screen, lab: l.Name, seen: map[cliui.Step]map[string]bool{}}
	for _, g := range l.Guests {
		r.cards += len(g.NICs)
	}
	return r
}

// step notes that one of several has done a step.
func (r *classRow) step(step cliui.Step, who string, several int) {
	r.mu.Lock()
	if r.seen[step] == nil {
		r.seen[step] = map[string]bool{}
	}
	r.seen[step][who] = true
	count := len(r.seen[step])
	r.mu.Unlock()
	state := cliui.StepBegun
	if count >= several {
		state = cliui.StepDone
	}
	r.screen.Send(cliui.ProgressEvent{Guest: r.lab, Step: step, State: state, Text: fmt.Sprintf("%d/%d", count, several), Several: true})
}

// Change shows a tap that is there.
func (r *classRow) Change(ev engine.Event) {
	if ev.Kind == engine.Done && ev.Change.Address.Kind == engine.KindTap && ev.Change.Action != engine.Delete {
		r.step(cliui.StepTap, ev.Change.Address.Name, r.cards)
	}
}

// Event shows what the lab's supervisor saw of a guest.
func (r *classRow) Event(ev lab.Event) {
	switch step, isStep := dhcpSteps[ev.Message]; {
	case ev.Guest == "":
	case isStep:
		r.step(step, ev.Guest+" "+ev.NIC, r.cards)
	case ev.Message == lab.GuestIdentified:
		r.step(cliui.StepBoot, ev.Guest, r.cards)
	}
}

// Finish shows how the lab ended.
func (r *classRow) Finish(done outcome) {
	ev := cliui.ProgressEvent{Guest: r.lab, Step: cliui.StepAck, State: cliui.StepDone, Text: fmt.Sprintf("%.1f s", done.Seconds), Several: true}
	if !done.Done {
		ev.State, ev.Text = cliui.StepFailed, string(diag.CodeOf(done.Err))
	}
	r.screen.Send(ev)
}
