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

// commitSoon has what is pending made durable: at once, by the caller, while the disk is quick, because to wait for it
// then costs less than to wake somebody else who waits. By the committer otherwise, so that the caller's next OFFERs
// need not wait.
func (s *Server) commitSoon() {
	if !s.committing.TryLock() {
		s.wakeCommitter()
		return
	}
	defer s.committing.Unlock()
	if s.store.slow || s.store.err != nil {
		s.wakeCommitter()
		return
	}
	s.commitPending()
	if s.store.err != nil || s.store.bloated() {
		s.wakeCommitter()
	}
}

// committer commits what the listeners do not commit themselves, compacts the journal, and mends a failed store, until
// ctx is done and nothing is pending. No timer forms groups: while one fdatasync runs, the next group gathers.
func (s *Server) committer(ctx context.Context) {
	retry := time.NewTimer(retryAfter)
	defer retry.Stop()
	retry.Stop()
	resting := false
	for ending := false; !ending; {
		select {
		case <-s.kick:
		case <-retry.C:
			resting = false
			s.mend()
		case <-ctx.Done():
			s.group.Wait() // what is being decided still gets its commit
			ending = true
		}
		if s.commitAndCompact() != nil && !resting {
			retry.Reset(retryAfter)
			resting = true
		}
	}
}

// commitAndCompact returns why the store has failed, if it has.
func (s *Server) commitAndCompact() error {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.commitPending()
	if s.store.err == nil && s.store.bloated() {
		if err := s.renewStore(); err != nil {
			s.opts.Log.Warn("compact lease journal", "error", err)
			s.store.base = s.store.at // not again before it has grown as much once more
		}
		if err := s.store.err; err != nil {
			s.alarm(DecisionAlarm, ReasonStoreFailed, err.Error())
		}
	}
	return s.store.err
}

// commitPending makes leases durable and then sends their ACKs. The caller holds s.committing.
func (s *Server) commitPending() {
	s.taken = s.takePending(s.taken)
	s.settle(&s.taken)
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
func (s *Server) settle(b *batch) {
	if b.empty() {
		return
	}
	failedBefore := s.store.err != nil
	if err := s.store.write(b.records); err != nil {
		if !failedBefore {
			s.alarm(DecisionAlarm, ReasonStoreFailed, err.Error())
		}
		s.acks.hold(b.replies, ReasonNotDurable, err.Error())
		return
	}
	s.acks.send(b.replies)
}

// mend tries to end a failure of the store with a new generation. Only that is safe: see store.
func (s *Server) mend() {
	s.committing.Lock()
	defer s.committing.Unlock()
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
