package cliui_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/cliui"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// part, step and failed are events in the words of the tests.
func part(name string, state cliui.StepState) cliui.ProgressEvent {
	return cliui.ProgressEvent{Text: name, State: state}
}

func step(guest string, s cliui.Step, text string) cliui.ProgressEvent {
	return cliui.ProgressEvent{Guest: guest, Step: s, State: cliui.StepDone, Text: text}
}

// classroom is a lab on its way: pc1 has its lease, pc2 asks in vain, pc3 did not boot.
func classroom() []cliui.ProgressEvent {
	return []cliui.ProgressEvent{
		part("bridge br1", cliui.StepBegun),
		part("bridge br1", cliui.StepDone),
		part("supervisor", cliui.StepBegun),
		{Note: "$ ip link set tap1 master br1"},
		step("pc1", cliui.StepTap, "tap1"),
		step("pc2", cliui.StepTap, "tap2"),
		step("pc3", cliui.StepTap, "tap3"),
		{Guest: "pc1", Step: cliui.StepBoot, State: cliui.StepBegun},
		step("pc1", cliui.StepBoot, ""),
		step("pc2", cliui.StepBoot, ""),
		step("pc1", cliui.StepDiscover, ""),
		step("pc2", cliui.StepDiscover, ""),
		step("pc1", cliui.StepOffer, "192.168.1.2"),
		step("pc1", cliui.StepRequest, "192.168.1.2"),
		step("pc2", cliui.StepDiscover, ""),
		step("pc1", cliui.StepAck, "192.168.1.2"),
		step("pc2", cliui.StepDiscover, ""),
		{Guest: "pc3", Step: cliui.StepBoot, State: cliui.StepFailed, Text: "no kernel"},
		{Guest: "ana", Step: cliui.StepOffer, State: cliui.StepDone, Text: "3/3", Several: true},
		step("nobody", cliui.StepAck, "10.0.0.1"),
	}
}

func newProgress(t *testing.T, lang string, guests ...string) *cliui.Progress {
	t.Helper()
	return cliui.NewProgress(cliui.ProgressOptions{Messages: load(t, lang), Title: "three-taps", Guests: guests})
}

// TestProgressLateBoot draws a guest whose word that it has booted comes behind its lease, or never.
func TestProgressLateBoot(t *testing.T) {
	t.Parallel()
	p := newProgress(t, "en", "pc1")
	for _, e := range []cliui.ProgressEvent{
		step("pc1", cliui.StepTap, "tap1"),
		{Guest: "pc1", Step: cliui.StepBoot, State: cliui.StepBegun},
		step("pc1", cliui.StepDiscover, ""),
	} {
		p.Update(e)
	}
	view := strings.Join(p.View(cliui.ViewOptions{Width: 80, ASCII: true}), "\n")
	if !strings.Contains(view, "pc1  + tap  + boot  + DISCOVER  > OFFER") {
		t.Errorf("what was done is not shown as done:\n%s", view)
	}
}

// TestProgressView draws the same moment for terminals of several widths, in all languages and in ASCII.
func TestProgressView(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lang  string
		opts  cliui.ViewOptions
		count int // events that have happened; 0: all
	}{
		"wide":      {"en", cliui.ViewOptions{Width: 120}, 0},
		"80":        {"en", cliui.ViewOptions{Width: 80}, 0},
		"60":        {"en", cliui.ViewOptions{Width: 60}, 0},
		"40":        {"en", cliui.ViewOptions{Width: 40}, 0},
		"20":        {"en", cliui.ViewOptions{Width: 20}, 0},
		"ascii":     {"en", cliui.ViewOptions{Width: 80, ASCII: true}, 0},
		"beginning": {"en", cliui.ViewOptions{Width: 80}, 1},
		"middle":    {"en", cliui.ViewOptions{Width: 80}, 9},
		"es":        {"es", cliui.ViewOptions{Width: 100}, 0},
		"ca":        {"ca", cliui.ViewOptions{Width: 100}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProgress(t, test.lang, "pc1", "pc2", "pc3")
			events := classroom()
			if test.count > 0 {
				events = events[:test.count]
			}
			for _, e := range events {
				p.Update(e)
			}
			test.opts.Elapsed = 12345 * time.Millisecond
			lines := p.View(test.opts)
			for _, line := range lines {
				if w := ansi.StringWidth(line); w >= test.opts.Width {
					t.Errorf("a line of %d cells at width %d: %q", w, test.opts.Width, line)
				}
			}
			golden(t, "view-"+name, strings.Join(lines, "\n")+"\n")
		})
	}
}

// TestProgressViewTallLab shows a lab of more guests than the terminal has lines: those under way are seen.
func TestProgressViewTallLab(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("pc%02d", i+1))
	}
	p := newProgress(t, "en", names...)
	for _, name := range names[:25] {
		p.Update(step(name, cliui.StepAck, "192.168.1.2"))
	}
	lines := p.View(cliui.ViewOptions{Width: 80, Height: 10})
	if len(lines) != 9 {
		t.Fatalf("%d lines on a terminal of 10, want 9:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	golden(t, "view-tall", strings.Join(lines, "\n")+"\n")
}

// TestProgressLines says the same events one by one, as a log or a screen reader gets them.
func TestProgressLines(t *testing.T) {
	t.Parallel()
	for _, lang := range cliui.Languages() {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := newProgress(t, lang, "pc1", "pc2", "pc3")
			var out strings.Builder
			for _, e := range classroom() {
				if line := p.Line(e); line != "" {
					out.WriteString(line + "\n")
				}
			}
			golden(t, "lines-"+lang, out.String())
		})
	}
}
