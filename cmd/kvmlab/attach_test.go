package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// session runs attach against a guest that the test plays.
type session struct {
	keys   *io.PipeWriter // what the user types
	screen bytes.Buffer   // what the user sees; read it after the end
	guest  net.Conn       // the guest's side
	cancel context.CancelFunc

	done chan struct{}
	how  consoleEnd
	err  error
}

func startSession(t *testing.T, quiet time.Duration) *session {
	t.Helper()
	in, keys := io.Pipe()
	host, guest := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	s := &session{keys: keys, guest: guest, cancel: cancel, done: make(chan struct{})}
	go func() {
		s.how, s.err = attach(ctx, in, &s.screen, eofOnClose{host}, quiet)
		close(s.done)
	}()
	t.Cleanup(func() { cancel(); _ = keys.Close(); _ = guest.Close() })
	return s
}

// eofOnClose is net.Pipe with the end that the consoles of vm have.
type eofOnClose struct{ net.Conn }

func (c eofOnClose) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = io.EOF
	}
	return n, err
}

func (s *session) guestReads(t *testing.T, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s.guest, got); err != nil || string(got) != want {
		t.Fatalf("the guest read %q, %v, want %q", got, err, want)
	}
}

func (s *session) wants(t *testing.T, how consoleEnd, err error, screen string) {
	t.Helper()
	<-s.done
	if s.how != how || !errors.Is(s.err, err) || (err == nil) != (s.err == nil) {
		t.Errorf("ended by %v, %v, want %v, %v", s.how, s.err, how, err)
	}
	if got := s.screen.String(); got != screen {
		t.Errorf("the screen shows %q, want %q", got, screen)
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T, *session){
		"Ctrl-] leaves, and what was typed before it arrives": func(t *testing.T, s *session) {
			t.Helper()
			go func() { _, _ = s.keys.Write([]byte("ls\r\x1dnot sent")) }()
			s.guestReads(t, "ls\r")
			s.wants(t, leftByUser, nil, "")
		},
		"Ctrl-C is the guest's": func(t *testing.T, s *session) {
			t.Helper()
			go func() { _, _ = s.keys.Write([]byte{3}); _, _ = s.keys.Write([]byte{escapeKey}) }()
			s.guestReads(t, "\x03")
			s.wants(t, leftByUser, nil, "")
		},
		"the guest is switched off": func(t *testing.T, s *session) {
			t.Helper()
			_, _ = s.guest.Write([]byte("reboot: Power down\r\n"))
			_ = s.guest.Close()
			s.wants(t, leftByGuest, nil, "reboot: Power down\r\n")
		},
		"a signal": func(t *testing.T, s *session) {
			t.Helper()
			_, _ = s.guest.Write([]byte("x"))
			s.cancel()
			s.wants(t, leftByContext, nil, "x")
		},
		"piped input ends and the guest answers": func(t *testing.T, s *session) {
			t.Helper()
			go func() { _, _ = s.keys.Write([]byte("hostname\n")); _ = s.keys.Close() }()
			s.guestReads(t, "hostname\n")
			for _, answer := range []string{"host", "name\r\n", "pc1\r\n"} {
				time.Sleep(1500 * time.Millisecond) // each within the time of quiet
				_, _ = s.guest.Write([]byte(answer))
			}
			s.wants(t, leftByInputEnd, nil, "hostname\r\npc1\r\n")
		},
		"the input breaks": func(t *testing.T, s *session) {
			t.Helper()
			_ = s.keys.CloseWithError(errTest)
			s.wants(t, leftByError, errTest, "")
		},
	}
	for name, play := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { play(t, startSession(t, 2*time.Second)) })
		})
	}
}

var errTest = errors.New("test")

// TestAttachChatter ends a session with piped input although the guest never stops printing.
func TestAttachChatter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startSession(t, time.Second)
		began := time.Now()
		_ = s.keys.Close()
		for {
			if _, err := s.guest.Write([]byte(".")); err != nil {
				break
			}
			time.Sleep(500 * time.Millisecond)
		}
		<-s.done
		if took := time.Since(began); took > 11*time.Second || s.how != leftByInputEnd {
			t.Errorf("ended by %v after %v", s.how, took)
		}
	})
}

// TestAttachPanic shows that a panic while copying ends the session like any error: the terminal is raw.
func TestAttachPanic(t *testing.T) {
	t.Parallel()
	host, guest := net.Pipe()
	defer guest.Close()
	how, err := attach(t.Context(), panickyReader{}, io.Discard, host, 0)
	if how != leftByError || err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("ended by %v, %v", how, err)
	}
}

type panickyReader struct{}

func (panickyReader) Read([]byte) (int, error) { panic("boom") }
