package cliui

import (
	"regexp"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// delimiterRow is the second line of a table in Markdown (GitHub Flavored Markdown, section 4.10).
var delimiterRow = regexp.MustCompile(`^\|?( *:?-+:? *\|)* *:?-+:? *\|?$`)

// narrowColumn is what a column keeps of its width, in cells, when the table is too wide for the terminal.
const narrowColumn = 8

// isTable reports whether the lines that begin with | are a table: a heading and the row of dashes below it.
func isTable(lines []string) bool {
	return len(lines) > 1 && delimiterRow.MatchString(lines[1]) && len(tableCells(lines[0])) == len(tableCells(lines[1]))
}

// tableCells divides a line at its bars, those with a backslash before them left out.
func tableCells(line string) []string {
	const bar = "\x00"
	line = strings.ReplaceAll(strings.TrimSpace(line), `\|`, bar)
	cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), "|")
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(strings.TrimSpace(cell), bar, "|")
	}
	return cells
}

// drawTable draws a table with its columns below each other. One that is too wide has the cells of its widest columns
// wrapped.
func (m *markdown) drawTable(lines []string) {
	var rows [][]string
	columns := len(tableCells(lines[0]))
	for i, line := range slices.Delete(slices.Clone(lines), 1, 2) {
		row := append(tableCells(line), make([]string, columns)...)[:columns]
		for j, cell := range row {
			if row[j] = m.painted(cell); i == 0 {
				row[j] = m.style.Bold(emphasis.ReplaceAllString(inlineCode.ReplaceAllString(cell, "$1"), "$1"))
			}
		}
		rows = append(rows, row)
	}
	widths := fitted(rows, columns, m.width)
	for _, row := range rows {
		m.drawRow(row, widths)
	}
}

// fitted are the widths of columns, the widest made narrower until all fit.
func fitted(rows [][]string, columns, width int) []int {
	widths := make([]int, columns)
	total := len(columnGap) * (columns - 1)
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], ansi.StringWidth(row[i]))
		}
		total += widths[i]
	}
	for ; total > width; total-- {
		widest := slices.Index(widths, slices.Max(widths))
		if widths[widest] <= narrowColumn {
			break
		}
		widths[widest]--
	}
	return widths
}

// drawRow writes as many lines as the cell that is wrapped into most.
func (m *markdown) drawRow(row []string, widths []int) {
	cells := make([][]string, len(row))
	height := 0
	for i, cell := range row {
		cells[i] = strings.Split(ansi.Wrap(cell, widths[i], ""), "\n")
		height = max(height, len(cells[i]))
	}
	for n := range height {
		var line strings.Builder
		for i, lines := range cells {
			text := ""
			if n < len(lines) {
				text = lines[n]
			}
			line.WriteString(text + padding(text, widths[i]) + columnGap)
		}
		m.out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
