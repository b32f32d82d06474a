package supervisor

import (
	"context"
	"sync"

	"github.com/kvmlab/kvmlab/internal/lab"
)

// hubCapacity is how many past events a late listener can still see: some minutes of a busy lab, under 2 MiB.
const hubCapacity = 4096

// Hub passes a lab's events to any number of listeners. Publishing never blocks: events live in a ring, every
// listener keeps its own place in it, and one that falls a whole ring behind is told how many it missed.
type Hub struct {
	mu     sync.Mutex
	ring   [hubCapacity]lab.Event
	last   uint64        // the sequence number of the newest event, 0 when there is none
	wake   chan struct{} // closed at the next event
	closed bool
}

// NewHub returns an empty hub.
func NewHub() *Hub {
	return &Hub{wake: make(chan struct{})}
}

// Publish numbers ev and makes it visible to all listeners.
func (h *Hub) Publish(ev lab.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.last++
	ev.Seq = h.last
	h.ring[ev.Seq%hubCapacity] = ev
	close(h.wake)
	h.wake = make(chan struct{})
}

// Last returns the sequence number of the newest event, 0 before the first.
func (h *Hub) Last() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// Close ends every listener after what it has not yet read.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		close(h.wake)
	}
}

// Next returns the events after sequence number after, waiting for one when there is none yet. missed counts the
// events that had already left the ring. It returns ctx's error when ctx ends, and no events and no error once the
// hub is closed and read to its end.
func (h *Hub) Next(ctx context.Context, after uint64) (events []lab.Event, missed uint64, err error) {
	for {
		h.mu.Lock()
		if after < h.last {
			first := after + 1
			if h.last > hubCapacity && first <= h.last-hubCapacity {
				missed = h.last - hubCapacity + 1 - first
				first += missed
			}
			for seq := first; seq <= h.last; seq++ {
				events = append(events, h.ring[seq%hubCapacity])
			}
			h.mu.Unlock()
			return events, missed, nil
		}
		wake, closed := h.wake, h.closed
		h.mu.Unlock()
		if closed {
			return nil, 0, nil
		}
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-wake:
		}
	}
}
