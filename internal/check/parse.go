package check

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// Parse reads a checks.yaml for a lab. name is the file's name for positions. The error is a [diag.List] with every
// mistake that could be found, in order of position, and then the File is nil.
func Parse(name string, src []byte, spec *lab.Spec) (*File, error) {
	p := &parser{spec: spec, file: &File{}}
	root, ok := p.Open(name, src)
	if ok && yamlfile.Object(&p.Decoder, root, "the checks", fileKeys(), p.file) {
		p.references()
	}
	p.Diags.Sort()
	if err := p.Diags.Err(); err != nil {
		return nil, err
	}
	return p.file, nil
}

// Schema gives the JSON Schema (2020-12) of checks.yaml, for editors.
func Schema() ([]byte, error) {
	s := yamlfile.ObjectSchema("The checks of a scenario of kvmlab.", fileKeys())
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.ID = "https://kvmlab.org/schema/checks-v1.json"
	s.Title = "kvmlab checks file"
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema of checks: %w", err)
	}
	return append(data, '\n'), nil
}

// parser finds what only the whole file and its lab tell: names that refer to something.
type parser struct {
	yamlfile.Decoder
	spec *lab.Spec
	file *File
}

func (p *parser) references() {
	if len(p.file.Checks) == 0 && len(p.Diags) == 0 {
		p.Add(diag.Pos{}, diag.MissingKey, diag.Args{"key": "checks", "where": "the checks"})
	}
	p.ids()
	for _, c := range p.file.Checks {
		p.needs(c)
		if c.Station != nil {
			p.station(c.Station)
		}
		if c.Assert != nil {
			p.assertion(c.Assert)
			p.subject(c)
		}
	}
	if t := p.file.Task; t != nil {
		p.guest(t.Guest)
		p.nic(t.Guest, t.NIC)
		for _, r := range t.Reservations {
			p.guest(r.Guest)
			p.nic(r.Guest, r.NIC)
		}
	}
	p.steps(p.file.Start)
	p.steps(p.file.Solution)
	if p.file.Draw.Value && len(p.file.Mistakes)*len(p.file.Solution) == 0 {
		p.Add(p.file.Draw.Pos, diag.NothingToDraw, nil)
	}
	for _, m := range p.file.Mistakes {
		p.steps(m.Steps)
		p.id(m.Fails)
		if _, ok := diag.Lookup(diag.Code(m.Finds.Value)); m.Finds.Set && !ok {
			p.Add(m.Finds.Pos, diag.UnknownCause, diag.Args{"code": m.Finds.Value})
		}
	}
}

// ids looks for two checks of one name.
func (p *parser) ids() {
	seen := map[string]int{}
	for _, c := range p.file.Checks {
		if line, twice := seen[c.ID.Value]; twice && c.ID.Set {
			p.Add(c.ID.Pos, diag.DuplicateName, diag.Args{"kind": "check", "name": c.ID.Value, "line": line})
		}
		seen[c.ID.Value] = c.ID.Pos.Line
	}
}

// needs looks for checks that are not there, and for one that depends on itself through others.
func (p *parser) needs(c *Check) {
	for _, need := range c.Needs {
		p.id(need)
		if p.reaches(need.Value, c.ID.Value, nil) {
			p.Add(need.Pos, diag.CheckLoop, diag.Args{"id": c.ID.Value, "needs": need.Value})
		}
	}
}

// reaches reports whether the check called from is, or needs, the one called to.
func (p *parser) reaches(from, to string, seen []string) bool {
	if from == to {
		return true
	}
	c := p.file.Check(from)
	if c == nil || slices.Contains(seen, from) {
		return false
	}
	return slices.ContainsFunc(c.Needs, func(f yamlfile.Field[string]) bool { return p.reaches(f.Value, to, append(seen, from)) })
}

func (p *parser) id(f yamlfile.Field[string]) {
	if !f.Set || p.file.Check(f.Value) != nil {
		return
	}
	var known []string
	for _, c := range p.file.Checks {
		known = append(known, c.ID.Value)
	}
	p.Add(f.Pos, diag.UnknownCheck, diag.Args{"id": f.Value, "suggestion": yamlfile.Suggest(f.Value, known), "known": known})
}

func (p *parser) steps(steps []Step) {
	for _, s := range steps {
		p.guest(s.Guest)
		switch c := p.file.Check(s.Answer.Value); {
		case s.Answer.Set:
			p.id(s.Answer)
			if c != nil && c.Assert != nil && c.Assert.Kind != "answer" {
				p.Add(s.Answer.Pos, diag.NoQuestion, diag.Args{"id": s.Answer.Value})
			}
		case !s.Run.Set, s.Guest.Set == s.Host.Or(false):
			p.Add(s.Pos, diag.BadStep, nil)
		}
	}
}

// assertion checks what the settings of one kind mean together.
func (p *parser) assertion(a *Assertion) {
	p.guest(a.Guest)
	p.guest(a.From)
	p.nic(a.Guest, a.NIC)
	if _, err := netip.ParseAddr(a.To.Value); a.To.Set && err != nil {
		p.guest(a.To)
	}
	if a.Server.Set && !slices.Contains([]string{Kvmlab, Nobody, Anyone}, a.Server.Value) {
		p.guest(a.Server)
	}
	for code := range a.Options {
		if n, err := strconv.Atoi(code); err != nil || n < 1 || n > 254 {
			p.Add(a.Pos, diag.BadSettings, diag.Args{"kind": a.Kind, "reason": "options are named by their numbers, 1 to 254"})
		}
	}
	bad := ""
	switch {
	case a.Kind == "answer" && !a.Value.Set && (!a.Guest.Set || !a.Field.Set || a.Type.Set == a.At.Set && a.Field.Value != cardField):
		bad = "a question needs guest, field and either type or at, or a value"
	case a.Kind == "command" && a.Guest.Set == a.Host.Or(false):
		bad = "a command runs in a guest or on the host: give one of them"
	case a.Kind == "file" && a.Key.Set != a.Format.Set:
		bad = "key and format go together"
	case a.Kind == "file" && a.Value.Set && !a.Key.Set:
		bad = "a value stands under a key"
	case a.Kind == "silence" && a.Server.Value == Nobody:
		bad = "silence of nobody means nothing: any means that no server answers"
	}
	if bad != "" {
		p.Add(a.Pos, diag.BadSettings, diag.Args{"kind": a.Kind, "reason": bad})
	}
}

// guest checks the name of a guest of the lab.
func (p *parser) guest(f yamlfile.Field[string]) {
	if !f.Set {
		return
	}
	var known []string
	for _, g := range p.spec.Guests {
		if g.Name.Value == f.Value {
			return
		}
		known = append(known, g.Name.Value)
	}
	p.Add(f.Pos, diag.GuestNotInLab, diag.Args{"guest": f.Value, "suggestion": yamlfile.Suggest(f.Value, known), "known": known})
}

// nic checks the name of a guest's card.
func (p *parser) nic(guest, nic yamlfile.Field[string]) {
	for _, g := range p.spec.Guests {
		if g.Name.Value != guest.Value || !nic.Set {
			continue
		}
		for i := range g.NICs {
			if nic.Value == fmt.Sprintf("eth%d", i) {
				return
			}
		}
		p.Add(nic.Pos, diag.NoCard, diag.Args{"guest": guest.Value, "nic": nic.Value, "count": len(g.NICs)})
	}
}
