package conffile

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// DefaultsFile is a file of shell assignments, such as /etc/default/isc-dhcp-server.
type DefaultsFile struct {
	Assignments []Assignment
	Problems    []Problem
}

var (
	assignmentLine = regexp.MustCompile(`^(\s*(?:export\s+)?)([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)
	// spacedLine is what a shell takes for a command with the argument "=", or for an assignment of nothing.
	spacedLine = regexp.MustCompile(`^(\s*)([A-Za-z_][A-Za-z0-9_]*)(\s+=\s*|=\s+)(\S.*)$`)
)

// ParseDefaults reads a file of shell assignments. What else a shell could do in it is not followed.
func ParseDefaults(name, text string) *DefaultsFile {
	f := &DefaultsFile{}
	account := newAccount(&f.Problems)
	src := newSource(name, text)
	for n := range src.lines {
		from := src.lines[n].from
		line := src.lineText(n)
		code := strings.TrimSpace(line)
		if code == "" || code[0] == '#' {
			continue
		}
		if !account.pays(statementCost, Value{code, src.pos(from, from+1)}) {
			break
		}
		if m := spacedLine.FindStringSubmatchIndex(line); m != nil && line[m[8]] != '#' {
			account.problem(Problem{SpacedAssignment, src.pos(from+m[4], from+m[9]), line[m[4]:m[5]]})
			continue
		}
		m := assignmentLine.FindStringSubmatchIndex(line)
		if m == nil {
			account.problem(Problem{BadSyntax, src.pos(from, from+len(line)), code})
			continue
		}
		value, length := shellWord(line[m[6]:])
		if strings.HasPrefix(text[from+len(line):], "\r") {
			// A line's end as Windows writes it: to a shell the value ends in it.
			value += "\r"
			account.problem(Problem{ForeignCharacter, src.pos(from+m[6], from+m[6]+length), "\r"})
		}
		f.Assignments = append(f.Assignments, Assignment{
			Name:  Value{line[m[4]:m[5]], src.pos(from+m[4], from+m[5])},
			Value: Value{value, src.pos(from+m[6], from+m[6]+length)},
		})
	}
	return f
}

// Lookup implements [Document]: the value that a variable has at the end.
func (f *DefaultsFile) Lookup(path string) ([]Value, error) {
	if path == "" {
		return nil, errors.New("path of a file of assignments: no variable")
	}
	if v, ok := f.Get(path); ok {
		return []Value{v}, nil
	}
	return nil, nil
}

// Get returns the value that a variable has at the end; ok is false when it was never set.
func (f *DefaultsFile) Get(name string) (v Value, ok bool) {
	for _, a := range slices.Backward(f.Assignments) {
		if a.Name.Text == name {
			return a.Value, true
		}
	}
	return Value{}, false
}

// shellWord is the first word of a line as a shell reads it, and how long it is in the text.
func shellWord(line string) (value string, length int) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote && quote != 0:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case quote == 0 && strings.IndexByte(" \t;#&|", c) >= 0:
			return b.String(), i
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), len(line)
}
