package supervisor_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/supervisor"
)

// TestHubTellsEverythingInOrder publishes while several listeners read at their own pace: each sees every event once
// and in order, or is told exactly how many it missed.
func TestHubTellsEverythingInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hub := supervisor.NewHub()
		var after uint64
		published := uint64(0)
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			for range rapid.IntRange(1, 5000).Draw(t, "burst") {
				hub.Publish(lab.Event{Kind: lab.EventService})
				published++
			}
			events, missed, err := hub.Next(context.Background(), after)
			if err != nil {
				t.Fatal(err)
			}
			if uint64(len(events))+missed != published-after {
				t.Fatalf("%d events and %d missed, want %d", len(events), missed, published-after)
			}
			for i, ev := range events {
				if want := after + missed + uint64(i) + 1; ev.Seq != want {
					t.Fatalf("event %d has number %d, want %d", i, ev.Seq, want)
				}
			}
			after = published
		}
	})
}

func TestHubWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := supervisor.NewHub()
		var woken sync.WaitGroup
		for range 3 {
			woken.Go(func() {
				events, _, err := hub.Next(t.Context(), 0)
				if err != nil || len(events) != 1 {
					t.Errorf("got %v, %v", events, err)
				}
			})
		}
		synctest.Wait()
		hub.Publish(lab.Event{})
		woken.Wait()

		ctx, cancel := context.WithCancel(t.Context())
		woken.Go(func() {
			if _, _, err := hub.Next(ctx, hub.Last()); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		woken.Wait()

		woken.Go(func() {
			if events, _, err := hub.Next(t.Context(), hub.Last()); err != nil || len(events) != 0 {
				t.Errorf("after Close: %v, %v", events, err)
			}
		})
		synctest.Wait()
		hub.Close()
		hub.Close()
		woken.Wait()
	})
}
