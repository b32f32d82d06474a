package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// patience bounds every wait of these tests; each takes a fraction of a second on an idle machine.
const patience = time.Minute

// bash returns a seat at a shell that runs here, as one has after the login.
func bash(t *testing.T) *seat {
	t.Helper()
	shell := exec.Command("bash", "--norc", "--noprofile", "--noediting")
	shell.Env = append(os.Environ(), "TERM=dumb", "PS1=", "PS2=")
	line, err := pty.Start(shell)
	if err != nil {
		t.Fatal(err)
	}
	s := &seat{console: newConsole(line)}
	t.Cleanup(func() {
		_ = shell.Process.Kill()
		_ = shell.Wait() // it was killed
		line.Close()
	})
	if err := s.beSeated(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	return s
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestSeatRuns(t *testing.T) {
	s := bash(t)
	for _, c := range []struct {
		line, output string
		status       int
	}{
		{"echo one; echo two >&2", "one\ntwo", 0},
		{"(exit 3)", "", 3},
		{"cat", "", 0}, // there is nothing to read, and what is typed next is not read either
		{"printf unfinished", "unfinished", 0},
		{"echo '<end-0:0>'", "<end-0:0>", 0}, // what looks like an end mark is none
		{"seq 20000 | tail -1", "20000", 0},
		{"echo 'quotes \" and $dollars'", `quotes " and $dollars`, 0},
	} {
		output, status, err := s.run(within(t, patience), c.line)
		if err != nil || output != c.output || status != c.status {
			t.Errorf("%s: %q, status %d, %v; want %q, %d", c.line, output, status, err, c.output, c.status)
		}
	}
}

// TestSeatWaitsNoLonger: a command without an end ends with its time, and the error has what was said.
func TestSeatWaitsNoLonger(t *testing.T) {
	s := bash(t)
	_, _, err := s.run(within(t, time.Second), "echo so far; sleep 1000")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "so far") {
		t.Errorf("error: %v", err)
	}
}

func TestConsoleEnds(t *testing.T) {
	read, write := io.Pipe()
	c := newConsole(struct {
		io.Reader
		io.Writer
	}{read, io.Discard})
	go func() {
		_, _ = io.WriteString(write, "last words\r\n")
		write.Close()
	}()
	before, _, err := c.expect(within(t, patience), regexp.MustCompile("words"))
	if before != "last " || err != nil {
		t.Errorf("before %q, %v", before, err)
	}
	_, _, err = c.expect(within(t, patience), regexp.MustCompile("words"))
	if !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "last words\n") {
		t.Errorf("error: %v", err)
	}
}

// TestTail: an error quotes the end of a long transcript, from the beginning of a line.
func TestTail(t *testing.T) {
	c := &console{said: []byte(strings.Repeat("a line of the boot\n", 10_000))}
	tail := c.tail()
	if len(tail) > tailSize || len(tail) < tailSize/2 || !strings.HasPrefix(tail, "a line") {
		t.Errorf("%d bytes, which begin with %.20q", len(tail), tail)
	}
}
