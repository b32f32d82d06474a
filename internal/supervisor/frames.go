package supervisor

import (
	"context"
	"maps"
	"sync"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// What the frame hub keeps for readers that are busy: whichever bound is reached first.
const (
	framesKept     = 16384
	frameBytesKept = 8 << 20
)

// seenFrame is a frame with its numbers: seq counts all frames, onLink those of its link. Both begin at 1.
type seenFrame struct {
	capture.Frame

	seq, onLink uint64
}

// frameHub passes frames to any number of readers. Publishing never waits: a reader that falls too far behind misses
// frames, and sees by their numbers how many.
type frameHub struct {
	mu     sync.Mutex
	frames []seenFrame // the newest ones; frames[0] has number first
	first  uint64
	bytes  int
	counts map[string]uint64 // frames by link
	wake   chan struct{}     // closed at the next frame
	closed bool
}

func newFrameHub() *frameHub {
	return &frameHub{first: 1, counts: map[string]uint64{}, wake: make(chan struct{})}
}

// publish numbers a frame and shows it to all readers.
func (h *frameHub) publish(f capture.Frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.counts[f.Interface]++
	h.frames = append(h.frames, seenFrame{f, h.first + uint64(len(h.frames)), h.counts[f.Interface]})
	h.bytes += len(f.Data)
	drop := 0
	for len(h.frames)-drop > framesKept || h.bytes > frameBytesKept {
		h.bytes -= len(h.frames[drop].Data)
		h.frames[drop] = seenFrame{}
		drop++
	}
	h.frames = h.frames[drop:]
	h.first += uint64(drop)
	close(h.wake)
	h.wake = make(chan struct{})
}

// last is the number of the newest frame, and how many each link has had by then.
func (h *frameHub) last() (seq uint64, counts map[string]uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.first + uint64(len(h.frames)) - 1, maps.Clone(h.counts)
}

// close ends every reader after what it has not yet read.
func (h *frameHub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		close(h.wake)
	}
}

// next returns up to most frames after number after. It waits for one until ctx ends or stop is closed; then, and when
// the hub is closed and read to its end, it returns none.
func (h *frameHub) next(ctx context.Context, after uint64, most int, stop <-chan struct{}) []seenFrame {
	for {
		h.mu.Lock()
		from := 0
		if after >= h.first {
			from = int(after - h.first + 1)
		}
		if from < len(h.frames) {
			out := make([]seenFrame, min(most, len(h.frames)-from))
			copy(out, h.frames[from:])
			h.mu.Unlock()
			return out
		}
		wake, closed := h.wake, h.closed
		h.mu.Unlock()
		if closed {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-stop:
			return nil
		case <-wake:
		}
	}
}
