// Package diag is the one form in which kvmlab tells people that something is
// wrong: a [Diagnostic] with a stable code (KL041), a one-sentence summary, a
// hint with the next thing to do, and, where a file is to blame, the line and
// column of the mistake.
//
// Every code is in one registry ([All], [Lookup]): its English texts as
// templates over named arguments, the exit status of a command that fails with
// it, and the long explanation that `kvmlab explain KL041` prints. Codes are
// never reused or renumbered: teachers' notes, scripts and translations refer
// to them.
package diag

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Code is the stable identifier of one kind of problem: "KL" and three digits,
// of which the first names the area (see the registry's files).
type Code string

// Severity says whether a problem stops the command.
type Severity uint8

// The severities. The zero value is invalid, so that a forgotten one is seen.
const (
	_ Severity = iota
	// Error stops the command that found it.
	Error
	// Warning is shown and the command goes on.
	Warning
)

// String gives the word that is printed before the code.
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// MarshalText writes a severity as its word, for JSON output.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Pos is a place in a text file. The zero Pos means "no place".
type Pos struct {
	// File is the name as the user gave it.
	File string `json:"file,omitempty"`
	// Line and Column count from 1; Column counts characters, not bytes. A zero
	// Line points at the file as a whole.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Width is how many characters are meant, for the carets of an excerpt.
	Width int `json:"-"`
	// Text is the source line itself, kept by whoever parsed the file so that an
	// excerpt shows what was read, even from standard input or an embedded file.
	Text string `json:"-"`
}

// IsZero reports whether p names no place at all.
func (p Pos) IsZero() bool { return p.File == "" && p.Line == 0 }

// String gives "file:line:column", as editors and terminals can follow.
func (p Pos) String() string {
	switch {
	case p.IsZero():
		return ""
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Args are the named values that a code's templates are filled with. They stay
// on the Diagnostic so that it can be said again in another language.
type Args map[string]any

// Diagnostic is one problem, told to a person. It is an error.
//
//nolint:errname // It may also be a warning.
type Diagnostic struct {
	Code     Code
	Severity Severity
	// Summary says what is wrong in one sentence, without a full stop.
	Summary string
	// Hint says what to do next; it may be empty.
	Hint string
	// Pos is where the mistake is, when a file is to blame.
	Pos Pos
	// Args filled the templates of Summary and Hint.
	Args Args
	// Cause is the error underneath, if any.
	Cause error
}

// New makes the diagnostic of a code from the registry's English templates. A
// code that is not registered gives an [Internal] one that names it: a mistake
// in kvmlab must not hide the mistake that it was to report.
func New(code Code, args Args) *Diagnostic {
	entry, ok := Lookup(code)
	if !ok {
		return New(Internal, Args{"message": fmt.Sprintf("unregistered code %s with %v", code, args)})
	}
	return &Diagnostic{
		Code:     code,
		Severity: entry.Severity,
		Summary:  fill(entry.Summary, args),
		Hint:     fill(entry.Hint, args),
		Args:     args,
	}
}

// At returns a copy of d that points at pos.
func (d *Diagnostic) At(pos Pos) *Diagnostic {
	c := *d
	c.Pos = pos
	return &c
}

// Wrap returns a copy of d with err as its cause.
func (d *Diagnostic) Wrap(err error) *Diagnostic {
	c := *d
	c.Cause = err
	return &c
}

// Error gives everything in one line: position, summary, code and cause. The
// many-line form with excerpt and hint is [Render]'s.
func (d *Diagnostic) Error() string {
	var b strings.Builder
	if !d.Pos.IsZero() {
		b.WriteString(d.Pos.String() + ": ")
	}
	fmt.Fprintf(&b, "%s [%s]", d.Summary, d.Code)
	if d.Cause != nil {
		b.WriteString(": " + d.Cause.Error())
	}
	return b.String()
}

// Unwrap gives the cause to errors.Is and errors.As.
func (d *Diagnostic) Unwrap() error { return d.Cause }

// Is makes errors.Is(err, diag.New(code, nil)) compare by code.
func (d *Diagnostic) Is(target error) bool {
	t, ok := target.(*Diagnostic)
	return ok && t.Code == d.Code
}

// MarshalJSON writes the stable form that `-o json` prints: code, severity,
// summary, hint, pos, args and the cause's text.
func (d *Diagnostic) MarshalJSON() ([]byte, error) {
	out := struct {
		Code     Code     `json:"code"`
		Severity Severity `json:"severity"`
		Summary  string   `json:"summary"`
		Hint     string   `json:"hint,omitempty"`
		Pos      Pos      `json:"pos,omitzero"`
		Args     Args     `json:"args,omitempty"`
		Cause    string   `json:"cause,omitempty"`
	}{d.Code, d.Severity, d.Summary, d.Hint, d.Pos, d.Args, ""}
	if d.Cause != nil {
		out.Cause = d.Cause.Error()
	}
	return json.Marshal(out)
}

// List is several diagnostics, for example all the mistakes of one lab file.
// As an error it unwraps to its elements.
//
//nolint:errname // It may hold warnings alone, and then is none (see Err).
type List []*Diagnostic

// Add appends d.
func (l *List) Add(d *Diagnostic) { *l = append(*l, d) }

// Sort orders by file, line and column, keeps the order of finding within one
// place, and drops exact repetitions (a mistake inside an aliased value is found
// once for each alias).
func (l *List) Sort() {
	slices.SortStableFunc(*l, comparePlace)
	seen := make(map[string]bool, len(*l))
	*l = slices.DeleteFunc(*l, func(d *Diagnostic) bool {
		key := d.Error()
		dup := seen[key]
		seen[key] = true
		return dup
	})
}

func comparePlace(a, b *Diagnostic) int {
	if c := strings.Compare(a.Pos.File, b.Pos.File); c != 0 {
		return c
	}
	if c := a.Pos.Line - b.Pos.Line; c != 0 {
		return c
	}
	return a.Pos.Column - b.Pos.Column
}

// Errors returns the elements that are errors, in order.
func (l List) Errors() List { return l.only(Error) }

// Warnings returns the elements that are warnings, in order.
func (l List) Warnings() List { return l.only(Warning) }

func (l List) only(s Severity) List {
	return slices.DeleteFunc(slices.Clone(l), func(d *Diagnostic) bool { return d.Severity != s })
}

// Err returns l as an error, or nil when nothing in it is an error.
func (l List) Err() error {
	if len(l.Errors()) == 0 {
		return nil
	}
	return l
}

// Error joins the one-line forms, one a line.
func (l List) Error() string {
	lines := make([]string, len(l))
	for i, d := range l {
		lines[i] = d.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the elements to errors.Is and errors.As.
func (l List) Unwrap() []error {
	errs := make([]error, len(l))
	for i, d := range l {
		errs[i] = d
	}
	return errs
}

// CodeOf returns the code of the first diagnostic in err's tree, outermost
// first, or "" when there is none.
func CodeOf(err error) Code {
	if d, ok := errors.AsType[*Diagnostic](err); ok {
		return d.Code
	}
	return ""
}
