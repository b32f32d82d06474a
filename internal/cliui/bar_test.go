package cliui_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/cliui"
)

func TestBarOnATerminal(t *testing.T) {
	t.Parallel()
	streams, read := terminalStreams(t, map[string]string{"TERM": "xterm", "LANG": "C.UTF-8"})
	bar := cliui.StartBar(streams, 0)
	bar.Set(1, 4, "begin")
	bar.Above(func() { streams.Errf("a notice\n") })
	bar.Set(3, 4, strings.Repeat("a step that is too long for the terminal ", 3))
	bar.Close()
	text := read()
	for _, want := range []string{"\r███░░░░", " 1/4 0:0", "\r\x1b[Ka notice\r\n", "\r███████████████░░░░░░░░░ 3/4 0:0", "\r\x1b[K"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	for line := range strings.SplitSeq(text, "\r") {
		if n := len([]rune(strings.TrimSuffix(line, "\x1b[K"))); n > 79 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	if strings.Count(text, "\n") != 1 {
		t.Errorf("it left the line: %q", text)
	}
}

func TestBarElsewhere(t *testing.T) {
	var out bytes.Buffer
	streams := cliui.NewStreams(nil, io.Discard, &out, os.Getenv)
	bar := cliui.StartBar(streams, 0)
	bar.Set(1, 2, "begin")
	bar.Above(func() { streams.Errf("a notice\n") })
	bar.Set(2, 2, "end")
	bar.Close()
	if out.String() != "[1/2] begin\na notice\n[2/2] end\n" {
		t.Errorf("%q", out.String())
	}
}

func TestBarLine(t *testing.T) {
	for _, test := range []struct {
		step, steps int
		expect      time.Duration
		want        string
	}{
		{1, 1, 0, "############............ 1/1 1:05 x"},
		{2, 2, 3 * time.Minute, "##################...... 2/2 1:05/~3:00 x"},
		{1, 100, time.Minute, "........................ 1/100 1:05 x"},
	} {
		if got := cliui.BarLine(test.step, test.steps, 65*time.Second, test.expect, "x", false); got != test.want {
			t.Errorf("step %d of %d: %q, want %q", test.step, test.steps, got, test.want)
		}
	}
}
