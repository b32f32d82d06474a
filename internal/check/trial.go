package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// trial is one run of a [Runner].
type trial struct {
	*Runner

	results []Result
	since   time.Time               // what was on the wire before does not count as fresh
	begun   map[string]bool         // the cards that have begun anew since then
	playing map[string]func() error // the stations, by their parts, and what ends each
	alone   *Result                 // a check whose station intrudes has its turn, and no other
}

// run goes round until nothing is open.
func (t *trial) run(ctx context.Context) error {
	for {
		if err := t.turn(); err != nil {
			return err
		}
		if err := t.begin(ctx); err != nil {
			return err
		}
		open, err := t.round(ctx)
		if err != nil || open == 0 {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// turn gives a check whose station intrudes its turn when there is no other to try. Before and after it everything begins
// anew: what guests went through meanwhile is not what the others are about.
func (t *trial) turn() error {
	if t.alone != nil && t.alone.State == Open {
		return nil
	}
	next := t.intruder()
	if next == t.alone {
		return nil
	}
	t.alone, t.since = next, t.Now()
	clear(t.begun)
	return t.stop()
}

// intruder is the first check that must be tried alone, nil while another can be tried.
func (t *trial) intruder() *Result {
	var first *Result
	for i := range t.results {
		one := &t.results[i]
		switch {
		case !t.ready(one):
		case !one.Check.Station.intrudes():
			return nil
		case first == nil:
			first = one
		}
	}
	return first
}

// ready reports whether a check is open and all that it needs has passed.
func (t *trial) ready(one *Result) bool {
	for _, need := range one.Check.Needs {
		if t.result(need.Value).State != Passed {
			return false
		}
	}
	return one.State == Open
}

// result gives what has become of a check. One that comes after the last that is tried will not be.
func (t *trial) result(id string) Result {
	for _, r := range t.results {
		if r.Check.ID.Value == id {
			return r
		}
	}
	return Result{State: Skipped}
}

// due reports whether an open check has its turn.
func (t *trial) due(one *Result) bool {
	if t.alone != nil {
		return one == t.alone
	}
	return one.State == Open && !one.Check.Station.intrudes()
}

// begin plugs stations in, and has guests give their leases back and ask anew, each once. A guest that cannot be asked
// yet, because it still boots, is asked in a later round; the checks that need it fail when it never can.
func (t *trial) begin(ctx context.Context) error {
	for i := range t.results {
		one := &t.results[i]
		if !t.due(one) {
			continue
		}
		if err := t.play(ctx, one); err != nil {
			return err
		}
		a := one.Check.Assert
		k, target := kinds()[a.Kind], a.Guest.Value+" "+a.NIC.Or("eth0")
		if fresh := k.fresh || k.asked && one.Check.Station != nil; !fresh || !a.Guest.Set || t.begun[target] {
			continue
		}
		_, err := t.Evidence.Guest(ctx, a.Guest.Value, fmt.Sprintf(beginAnew, a.NIC.Or("eth0")))
		t.begun[target] = err == nil
	}
	return nil
}

// beginAnew is for the DHCP client of a micro guest, or of Debian's ifupdown.
const beginAnew = `n=%s
if [ -x /usr/bin/dhcp-renew ]; then dhcp-release $n; dhcp-renew $n
elif grep -qs "iface $n inet dhcp" /etc/network/interfaces /etc/network/interfaces.d/*; then ifdown $n; ifup --no-act $n && (ifup $n &)
fi >/dev/null 2>&1`

// play has a check's station begin as soon as the check can be tried. Checks with the same station share it.
func (t *trial) play(ctx context.Context, one *Result) error {
	if one.Check.Station == nil || !t.ready(one) || t.plays(one) {
		return nil
	}
	part := one.Check.Station.Part()
	stop, err := t.Evidence.Station(ctx, part)
	switch {
	case err == nil:
		t.playing[fmt.Sprint(part)] = stop
	case !errors.Is(err, ErrNoBridge):
		return fmt.Errorf("try check %q: %w", one.Check.ID.Value, err)
	}
	return nil
}

// plays reports whether a check's station plays.
func (t *trial) plays(one *Result) bool {
	return t.playing[fmt.Sprint(one.Check.Station.Part())] != nil
}

// stop ends all stations.
func (t *trial) stop() error {
	var errs []error
	for _, stop := range t.playing {
		errs = append(errs, stop())
	}
	clear(t.playing)
	return errors.Join(errs...)
}

// round tries what is still open once, and returns how much is open then.
func (t *trial) round(ctx context.Context) (int, error) {
	scene := scene{Evidence: t.Evidence, lab: t.Lab, since: t.since, begun: t.Begun, now: t.Now(), answers: t.Answers}
	open := 0
	for i := range t.results {
		one := &t.results[i]
		if one.State != Open {
			continue
		}
		if err := t.attempt(ctx, one, scene); err != nil {
			return 0, err
		}
		if one.State == Open {
			open++
		} else if t.Told != nil {
			t.Told(*one)
		}
	}
	return open, nil
}

// attempt tries one check, if what it needs has passed and it has its turn.
func (t *trial) attempt(ctx context.Context, one *Result, scene scene) error {
	for _, need := range one.Check.Needs {
		before := t.result(need.Value)
		switch before.State {
		case Passed:
		case Open:
			return nil
		default: // what that one waits for itself is what is to be done
			one.State, one.Needs = Skipped, cmp.Or(before.Needs, need.Value)
			return nil
		}
	}
	if !t.due(one) {
		return nil
	}
	if one.ready.IsZero() {
		one.ready = scene.now
	}
	verdict, err := t.look(ctx, one, scene)
	if err != nil {
		return err
	}
	one.Verdict, one.Took = verdict, scene.now.Sub(one.ready)
	switch {
	case verdict.Passed:
		one.State = Passed
	case verdict.Final || one.Took >= t.patience(one.Check):
		one.State = Failed
	}
	return nil
}

// look looks at the evidence once.
func (t *trial) look(ctx context.Context, one *Result, scene scene) (Verdict, error) {
	c := one.Check
	scene.check = c
	if c.Station != nil && !t.plays(one) {
		return failed("no-bridge", "bridge", c.Station.Bridge.Value)
	}
	verdict, err := kinds()[c.Assert.Kind].try(ctx, c.Assert, &scene)
	switch {
	case ctx.Err() != nil:
		return Verdict{}, ctx.Err()
	case errors.Is(err, ErrNoAnswer):
		return silence(err, c.Assert.asks(), t.Lab.Name)
	case err != nil:
		return Verdict{}, fmt.Errorf("try check %q: %w", c.ID.Value, err)
	}
	return verdict, nil
}
