package nstest

import (
	"context"
	"errors"
	"testing"
	"time"
)

// waitLimit bounds every wait of a test: what is waited for comes within seconds on a machine that does nothing else.
const waitLimit = 5 * time.Minute

// errTooLong is the cause of a context that has come to its end.
var errTooLong = errors.New("the test has waited too long")

// Limit is a context for what a test waits for. Unlike the test's own it has an end while the test runs, and is still good
// for the clean-up of what was begun after it.
func Limit(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(tb.Context()), waitLimit, errTooLong)
	tb.Cleanup(cancel)
	return ctx
}

// Receive waits for a value. It fails the test when none comes.
func Receive[T any](tb testing.TB, values <-chan T) T {
	tb.Helper()
	limit := time.NewTimer(waitLimit)
	defer limit.Stop()
	select {
	case value := <-values:
		return value
	case <-limit.C:
		tb.Fatal(errTooLong)
		panic("not reached")
	}
}
