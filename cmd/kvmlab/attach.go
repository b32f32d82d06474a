package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// escapeKey is Ctrl-], the key that telnet and virsh leave with.
const escapeKey = 0x1d

// consoleEnd says how a console session ended.
type consoleEnd uint8

const (
	_              consoleEnd = iota
	leftByUser                // Ctrl-]
	leftByGuest               // the guest was switched off
	leftByInputEnd            // piped input ended and the guest has said what it had to say
	leftByContext             // a signal
	leftByError               // reading or writing failed
)

// String names the end.
func (e consoleEnd) String() string {
	names := map[consoleEnd]string{
		leftByUser: "user", leftByGuest: "guest", leftByInputEnd: "input end", leftByContext: "context", leftByError: "error",
	}
	if name, ok := names[e]; ok {
		return name
	}
	return fmt.Sprintf("consoleEnd(%d)", uint8(e))
}

// sessionEnd is the end of one direction of a session.
type sessionEnd struct {
	how consoleEnd
	err error
}

// chattyFactor bounds how long a guest that never becomes quiet holds a session whose input has ended, in quiet times.
const chattyFactor = 10

// attach copies in to the guest and the guest to out, until Ctrl-] comes in, the guest stops, or ctx ends. It closes the
// guest's stream. When in ends (it was a pipe), the session goes on until the guest has printed nothing for quiet, or
// has not stopped printing for ten times as long; 0 waits for ever.
//
// A reader of in that is blocked in Read is left behind: only the end of in frees it.
func attach(ctx context.Context, in io.Reader, out io.Writer, guest io.ReadWriteCloser, quiet time.Duration) (consoleEnd, error) {
	var (
		typed   = make(chan sessionEnd, 1)
		printed = make(chan sessionEnd, 1)
		alive   = make(chan struct{}, 1)
	)
	go func() { typed <- guarded(func() (consoleEnd, error) { return copyKeys(guest, in) }) }()
	go func() {
		printed <- guarded(func() (consoleEnd, error) { return leftByGuest, copyOutput(out, guest, alive) })
	}()
	end, waitPrinter := awaitEnd(ctx, typed, printed, alive, quiet)
	closeErr := guest.Close()
	if waitPrinter {
		<-printed // what had arrived is on the screen; closing the stream has ended the copying
	}
	if end.err != nil {
		closeErr = nil // the first mistake tells more than its consequences
	}
	return end.how, errors.Join(end.err, closeErr)
}

// awaitEnd waits for the first reason to end. printing says whether the guest's output is still being copied.
func awaitEnd(ctx context.Context, typed, printed <-chan sessionEnd, alive <-chan struct{}, quiet time.Duration) (end sessionEnd, printing bool) {
	var silence, chatter <-chan time.Time // run after the input has ended
	for {
		select {
		case <-ctx.Done():
			return sessionEnd{how: leftByContext}, true
		case end := <-printed:
			return end, false
		case end := <-typed:
			if end.how != leftByInputEnd || end.err != nil {
				return end, true
			}
			if quiet > 0 {
				silence, chatter = time.After(quiet), time.After(chattyFactor*quiet)
			}
		case <-alive:
			if silence != nil {
				silence = time.After(quiet)
			}
		case <-silence:
			return sessionEnd{how: leftByInputEnd}, true
		case <-chatter:
			return sessionEnd{how: leftByInputEnd}, true
		}
	}
}

// guarded runs one direction. A panic in it becomes an error: the terminal is raw, and must not stay so.
func guarded(run func() (consoleEnd, error)) (end sessionEnd) {
	defer func() {
		if r := recover(); r != nil {
			end = sessionEnd{leftByError, fmt.Errorf("copy console: %v", r)}
		}
	}()
	how, err := run()
	if err != nil {
		how = leftByError
	}
	return sessionEnd{how, err}
}

// copyKeys sends what is typed to the guest, up to Ctrl-].
func copyKeys(guest io.Writer, in io.Reader) (consoleEnd, error) {
	buffer := make([]byte, 1024)
	for {
		n, readErr := in.Read(buffer)
		keys, _, left := bytes.Cut(buffer[:n], []byte{escapeKey})
		if len(keys) > 0 {
			if _, err := guest.Write(keys); err != nil {
				return leftByError, fmt.Errorf("send keys to the guest: %w", err)
			}
		}
		switch {
		case left:
			return leftByUser, nil
		case errors.Is(readErr, io.EOF):
			return leftByInputEnd, nil
		case readErr != nil:
			return leftByError, fmt.Errorf("read keys: %w", readErr)
		}
	}
}

// copyOutput prints what the guest says until it stops, and signals alive for every piece, without waiting.
func copyOutput(out io.Writer, guest io.Reader, alive chan<- struct{}) error {
	buffer := make([]byte, 16<<10)
	for {
		n, readErr := guest.Read(buffer)
		if n > 0 {
			if _, err := out.Write(buffer[:n]); err != nil {
				return fmt.Errorf("print console: %w", err)
			}
			select {
			case alive <- struct{}{}:
			default:
			}
		}
		switch {
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr != nil:
			return fmt.Errorf("read console: %w", readErr)
		}
	}
}
