package watch

import (
	"fmt"
	"time"
)

// The parts of a row, in cells: the time since the first packet, the time since the one before, the words.
const (
	clockWidth      = 9
	shortClockWidth = 7
	deltaWidth      = 10
	labelWidth      = 24
	wideLabelWidth  = 46
	wideTerminal    = 120
	minColumnWidth  = 7
	maxColumnWidth  = 24
	detailLines     = 6
	clientLinesMost = 4
)

// layout shares out the cells of a row. What there is no room for is left out, the least needed part first: the time
// since the packet before, then how the packet is addressed and the clock, and at last the stations' columns, which
// become words. So a terminal may have any size, and may change it at any moment.
type layout struct {
	clock, delta int // widths; 0: left out
	label        int // width of the words, with the space before them; 0: all that is left
	room         int // for the stations' columns; 0: there are none
}

// layoutFor is the layout of a row of so many cells.
func layoutFor(width int) layout {
	var l layout
	switch {
	case width >= wideTerminal:
		l = layout{clock: clockWidth, delta: deltaWidth, label: wideLabelWidth}
	case width >= 72:
		l = layout{clock: clockWidth, delta: deltaWidth, label: labelWidth}
	case width >= 56:
		l = layout{clock: shortClockWidth, label: len("1/4 DISCOVER broadcast") + 1}
	case width >= 30:
		l = layout{label: len("1/4 DISCOVER") + 1}
	default:
		return layout{}
	}
	l.room = width - l.margin() - l.label
	return l
}

// margin is what stands to the left of the columns: the marker, the times, a space.
func (l layout) margin() int { return 1 + l.clock + l.delta + 1 }

// head is how many lines name the stations.
func (l layout) head() int { return min(l.room, 1) }

// addressed reports whether the words tell how a packet is addressed. Where they do not, the arrow does alone.
func (l layout) addressed() bool { return l.label >= len("1/4 DISCOVER broadcast")+1 }

// times writes the time since the first packet and since the one before, as far as there is room for them.
func (l layout) times(clock, delta time.Duration) string {
	var out string
	if l.clock > 0 {
		text := fmt.Sprintf("%.3f", clock.Seconds())
		if len(text) > l.clock {
			text = fmt.Sprintf("%.0f", clock.Seconds()) // a capture of hours
		}
		out = fmt.Sprintf("%*s", l.clock, text)
	}
	if l.delta > 0 {
		out += fmt.Sprintf("%*s", l.delta, fmt.Sprintf("%+.4f", delta.Seconds()))
	}
	return out
}

// From which height on, in lines, the parts of the screen below the packets are there.
const (
	heightForKeys    = 5
	heightForDetails = 9
	heightForClients = 14
)

// rows is how many packets fit: the rest of the screen is the head, the details, the clients and the line of keys.
func (l *Ladder) rows() int {
	rest := 1 + layoutFor(l.width).head() // the title and the stations' names
	for _, part := range []int{l.detailHeight(), l.clientHeight()} {
		if part > 0 {
			rest += 1 + part // with the rule above it
		}
	}
	if l.height >= heightForKeys {
		rest++
	}
	return max(l.height-rest, 1)
}

// detailHeight is how many lines tell about the selected packet; 0: there is no room for them.
func (l *Ladder) detailHeight() int {
	if l.height < heightForDetails {
		return 0
	}
	return min(detailLines, max(l.height/3-1, 2))
}

// clientHeight is how many lines tell about clients; 0: there is no room for them.
func (l *Ladder) clientHeight() int {
	if l.height < heightForClients {
		return 0
	}
	return min(max(len(l.clients()), 1), clientLinesMost+(l.height-24)/6)
}
