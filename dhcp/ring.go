package dhcp

import (
	"context"
	"sync"
)

// EventRing keeps the last events. Writers never wait; a reader that is too slow loses the oldest events, and is
// told how many. It is safe for concurrent use.
type EventRing struct {
	mu     sync.Mutex
	buf    []Event
	next   uint64        // number of events ever added
	wakeup chan struct{} // closed and replaced at Add when somebody waits
	asleep bool
}

// NewEventRing returns a ring that keeps size events (at least one).
func NewEventRing(size int) *EventRing {
	return &EventRing{buf: make([]Event, max(size, 1)), wakeup: make(chan struct{})}
}

// Add appends an event, over the oldest one when the ring is full. It can be an Options.Events.
func (r *EventRing) Add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buf[r.next%uint64(len(r.buf))] = e
	r.next++
	if r.asleep {
		close(r.wakeup)
		r.wakeup, r.asleep = make(chan struct{}), false
	}
}

// Next returns the events from number from on (0 is the first ever), the number to go on with, and how many of
// those asked for were lost. When there are none yet, it waits for one until ctx is done.
func (r *EventRing) Next(ctx context.Context, from uint64) (events []Event, next, lost uint64, err error) {
	for {
		r.mu.Lock()
		if from < r.next {
			oldest := r.next - min(r.next, uint64(len(r.buf)))
			if from < oldest {
				lost, from = oldest-from, oldest
			}
			for ; from < r.next; from++ {
				events = append(events, r.buf[from%uint64(len(r.buf))])
			}
			r.mu.Unlock()
			return events, from, lost, nil
		}
		r.asleep = true
		wakeup := r.wakeup
		r.mu.Unlock()
		select {
		case <-wakeup:
		case <-ctx.Done():
			return nil, from, 0, ctx.Err()
		}
	}
}
