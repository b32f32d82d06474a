package cliui

import (
	"regexp"
	"strings"
)

var (
	emphasis   = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	inlineCode = regexp.MustCompile("`([^`]+)`")
	listItem   = regexp.MustCompile(`^( *)([-*]|[0-9]+\.) +`)
)

// Markdown shows the small part of Markdown that tasks are written in: headings, paragraphs, lists, tables, fenced and
// indented code, emphasis and code in the text. Prose is wrapped to width cells; code stays as it is.
func Markdown(text string, width int, style Style) string {
	m := &markdown{width: width, style: style}
	for line := range strings.Lines(text) {
		m.line(strings.TrimRight(line, "\r\n"))
	}
	m.flush()
	return strings.TrimRight(m.out.String(), "\n") + "\n"
}

type markdown struct {
	out    strings.Builder
	width  int
	style  Style
	prose  []string // lines of the paragraph or list item that is open
	lead   string   // what its first line is set in by
	margin string   // the same of its other lines
	bars   []string // lines that begin with a bar: a table, if the second is one of dashes
	fenced bool
}

func (m *markdown) line(line string) {
	plain := strings.TrimSpace(line)
	if !m.fenced && strings.HasPrefix(plain, "|") && len(m.prose) == 0 {
		m.bars = append(m.bars, plain)
		return
	}
	m.flushBars()
	switch item := listItem.FindStringSubmatch(line); {
	case strings.HasPrefix(plain, "```"):
		m.flush()
		m.fenced = !m.fenced
	case m.fenced:
		m.out.WriteString("    " + line + "\n")
	case plain == "":
		m.flush()
		m.out.WriteString("\n")
	case strings.HasPrefix(line, "#"):
		m.flush()
		m.out.WriteString(m.style.Bold(strings.TrimSpace(strings.TrimLeft(line, "#"))) + "\n")
	case item != nil:
		m.flush()
		m.margin = strings.Repeat(" ", len(item[0]))
		m.prose = []string{line}
	case strings.HasPrefix(line, "    ") && len(m.prose) == 0:
		m.out.WriteString(line + "\n")
	case len(m.prose) == 0: // a paragraph, perhaps a later one of a list item, which is set in
		m.margin = line[:len(line)-len(strings.TrimLeft(line, " "))]
		m.lead, m.prose = m.margin, []string{plain}
	default:
		m.prose = append(m.prose, plain)
	}
}

// flushBars writes the open table, or takes what was none for prose.
func (m *markdown) flushBars() {
	lines := m.bars
	m.bars = nil
	if isTable(lines) {
		m.drawTable(lines)
		return
	}
	m.prose = append(m.prose, lines...)
}

// painted is text with its emphasis and code.
func (m *markdown) painted(text string) string {
	text = emphasis.ReplaceAllStringFunc(text, func(s string) string { return m.style.Bold(strings.Trim(s, "*")) })
	return inlineCode.ReplaceAllStringFunc(text, func(s string) string { return m.style.Bold(strings.Trim(s, "`")) })
}

// flush writes the open paragraph or item.
func (m *markdown) flush() {
	m.flushBars()
	if len(m.prose) == 0 {
		return
	}
	text := m.painted(strings.Join(m.prose, " "))
	m.out.WriteString(m.lead + Wrap(text, m.width, m.margin) + "\n")
	m.prose, m.lead, m.margin = nil, "", ""
}
