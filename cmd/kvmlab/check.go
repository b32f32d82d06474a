package main

import (
	"bufio"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

const outputJUnit outputFormat = "junit"

// checkOptions are what `check` can be told.
type checkOptions struct {
	app     *app
	lab     string
	answers []string // --answer
	watch   bool     // --watch
}

func newCheckCmd(a *app) *cobra.Command {
	o := &checkOptions{app: a}
	cmd := a.command("check [LAB]", "check")
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgsFunction = completeLabs(a)
	cmd.Flags().VarP(newChoice(&a.global.output, outputText, outputJSON, outputCSV, outputJUnit), "output", "o", a.T("check.flag.output"))
	cmd.Flags().StringArrayVar(&o.answers, "answer", nil, a.T("check.flag.answer"))
	cmd.Flags().BoolVar(&o.watch, "watch", false, a.T("check.flag.watch"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.lab = strings.Join(args, "")
		return o.run(cmd.Context())
	}
	return cmd
}

// run tries the checks once, or with --watch again and again until all have passed.
func (o *checkOptions) run(ctx context.Context) error {
	e, err := openExercise(o.app, o.lab, "check")
	if err != nil {
		return err
	}
	if err := o.takeAnswers(e); err != nil {
		return err
	}
	return e.withHost(ctx, func(h *host) error {
		if err := o.ask(ctx, e); err != nil {
			return err
		}
		if err := writeProgress(e.files, e.progress); err != nil {
			return err
		}
		view := newCheckView(o.app, e, o.watch)
		for {
			done, err := o.once(ctx, e, h, view)
			if err != nil || done {
				return err
			}
			select { // guests are asked anew in every round, which they should not be all the time
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(watchPause):
			}
		}
	})
}

// watchPause is how long --watch leaves the lab alone between two rounds.
const watchPause = 5 * time.Second

// once tries the checks and shows what came of it. It reports whether that was the last time.
func (o *checkOptions) once(ctx context.Context, e *exercise, h *host, view *checkView) (bool, error) {
	if err := e.reload(); err != nil {
		return true, err
	}
	runner := e.runner(h)
	runner.Told = view.tick
	results, err := runner.Run(ctx)
	if err != nil {
		return true, err
	}
	if err := e.note(results); err != nil {
		return true, err
	}
	causes, err := e.causes(ctx, runner, results)
	if err != nil {
		return true, err
	}
	all := check.Score(results) == e.scenario.Checks.Points()
	if o.watch && !all {
		return false, nil
	}
	if err := view.show(results, causes, e.floodsSince(ctx, e.progress.BegunAt)); err != nil {
		return true, err
	}
	if !all {
		return true, &statusError{diag.ExitChecks}
	}
	return true, nil
}

// takeAnswers reads --answer ID=TEXT.
func (o *checkOptions) takeAnswers(e *exercise) error {
	for _, pair := range o.answers {
		id, text, ok := strings.Cut(pair, "=")
		c := e.scenario.Checks.Check(strings.TrimSpace(id))
		if !ok || c == nil || c.Assert.Kind != "answer" {
			return diag.New(diag.BadFlag, diag.Args{
				"flag": "--answer", "value": pair, "allowed": strings.Join(e.questions(), "=…, ") + "=…",
			})
		}
		e.answer(c.ID.Value, text)
	}
	return nil
}

// questions are the ids of the checks that ask something.
func (e *exercise) questions() []string {
	var ids []string
	for _, c := range e.scenario.Checks.Checks {
		if c.Assert.Kind == "answer" {
			ids = append(ids, c.ID.Value)
		}
	}
	return ids
}

func (e *exercise) answer(id, text string) {
	if e.progress.Answers == nil {
		e.progress.Answers = map[string]string{}
	}
	e.progress.Answers[id] = strings.TrimSpace(text)
}

// ask puts the questions that were not answered rightly yet to the student, on a terminal. An empty line leaves one open. A
// question about what was not there last time is left for later.
func (o *checkOptions) ask(ctx context.Context, e *exercise) error {
	a := o.app
	if !a.InIsTerminal() || !a.ErrIsTerminal() || len(o.answers) > 0 || a.global.output != outputText {
		return nil
	}
	in := bufio.NewReader(a.In)
	for _, id := range e.questions() {
		if e.progress.Last[id] == check.Passed.String() || ctx.Err() != nil {
			continue
		}
		c := e.scenario.Checks.Check(id)
		if slices.ContainsFunc(c.Needs, e.lacked) {
			continue
		}
		a.Errf("%s\n> ", a.wrapped(c.Assert.Ask.In(a.msgs.Lang())))
		line, err := in.ReadString('\n')
		if text := strings.TrimSpace(line); text != "" {
			e.answer(id, text)
		}
		if err != nil {
			break
		}
	}
	return ctx.Err()
}

// lacked reports whether a check had not passed when it was tried last.
func (e *exercise) lacked(id yamlfile.Field[string]) bool {
	last, tried := e.progress.Last[id.Value]
	return tried && last != check.Passed.String()
}

// causes looks for what the student has got wrong, when something has failed that a guest's DHCP server is to do. The
// guest that cannot be asked leaves them unknown.
func (e *exercise) causes(ctx context.Context, runner *check.Runner, results []check.Result) (diag.List, error) {
	if check.Score(results) == e.scenario.Checks.Points() {
		return nil, nil
	}
	causes, err := runner.Causes(ctx)
	if silent, ok := errors.AsType[*check.SilentError](err); ok && silent.Nonsense {
		return diag.List{diag.New(diag.AgentNonsense, diag.Args{"guest": silent.Guest})}, nil
	}
	if errors.Is(err, check.ErrNoAnswer) {
		return nil, nil
	}
	return causes, err
}
