package cliui

import (
	"encoding/csv"
	"fmt"
	"io"

	"github.com/kvmlab/kvmlab/untrusted"
)

// WriteCSV prints rows as CSV (RFC 4180). A cell that a spreadsheet would take for a formula becomes a text: host names
// and reasons are a guest's words.
func WriteCSV(w io.Writer, rows [][]string) error {
	out := csv.NewWriter(w)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = untrusted.Cell(cell)
		}
		if err := out.Write(cells); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}
