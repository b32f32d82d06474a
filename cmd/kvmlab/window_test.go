package main_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// TestConsoleWindow opens the console of a micro guest on a terminal and changes that terminal's size.
func TestConsoleWindow(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.run("kvmlab", "up", s.writeFile("one.yaml", oneGuest))
	consoleWindow(t, s, "pc1")
	s.run("kvmlab", "down")
}

// consoleWindow shows that a guest's console has the size of the terminal that shows it, from the start and after each
// change, and that nothing of that gets between what is typed. Somebody must be logged in there.
func consoleWindow(t *testing.T, s *sandbox, guest string) {
	t.Helper()
	cmd := s.command(t.Context(), "kvmlab", "console", guest)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 33, Cols: 101})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	screen := &typist{t: t, keys: terminal, guest: guest, more: make(chan struct{}, 1)}
	go func() { _, _ = io.Copy(screen, terminal) }() // it ends with the terminal
	awaitSize := func(want string) {
		t.Helper()
		size := ""
		for deadline := time.Now().Add(expectLimit); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			size = s.run("kvmlab", "exec", "-n", "--wait", "4m", guest, "--", "stty", "-F", "/dev/ttyS0", "size")
			if strings.TrimSpace(size) == want {
				return
			}
		}
		t.Fatalf("the console has %q, and the terminal %s", size, want)
	}
	awaitSize("33 101")
	screen.types("\recho one")
	screen.expect(`echo one`)
	if err := pty.Setsize(terminal, &pty.Winsize{Rows: 50, Cols: 132}); err != nil {
		t.Fatal(err)
	}
	awaitSize("50 132")
	screen.types(" two; stty size\r")
	screen.expect(`(?s)[\r\n]one two\r\n50 132\r\n`)
	screen.types("\x1d")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, screen.all())
	}
}
