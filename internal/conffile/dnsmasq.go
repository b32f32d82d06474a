package conffile

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// DnsmasqFile is a dnsmasq.conf with the files that it names.
type DnsmasqFile struct {
	Lines    []DnsmasqLine
	Problems []Problem

	account *account
}

// DnsmasqLine is one option.
type DnsmasqLine struct {
	Name Value
	// HasValue says that there was an =.
	HasValue bool
	Value    Value
	// Fields are the value's parts between commas.
	Fields []Value
}

// ParseDnsmasq reads the dnsmasq.conf called name and, of files, those that its conf-file and conf-dir name. dirs are
// further directories as the option -7 takes them: Debian's unit gives "/etc/dnsmasq.d,.dpkg-dist,.dpkg-old,.dpkg-new".
func ParseDnsmasq(name string, files map[string]string, dirs ...string) *DnsmasqFile {
	f := &DnsmasqFile{}
	f.account = newAccount(&f.Problems)
	f.read(name, files, nil)
	for _, dir := range dirs {
		src := newSource(name, "conf-dir="+dir)
		line := f.line(src, 0, "conf-dir="+dir)
		f.include(line, f.directory(line, files), files, []string{name})
	}
	return f
}

// Lookup implements [Document]: NAME gives the values of an option, NAME/FIELD… what follows these first fields.
func (f *DnsmasqFile) Lookup(path string) ([]Value, error) {
	name, rest, more := strings.Cut(path, "/")
	name = strings.TrimSpace(name)
	if name == "" {
		return nil, errors.New("path of a dnsmasq.conf: no name of an option")
	}
	var want []string
	if more {
		want = strings.Split(rest, ",")
	}
	var values []Value
	for _, line := range f.Lines {
		if line.Name.Text != name || len(line.Fields) < len(want) {
			continue
		}
		matches := slices.EqualFunc(want, line.Fields[:len(want)], func(w string, v Value) bool { return strings.TrimSpace(w) == v.Text })
		if !matches {
			continue
		}
		if len(want) == 0 {
			values = append(values, line.Value)
			continue
		}
		v := Value{Pos: line.Value.Pos}
		for i, field := range line.Fields[len(want):] {
			if i == 0 {
				v.Pos = field.Pos
			} else {
				v.Text += ","
			}
			v.Text += field.Text
		}
		values = append(values, v)
	}
	return values, nil
}

// Get returns the lines of an option.
func (f *DnsmasqFile) Get(name string) []DnsmasqLine {
	return slices.DeleteFunc(slices.Clone(f.Lines), func(l DnsmasqLine) bool { return l.Name.Text != name })
}

func (f *DnsmasqFile) read(name string, files map[string]string, open []string) {
	src := newSource(name, files[name])
	for n := range src.lines {
		from := src.lines[n].from
		text := src.lineText(n)
		code := dnsmasqCode(text)
		if strings.TrimSpace(code) == "" {
			continue
		}
		line := f.line(src, from, code)
		if !f.account.pays(statementCost+wordCost*len(line.Fields), line.Name) {
			return
		}
		f.Lines = append(f.Lines, line)
		switch {
		case !line.HasValue:
		case line.Name.Text == "conf-file":
			f.include(line, []string{line.Value.Text}, files, append(open, name))
		case line.Name.Text == "conf-dir":
			f.include(line, f.directory(line, files), files, append(open, name))
		}
	}
}

// dnsmasqCode is a line without its comment: # begins one at the line's beginning and behind white space.
func dnsmasqCode(line string) string {
	quoted := false
	for i := range len(line) {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == '#' && !quoted && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
			return line[:i]
		}
	}
	return line
}

func (f *DnsmasqFile) line(src *source, from int, code string) DnsmasqLine {
	if i := strings.IndexFunc(code, func(r rune) bool { return r >= utf8.RuneSelf }); i >= 0 {
		_, size := utf8.DecodeRuneInString(code[i:])
		f.account.problem(Problem{ForeignCharacter, src.pos(from+i, from+i+size), code[i : i+size]})
	}
	name, value, hasValue := strings.Cut(code, "=")
	line := DnsmasqLine{Name: trimmed(src, from, name), HasValue: hasValue}
	if !hasValue {
		return line
	}
	at := from + len(name) + 1
	line.Value = trimmed(src, at, value)
	for part := range strings.SplitSeq(value, ",") {
		line.Fields = append(line.Fields, trimmed(src, at, part))
		at += len(part) + 1
	}
	return line
}

// trimmed is a piece of the text without the white space and quotation marks around it.
func trimmed(src *source, from int, text string) Value {
	left := strings.TrimLeft(text, " \t")
	from += len(text) - len(left)
	text = strings.TrimRight(left, " \t")
	value := text
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return Value{value, src.pos(from, from+len(text))}
}

func (f *DnsmasqFile) include(line DnsmasqLine, names []string, files map[string]string, open []string) {
	for _, name := range names {
		text, there := files[name]
		switch {
		case !f.account.pays(fileCost+len(text), line.Value):
			return
		case !there:
			f.account.problem(Problem{MissingFile, line.Value.Pos, name})
		case slices.Contains(open, name) || len(open) > maxInclude:
			f.account.problem(Problem{IncludeLoop, line.Value.Pos, name})
		default:
			f.read(name, files, slices.Clone(open))
		}
	}
}

// directory lists the files of a conf-dir: those with one of the endings "*.conf", or without one of the others.
func (f *DnsmasqFile) directory(line DnsmasqLine, files map[string]string) []string {
	if !f.account.pays(len(files)*len(line.Fields), line.Value) {
		return nil
	}
	dir := line.Fields[0].Text
	var names []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		base := path.Base(name)
		if path.Dir(name) != path.Clean(dir) || strings.HasPrefix(base, ".") || strings.HasSuffix(base, "~") ||
			strings.HasPrefix(base, "#") && strings.HasSuffix(base, "#") {
			continue
		}
		if takes(base, line.Fields[1:]) {
			names = append(names, name)
		}
	}
	return names
}

func takes(base string, endings []Value) bool {
	wanted, only := false, false
	for _, e := range endings {
		if ending, ok := strings.CutPrefix(e.Text, "*"); ok {
			only = true
			wanted = wanted || strings.HasSuffix(base, ending)
		} else if e.Text != "" && strings.HasSuffix(base, e.Text) {
			return false
		}
	}
	return wanted || !only
}
