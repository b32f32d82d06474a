package cliui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// redrawEvery is how often the clock of a live progress is redrawn.
const redrawEvery = 100 * time.Millisecond

// Screen shows a Progress while it goes on: redrawn in place on a terminal, a line per step elsewhere.
//
// The redrawing moves the cursor up over its own lines and nothing more: the cursor is never hidden, no mode is set that
// would have to be undone, so the terminal is as it should be however the program ends. Every frame is one write inside
// a synchronised update (mode 2026; terminals without it ignore it), so that it does not flicker.
type Screen struct {
	streams  *Streams
	progress *Progress
	live     bool
	began    time.Time

	mu     sync.Mutex
	drawn  []int // the widths of the lines on the terminal now
	closed bool

	stop    chan struct{}
	stopped sync.WaitGroup
}

// StartProgress begins to show p on streams.Err. Close ends it.
func StartProgress(streams *Streams, p *Progress) *Screen {
	s := &Screen{
		streams: streams, progress: p, live: streams.Live(), began: time.Now(), stop: make(chan struct{}),
	}
	if s.live {
		s.stopped.Go(s.tick)
	}
	return s
}

// tick redraws now and then, for the clock and for a terminal whose size has changed.
func (s *Screen) tick() {
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.mu.Lock()
			s.draw("")
			s.mu.Unlock()
		}
	}
}

// Send takes an event, from any goroutine. After Close it does nothing.
func (s *Screen) Send(e ProgressEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.progress.Update(e)
	switch {
	case s.live:
		s.draw(e.Note)
	default:
		if line := s.progress.Line(e); line != "" {
			s.streams.Errf("%s\n", line)
		}
	}
}

// Close draws the last state, which stays on the terminal, and ends the redrawing. It may be called more than once.
func (s *Screen) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	if s.live && len(s.drawn) > 0 {
		s.draw("")
	}
	s.mu.Unlock()
	close(s.stop)
	s.stopped.Wait()
}

// draw puts the state in the place of what was drawn before, and note above it for good.
func (s *Screen) draw(note string) {
	width, height := s.streams.Size()
	lines := s.progress.View(ViewOptions{
		Width: width, Height: height, Elapsed: time.Since(s.began),
		Style: s.streams.ErrStyle(), ASCII: !s.streams.Unicode(),
	})
	frame, drawn := frame(s.drawn, lines, note, width)
	s.drawn = drawn
	_, _ = io.WriteString(s.streams.Err, frame) // a terminal that is gone has nobody to tell
}

// The control sequences of a frame (ECMA-48 section 8.3; mode 2026 is the terminals' own agreement).
const (
	beginUpdate = "\x1b[?2026h"
	endUpdate   = "\x1b[?2026l"
	eraseLine   = "\x1b[K" // to the end of the line
	eraseBelow  = "\x1b[J" // to the end of the screen
)

// frame gives the bytes that replace a drawing whose lines had the widths before, and the widths of the new lines. When
// the terminal has become narrower since, it has wrapped the old lines, and there are more rows to go up.
func frame(before []int, lines []string, note string, width int) (string, []int) {
	up := 0
	for _, w := range before {
		up += max(1, (w+width-1)/max(width, 1))
	}
	var out strings.Builder
	out.WriteString(beginUpdate + "\r")
	if up > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", up)
	}
	if note != "" {
		// A note may wrap; the lines below it are drawn anew, so that does not matter.
		out.WriteString(strings.ReplaceAll(note, "\n", eraseLine+"\r\n") + eraseLine + "\r\n")
	}
	drawn := make([]int, len(lines))
	for i, line := range lines {
		out.WriteString(line + eraseLine + "\r\n")
		drawn[i] = ansi.StringWidth(line)
	}
	out.WriteString(eraseBelow + endUpdate)
	return out.String(), drawn
}
