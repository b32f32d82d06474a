package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/check"
)

func newHintCmd(a *app) *cobra.Command {
	cmd := a.command("hint [LAB]", "hint")
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgsFunction = completeLabs(a)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return runHint(cmd.Context(), a, strings.Join(args, ""))
	}
	return cmd
}

// givenHint is `kvmlab hint -o json`.
type givenHint struct {
	Lab   string `json:"lab"`
	Check string `json:"check"`
	// Number counts the hints of a check from 1; 0 when there is none left.
	Number int    `json:"number"`
	Of     int    `json:"of"`
	Text   string `json:"text"`
}

// runHint gives the next hint for the first check that has not passed when they were tried last.
func runHint(_ context.Context, a *app, name string) error {
	e, err := openExercise(a, name, "hint")
	if err != nil {
		return err
	}
	if err := e.comingUp(); err != nil {
		return err
	}
	c := e.stuck()
	if c == nil {
		a.say("hint.none")
		return nil
	}
	id := c.ID.Value
	given := givenHint{Lab: e.lab.Name, Check: id, Of: len(c.Hints)}
	if n := e.progress.Hints[id]; n < len(c.Hints) {
		if e.progress.Hints == nil {
			e.progress.Hints = map[string]int{}
		}
		e.progress.Hints[id], given.Number, given.Text = n+1, n+1, c.Hints[n].In(a.msgs.Lang())
		if err := writeProgress(e.files, e.progress); err != nil {
			return err
		}
	}
	if a.wantsJSON() {
		return a.printJSON(given)
	}
	a.Outf("%s\n", a.OutStyle().Bold(c.Message.In(a.msgs.Lang())))
	if given.Number == 0 {
		// The last one again: it is the most open.
		if len(c.Hints) > 0 {
			a.Outf("%s\n", a.wrapped(c.Hints[len(c.Hints)-1].In(a.msgs.Lang())))
		}
		a.say("hint.last")
		if e.scenario.Checks.Solve.Or(true) {
			a.say("hint.solve", "lab", e.lab.Name)
		}
		return nil
	}
	a.Outf("%s\n", a.wrapped(a.T("hint.text", "number", given.Number, "of", given.Of, "text", given.Text)))
	return nil
}

// stuck is the first check that has not passed, and that nothing else keeps back; nil when all have.
func (e *exercise) stuck() *check.Check {
	for _, c := range e.scenario.Checks.Checks {
		if state := e.progress.Last[c.ID.Value]; state != check.Passed.String() && state != check.Skipped.String() {
			return c
		}
	}
	return nil
}
