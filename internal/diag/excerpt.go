package diag

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// excerpt writes the source line of pos with carets under the place meant. It
// writes nothing when the line is not known.
func (p *printer) excerpt(pos Pos, style string) {
	if pos.Text == "" || pos.Line == 0 {
		return
	}
	before, marked, after := split(pos)
	room := 0
	if p.opts.Width > 0 {
		room = max(p.opts.Width-len(strconv.Itoa(pos.Line))-5, 20)
	}
	before, marked, after = clip(before, marked, after, room)

	number := strconv.Itoa(pos.Line)
	bar := p.paint(styleGutter, "|")
	blank := strings.Repeat(" ", len(number))
	fmt.Fprintf(&p.out, " %s %s\n", blank, bar)
	fmt.Fprintf(&p.out, " %s %s %s\n", p.paint(styleGutter, number), bar, before+marked+after)
	if pos.Column > 0 {
		carets := strings.Repeat("^", max(displaywidth.String(marked), 1))
		fmt.Fprintf(&p.out, " %s %s %s%s\n", blank, bar,
			strings.Repeat(" ", displaywidth.String(before)), p.paint(style, carets))
	}
}

// split divides the source line into what stands before, at and after the place.
// A column beyond the end points just behind the line.
func split(pos Pos) (before, marked, after string) {
	line := []rune(visible(strings.TrimRight(pos.Text, "\r\n")))
	from := min(max(pos.Column-1, 0), len(line))
	to := min(from+max(pos.Width, 1), len(line))
	return string(line[:from]), string(line[from:to]), strings.TrimRight(string(line[to:]), " ")
}

// clip shortens a long line around the place so that it takes at most room
// columns; 0 is no limit.
func clip(before, marked, after string, room int) (string, string, string) {
	const dots = "…"
	if room <= 0 || displaywidth.String(before+marked+after) <= room {
		return before, marked, after
	}
	if displaywidth.String(marked) > room/2 {
		marked = head(marked, room/2-1) + dots
	}
	left := room - displaywidth.String(marked)
	if displaywidth.String(before) > left/2 {
		before = dots + tail(before, left/2-1)
	}
	left -= displaywidth.String(before)
	if displaywidth.String(after) > left {
		after = head(after, left-1) + dots
	}
	return before, marked, after
}

// head returns the longest beginning of s that fits into width columns.
func head(s string, width int) string {
	used := 0
	for i, r := range s {
		if used += displaywidth.Rune(r); used > width {
			return s[:i]
		}
	}
	return s
}

// tail returns the longest end of s that fits into width columns.
func tail(s string, width int) string {
	runes := []rune(s)
	used := 0
	for i, r := range slices.Backward(runes) {
		if used += displaywidth.Rune(r); used > width {
			return string(runes[i+1:])
		}
	}
	return s
}
