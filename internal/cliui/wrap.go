package cliui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Wrap breaks text into lines of at most width cells, every line after the first set in by margin; the first is taken
// to stand after something as wide as margin. Line breaks in text stay, and no word is divided at a hyphen: it may be a
// command.
func Wrap(text string, width int, margin string) string {
	const unbreakable = "\u2011" // as wide as a hyphen, at which the library would break
	text = strings.ReplaceAll(text, "-", unbreakable)
	wrapped := ansi.Wordwrap(text, max(width-len(margin), minimumColumn), "")
	return strings.NewReplacer(unbreakable, "-", "\n", "\n"+margin).Replace(wrapped)
}

// Reflow wraps prose: paragraphs are divided by empty lines, and line breaks within one do not count.
func Reflow(text string, width int) string {
	paragraphs := strings.Split(strings.TrimSpace(text), "\n\n")
	for i, paragraph := range paragraphs {
		paragraphs[i] = Wrap(strings.Join(strings.Fields(paragraph), " "), width, "")
	}
	return strings.Join(paragraphs, "\n\n")
}

// minimumColumn is the least width that text is wrapped to, in cells: narrower ones are not read but looked at.
const minimumColumn = 20
