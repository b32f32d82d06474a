package watch_test

import (
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// ladderKeys are the keys that do something, and one that does nothing.
var ladderKeys = []string{
	"up", "down", "left", "right", "enter", "esc", "tab", "n", "N", "f", "a", "e", "?", "home", "end", "pgup", "pgdown", "space", "x",
}

// FuzzLadder drives a ladder with sizes, keys and packets in any order: it draws a screen of just that size, always.
// Two octets are a step: what is done, and with what.
func FuzzLadder(f *testing.F) {
	f.Add([]byte{0, 44, 1, 24, 3, 0, 3, 1, 3, 2, 2, 5, 0, 1, 1, 0})
	f.Add([]byte{3, 0, 3, 1, 2, 4, 0, 0, 1, 0, 2, 11, 2, 12, 0, 250, 1, 3})
	f.Add([]byte{4, 60, 3, 0, 2, 9, 2, 9, 5, 0, 0, 29, 1, 8, 2, 10, 6, 0})
	seen, _ := records(f)
	say := speaker(f, "es")

	f.Fuzz(func(t *testing.T, steps []byte) {
		follower := watch.NewFollower(watch.NewNames())
		ladder := watch.NewLadder(watch.LadderOptions{Say: say, Title: "x", Names: follower.Names, Live: true})
		width, height, now := 80, 24, seen[0].Time

		for at := 0; at+1 < min(len(steps), 400); at += 2 {
			value := int(steps[at+1])
			switch steps[at] % 7 {
			case 0:
				width = value
				ladder.Resize(width, height)
			case 1:
				height = value
				ladder.Resize(width, height)
			case 2:
				ladder.Key(ladderKeys[value%len(ladderKeys)])
			case 3:
				ladder.Add(follower.Next(seen[value%len(seen)].Packet))
			case 4: // any octets at all, cut short anywhere
				frame := capture.Frame{Time: now, Data: steps[:min(value, len(steps))], Length: value}
				ladder.Add(follower.Next(capture.Decode(frame)))
			case 5:
				now = now.Add(time.Duration(value) * time.Minute)
				ladder.Tick(now)
			case 6:
				ladder.End()
			}

			lines := ladder.View()
			if len(lines) != height {
				t.Fatalf("%d lines on a screen of %d", len(lines), height)
			}
			for i, line := range lines {
				if got := ansi.StringWidth(line); got > width {
					t.Fatalf("line %d is %d cells wide on a screen of %d: %q", i+1, got, width, line)
				}
			}
		}
	})
}
