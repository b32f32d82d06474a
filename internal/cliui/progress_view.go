package cliui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// ViewOptions say what a Progress is drawn for.
type ViewOptions struct {
	Width   int           // cells of a line; no line is longer than one less, which keeps clear of wrapping
	Height  int           // lines of the terminal; 0: without limit
	Elapsed time.Duration // since the beginning, shown in tenths of a second
	Style   Style
	ASCII   bool // the locale shows nothing else
}

// addressWidth is kept free for an IPv4 address at the end of a row.
const addressWidth = len("192.168.100.100")

// View draws the progress in lines of at most opts.Width-1 cells. It picks the widest layout that fits: the words of all
// steps, or their marks and the word of the current one.
func (p *Progress) View(opts ViewOptions) []string {
	names := 0
	for i := range p.rows {
		names = max(names, ansi.StringWidth(p.rows[i].name))
	}
	words := p.wordsWidth()
	wide := 2+names+2+words+2+addressWidth < opts.Width
	lines := []string{p.headLine(opts)}
	rows, left := p.pick(opts.Height)
	for _, row := range rows {
		line := "  " + row.name + padding(row.name, names) + "  "
		if wide {
			line += p.stepWords(row, opts)
		} else {
			line += p.stepMarks(row, opts)
		}
		lines = append(lines, line)
	}
	if left > 0 {
		lines = append(lines, "  "+p.messages.N("progress.more", left))
	}
	for i := range lines {
		lines[i] = ansi.Truncate(strings.TrimRight(lines[i], " "), max(opts.Width-1, 1), "")
	}
	return lines
}

// pick chooses the rows that fit above the cursor's line, below the head line. When there are too many, those still
// under way come first, and left counts the others, which take a line too.
func (p *Progress) pick(height int) (rows []*progressRow, left int) {
	for i := range p.rows {
		rows = append(rows, &p.rows[i])
	}
	if height <= 0 || len(rows) <= height-2 {
		return rows, 0
	}
	slices.SortStableFunc(rows, func(a, b *progressRow) int { return order(a) - order(b) })
	room := max(height-3, 0)
	return rows[:room], len(rows) - room
}

// order puts finished rows last.
func order(row *progressRow) int {
	if row.finished() {
		return 1
	}
	return 0
}

// headLine is the lab, its parts and the time.
func (p *Progress) headLine(opts ViewOptions) string {
	clock := fmt.Sprintf("%.1f s", opts.Elapsed.Seconds())
	line := opts.Style.Bold(p.title)
	room := opts.Width - 1 - ansi.StringWidth(p.title) - 2 - len(clock)
	parts := p.partList(opts, func(StepState) bool { return true })
	if ansi.StringWidth(parts) > room { // too narrow for all: only what is under way or failed
		parts = p.partList(opts, func(state StepState) bool { return state != StepDone })
	}
	return line + ansi.Truncate(parts, max(room, 0), "") + "  " + opts.Style.Faint(clock)
}

// partList is "  ✓ bridge br1  ▸ supervisor", of the parts whose state is wanted.
func (p *Progress) partList(opts ViewOptions, wanted func(StepState) bool) string {
	var out strings.Builder
	for _, part := range p.parts {
		if wanted(part.state) {
			out.WriteString("  " + mark(part.state, opts) + " " + part.name)
		}
	}
	return out.String()
}

// wordsWidth is the width of all steps with their words.
func (p *Progress) wordsWidth() int {
	width := 0
	for _, step := range steps() {
		width += len("x ") + ansi.StringWidth(p.word(step)) + 2
	}
	return width - 2
}

// stepWords is "✓ tap  ✓ boot  ▸ DISCOVER  · OFFER …".
func (p *Progress) stepWords(row *progressRow, opts ViewOptions) string {
	var out strings.Builder
	for i, step := range steps() {
		if i > 0 {
			out.WriteString("  ")
		}
		state := row.shown(step)
		out.WriteString(mark(state, opts) + " ")
		switch word := p.word(step); state {
		case StepPending:
			out.WriteString(opts.Style.Faint(word))
		case StepBegun:
			out.WriteString(opts.Style.Bold(word))
		case StepDone, StepFailed:
			out.WriteString(word)
		}
	}
	return out.String() + "  " + p.rowText(row, opts)
}

// stepMarks is "✓✓▸··· DISCOVER".
func (p *Progress) stepMarks(row *progressRow, opts ViewOptions) string {
	var out strings.Builder
	for _, step := range steps() {
		out.WriteString(mark(row.shown(step), opts))
	}
	if step := row.current(); step != 0 {
		out.WriteString(" " + p.word(step))
	}
	return out.String() + " " + p.rowText(row, opts)
}

// rowText is what stands at the end of a row: its text, and how often the client had to ask.
func (p *Progress) rowText(row *progressRow, opts ViewOptions) string {
	if step, count := row.repeated(); count > 1 && !row.finished() {
		return opts.Style.Warn(fmt.Sprintf("%s x%d", p.word(step), count))
	}
	return row.text
}

// word names a step: DHCP messages by their own name, the others in the user's language.
func (p *Progress) word(step Step) string {
	if step == StepTap || step == StepBoot {
		return p.messages.T("progress.step." + step.String())
	}
	return step.String()
}

// mark is the sign of a state: different in shape, so that colour is not needed.
func mark(state StepState, opts ViewOptions) string {
	switch state {
	case StepDone:
		return opts.Style.Good(either(opts.ASCII, "+", "✓"))
	case StepFailed:
		return opts.Style.Bad(either(opts.ASCII, "!", "✗"))
	case StepBegun:
		return opts.Style.Warn(either(opts.ASCII, ">", "▸"))
	case StepPending:
		return opts.Style.Faint(either(opts.ASCII, ".", "·"))
	default:
		return "?"
	}
}

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// Line says one event in a line of its own, for logs and screen readers; "" when it is not worth one.
func (p *Progress) Line(e ProgressEvent) string {
	switch {
	case e.Note != "":
		return e.Note
	case e.State == StepFailed:
		what := e.Text
		if e.Guest != "" {
			what = p.word(e.Step)
			if e.Text != "" {
				what += ": " + e.Text
			}
			return p.messages.T("progress.failed", "row", e.Guest, "what", what)
		}
		return p.messages.T("progress.failed", "row", p.title, "what", what)
	case e.State != StepDone:
		return ""
	case e.Guest == "":
		return p.messages.T("progress.part", "lab", p.title, "part", e.Text)
	case e.Several:
		return p.messages.T("progress.several", "row", e.Guest, "step", p.word(e.Step), "text", e.Text)
	default:
		return p.messages.T("progress."+strings.ToLower(e.Step.String()), "row", e.Guest, "text", e.Text)
	}
}
