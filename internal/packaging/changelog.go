package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// maintainer is who the package is from, as Debian writes it.
const maintainer = "The kvmlab authors <kvmlab@users.noreply.github.com>"

// release is one section of CHANGELOG.md.
type release struct {
	version string
	day     time.Time
	changes []string // each as one line
}

var (
	// A version is what Debian's tools read without an epoch or a revision (deb-version(7)).
	releaseHeading = regexp.MustCompile(`^## ([0-9]+\.[0-9]+\.[0-9]+(?:~[a-z0-9.]+)?) \((\d{4}-\d{2}-\d{2})\)$`)
	changeLine     = regexp.MustCompile(`^- (.*)$`)
)

// readChangelog reads CHANGELOG.md, the newest release first. There is at least one.
func readChangelog(root string) ([]release, error) {
	text, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return nil, err
	}
	list, err := parseChangelog(string(text))
	if err != nil {
		return nil, fmt.Errorf("CHANGELOG.md: %w", err)
	}
	return list, nil
}

func parseChangelog(text string) ([]release, error) {
	var list []release
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\n")
		if heading := releaseHeading.FindStringSubmatch(line); heading != nil {
			day, err := time.Parse(time.DateOnly, heading[2])
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			list = append(list, release{version: heading[1], day: day})
			continue
		}
		if strings.HasPrefix(line, "## ") {
			return nil, fmt.Errorf("line %d: want “## VERSION (YYYY-MM-DD)”, not %q", number, line)
		}
		if len(list) == 0 || strings.TrimSpace(line) == "" {
			continue
		}
		last := &list[len(list)-1]
		change := changeLine.FindStringSubmatch(line)
		switch {
		case change != nil:
			last.changes = append(last.changes, change[1])
		case len(last.changes) == 0:
			return nil, fmt.Errorf("line %d: not a point of a release: %q", number, line)
		default:
			last.changes[len(last.changes)-1] += " " + strings.TrimSpace(line)
		}
	}
	for _, r := range list {
		if len(r.changes) == 0 {
			return nil, fmt.Errorf("release %s has no changes", r.version)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("it has no release")
	}
	return list, nil
}

// debianChangelog is the same in the form of deb-changelog(5).
func debianChangelog(list []release) string {
	var out strings.Builder
	for i, r := range list {
		if i > 0 {
			out.WriteByte('\n')
		}
		fmt.Fprintf(&out, "%s (%s) stable; urgency=medium\n\n", packageName, r.version)
		for _, change := range r.changes {
			lines := strings.Split(fold(change, 72), "\n")
			fmt.Fprintf(&out, "  * %s\n", strings.Join(lines, "\n    "))
		}
		fmt.Fprintf(&out, "\n -- %s  %s\n", maintainer, r.day.Format(time.RFC1123Z))
	}
	return out.String()
}

// fold breaks a text at spaces into lines of at most width characters.
func fold(text string, width int) string {
	var out strings.Builder
	used := 0
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case used+1+n > width:
			out.WriteByte('\n')
			used = 0
		default:
			out.WriteByte(' ')
			used++
		}
		out.WriteString(word)
		used += n
	}
	return out.String()
}
