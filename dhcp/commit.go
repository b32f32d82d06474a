package dhcp

import (
	"context"
	"time"
)

// retryAfter is how long a failed store rests before it is tried again.
const retryAfter = time.Second

// batch is what waits for the disk.
type batch struct {
	records []byte
	replies []outgoing
}

func (b *batch) empty() bool { return len(b.records) == 0 && len(b.replies) == 0 }

// wakeCommitter makes the committer look at what is pending. It never blocks.
func (s *Server) wakeCommitter() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// commit makes leases durable and then sends their ACKs, until ctx is done and nothing is pending. It needs no
// timer to form groups: while one fdatasync runs, the listeners gather the next group.
func (s *Server) commit(ctx context.Context) {
	out := newTransmitter(s)
	var b batch
	retry := time.NewTimer(retryAfter)
	retry.Stop()
	for ending := false; !ending; {
		select {
		case <-s.kick:
		case <-retry.C:
			s.mend()
		case <-ctx.Done():
			s.group.Wait() // what is being decided still gets its commit
			ending = true
		}
		b = s.takePending(b)
		s.settle(&b, out)
		if s.store.err != nil {
			retry.Reset(retryAfter)
		}
	}
	retry.Stop()
}

// takePending swaps the pending batch for the memory of the last one.
func (s *Server) takePending(last batch) batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.pending
	s.pending = batch{records: last.records[:0], replies: last.replies[:0]}
	return b
}

// settle writes a batch and sends its ACKs, or holds them back when they are not durable. What was promised in
// memory stays: a client that repeats its REQUEST finds its lease as soon as the disk works again.
func (s *Server) settle(b *batch, out *transmitter) {
	if b.empty() {
		return
	}
	failedBefore := s.store.err != nil
	if err := s.store.write(b.records); err != nil {
		if !failedBefore {
			s.alarm(DecisionAlarm, ReasonStoreFailed, err.Error())
		}
		out.hold(b.replies, ReasonNotDurable, err.Error())
		return
	}
	out.send(b.replies)
	if s.store.bloated() {
		if err := s.renewStore(); err != nil {
			s.opts.Log.Warn("compact lease journal", "error", err)
			s.store.base = s.store.at // not again before it has grown as much once more
		}
	}
}

// mend tries to end a failure of the store with a new generation. Only that is safe: see store.
func (s *Server) mend() {
	if s.store.err == nil {
		return
	}
	if err := s.renewStore(); err != nil {
		s.opts.Log.Debug("lease store still fails", "error", err)
		return
	}
	s.alarm(DecisionNote, ReasonStoreBack, "")
}

// renewStore writes all leases as a new generation. What is pending is part of it and is written once more behind
// it, which changes nothing: the last record about an address counts.
func (s *Server) renewStore() error {
	s.mu.Lock()
	snapshot := s.table.snapshot()
	s.mu.Unlock()
	return s.store.renew(snapshot)
}
