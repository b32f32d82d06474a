package cliui

import (
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// columnGap is the space between two columns.
const columnGap = "   "

// Table is text in aligned columns, for people. Cells may be painted and may hold any UTF-8: widths are counted in
// terminal cells. (text/tabwriter counts characters, escape sequences included, and so misplaces both.)
type Table struct {
	header []string
	rows   [][]string
	style  Style
}

// NewTable makes a table with a heading for each column.
func NewTable(style Style, header ...string) *Table {
	return &Table{header: header, style: style}
}

// Row adds a row; missing cells are empty, and an empty cell of a row is shown as "-".
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.header))
	for i := range row {
		row[i] = "-"
		if i < len(cells) && cells[i] != "" {
			row[i] = cells[i]
		}
	}
	t.rows = append(t.rows, row)
}

// WriteTo prints the table, a line per row.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], ansi.StringWidth(cell))
		}
	}
	var out strings.Builder
	heading := make([]string, len(t.header))
	for i, cell := range t.header {
		heading[i] = t.style.Bold(cell)
	}
	writeRow(&out, heading, widths)
	for _, row := range t.rows {
		writeRow(&out, row, widths)
	}
	n, err := io.WriteString(w, out.String())
	return int64(n), err
}

// writeRow pads every cell but the last, so that no line ends in spaces.
func writeRow(out *strings.Builder, cells []string, widths []int) {
	for i, cell := range cells {
		out.WriteString(cell)
		if i < len(cells)-1 {
			out.WriteString(padding(cell, widths[i]))
			out.WriteString(columnGap)
		}
	}
	out.WriteByte('\n')
}

// padding gives the spaces that fill text up to width cells.
func padding(text string, width int) string {
	return strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}
