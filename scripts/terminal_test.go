package scripts_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal is a user's side of a terminal on which a sandbox runs.
type terminal struct {
	*os.File

	unread string
}

// startOnTerminal starts the sandbox with a controlling terminal of its own.
func startOnTerminal(t *testing.T, args ...string) (*sandbox, *terminal) {
	t.Helper()
	s := command(t, append([]string{"--no-libvirt", "--"}, args...)...)
	s.Stdout, s.Stderr = nil, nil
	s.Env = append(s.Env, "TERM=dumb")
	user, err := pty.Start(s.Cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	if err := user.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Logf("reads from a terminal have no deadline here: %v", err)
	}
	return s, &terminal{File: user}
}

// write types the text.
func (term *terminal) write(t *testing.T, text string) {
	t.Helper()
	if _, err := term.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// want reads until the text comes, and no further.
func (term *terminal) want(t *testing.T, text string) {
	t.Helper()
	for buf := make([]byte, 512); ; {
		if _, after, found := strings.Cut(term.unread, text); found {
			term.unread = after
			return
		}
		n, err := term.Read(buf)
		term.unread += string(buf[:n])
		if err != nil {
			t.Fatalf("%v before %q came; unread: %q", err, text, term.unread)
		}
	}
}

func (s *sandbox) wantStatus(t *testing.T, want int) {
	t.Helper()
	s.Wait()
	if got := s.ProcessState.ExitCode(); got != want {
		t.Errorf("exit status %d, want %d", got, want)
	}
}

func TestSandboxShellOnATerminal(t *testing.T) {
	s, term := startOnTerminal(t, "bash", "--norc", "--noediting", "-i")
	term.want(t, "# ")
	term.write(t, "tty && echo $((6*7))-$KVMLAB_SANDBOX\n")
	term.want(t, "42-1")
	term.want(t, "# ")
	// Job control works: Ctrl-C ends the foreground job, not the shell. (tail, because its output shows that
	// the job runs; a shell that is about to fork or exec can be deaf to Ctrl-C.)
	term.write(t, "tail -f /proc/version\n")
	term.want(t, "Linux version")
	term.write(t, "\x03")
	term.want(t, "# ") // bash throws away what is typed before
	term.write(t, "echo status-$?\n")
	term.want(t, "status-130")
	term.write(t, "exit 3\n")
	s.wantStatus(t, 3)
}

func TestSandboxControlC(t *testing.T) {
	s, term := startOnTerminal(t, "bash", "-c",
		`trap 'echo $((20+1))-interrupted; exit 5' INT; tail -f /dev/null & echo $((1+1))-ready; wait`)
	term.want(t, "2-ready")
	term.write(t, "\x03")
	term.want(t, "21-interrupted")
	s.wantStatus(t, 5)
}

func TestSandboxTerminalGoesAway(t *testing.T) {
	s, term := startOnTerminal(t, "bash", "--norc", "--noediting", "-i")
	term.want(t, "# ")
	if err := term.Close(); err != nil { // hangs up
		t.Fatal(err)
	}
	s.Wait()
	s.wantGone(t)
}
