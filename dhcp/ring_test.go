package dhcp_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// numbers are the XIDs of events, by which these tests tell them apart.
func numbers(events []dhcp.Event) (out []uint32) {
	for _, e := range events {
		out = append(out, e.XID)
	}
	return out
}

// addTo adds events with the XIDs from first to last, and fails when that waits for a reader.
func addTo(t *testing.T, ring *dhcp.EventRing, first, last uint32) {
	t.Helper()
	added := make(chan struct{})
	go func() {
		defer close(added)
		for n := first; n <= last; n++ {
			ring.Add(dhcp.Event{XID: n})
		}
	}()
	select {
	case <-added:
	case <-time.After(patient):
		t.Fatal("Add waits for a reader")
	}
}

// TestEventRing: what does not fit is lost from the front, and counted.
func TestEventRing(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, tt := range []struct {
		size        int
		added       uint32
		from        uint64
		first, last uint32 // of what comes; none when both are zero
		lost        uint64
	}{
		{size: 4, added: 3, from: 0, first: 1, last: 3},
		{size: 4, added: 4, from: 0, first: 1, last: 4},
		{size: 4, added: 5, from: 0, first: 2, last: 5, lost: 1},
		{size: 4, added: 10, from: 0, first: 7, last: 10, lost: 6},
		{size: 4, added: 10, from: 5, first: 7, last: 10, lost: 1},
		{size: 4, added: 10, from: 6, first: 7, last: 10},
		{size: 4, added: 10, from: 9, first: 10, last: 10},
		{size: 4, added: 10, from: 10},
		{size: 0, added: 3, from: 0, first: 3, last: 3, lost: 2},
	} {
		ring := dhcp.NewEventRing(tt.size)
		addTo(t, ring, 1, tt.added)
		events, next, lost, err := ring.Next(ended, tt.from)
		if tt.last == 0 {
			if err == nil || len(events) > 0 || next != tt.from || lost != 0 {
				t.Errorf("%+v: %v, next %d, lost %d, %v", tt, numbers(events), next, lost, err)
			}
			continue
		}
		got := numbers(events)
		if err != nil || len(got) != int(tt.last-tt.first+1) || got[0] != tt.first || got[len(got)-1] != tt.last {
			t.Errorf("%+v: %v, %v", tt, got, err)
		}
		if next != uint64(tt.added) || lost != tt.lost {
			t.Errorf("%+v: next %d, lost %d", tt, next, lost)
		}
	}
}

// TestEventRingWaits: readers who wait get what comes, all of them, and wait for what comes after it.
func TestEventRingWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ring := dhcp.NewEventRing(4)
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), patient)
				defer cancel()
				for from := range uint64(3) {
					events, next, lost, err := ring.Next(ctx, from)
					if err != nil || lost != 0 || next != from+1 || events[0].XID != uint32(next) {
						t.Errorf("from %d: %v, next %d, lost %d, %v", from, numbers(events), next, lost, err)
						return
					}
				}
			})
		}
		for n := range uint32(3) {
			synctest.Wait() // they wait now
			ring.Add(dhcp.Event{XID: n + 1})
		}
		readers.Wait()
	})
}

// TestEventRingCounts: whatever a reader misses while several write, it is told of, and what it gets is in order.
func TestEventRingCounts(t *testing.T) {
	t.Parallel()
	const writers, each = 4, 5000
	ring := dhcp.NewEventRing(16)
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for n := range uint32(each) {
				ring.Add(dhcp.Event{XID: uint32(w)*each + n + 1})
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patient)
	defer cancel()
	var got, missed uint64
	var newest [writers]uint32 // of each writer
	for from := uint64(0); from < writers*each; {
		events, next, lost, err := ring.Next(ctx, from)
		if err != nil || next != from+lost+uint64(len(events)) {
			t.Fatalf("from %d: %d events, lost %d, next %d, %v", from, len(events), lost, next, err)
		}
		for _, n := range numbers(events) {
			w := (n - 1) / each
			if n <= newest[w] {
				t.Fatalf("%d came after %d", n, newest[w])
			}
			newest[w] = n
		}
		from, got, missed = next, got+uint64(len(events)), missed+lost
	}
	group.Wait()
	if got+missed != writers*each {
		t.Errorf("%d came and %d were lost, of %d", got, missed, writers*each)
	}
}
