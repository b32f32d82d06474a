package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// interruptActions say what happens at the interrupts after the first one, which ends the context.
type interruptActions struct {
	Again func() // the second: the clean-up goes on, and is said to
	Force func() // the third: the user has had enough
}

// incomingSignals delivers the signals that ask kvmlab to end. A signal that was ignored when the program started
// stays ignored (nohup, a background job of a shell without job control).
func incomingSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 3)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	return signals
}

// onInterrupt returns a context that ends at the first signal. What the command had begun is then undone under a time
// limit of its own; a second Ctrl-C must not cut that short, a third one may.
func onInterrupt(ctx context.Context, signals <-chan os.Signal, do interruptActions) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		for count := 1; ; count++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			switch count {
			case 1:
				cancel()
			case 2:
				do.Again()
			default:
				do.Force()
				return
			}
		}
	}()
	return ctx, func() { close(done); cancel() }
}
