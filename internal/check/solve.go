package check

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// StepError is a step of a solution or mistake that did not work.
type StepError struct {
	Step   Step
	Output Output
}

// Error gives the step's place, and what it printed last.
func (e *StepError) Error() string {
	return fmt.Sprintf("step at line %d: exit status %d: %s", e.Step.Pos.Line, e.Output.Status, e.Output.Text)
}

// Apply does steps in their order, and gives the answers that they contain. Errors: *[StepError].
func (r *Runner) Apply(ctx context.Context, steps []Step) error {
	for _, s := range steps {
		if s.Answer.Set {
			if err := r.give(ctx, s); err != nil {
				return err
			}
			continue
		}
		run := func() (Output, error) { return r.Evidence.Guest(ctx, s.Guest.Value, s.Run.Value) }
		if s.Host.Value {
			run = func() (Output, error) { return r.Evidence.Host(ctx, s.Run.Value) }
		}
		out, err := run()
		if err != nil {
			return err
		}
		if out.Status != 0 {
			return &StepError{Step: s, Output: out}
		}
	}
	return nil
}

// Beginning is what an exercise begins with: its start steps, and perhaps the solution and one of its mistakes, drawn from a
// seed.
func (f *File) Beginning(seed string) []Step {
	if !f.Draw.Value {
		return f.Start
	}
	sum := sha256.Sum256([]byte(seed))
	drawn := binary.BigEndian.Uint64(sum[:8]) % uint64(len(f.Mistakes))
	return slices.Concat(f.Start, f.Solution, f.Mistakes[drawn].Steps)
}

// InGuest are those of the steps that are done in a guest.
func InGuest(guest string, steps []Step) []Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Guest.Value != guest })
}

// answerPatience is how long a packet that a question is about may take: what a solution has set up may be about to
// answer for the first time.
const answerPatience = time.Minute

// give answers a question, with the truth when the step says nothing else.
func (r *Runner) give(ctx context.Context, s Step) error {
	answer := s.Value.Value
	for deadline := r.Now().Add(answerPatience); !s.Value.Set && answer == ""; {
		c := r.File.Check(s.Answer.Value)
		e := &scene{Evidence: r.Evidence, lab: r.Lab, now: r.Now(), begun: r.Begun, check: c}
		var err error
		if answer, err = e.rightAnswer(ctx, c.Assert); err != nil {
			return err
		}
		if answer == "" && r.Now().After(deadline) {
			return &StepError{Step: s, Output: Output{Status: 1, Text: "the packet that it is about was not on the wire"}}
		}
		if answer == "" {
			if err := pause(ctx); err != nil {
				return err
			}
		}
	}
	if r.Answers == nil {
		r.Answers = map[string]string{}
	}
	r.Answers[s.Answer.Value] = answer
	return nil
}
