package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/scenarios"
)

func newScenarioTestCmd(a *app) *cobra.Command {
	var (
		most      int
		hostSteps bool
	)
	cmd := a.command("test NAME|DIR...", "scenario.test")
	cmd.Flags().IntVar(&most, "mistakes", -1, a.T("scenario.flag.mistakes"))
	cmd.Flags().BoolVar(&hostSteps, "allow-host-steps", false, a.T("scenario.flag.allow-host-steps"))
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return a.usageError(cmd, "usage.missing-argument", "argument", "NAME|DIR")
		}
		return nil
	}
	cmd.ValidArgsFunction = completeScenarios
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var all []*scenarios.Scenario
		for _, what := range args { // mistakes in the files come out before anything is brought up
			s, err := a.runnable(what, hostSteps)
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		for _, s := range all {
			if err := proveScenario(cmd.Context(), a, s, most); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

// proof is `kvmlab scenario test` of one scenario, on a lab of its own.
type proof struct {
	*exercise

	host    *host
	most    int // of the mistakes; negative: all
	untrue  int
	took    map[string]time.Duration // how long each check was tried until it passed, with the solution
	touched bool                     // the lab is no longer as the solution has left it; its answers may be otherwise
}

// proveScenario brings the scenario up, isolated and under a name of its own, and takes it down again in any case.
func proveScenario(ctx context.Context, a *app, s *scenarios.Scenario, most int) (err error) {
	up := &upOptions{app: a, accel: accelAuto, isolate: true, name: "test-" + s.Lab.Name.Value}
	up.of(s)
	if err := up.run(ctx); err != nil {
		return err
	}
	h, err := openHost(ctx, a, hostOptions{})
	if err != nil {
		return err
	}
	defer func() {
		down := &downOptions{app: a, purge: true}
		_, downErr := down.takeDown(context.WithoutCancel(ctx), h, up.name)
		err = errors.Join(err, downErr, h.Close())
	}()
	e, err := openExercise(a, up.name, "test")
	if err != nil {
		return err
	}
	p := &proof{exercise: e, host: h, most: most, touched: true, took: map[string]time.Duration{}}
	if err := p.run(ctx); err != nil {
		return err
	}
	if p.untrue > 0 {
		return diag.New(diag.ScenarioUntrue, diag.Args{"scenario": s.Name, "count": p.untrue})
	}
	return nil
}

// run proves that not everything passes at the start, that everything does after the solution, and that each listed
// mistake is caught.
func (p *proof) run(ctx context.Context) error {
	checks := p.scenario.Checks
	results, err := p.runner(p.host).Run(ctx)
	if err != nil {
		return err
	}
	p.say(check.Score(results) < checks.Points(), "scenario.proof.start", "score", check.Score(results), "points", checks.Points())
	if err := p.solved(ctx); err != nil {
		return err
	}
	for _, m := range p.mistakes() {
		if err := p.mistake(ctx, m); err != nil {
			return fmt.Errorf("mistake %q: %w", m.Name.Value, err)
		}
	}
	if p.touched {
		return p.solved(ctx)
	}
	return nil
}

// mistakes are those that are to be proven, spread over the list when they are not all. Mistakes in answers come first: the
// lab stays as it is for all of them.
func (p *proof) mistakes() []check.Mistake {
	all := p.scenario.Checks.Mistakes
	some := slices.Clone(all)
	if p.most >= 0 && p.most < len(all) {
		some = some[:p.most]
		for i := range some {
			some[i] = all[i*len(all)/p.most]
		}
	}
	slices.SortStableFunc(some, func(a, b check.Mistake) int {
		return cmp.Compare(min(1, len(labSteps(a.Steps))), min(1, len(labSteps(b.Steps))))
	})
	return some
}

// labSteps are those steps that do something in the lab.
func labSteps(steps []check.Step) []check.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s check.Step) bool { return s.Answer.Set })
}

// solve applies the solution, or when nothing was done in the lab since then its answers alone.
func (p *proof) solve(ctx context.Context) error {
	steps := p.scenario.Checks.Solution
	if !p.touched {
		steps = slices.DeleteFunc(slices.Clone(steps), func(s check.Step) bool { return !s.Answer.Set })
	}
	p.touched = false
	return p.apply(ctx, p.host, steps)
}

// solved applies the solution, after which every check must pass.
func (p *proof) solved(ctx context.Context) error {
	if err := p.solve(ctx); err != nil {
		return err
	}
	results, err := p.runner(p.host).Run(ctx)
	if err != nil {
		return err
	}
	score, points := check.Score(results), p.scenario.Checks.Points()
	p.say(score == points, "scenario.proof.solved", "score", score, "points", points)
	view := &checkView{app: p.app, exer: p.exercise, told: map[string]check.State{}}
	for _, r := range results {
		p.took[r.Check.ID.Value] = max(r.Took, p.took[r.Check.ID.Value])
		if r.State != check.Passed {
			view.tick(r)
		}
	}
	return nil
}

// caughtAfter is the least time that the check of a mistake is tried for.
const caughtAfter = 2 * time.Second

// mistake makes a listed mistake after the solution was applied anew, and looks what is said of it. The check that must
// fail is tried for twice as long as it took with the solution: it need not be waited for until its time is over.
func (p *proof) mistake(ctx context.Context, m check.Mistake) error {
	if err := p.solve(ctx); err != nil {
		return err
	}
	p.touched = len(labSteps(m.Steps)) > 0
	if err := p.apply(ctx, p.host, m.Steps); err != nil {
		return err
	}
	runner := p.runner(p.host)
	runner.Limits = map[string]time.Duration{m.Fails.Value: max(caughtAfter, 2*p.took[m.Fails.Value])}
	results, err := runner.Until(ctx, m.Fails.Value)
	if err != nil {
		return err
	}
	first := ""
	for _, r := range results {
		if r.State != check.Passed {
			first = r.Check.ID.Value
			break
		}
	}
	found := ""
	if m.Finds.Set {
		causes, err := p.causes(ctx, runner, results)
		if err != nil {
			return err
		}
		if all := causes.Errors(); len(all) > 0 {
			found = string(all[0].Code)
		}
	}
	caught := first == m.Fails.Value && (!m.Finds.Set || found == m.Finds.Value)
	p.say(caught, "scenario.proof.mistake", "name", m.Name.Value,
		"fails", m.Fails.Value, "first", first, "finds", m.Finds.Value, "found", found)
	if !caught {
		p.app.Outf("     --> %s\n", m.Pos)
	}
	return nil
}

// say prints one line of the proof, and counts what is not so.
func (p *proof) say(holds bool, id string, args ...any) {
	mark := p.app.OutStyle().Good(p.app.T("scenario.proof.yes"))
	if !holds {
		p.untrue++
		mark = p.app.OutStyle().Bad(p.app.T("scenario.proof.no"))
	}
	p.app.Outf("%s  %s\n", mark, strings.TrimSpace(p.app.T(id, args...)))
}
