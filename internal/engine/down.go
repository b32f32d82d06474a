package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/netsetup"
)

// PlanDown says what Down would remove.
func (e *Engine) PlanDown(ctx context.Context, name string) (*Plan, error) {
	files, err := e.cfg.Dirs.Lab(name)
	if err != nil {
		return nil, err
	}
	seen, err := e.observe(ctx, files)
	return NewDownPlan(name, seen), err
}

// downPlan is a plan under construction that only removes.
type downPlan struct {
	plan    *Plan
	seen    *Observed
	removed []Address // what the next kind waits for
}

func (p *downPlan) remove(a Address, object string, commands []string, after []Address) {
	p.plan.Changes = append(p.plan.Changes, Change{
		Action: Delete, Address: a, Object: object, Reason: "is the lab's", Equivalent: commands,
		After: slices.Clone(after),
	})
	p.removed = append(p.removed, a)
}

// links removes the lab's links of a kind, wherever they are. They need not wait for the firewall, which names them only.
func (p *downPlan) links(kind netsetup.Kind) {
	name := p.plan.Lab
	after := slices.DeleteFunc(slices.Clone(p.removed), func(a Address) bool { return a == firewallAddress })
	for _, l := range p.seen.Inside {
		if l.Kind == kind && ours(l, name) {
			p.remove(linkAddress(l), l.Name, typedIn(name, netsetup.RemoveCommands(l.Name, l.Kind)), after)
		}
	}
	for _, l := range p.seen.Links {
		if l.Kind == kind && ours(l, name) && !slices.Contains(p.removed, linkAddress(l)) {
			p.remove(linkAddress(l), l.Name, netsetup.RemoveCommands(l.Name, l.Kind), after)
		}
	}
}

// NewDownPlan lists what carries the lab's mark, guests first and bridges last. It is pure.
func NewDownPlan(name string, seen *Observed) *Plan {
	p := &downPlan{plan: &Plan{Lab: name}, seen: seen}
	for _, d := range seen.Domains {
		if d.Owned && d.Owner.Lab == name {
			p.remove(domainAddress(d), d.Name, removeDomainCommands(d.Name), nil)
		}
	}

	domains := slices.Clone(p.removed)
	if seen.Supervisor.Running {
		kill := []string{fmt.Sprintf("kill %d", seen.Supervisor.PID)}
		p.remove(supervisorAddress, supervisorAddress.String(), kill, p.removed)
	}
	if seen.Firewall.There { // Once no guest runs any more.
		commands := netsetup.RemoveFirewallCommands(name)
		if seen.isolated() {
			commands = typedIn(name, commands)
		}
		p.remove(firewallAddress, netsetup.NamespaceName(name), commands, domains)
	}

	p.links(netsetup.KindTap)
	p.links(netsetup.KindBridge)
	if seen.isolated() {
		ns := netsetup.NamespaceName(name)
		p.remove(namespaceAddress, ns, []string{"ip netns del " + ns}, p.removed)
	}
	return p.plan
}

// Down removes everything that is the lab's. It goes on after an error, and when part of the host cannot be read;
// the lab's state is removed only when nothing is left, so that Down can be repeated. Of a lab that is not there it
// finds nothing to do.
func (e *Engine) Down(ctx context.Context, name string) (res *Result, err error) {
	files, err := e.cfg.Dirs.Lab(name)
	if err != nil {
		return nil, err
	}
	lock, err := files.Lock()
	if err != nil {
		return nil, explainState(files.LockFile(), err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()

	seen, observeErr := e.observe(ctx, files)
	r := &run{e: e, name: name, files: files, lenient: true, owners: map[Address]netsetup.Owner{}}
	res = &Result{Plan: NewDownPlan(name, seen), Left: e.unmarked(files, seen)}
	for _, l := range slices.Concat(seen.Links, seen.Inside) {
		if ours(l, name) {
			r.owners[linkAddress(l)] = l.Owner
		}
	}
	if records, _ := state.ReadJournal(files.JournalFile()); len(records) > 0 {
		// Without a journal, or with one that cannot be read, the marks are enough.
		if r.journal, err = e.openJournal(files); err != nil {
			e.cfg.Log.Warn("go on without a journal", "lab", name, "err", err)
		}
	}
	err = walk(ctx, res.Plan.Changes, e.cfg.Parallel, carryOn, func(ctx context.Context, c Change) error {
		if ctx.Err() != nil {
			return nil // what is left is told below
		}
		return r.perform(ctx, c, undoNothing)
	})
	return res, e.finishDown(ctx, files, errors.Join(err, r.close(), r.leave(), observeErr))
}

// finishDown looks again, removes the state of a lab of which nothing is left, and says what is left of another and
// why.
func (e *Engine) finishDown(ctx context.Context, files state.Lab, why error) error {
	interrupted := ctx.Err()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.ChangeTimeout)
	defer cancel()
	seen, err := e.observe(ctx, files)
	var left []string
	for _, c := range NewDownPlan(files.Name(), seen).Changes {
		left = append(left, c.Address.String())
	}
	switch {
	case err == nil && len(left) == 0:
		// An error on the way to an empty host does not matter any more.
		return explainState(files.Dir(), files.Remove())
	case len(left) == 0:
		left = []string{"what could not be read"}
	}
	if why == nil {
		why = err
	}
	incomplete := diag.New(diag.DownIncomplete, diag.Args{"lab": files.Name(), "left": left}).Wrap(why)
	if interrupted != nil {
		return diag.New(diag.Cancelled, diag.Args{"action": "down"}).Wrap(errors.Join(interrupted, incomplete))
	}
	return incomplete
}

// unmarked lists what the journal says this lab made and what is there under that name without the lab's mark. It is
// not touched: the mark was taken off, or it is somebody else's by now.
func (e *Engine) unmarked(files state.Lab, seen *Observed) []Drift {
	records, _ := state.ReadJournal(files.JournalFile()) // what is readable of it
	open := map[Address]string{}
	for _, rec := range records {
		var a Address
		if a.UnmarshalText([]byte(rec.Address)) != nil {
			continue
		}
		gone := rec.Kind == state.Undone || rec.Kind == state.Done && rec.Action == Delete.String()
		if gone {
			delete(open, a)
		} else {
			open[a] = rec.Object
		}
	}
	if _, isolated := open[namespaceAddress]; isolated || seen.isolated() {
		seen = seen.from(lab.Netns)
	}
	var left []Drift
	for a, object := range open {
		foreign := false
		switch a.Kind {
		case KindBridge, KindTap:
			l, ok := seen.linkNamed(object)
			foreign = ok && !l.OwnedBy(files.Name())
		case KindDomain:
			d, ok := seen.domainNamed(object)
			foreign = ok && (!d.Owned || d.Owner.Lab != files.Name())
		case KindNamespace:
			foreign = seen.Namespace == NamespaceForeign
		case KindSupervisor, KindFirewall: // known by a lock that nobody else takes; by its mark
		}
		if foreign {
			left = append(left, Drift{Address: a, Problem: object + " does not carry the lab's mark (any more)"})
		}
	}
	sortDrift(left)
	return left
}
