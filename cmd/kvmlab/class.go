package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/text/unicode/norm"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// student is one of a class: the name as it is written, and that of the lab.
type student struct {
	Name string
	Lab  string
	Seed string // column seed; empty: none
	pos  diag.Pos
}

// classFlags are the flags by which `up`, `down` and `status` take a whole class.
type classFlags struct {
	app   *app
	names []string // --class
	file  string   // --class-file
}

func (c *classFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&c.names, "class", nil, c.app.T("class.flag.class"))
	cmd.Flags().StringVar(&c.file, "class-file", "", c.app.T("class.flag.class-file"))
}

// asked reports whether a class is meant.
func (c *classFlags) asked() bool { return len(c.names) > 0 || c.file != "" }

// students reads the class. All mistakes are reported at once.
func (c *classFlags) students() ([]student, error) {
	if c.file != "" && len(c.names) > 0 {
		return nil, diag.New(diag.Usage, diag.Args{"message": c.app.T("class.both"), "command": "kvmlab"})
	}
	if c.file == "" {
		list := make([]student, len(c.names))
		for i, name := range c.names {
			list[i] = student{Name: strings.TrimSpace(name)}
		}
		return namedLabs(list)
	}
	src, err := c.app.readLabFile(c.file)
	if err != nil {
		return nil, err
	}
	list, err := parseClass(c.file, src)
	if err != nil {
		return nil, err
	}
	return namedLabs(list)
}

// labNames are the names of the class's labs, in its order.
func (c *classFlags) labNames() ([]string, error) {
	list, err := c.students()
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.Lab
	}
	return names, err
}

// The columns of a class file.
const (
	columnName = "name"
	columnSeed = "seed"
)

// parseClass reads a class file: CSV (RFC 4180) in UTF-8, with a header that names its columns in any order.
func parseClass(file string, src []byte) ([]student, error) {
	reader := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(src, []byte("\ufeff")))) // as spreadsheets write it
	reader.FieldsPerRecord = -1
	reader.TrimLeadingSpace = true
	if first, _, _ := bytes.Cut(src, []byte("\n")); bytes.ContainsRune(first, ';') && !bytes.ContainsRune(first, ',') {
		reader.Comma = ';' // as spreadsheets write it where the comma separates decimals
	}
	header, err := reader.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, badClassFile(file, err)
	}
	columns := map[string]int{}
	for i, field := range header {
		columns[strings.ToLower(strings.TrimSpace(field))] = i
	}
	_, named := columns[columnName]
	delete(columns, "")
	for name := range columns {
		named = named && (name == columnName || name == columnSeed)
	}
	if !named {
		return nil, diag.New(diag.ClassHeader, diag.Args{"got": strings.Join(header, string(reader.Comma))}).
			At(diag.Pos{File: file, Line: 1, Column: 1})
	}
	var list []student
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, badClassFile(file, err)
		}
		line, _ := reader.FieldPos(0)
		field := func(column string) string {
			if i, ok := columns[column]; ok && i < len(record) {
				return strings.TrimSpace(record[i])
			}
			return ""
		}
		s := student{Name: field(columnName), Seed: field(columnSeed), pos: diag.Pos{File: file, Line: line}}
		if strings.Join(record, "") != "" { // a spreadsheet's empty rows are no students
			list = append(list, s)
		}
	}
}

// badClassFile is the error for a file that is no CSV.
func badClassFile(file string, err error) error {
	pos := diag.Pos{File: file}
	if wrong := new(csv.ParseError); errors.As(err, &wrong) {
		pos.Line, pos.Column = wrong.Line, wrong.Column
		err = wrong.Err
	}
	return diag.New(diag.ClassFile, diag.Args{"reason": err.Error()}).At(pos)
}

// namedLabs gives each student a lab's name, which is made of small letters, digits and dashes. Two who would share one
// are an error: one of them would find the other's work.
func namedLabs(list []student) ([]student, error) {
	var problems diag.List
	first := map[string]student{}
	for i := range list {
		s := &list[i]
		s.Lab = safeName(s.Name)
		if err := lab.CheckName(s.Lab); err != nil {
			reason := "it has no Latin letter"
			if bad := new(diag.Diagnostic); s.Lab != "" && errors.As(err, &bad) {
				reason = fmt.Sprint(bad.Args["reason"])
			}
			problems.Add(diag.New(diag.ClassName, diag.Args{"name": s.Name, "reason": reason}).At(s.pos))
			continue
		}
		if other, taken := first[s.Lab]; taken {
			problems.Add(diag.New(diag.ClassClash, diag.Args{"name": s.Name, "other": other.Name, "lab": s.Lab}).At(s.pos))
			continue
		}
		first[s.Lab] = *s
	}
	if len(list) == 0 {
		problems.Add(diag.New(diag.ClassFile, diag.Args{"reason": "it names nobody"}))
	}
	return list, problems.Err()
}

// latin are letters that Unicode does not take apart into a plain one and its accent.
var latin = strings.NewReplacer(
	"ß", "ss", "æ", "ae", "œ", "oe", "ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "ı", "i", "ŀ", "l", "·", "", "'", "", "’", "",
)

// safeName makes a lab's name of a student's: "José Núñez" becomes "jose-nunez". It is empty when nothing is left.
func safeName(name string) string {
	var out strings.Builder
	for _, r := range norm.NFD.String(latin.Replace(strings.ToLower(name))) {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			out.WriteRune(r)
		case unicode.Is(unicode.Mn, r): // the accent of the letter before
		case unicode.IsLetter(r):
			return "" // of another script: leaving it out could make two names one
		default:
			out.WriteByte('-')
		}
	}
	words := strings.FieldsFunc(out.String(), func(r rune) bool { return r == '-' })
	return strings.Join(words, "-")
}

// outcome is what became of one student's lab.
type outcome struct {
	student

	Done    bool    // it is as it was asked for
	Changes int     // made
	Seconds float64 // it took
	Err     error
	begun   bool
	trace   *timings
}

// classReport is a class in JSON.
type classReport struct {
	Labs []classLab `json:"labs"`
}

// classLab is one student's lab in JSON.
type classLab struct {
	Student string    `json:"student"`
	Name    string    `json:"name"`
	OK      bool      `json:"ok"`
	Changes int       `json:"changes"`
	Seconds float64   `json:"seconds"`
	Code    diag.Code `json:"code,omitempty"` // of the error
	Timings []timing  `json:"timings,omitempty"`
}

// reportClass prints the class in JSON.
func reportClass(a *app, all []outcome) error {
	report := classReport{Labs: []classLab{}}
	for _, o := range all {
		report.Labs = append(report.Labs, classLab{o.Name, o.Lab, o.Done, o.Changes, o.Seconds, diag.CodeOf(o.Err), o.trace.sorted()})
	}
	return a.printJSON(report)
}

// labsOf lists the labs of the outcomes for which keep holds, sorted.
func labsOf(all []outcome, keep func(outcome) bool) []string {
	names := []string{}
	for _, o := range all {
		if keep(o) {
			names = append(names, o.Lab)
		}
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}

// eachAtOnce runs do for every index below n, at most limit at the same time.
func eachAtOnce(n, limit int, do func(i int)) {
	var all errgroup.Group
	all.SetLimit(max(1, limit))
	for i := range n {
		all.Go(func() error { do(i); return nil })
	}
	_ = all.Wait() // none returns an error
}
