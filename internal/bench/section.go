package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// pageHead begins the page when there is none yet.
const pageHead = "# Benchmarks\n\nMeasured by `scripts/bench`, which writes the sections below; nothing in them is typed in.\n"

// writeSection puts a benchmark's text into the page, in the place of what it wrote before.
func writeSection(page, name, text string) error {
	old, err := os.ReadFile(page)
	if errors.Is(err, fs.ErrNotExist) {
		old, err = []byte(pageHead), nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", page, err)
	}
	text, err = replaceSection(string(old), name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", page, err)
	}
	return nil
}

// replaceSection replaces what stands between a section's two marks, or adds the section at the end.
func replaceSection(page, name, text string) (string, error) {
	begin, end := "<!-- bench "+name+" -->\n", "<!-- end of bench "+name+" -->\n"
	text = begin + strings.TrimRight(text, "\n") + "\n" + end
	before, rest, ok := strings.Cut(page, begin)
	if !ok {
		return strings.TrimRight(page, "\n") + "\n\n" + text, nil
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("the mark %q is missing", strings.TrimSpace(end))
	}
	return before + text + after, nil
}
