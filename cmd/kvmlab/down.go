package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
)

type downOptions struct {
	app    *app
	labs   []string
	all    bool
	dryRun bool
	class  classFlags
	purge  bool // --purge
	yes    bool // --yes
	keep   bool // --halt
}

// takenDown is what `kvmlab down -o json` says about one lab.
type takenDown struct {
	Name    string `json:"name"`
	Removed int    `json:"removed"` // changes made
	Disks   int    `json:"disks"`   // disks deleted, with --purge
}

func newDownCmd(a *app) *cobra.Command {
	opts := &downOptions{app: a, class: classFlags{app: a}}
	cmd := a.command("down [LAB...]", "down")
	cmd.ValidArgsFunction = completeLabs(a)
	cmd.Flags().BoolVar(&opts.all, "all", false, a.T("down.flag.all"))
	cmd.Flags().BoolVar(&opts.dryRun, "dry-run", false, a.T("down.flag.dry-run"))
	opts.class.add(cmd)
	cmd.Flags().BoolVar(&opts.purge, "purge", false, a.T("down.flag.purge"))
	cmd.Flags().BoolVar(&opts.yes, "yes", false, a.T("disks.flag.yes"))
	cmd.Flags().BoolVar(&opts.keep, "halt", false, a.T("down.flag.halt"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.labs = args
		if opts.keep {
			return opts.runHalt(cmd.Context())
		}
		return opts.run(cmd.Context())
	}
	return cmd
}

func (o *downOptions) run(ctx context.Context) (err error) {
	if (o.all || o.class.asked()) && len(o.labs) > 0 || o.all && o.class.asked() {
		return diag.New(diag.Usage, diag.Args{"message": o.app.T("down.all-and-names"), "command": "kvmlab down"})
	}
	h, err := openHost(ctx, o.app, hostOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := o.app.dirs.Sweep(); err != nil {
		return err
	}
	names, err := o.chosen(ctx, h)
	if err != nil {
		return err
	}
	if err := o.askPurge(names); err != nil {
		return err
	}
	var report struct {
		Labs []takenDown `json:"labs"`
	}
	labs, all := o.takeAllDown(ctx, h, names)
	report.Labs = labs
	if o.app.wantsJSON() && !o.dryRun {
		all = append(all, o.app.printJSON(report))
	}
	return errors.Join(all...)
}

// chosen is which labs to take down. Without a name the only lab there is meant; with none there is nothing to do,
// which is no error, so that a script may always end with `kvmlab down`.
func (o *downOptions) chosen(ctx context.Context, h *host) ([]string, error) {
	known, err := h.Labs(ctx)
	if err != nil {
		return nil, err
	}
	if o.purge {
		// A lab that is down, too, can have disks to be purged.
		kept, err := o.app.dirs.KeptDisks()
		if err != nil {
			return nil, err
		}
		known = append(known, kept...)
		slices.Sort(known)
		known = slices.Compact(known)
	}
	switch {
	case o.class.asked():
		return o.class.present(known)
	case len(o.labs) > 0:
		for _, name := range o.labs {
			if !slices.Contains(known, name) {
				return nil, noSuchLab(name, known)
			}
		}
		return o.labs, nil
	case len(known) == 0:
		o.app.say("down.nothing")
		return nil, nil
	case len(known) > 1 && !o.all:
		return nil, diag.New(diag.WhichLab, diag.Args{"command": "down", "known": known})
	default:
		return known, nil
	}
}

// askPurge asks before anything is changed.
func (o *downOptions) askPurge(names []string) error {
	if !o.purge || o.dryRun {
		return nil
	}
	disks, err := labDisks(o.app.dirs, names)
	if err != nil {
		return err
	}
	return o.app.confirmLoss("kvmlab down --purge", disks, o.yes)
}

func (o *downOptions) takeDown(ctx context.Context, h *host, name string) (takenDown, error) {
	if o.dryRun {
		plan, err := h.PlanDown(ctx, name)
		if plan == nil {
			return takenDown{Name: name}, err
		}
		return takenDown{Name: name}, errors.Join(showPlan(o.app, plan), err)
	}
	began := o.app.now()
	result, err := h.Down(ctx, name)
	done := takenDown{Name: name}
	if result != nil {
		done.Removed = len(result.Plan.Changes)
	}
	if err != nil {
		return done, err
	}
	if o.purge {
		if done.Disks, err = removeDisks(o.app.dirs, name); err != nil {
			return done, err
		}
	}
	if !o.app.wantsJSON() {
		o.app.say("down.done", "lab", name, "seconds", fmt.Sprintf("%.1f", o.app.now().Sub(began).Seconds()),
			"guests", o.app.msgs.N("count.guests", countOf(result.Plan, engine.KindDomain)),
			"taps", o.app.msgs.N("count.taps", countOf(result.Plan, engine.KindTap)),
			"bridges", o.app.msgs.N("count.bridges", countOf(result.Plan, engine.KindBridge)))
		if kept, err := labDisks(o.app.dirs, []string{name}); err == nil && len(kept) > 0 {
			o.app.say("disks.kept", "guests", strings.Join(kept, ", "), "lab", name)
		}
	}
	return done, nil
}

// countOf counts a plan's changes to one kind of object.
func countOf(plan *engine.Plan, kind engine.Kind) int {
	n := 0
	for _, change := range plan.Changes {
		if change.Address.Kind == kind {
			n++
		}
	}
	return n
}

// noSuchLab is the error for a lab that is not there, with the nearest name that is.
func noSuchLab(name string, known []string) error {
	return diag.New(diag.NoSuchLab, diag.Args{"lab": name, "suggestion": cliui.Closest(name, known), "known": known})
}

// completeLabs proposes the labs that have state on this host.
func completeLabs(a *app) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		names, err := a.dirs.Labs()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) }),
			cobra.ShellCompDirectiveNoFileComp
	}
}
