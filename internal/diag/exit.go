package diag

import (
	"context"
	"errors"
)

// The exit statuses of kvmlab's commands.
const (
	ExitOK        = 0 // done
	ExitFailed    = 1 // it was tried and failed
	ExitUsage     = 2 // the command line or a file that it named is wrong
	ExitChecks    = 3 // the work was checked and is not right yet
	ExitHost      = 4 // the host is not ready for it; nothing was changed
	ExitCancelled = 5 // interrupted by the user
)

// ExitCode gives the exit status for err: 0 for nil, 5 when a cancellation is
// anywhere underneath, otherwise the status of the first diagnostic of severity
// [Error] that has one of its own, and 1 when there is none.
//
// A diagnostic such as "the lab was rolled back" has no status of its own (0 in
// the registry): its cause decides.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if errors.Is(err, context.Canceled) {
		return ExitCancelled
	}
	if status := firstStatus(err); status != 0 {
		return status
	}
	return ExitFailed
}

// firstStatus walks err's tree depth first for the first status that decides.
func firstStatus(err error) int {
	//nolint:errorlint // This walks the chain itself, one error at a time.
	switch e := err.(type) {
	case nil:
		return 0
	case *Diagnostic:
		entry, _ := Lookup(e.Code)
		if e.Severity == Error && entry.Exit != 0 {
			return entry.Exit
		}
		return firstStatus(e.Cause)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if status := firstStatus(inner); status != 0 {
				return status
			}
		}
	case interface{ Unwrap() error }:
		return firstStatus(e.Unwrap())
	}
	return 0
}
