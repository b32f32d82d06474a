package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
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
	// Needs is the check that a skipped one waits for.
	Needs string

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
	Now     func() time.Time
	// Told, when set, is called for every result that is decided.
	Told func(Result)
}

// Run tries every check until it has passed, its time is over, or ctx ends (the context's error is returned beside what
// is known then). Guests whose newest exchange matters are asked to begin a new one first, so that what is reported is
// so now. An error other than the context's means that the evidence could not be had at all.
func (r *Runner) Run(ctx context.Context) ([]Result, error) { return r.Until(ctx, "") }

// Until is Run that goes no further than the check called last; "" is the last of all.
func (r *Runner) Until(ctx context.Context, last string) ([]Result, error) {
	var results []Result
	for _, c := range r.File.Checks {
		results = append(results, Result{Check: c, State: Open})
		if c.ID.Value == last {
			break
		}
	}
	since, asked := r.Now(), map[string]bool{}
	for {
		r.begin(ctx, results, asked)
		open, err := r.round(ctx, results, since)
		if err != nil || open == 0 {
			return results, err
		}
		if err := pause(ctx); err != nil {
			return results, err
		}
	}
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

// begin has guests give their leases back and ask anew, each once. A guest that cannot be asked yet, because it still
// boots, is asked in a later round; the checks that need it fail when it never can.
func (r *Runner) begin(ctx context.Context, results []Result, asked map[string]bool) {
	for _, one := range results {
		a := one.Check.Assert
		target := a.Guest.Value + " " + a.NIC.Or("eth0")
		if one.State != Open || !kinds()[a.Kind].fresh || asked[target] {
			continue
		}
		_, err := r.Evidence.Guest(ctx, a.Guest.Value, fmt.Sprintf(beginAnew, a.NIC.Or("eth0")))
		asked[target] = err == nil
	}
}

// beginAnew is for the DHCP client of a micro guest, or of Debian's ifupdown.
const beginAnew = `n=%s
if [ -x /usr/bin/dhcp-renew ]; then dhcp-release $n; dhcp-renew $n
elif grep -qs "iface $n inet dhcp" /etc/network/interfaces /etc/network/interfaces.d/*; then ifdown $n; ifup --no-act $n && (ifup $n &)
fi >/dev/null 2>&1`

// round tries what is still open once, and returns how much is open then.
func (r *Runner) round(ctx context.Context, results []Result, since time.Time) (int, error) {
	scene := scene{Evidence: r.Evidence, lab: r.Lab, since: since, now: r.Now(), answers: r.Answers}
	open := 0
	for i := range results {
		one := &results[i]
		if one.State != Open {
			continue
		}
		if err := r.attempt(ctx, one, results, scene); err != nil {
			return 0, err
		}
		if one.State == Open {
			open++
		} else if r.Told != nil {
			r.Told(*one)
		}
	}
	return open, nil
}

// attempt tries one check, if what it needs has passed.
func (r *Runner) attempt(ctx context.Context, one *Result, results []Result, scene scene) error {
	for _, need := range one.Check.Needs {
		switch stateOf(results, need) {
		case Passed:
		case Open:
			return nil
		default:
			one.State, one.Needs = Skipped, need.Value
			return nil
		}
	}
	if one.ready.IsZero() {
		one.ready = scene.now
	}
	scene.check = one.Check
	verdict, err := kinds()[one.Check.Assert.Kind].try(ctx, one.Check.Assert, &scene)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrNoAnswer):
		verdict = Verdict{Why: because("no-agent", "guest", one.Check.Assert.asks())}
	case err != nil:
		return fmt.Errorf("try check %q: %w", one.Check.ID.Value, err)
	}
	one.Verdict = verdict
	switch {
	case verdict.Passed:
		one.State = Passed
	case verdict.Final || scene.now.Sub(one.ready) >= one.Check.patience():
		one.State = Failed
	}
	return nil
}

func stateOf(results []Result, id yamlfile.Field[string]) State {
	for _, r := range results {
		if r.Check.ID.Value == id.Value {
			return r.State
		}
	}
	return Skipped
}

// The time that checks are given when they do not say: a client without an answer asks again within it, and a server
// that looks whether an address is free answers.
const (
	usualPatience = 10 * time.Second
	freshPatience = 25 * time.Second
)

func (c *Check) patience() time.Duration {
	if kinds()[c.Assert.Kind].fresh {
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
