package mistake

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// refusals are how the programs say that they do not take a file: the words, and where they name one the place.
var refusals = map[Program][]*regexp.Regexp{
	ISC: {
		regexp.MustCompile(`^(?P<file>\S+) line (?P<line>\d+): (?P<words>.+)$`),
		regexp.MustCompile(`^(?P<words>bad range, .+|Can't open .+|.* not in net .+)$`),
	},
	Kea: {
		regexp.MustCompile(`(?:Error encountered|with): (?P<words>(?P<file>/\S+?):(?P<line>\d+)\.(?P<column>\d+).*)$`),
		regexp.MustCompile(`DHCP4_(?:PARSER_FAIL|CONFIG_LOAD_FAIL|INIT_FAIL)\s+(?P<words>.*?\((?P<file>/[^:()]+):(?P<line>\d+):(?P<column>\d+)\).*)$`),
		regexp.MustCompile(`DHCP4_(?:CONFIG_LOAD_FAIL|INIT_FAIL)\s+(?P<words>.*?(?P<file>/[^:() ]+):(?P<line>\d+)\.(?P<column>\d+).*)$`),
	},
	Dnsmasq: {
		regexp.MustCompile(`^(?:dnsmasq: )?(?P<words>.+ at line (?P<line>\d+) of (?P<file>\S+))$`),
		regexp.MustCompile(`^(?:dnsmasq: )?(?P<words>unknown interface .+|cannot read .+)$`),
	},
}

// refused lets the program itself say what it does not take, when nothing of it is known here: it has ended since the
// last change to its files, and its words are in the journal.
func (f *finder) refused(p program, files []string) {
	if f.below(rankCard) || f.seen.Processes == nil || f.process(p) != nil {
		return
	}
	var changed time.Time
	for _, name := range files {
		if m := f.seen.Files[name].Modified; m.After(changed) {
			changed = m
		}
	}
	// The last start's words, of which the first is the cause.
	var last *diag.Diagnostic
	pid := 0
	for _, e := range slices.Backward(f.seen.Journal) {
		if e.Time.Before(changed) || last != nil && e.PID != pid {
			break
		}
		if d := f.refusal(p, e.Text); d != nil {
			last, pid = d, e.PID
		}
	}
	if last != nil {
		f.add(rankRefused, last)
	}
}

func (f *finder) refusal(p program, text string) *diag.Diagnostic {
	for _, r := range refusals[p.id] {
		m := r.FindStringSubmatch(strings.TrimSpace(text))
		if m == nil {
			continue
		}
		part := func(name string) string {
			if i := r.SubexpIndex(name); i >= 0 {
				return m[i]
			}
			return ""
		}
		d := diag.New(diag.ProgramRefuses, diag.Args{"program": p.name, "words": part("words")})
		if line, err := strconv.Atoi(part("line")); err == nil {
			column, _ := strconv.Atoi(part("column"))
			return d.At(f.place(part("file"), line, column))
		}
		return d
	}
	return nil
}

// place is a line of a file, with its text.
func (f *finder) place(name string, line, column int) diag.Pos {
	pos := diag.Pos{File: name, Line: line, Column: column}
	lines := strings.Split(f.seen.Files[name].Text, "\n")
	if line >= 1 && line <= len(lines) {
		pos.Text = strings.TrimRight(lines[line-1], "\r")
		pos.Width = max(utf8.RuneCountInString(pos.Text)-column+1, 1)
	}
	return pos
}
