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
// The files are a student's, who may have written anything: what all files of a document may cost together is in
// budget.go, and a document that costs more ends there, with the problem [TooMuch].
//
// The package is pure. What a file means for a network is not its business: see internal/mistake.
package conffile

import (
	"fmt"
	"sort"
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
	// TooMuch is where reading ended: the files are longer, deeper, or name one another more often than anybody needs.
	TooMuch
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
	lines []span // where each begins, and where it ends without its line break
	marks []mark // one for each stride of the text
}

// mark is how many characters are in front of an offset: what has to be counted for a column is then no more than a
// stride, however long the line is.
type mark struct{ offset, runes int }

const stride = 256

// span is a piece of a text by its offsets.
type span struct{ from, to int }

func newSource(name, text string) *source {
	s := &source{name: name, text: text, marks: []mark{{}}}
	from := 0
	for line := range strings.SplitSeq(text, "\n") {
		s.lines = append(s.lines, span{from, from + len(strings.TrimRight(line, "\r"))})
		from += len(line) + 1
	}
	runes := 0
	for i := range text { // every character once, and every octet that is none
		if i-s.marks[len(s.marks)-1].offset >= stride {
			s.marks = append(s.marks, mark{i, runes})
		}
		runes++
	}
	return s
}

// runesTo counts the characters in front of an offset.
func (s *source) runesTo(offset int) int {
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].offset > offset }) - 1
	return s.marks[i].runes + utf8.RuneCountInString(s.text[s.marks[i].offset:offset])
}

// longLine is from which length on a line is not quoted, in octets.
const longLine = 4096

// line is the number of the line that holds offset, from 0.
func (s *source) line(offset int) int {
	low, high := 0, len(s.lines)
	for high-low > 1 {
		if mid := (low + high) / 2; s.lines[mid].from <= offset {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// lineText is a line without its end.
func (s *source) lineText(n int) string {
	return s.text[s.lines[n].from:s.lines[n].to]
}

// pos is the place from one offset to another, of which only the first line counts.
func (s *source) pos(from, to int) diag.Pos {
	n := s.line(from)
	text := s.lineText(n)
	start := s.lines[n].from
	from = min(from, start+len(text)) // not behind a carriage return
	end := min(max(to, from), start+len(text))
	width := 1
	if end > from {
		width = utf8.RuneCountInString(s.text[from:end])
	}
	if len(text) > longLine {
		text = ""
	}
	return diag.Pos{
		File: s.name, Line: n + 1, Column: s.runesTo(from) - s.runesTo(start) + 1, Width: width, Text: text,
	}
}

// indent is the width of the white space before offset when nothing else stands there on its line, else -1.
func (s *source) indent(offset int) int {
	line := s.lines[s.line(offset)].from
	width, length := leading(s.text[line:offset])
	if line+length < offset {
		return -1
	}
	return width
}

// leading is the width of the white space that a text begins with, and its length: of no more than anybody sets a line in.
func leading(text string) (width, length int) {
	for length < len(text) && length < 1024 {
		switch text[length] {
		case ' ':
			width++
		case '\t':
			width += 8
		default:
			return width, length
		}
		length++
	}
	return width, length
}

// lineIndent is the indentation of the line that holds offset.
func (s *source) lineIndent(offset int) int {
	width, _ := leading(s.lineText(s.line(offset)))
	return width
}
