package main

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
)

// TestInterrupts presses Ctrl-C three times: the context ends, then a word, then force.
func TestInterrupts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal)
		var again, force int
		ctx, stop := onInterrupt(t.Context(), signals, interruptActions{
			Again: func() { again++ }, Force: func() { force++ },
		})
		defer stop()
		synctest.Wait()
		if ctx.Err() != nil || again+force != 0 {
			t.Fatalf("before any signal: %v, again %d, force %d", ctx.Err(), again, force)
		}
		for i, want := range []struct{ again, force int }{{0, 0}, {1, 0}, {1, 1}} {
			signals <- syscall.SIGINT
			synctest.Wait()
			if ctx.Err() != context.Canceled || again != want.again || force != want.force {
				t.Errorf("after %d signals: %v, again %d, force %d", i+1, ctx.Err(), again, force)
			}
		}
	})
}
