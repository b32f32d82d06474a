package cliui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"
)

const (
	barCells = 24
	// barEvery is how often a bar's clock is redrawn: a step may take a minute, and the clock says that it goes on.
	barEvery = time.Second
)

// Bar shows how far something is that has steps: one line, redrawn in place on a terminal, and a line for each step
// elsewhere.
type Bar struct {
	streams *Streams
	live    bool
	began   time.Time
	expect  time.Duration // how long it will take in all; zero when that is not known

	mu          sync.Mutex
	step, steps int
	text        string

	stop    chan struct{}
	stopped sync.WaitGroup
}

// StartBar begins to show a bar on streams.Err. expect is how long it will take, as far as that can be known, and zero
// otherwise. Close ends it.
func StartBar(streams *Streams, expect time.Duration) *Bar {
	b := &Bar{streams: streams, live: streams.Live(), began: time.Now(), expect: expect, stop: make(chan struct{})}
	if b.live {
		b.stopped.Go(b.tick)
	}
	return b
}

func (b *Bar) tick() {
	ticker := time.NewTicker(barEvery)
	defer ticker.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-ticker.C:
			b.mu.Lock()
			b.draw()
			b.mu.Unlock()
		}
	}
}

// Set says that a step of so many begins, and what it does.
func (b *Bar) Set(step, steps int, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.step, b.steps, b.text = step, steps, text
	if b.live {
		b.draw()
		return
	}
	b.streams.Errf("[%d/%d] %s\n", step, steps, text)
}

// Above has something printed that stays, above the bar.
func (b *Bar) Above(show func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.live {
		b.streams.Errf("\r" + eraseLine)
		defer b.draw()
	}
	show()
}

// Close takes the bar away; what was done is for others to say.
func (b *Bar) Close() {
	close(b.stop)
	b.stopped.Wait()
	if b.live {
		b.streams.Errf("\r" + eraseLine)
	}
}

// draw draws the line anew.
func (b *Bar) draw() {
	if b.steps == 0 {
		return
	}
	width, _ := b.streams.Size()
	line := barLine(b.step, b.steps, time.Since(b.began), b.expect, b.text, b.streams.Unicode())
	// One column is left free: a terminal may wrap after the last one.
	_, _ = io.WriteString(b.streams.Err, "\r"+ansi.Truncate(line, max(width-1, 0), "")+eraseLine)
}

// barLine is the bar in words and blocks. The step that is under way counts half. The clock says how long it has taken,
// and about how long it will take in all, until that is over.
func barLine(step, steps int, took, expect time.Duration, text string, unicode bool) string {
	full, empty := "█", "░"
	if !unicode {
		full, empty = "#", "."
	}
	done := min((2*step-1)*barCells/(2*steps), barCells)
	clock := minutes(took)
	if took < expect {
		clock += "/~" + minutes(expect)
	}
	return fmt.Sprintf("%s%s %d/%d %s %s", strings.Repeat(full, max(done, 0)), strings.Repeat(empty, barCells-max(done, 0)),
		step, steps, clock, text)
}

// minutes is a time as a clock shows it: minutes and seconds.
func minutes(d time.Duration) string {
	seconds := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}
