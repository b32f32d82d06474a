package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// onError says what the rest of a graph does after a step failed.
type onError uint8

const (
	_       onError = iota
	stop            // start nothing more; wait for what is in flight
	carryOn         // run everything, even what waited for the step
)

// walk runs do for every change, each after those that it waits for, at most limit at once, and returns the errors in
// the order of the changes. With stop, a change that was not started when another failed, or when ctx ended, is left
// out silently: what is told is the reason, not its consequences. do decides itself what the end of ctx means to it.
//
// changes must be in an order in which they could run one by one, which rules out circles.
func walk(ctx context.Context, changes []Change, limit int, mode onError, do func(context.Context, Change) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	finished := make(map[Address]chan struct{}, len(changes))
	errs := make([]error, len(changes))
	slots := make(chan struct{}, limit)
	var all sync.WaitGroup
	for i, c := range changes {
		var waits []chan struct{}
		for _, a := range c.After {
			if ch, ok := finished[a]; ok {
				waits = append(waits, ch)
			}
		}
		done := make(chan struct{})
		finished[c.Address] = done
		all.Go(func() {
			defer close(done)
			for _, ch := range waits {
				<-ch
			}
			slots <- struct{}{}
			defer func() { <-slots }()
			if mode == stop && ctx.Err() != nil {
				return
			}
			if errs[i] = do(ctx, c); errs[i] != nil && mode == stop {
				cancel()
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// reversed returns the changes in the opposite order: each now comes after those that waited for it.
func reversed(changes []Change) []Change {
	back := make([]Change, 0, len(changes))
	for i, c := range slices.Backward(changes) {
		c.After = nil
		for _, later := range changes[i+1:] {
			for _, a := range later.After {
				if a == c.Address {
					c.After = append(c.After, later.Address)
				}
			}
		}
		back = append(back, c)
	}
	return back
}
