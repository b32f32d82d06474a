package vm

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// try is what became of one way to run guests, on one machine after the other.
type try struct {
	attempts   []Attempt
	conclusive bool // it would be the same the next time
	cached     bool
	err        error
}

// booted is the attempt that succeeded, if any.
func (t try) booted() (Attempt, bool) {
	if n := len(t.attempts); n > 0 && t.attempts[n-1].Booted {
		return t.attempts[n-1], true
	}
	return Attempt{}, false
}

// yardstick is the processor time in which a guest booted without KVM; zero until one has.
type yardstick struct{ time atomic.Int64 }

func (y *yardstick) set(a Attempt)      { y.time.Store(int64(a.CPU)) }
func (y *yardstick) get() time.Duration { return time.Duration(y.time.Load()) }

// tries answers from the cache, or boots guests, with and without KVM side by side, and remembers what is conclusive. What
// it returns, KVM first, is as much as the verdict needs. The error is the context's, or a QEMU that cannot be run at all.
func (c *probeCache) tries(ctx context.Context, o ProbeOptions, kvm bool) ([]try, error) {
	with, without := try{attempts: c.of(AccelKVM), cached: true}, try{attempts: c.of(AccelTCG), cached: true}
	if _, works := with.booted(); o.Want == AccelKVM && !works {
		c.forget(AccelKVM) // whoever insists on it may have mended it
		with.attempts = nil
	}
	if _, works := with.booted(); works && kvm {
		return []try{with}, nil
	}
	untried := kvm && len(with.attempts) == 0
	if untried || o.Want != AccelKVM && len(without.attempts) == 0 {
		if o.Trying != nil {
			o.Trying(untried)
		}
		c.race(ctx, o, untried, &with, &without)
	}
	var all []try
	if kvm {
		all = append(all, with)
	}
	if _, works := with.booted(); o.Want != AccelKVM && (!works || !kvm) {
		all = append(all, without)
	}
	for _, t := range all {
		if t.err != nil {
			return nil, t.err
		}
		c.learn(t)
	}
	return all, nil
}

// race boots guests in the ways that are not known yet. The one without KVM boots in any case when KVM is tried, for its
// boot is the yardstick.
func (c *probeCache) race(ctx context.Context, o ProbeOptions, kvm bool, with, without *try) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var measure yardstick
	var both sync.WaitGroup
	if kvm {
		both.Go(func() {
			*with = tryMachines(ctx, o, AccelKVM, &measure)
			if _, works := with.booted(); works || o.Want == AccelKVM {
				stop() // nobody needs the other any more
			}
		})
	}
	if a, known := without.booted(); known {
		measure.set(a)
	} else {
		both.Go(func() {
			*without = tryMachines(ctx, o, AccelTCG, nil)
			if a, works := without.booted(); works {
				measure.set(a)
			}
		})
	}
	both.Wait()
}

// tryMachines boots a guest on microvm and, where that QEMU does not have it, on q35. A guest that came no further is a
// fault of the way to run it, and not of the machine.
func tryMachines(ctx context.Context, o ProbeOptions, accel Accel, measure *yardstick) (t try) {
	t.conclusive = true
	for _, machine := range []Machine{MachineMicrovm, MachineQ35} {
		a, conclusive, err := trialBoot(ctx, o, Attempt{Accel: accel, Machine: machine}, measure)
		if err != nil {
			t.err = err
			return t
		}
		t.attempts, t.conclusive = append(t.attempts, a), t.conclusive && conclusive
		if a.Booted || a.stalled {
			return t
		}
	}
	return t
}
