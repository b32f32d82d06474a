package check

import (
	"context"
	"errors"
	"time"

	"github.com/kvmlab/kvmlab/internal/lab"
)

// State says how a check has ended. The zero value is invalid.
type State uint8

// The states.
const (
	_       State = iota
	Passed        // it is so now
	Failed        // it is not so
	Skipped       // a check that it needs has not passed
	Open          // it is still being tried
)

// String gives the word of the JSON form.
func (s State) String() string {
	return [...]string{"invalid", "passed", "failed", "skipped", "open"}[min(int(s), 4)]
}

// MarshalText writes the word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Result is what has become of one check.
type Result struct {
	Check   *Check
	State   State
	Verdict Verdict
	// Needs is the check that a skipped one waits for, the first of them that has failed.
	Needs string
	// Took is how long it was tried.
	Took time.Duration

	ready time.Time // when all that it needs had passed
}

// tick is how long to wait before the evidence is looked at again.
const tick = 500 * time.Millisecond

// Runner tries the checks of a file on a lab.
type Runner struct {
	File     *File
	Lab      *lab.Lab
	Evidence Evidence
	// Answers are what the student has typed, by the check's id.
	Answers map[string]string
	// Begun is when the exercise began, with its start steps done; what a guest is to have done counts from then on.
	Begun time.Time
	Now   func() time.Time
	// Limits shorten the time that checks are tried for, by their id.
	Limits map[string]time.Duration
	// Told, when set, is called for every result that is decided.
	Told func(Result)
}

// Run tries every check until it has passed, its time is over, or ctx ends (the context's error is returned beside what
// is known then). Guests whose newest exchange matters are asked to begin a new one first, so that what is reported is
// so now. An error other than the context's means that the evidence could not be had at all.
func (r *Runner) Run(ctx context.Context) ([]Result, error) { return r.Until(ctx, "") }

// Until is Run that goes no further than the check called last; "" is the last of all.
func (r *Runner) Until(ctx context.Context, last string) (_ []Result, err error) {
	t := &trial{Runner: r, since: r.Now(), begun: map[string]bool{}, playing: map[string]func() error{}}
	for _, c := range r.File.Checks {
		t.results = append(t.results, Result{Check: c, State: Open})
		if c.ID.Value == last {
			break
		}
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	return t.results, t.run(ctx)
}

// pause waits for a tick.
func pause(ctx context.Context) error {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// The time that checks are given when they do not say: a client without an answer asks again within it, and a server
// that looks whether an address is free answers.
const (
	usualPatience = 10 * time.Second
	freshPatience = 25 * time.Second
)

// patience is how long a check is tried.
func (r *Runner) patience(c *Check) time.Duration {
	if limit, ok := r.Limits[c.ID.Value]; ok {
		return min(limit, c.patience())
	}
	return c.patience()
}

func (c *Check) patience() time.Duration {
	if kinds()[c.Assert.Kind].fresh || c.Station != nil {
		return c.Within.Or(freshPatience)
	}
	return c.Within.Or(usualPatience)
}

// asks is the guest that an assertion looks into.
func (a *Assertion) asks() string {
	switch {
	case a.From.Set:
		return a.From.Value
	case a.Kind == "lease":
		return a.Server.Value
	}
	return a.Guest.Value
}

// Score adds up the points of what has passed.
func Score(results []Result) int {
	sum := 0
	for _, r := range results {
		if r.State == Passed {
			sum += r.Check.Worth()
		}
	}
	return sum
}
