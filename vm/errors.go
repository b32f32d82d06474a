package vm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/digitalocean/go-libvirt"
)

// What callers branch on. Every error of a Conn that is one of these satisfies
// errors.Is with it.
var (
	// ErrUnreachable means that no libvirt socket answered; see UnreachableError.
	ErrUnreachable = errors.New("libvirt is not reachable")
	// ErrURI means a connection URI that does not name a QEMU of this host.
	ErrURI = errors.New("not a connection to this host's QEMU")
	// ErrForeign means a domain without kvmlab's mark; see ForeignError.
	ErrForeign = errors.New("not made by kvmlab")
	// ErrNotFound means that there is no domain of that name.
	ErrNotFound = errors.New("no such domain")
	// ErrNotRunning means that the domain has no running guest to talk to.
	ErrNotRunning = errors.New("the guest is not running")
	// ErrConsoleBusy means that somebody else has the guest's console open.
	ErrConsoleBusy = errors.New("the console is in use")
	// ErrConsoleTaken means that somebody else has taken over a console that was open.
	ErrConsoleTaken = errors.New("the console was taken over")
	// ErrConsoleStalled means that what a guest printed on its console was not read for too long.
	ErrConsoleStalled = errors.New("the console was not read")
	// ErrDenied means that libvirt answered, but does not let this user do it.
	ErrDenied = errors.New("libvirt denies access")
	// ErrNoAnswer means that libvirt took a request and did not answer within the
	// time limit, although the caller's context still had time.
	ErrNoAnswer = errors.New("libvirt does not answer")
	// ErrNonsense means that what answers in the guest is no agent: its answers have another form, or more in them, than
	// what was asked for.
	ErrNonsense = errors.New("the guest's agent answers nonsense")
	// ErrClosed means that the Conn was closed.
	ErrClosed = errors.New("connection closed")
)

// Try is one socket on which libvirt was looked for.
type Try struct {
	Socket string
	Err    error
}

// UnreachableError says where libvirt was looked for. It is ErrUnreachable.
type UnreachableError struct {
	URI   string
	Tried []Try
}

// Error lists the sockets and what each one gave.
func (e *UnreachableError) Error() string {
	tried := make([]string, len(e.Tried))
	for i, t := range e.Tried {
		tried[i] = fmt.Sprintf("%s: %v", t.Socket, t.Err)
	}
	return fmt.Sprintf("connect to %s: %v (%s)", e.URI, ErrUnreachable, strings.Join(tried, "; "))
}

// Unwrap gives ErrUnreachable and every socket's own error.
func (e *UnreachableError) Unwrap() []error {
	all := []error{ErrUnreachable}
	for _, t := range e.Tried {
		all = append(all, t.Err)
	}
	return all
}

// ForeignError names a domain that is in the way and not kvmlab's, or that
// belongs to another guest. It is ErrForeign.
type ForeignError struct {
	Domain string
	// Owner is whose domain it is, when it is marked at all.
	Owner Owner
}

// Error says whose the domain is.
func (e *ForeignError) Error() string {
	if e.Owner == (Owner{}) {
		return fmt.Sprintf("domain %q: %v", e.Domain, ErrForeign)
	}
	return fmt.Sprintf("domain %q belongs to guest %q of lab %q", e.Domain, e.Owner.Guest, e.Owner.Lab)
}

// Is makes it ErrForeign.
func (e *ForeignError) Is(target error) bool { return target == ErrForeign }

// noAnswerError is the cause of a context that this package's own limit ended.
type noAnswerError struct{ limit time.Duration }

func (e noAnswerError) Error() string { return fmt.Sprintf("%v within %v", ErrNoAnswer, e.limit) }

// Is makes it ErrNoAnswer and, as any time limit, context.DeadlineExceeded.
func (e noAnswerError) Is(target error) bool {
	return target == ErrNoAnswer || target == context.DeadlineExceeded
}

// hasCode reports whether err is libvirt's error of that number (virErrorNumber).
func hasCode(err error, code libvirt.ErrorNumber) bool {
	var lv libvirt.Error
	return errors.As(err, &lv) && lv.Code == uint32(code)
}

// mapped puts this package's sentinel in front of what libvirt's numbers mean
// whatever was asked for.
func mapped(err error) error {
	switch {
	case err == nil:
		return nil
	case hasCode(err, libvirt.ErrNoDomain):
		return fmt.Errorf("%w (%w)", ErrNotFound, err)
	case hasCode(err, libvirt.ErrAuthFailed), hasCode(err, libvirt.ErrAuthCancelled),
		hasCode(err, libvirt.ErrAuthUnavailable), hasCode(err, libvirt.ErrAccessDenied):
		return fmt.Errorf("%w (%w)", ErrDenied, err)
	case errors.Is(err, libvirt.ErrInterrupted):
		return fmt.Errorf("%w: it has closed the connection (%w)", ErrUnreachable, err)
	default:
		return err
	}
}
