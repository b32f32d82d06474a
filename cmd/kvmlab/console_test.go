package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/vm"
)

// TestConsoleTerminal sits at a pseudo terminal: it is raw while the console is open, and as before however it ends.
func TestConsoleTerminal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		end    func(keyboard io.Writer, guest net.Conn, cancel context.CancelFunc)
		status int
		says   string
	}{
		"Ctrl-]":        {func(k io.Writer, _ net.Conn, _ context.CancelFunc) { _, _ = k.Write([]byte{escapeKey}) }, 0, "Left pc1"},
		"a guest's end": {func(_ io.Writer, g net.Conn, _ context.CancelFunc) { _ = g.Close() }, 0, "pc1 was switched off"},
		"a rival": {func(_ io.Writer, g net.Conn, _ context.CancelFunc) {
			_, _ = io.WriteString(g, takenOver)
			_ = g.Close()
		}, diag.ExitFailed, "KL340"},
		"a signal": {func(_ io.Writer, _ net.Conn, cancel context.CancelFunc) { cancel() }, diag.ExitCancelled, "KL606"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			master, slave, err := pty.Open()
			if err != nil {
				t.Fatalf("open a pseudo terminal: %v", err)
			}
			defer master.Close()
			defer slave.Close()
			before, err := term.GetState(int(slave.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			var messages bytes.Buffer
			a := testApp(t, slave, slave, &messages)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			host, guest := net.Pipe()
			status := make(chan int, 1)
			go func() {
				o := &consoleOptions{app: a, guest: "pc1"}
				status <- a.report("kvmlab console", o.talk(ctx, losable{eofOnClose{host}}))
			}()
			if _, err := guest.Write([]byte("~ # ")); err != nil { // read by talk: the terminal is raw now
				t.Fatal(err)
			}
			if raw, err := term.GetState(int(slave.Fd())); err != nil || *raw == *before {
				t.Errorf("the terminal is not raw (%v)", err)
			}
			test.end(master, guest, cancel)
			if got := nstest.Receive(t, status); got != test.status {
				t.Errorf("status %d, want %d", got, test.status)
			}
			if after, err := term.GetState(int(slave.Fd())); err != nil || *after != *before {
				t.Errorf("the terminal is not as it was (%v)", err)
			}
			if got := messages.String(); !strings.Contains(got, "Ctrl-] leaves") || !strings.Contains(got, test.says) {
				t.Errorf("said %q", got)
			}
		})
	}
}

// takenOver is what a rival has the guest of a losable console print.
const takenOver = "taken over"

// losable is a console that is lost when that is printed.
type losable struct{ eofOnClose }

func (c losable) Read(p []byte) (int, error) {
	n, err := c.eofOnClose.Read(p)
	if string(p[:n]) == takenOver {
		err = vm.ErrConsoleTaken
	}
	return n, err
}

// testApp makes an app in English on the given streams.
func testApp(t *testing.T, in io.Reader, out, errOut io.Writer) *app {
	t.Helper()
	env := func(name string) string {
		return map[string]string{"TERM": "xterm", "KVMLAB_STATE_DIR": os.DevNull}[name]
	}
	a, err := newApp(cliui.NewStreams(in, out, errOut, env), env, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
