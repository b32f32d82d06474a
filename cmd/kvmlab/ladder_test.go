package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// TestLadderInTerminal looks at the ladder as a class does, in terminals of two sizes, with a light and a dark theme and
// without colours: the text is the same, and each theme gets shades that can be read on it.
func TestLadderInTerminal(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "tmux")
	file := withMalformed(t)
	for _, size := range []struct{ width, height int }{{80, 24}, {200, 50}} {
		for name, theme := range map[string]struct{ background, environment, malformed string }{
			"dark":      {"#000000", "", "\x1b[31m!"},
			"light":     {"#ffffff", "", "\x1b[38;5;124m!"},
			"no colour": {"#ffffff", "NO_COLOR=1", "!"},
		} {
			t.Run(fmt.Sprintf("%dx%d %s", size.width, size.height, name), func(t *testing.T) {
				t.Parallel()
				term := newTmux(t, size.width, size.height, theme.background)
				term.run("new-window", "-n", "ladder", "env LC_ALL=C.UTF-8 "+theme.environment+" "+kvmlabPath(t)+" watch --read "+file)
				screen := term.await("End", theme.malformed, "Malformed: op is 3") // the last packet is selected
				if name == "no colour" && colours.MatchString(screen) {
					t.Errorf("colours in spite of NO_COLOR: %q", screen)
				}
				term.compare(fmt.Sprintf("ladder-%dx%d.golden", size.width, size.height))
			})
		}
	}
}

// colours are SGR parameters that choose one; 39 and 49 are the terminal's own.
var colours = regexp.MustCompile(`\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]`)

// withMalformed is the classroom's capture with a message at its end that is neither request nor reply.
func withMalformed(t *testing.T) string {
	t.Helper()
	frames := framesOf(t, "../../internal/watch/testdata/classroom.pcap")
	bad := frames[0]
	bad.Data = slices.Clone(bad.Data)
	bad.Data[14+20+8] = 3 // op, which is 1 or 2
	bad.Time = frames[len(frames)-1].Time.Add(time.Second)
	path := filepath.Join(t.TempDir(), "aula.pcapng")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := capture.NewWriter(file, "kvmlab test", capture.Link{Name: "br1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, frame := range append(frames, bad) {
		frame.Interface = "br1"
		if err := out.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func kvmlabPath(t *testing.T) string {
	t.Helper()
	path, err := kvmlabBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// tmux is a terminal of a given size and background, which answers what is asked of terminals.
type tmux struct {
	t      *testing.T
	socket string
}

func newTmux(t *testing.T, width, height int, background string) *tmux {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "tmux.conf")
	text := fmt.Sprintf("set -g window-style bg=%s\nset -g status off\nset -g default-terminal tmux-256color\n", background)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	term := &tmux{t, filepath.Join(dir, "socket")}
	term.run("-f", config, "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "cat")
	t.Cleanup(func() { term.run("kill-server") })
	return term
}

func (m *tmux) run(args ...string) string {
	m.t.Helper()
	cmd := exec.CommandContext(nstest.Limit(m.t), "tmux", append([]string{"-S", m.socket}, args...)...)
	cmd.Env = append(os.Environ(), "TMUX=", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// screen is what is on the terminal.
func (m *tmux) screen(flags ...string) string {
	m.t.Helper()
	return m.run(append([]string{"capture-pane", "-p", "-t", "ladder"}, flags...)...)
}

// await presses a key until all words, escape sequences included, are on the terminal.
func (m *tmux) await(key string, words ...string) string {
	m.t.Helper()
	deadline := time.After(time.Minute)
	for {
		m.run("send-keys", "-t", "ladder", key)
		screen := m.screen("-e")
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(screen, w) }) {
			return screen
		}
		select {
		case <-deadline:
			m.t.Fatalf("%q does not come:\n%q", words, screen)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// compare compares the screen, once it is drawn, with a file of testdata.
func (m *tmux) compare(name string) {
	m.t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(m.screen()), 0o644); err != nil {
			m.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	deadline := time.After(time.Minute)
	for {
		got := m.screen()
		if got == string(want) {
			return
		}
		select {
		case <-deadline: // a drawing takes milliseconds
			m.t.Errorf("%s (-want +got), UPDATE_GOLDEN=1 accepts it:\n%s", name, cmp.Diff(string(want), got))
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}
