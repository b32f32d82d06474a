package conffile

import (
	"errors"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// InterfacesFile is an interfaces(5) with the files that it sources.
type InterfacesFile struct {
	// Auto are the cards of auto and allow-auto, Hotplug those of allow-hotplug.
	Auto, Hotplug []Value
	Stanzas       []Stanza
	Problems      []Problem

	account *account
}

// Stanza is "iface NAME FAMILY METHOD" with the options that follow.
type Stanza struct {
	Name, Family, Method Value
	Options              []Assignment
}

// Assignment is a name with its value.
type Assignment struct{ Name, Value Value }

// Get returns the value of an option, the last one, or the zero Value.
func (s *Stanza) Get(name string) Value {
	for _, o := range slices.Backward(s.Options) {
		if o.Name.Text == name {
			return o.Value
		}
	}
	return Value{}
}

// Address is the stanza's IPv4 address with its length, from "address A/N" or "address A" and "netmask M", and the place
// of the part that gave the length; ok is false when there is none that can be read. ifup takes an address without any
// length as /32 in Debian 12... so does this.
func (s *Stanza) Address() (prefix netip.Prefix, at Value, ok bool) {
	at = s.Get("address")
	if p, err := netip.ParsePrefix(at.Text); err == nil {
		return p, at, true
	}
	addr, err := netip.ParseAddr(at.Text)
	if err != nil {
		return netip.Prefix{}, at, false
	}
	mask := s.Get("netmask")
	if mask.Text == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), at, true
	}
	if bits, ok := MaskBits(mask.Text); ok {
		return netip.PrefixFrom(addr, bits), mask, true
	}
	return netip.Prefix{}, mask, false
}

// MaskBits is the length of a netmask, written 255.255.255.0, 24 or /24.
func MaskBits(mask string) (int, bool) {
	if p, err := netip.ParsePrefix("0.0.0.0/" + strings.TrimPrefix(mask, "/")); err == nil {
		return p.Bits(), true
	}
	addr, err := netip.ParseAddr(mask)
	if err != nil || !addr.Is4() {
		return 0, false
	}
	ones, bits := net.IPMask(addr.AsSlice()).Size()
	return ones, bits == 32
}

// ParseInterfaces reads the interfaces(5) called name and, of files, what its source and source-directory name.
func ParseInterfaces(name string, files map[string]string) *InterfacesFile {
	f := &InterfacesFile{}
	f.account = newAccount(&f.Problems)
	f.read(name, files, nil)
	return f
}

// Lookup implements [Document]: auto, allow-hotplug, CARD.method, or CARD.OPTION of an IPv4 stanza.
func (f *InterfacesFile) Lookup(path string) ([]Value, error) {
	switch path {
	case "auto":
		return f.Auto, nil
	case "allow-hotplug":
		return f.Hotplug, nil
	}
	// A card's name may have dots, an option's has none.
	dot := strings.LastIndexByte(path, '.')
	if dot <= 0 || dot == len(path)-1 {
		return nil, errors.New("path of an interfaces file: give auto, allow-hotplug or CARD.OPTION")
	}
	name, option := path[:dot], path[dot+1:]
	var values []Value
	for _, s := range f.Stanzas {
		if s.Name.Text != name || s.Family.Text != "inet" {
			continue
		}
		if option == "method" {
			values = append(values, s.Method)
			continue
		}
		for _, o := range s.Options {
			if o.Name.Text == option {
				values = append(values, o.Value)
			}
		}
	}
	return values, nil
}

// Stanza returns the IPv4 stanza of a card, the last one, or nil.
func (f *InterfacesFile) Stanza(card string) *Stanza {
	for i := range slices.Backward(f.Stanzas) {
		if s := &f.Stanzas[i]; s.Name.Text == card && s.Family.Text == "inet" {
			return s
		}
	}
	return nil
}

func (f *InterfacesFile) read(name string, files map[string]string, open []string) {
	open = append(open, name)
	src := newSource(name, files[name])
	var stanza *Stanza
	for n := range src.lines {
		from := src.lines[n].from
		text := src.lineText(n)
		if code := strings.TrimSpace(text); code == "" || code[0] == '#' {
			continue
		}
		fields := fieldsAt(src, from, text)
		if !f.account.pays(statementCost+wordCost*len(fields), fields[0]) {
			return
		}
		first := fields[0].Text
		switch {
		case first == "iface":
			f.Stanzas = append(f.Stanzas, newStanza(fields))
			stanza = &f.Stanzas[len(f.Stanzas)-1]
			if len(fields) != 4 && !slices.ContainsFunc(fields, func(v Value) bool { return v.Text == "inherits" }) {
				f.account.problem(Problem{BadSyntax, fields[0].Pos, text})
			}
			continue
		case first == "auto" || first == "allow-auto":
			f.Auto = append(f.Auto, fields[1:]...)
		case strings.HasPrefix(first, "allow-"):
			f.Hotplug = append(f.Hotplug, fields[1:]...)
		case first == "source" || first == "source-directory":
			f.source(fields, files, open)
		case first == "mapping" || strings.HasPrefix(first, "no-auto-down") || first == "no-scripts" || first == "rename" || first == "template":
		case stanza == nil:
			f.account.problem(Problem{BadSyntax, fields[0].Pos, first})
			continue
		default:
			stanza.Options = append(stanza.Options, Assignment{fields[0], rest(src, fields)})
			continue
		}
		stanza = nil
	}
}

func newStanza(fields []Value) Stanza {
	s := Stanza{}
	for i, to := range []*Value{&s.Name, &s.Family, &s.Method} {
		if i+1 < len(fields) {
			*to = fields[i+1]
		}
	}
	return s
}

// rest is what follows the first field of a line.
func rest(src *source, fields []Value) Value {
	if len(fields) == 1 {
		return Value{Pos: fields[0].Pos}
	}
	first, last := fields[1].Pos, fields[len(fields)-1].Pos
	line := []rune(src.lineText(first.Line - 1))
	end := min(last.Column-1+last.Width, len(line))
	first.Width = end - first.Column + 1
	return Value{string(line[first.Column-1 : end]), first}
}

// fieldsAt cuts a line at white space.
func fieldsAt(src *source, from int, line string) []Value {
	var fields []Value
	for i := 0; i < len(line); {
		if line[i] == ' ' || line[i] == '\t' {
			i++
			continue
		}
		start := i
		for i < len(line) && line[i] != ' ' && line[i] != '\t' {
			i++
		}
		fields = append(fields, Value{line[start:i], src.pos(from+start, from+i)})
	}
	return fields
}

// source reads what a source line names: patterns of the shell, or a directory's files with plain names.
func (f *InterfacesFile) source(fields []Value, files map[string]string, open []string) {
	for _, field := range fields[1:] {
		pattern := field.Text
		if fields[0].Text == "source-directory" {
			pattern = path.Join(pattern, "*")
		}
		if !path.IsAbs(pattern) {
			pattern = path.Join(path.Dir(open[len(open)-1]), pattern)
		}
		if !f.account.pays(len(files)*(1+len(pattern)), field) {
			return
		}
		for _, name := range matching(pattern, files) {
			if !f.account.pays(fileCost+len(files[name]), field) {
				return
			}
			if slices.Contains(open, name) || len(open) > maxInclude {
				f.account.problem(Problem{IncludeLoop, field.Pos, name})
				continue
			}
			f.read(name, files, slices.Clone(open))
		}
	}
}

// matching lists the files that a pattern of the shell names, in order.
func matching(pattern string, files map[string]string) []string {
	var names []string
	for name := range files {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			names = append(names, name)
		}
	}
	return sorted(names)
}
