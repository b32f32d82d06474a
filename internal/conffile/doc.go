// Package conffile reads the files that a student of DHCP writes: dhcpd.conf, Kea's JSON, dnsmasq.conf, interfaces(5)
// and the shell assignments of /etc/default. Every value knows its line and column, and a mistake does not end the
// reading: what stands after it is read as its author meant it, so that one slip of the pen hides nothing else.
//
// Each document has Lookup, which takes a path as a declared check writes it:
//
//	dhcpd.conf       subnet 192.168.1.0/range          the words of each statement, outer block first
//	                 subnet 192.168.1.0/option routers (a parameter is inherited, as dhcpd does)
//	Kea              Dhcp4.subnet4[0].pools[*].pool    keys and indexes; * is every element
//	dnsmasq.conf     dhcp-range                        an option's name
//	                 dhcp-option/option:router         and its first fields
//	interfaces       eth1.address                      a card and a word of its stanza; eth1.method, auto
//	defaults         INTERFACESv4                      a variable
//
// A path that finds nothing gives no values; a path that cannot be read gives an error.
//
// The package is pure. What a file means for a network is not its business: see internal/mistake.
package conffile

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// Value is one value of a file: its text without quotation marks, and where it stands.
type Value struct {
	Text string
	Pos  diag.Pos
}

// Document is a file that was read.
type Document interface {
	// Lookup returns the values at path, in the order of the file.
	Lookup(path string) ([]Value, error)
}

// Format is a kind of file.
type Format uint8

// The formats. The zero value is invalid.
const (
	_ Format = iota
	// DHCPDFormat is dhcpd.conf.
	DHCPDFormat
	// KeaFormat is Kea's JSON.
	KeaFormat
	// DnsmasqFormat is dnsmasq.conf.
	DnsmasqFormat
	// InterfacesFormat is interfaces(5).
	InterfacesFormat
	// DefaultsFormat is a file of shell assignments.
	DefaultsFormat
)

// Parse reads the file called name; files are the texts of all files by path, for what it includes. A file that is not
// among them is empty, with a problem.
func Parse(format Format, name string, files map[string]string) Document {
	switch format {
	case DHCPDFormat:
		return ParseDHCPD(name, files)
	case KeaFormat:
		return ParseKea(name, files[name])
	case DnsmasqFormat:
		return ParseDnsmasq(name, files)
	case InterfacesFormat:
		return ParseInterfaces(name, files)
	case DefaultsFormat:
		return ParseDefaults(name, files[name])
	}
	panic(fmt.Sprintf("conffile: format %d", format))
}

// Kind says in what way a file departs from its grammar.
type Kind uint8

// The kinds of problems. The zero value is invalid.
const (
	_ Kind = iota
	// ForeignCharacter is one that the program has no use for, such as a soft hyphen from a web page.
	ForeignCharacter
	// WrongBracket is ( or [ where { belongs.
	WrongBracket
	// MissingSemicolon is at the end of a statement.
	MissingSemicolon
	// MissingOpening is a block without its {.
	MissingOpening
	// MissingClosing is a block without its }; the position is that of the block's beginning.
	MissingClosing
	// StrayClosing is a } with nothing to close.
	StrayClosing
	// StraySemicolon is a ; with no statement before it.
	StraySemicolon
	// UnclosedString has no second quotation mark on its line.
	UnclosedString
	// MissingFile is included and not there.
	MissingFile
	// IncludeLoop is a file that includes itself.
	IncludeLoop
	// TrailingComma stands behind the last element, or behind another comma.
	TrailingComma
	// MissingComma is between two elements.
	MissingComma
	// BadSyntax is anything else that the grammar does not have.
	BadSyntax
	// SpacedAssignment is a shell assignment with spaces around its =.
	SpacedAssignment
)

// Problem is one place where a file departs from its grammar.
type Problem struct {
	Kind Kind
	Pos  diag.Pos
	// Text is what stands there, or what is missing.
	Text string
}

// source is a text whose offsets become positions.
type source struct {
	name  string
	text  string
	lines []int // the offset at which each begins
}

func newSource(name, text string) *source {
	s := &source{name: name, text: text, lines: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// line is the number of the line that holds offset, from 0.
func (s *source) line(offset int) int {
	low, high := 0, len(s.lines)
	for high-low > 1 {
		if mid := (low + high) / 2; s.lines[mid] <= offset {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// lineText is a line without its end.
func (s *source) lineText(n int) string {
	rest := s.text[s.lines[n]:]
	if end := strings.IndexByte(rest, '\n'); end >= 0 {
		rest = rest[:end]
	}
	return strings.TrimRight(rest, "\r")
}

// pos is the place from one offset to another, of which only the first line counts.
func (s *source) pos(from, to int) diag.Pos {
	n := s.line(from)
	text := s.lineText(n)
	start := s.lines[n]
	from = min(from, start+len(text)) // not behind a carriage return
	end := min(max(to, from), start+len(text))
	width := 1
	if end > from {
		width = utf8.RuneCountInString(s.text[from:end])
	}
	return diag.Pos{
		File: s.name, Line: n + 1, Column: utf8.RuneCountInString(s.text[start:from]) + 1, Width: width, Text: text,
	}
}

// indent is the width of the white space before offset when nothing else stands there on its line, else -1.
func (s *source) indent(offset int) int {
	before := s.text[s.lines[s.line(offset)]:offset]
	if strings.TrimLeft(before, " \t") != "" {
		return -1
	}
	return len(strings.ReplaceAll(before, "\t", "        "))
}

// lineIndent is the indentation of the line that holds offset.
func (s *source) lineIndent(offset int) int {
	text := s.lineText(s.line(offset))
	return len(strings.ReplaceAll(text[:len(text)-len(strings.TrimLeft(text, " \t"))], "\t", "        "))
}
