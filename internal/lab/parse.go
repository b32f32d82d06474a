package lab

import (
	"fmt"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// Parse reads a lab file of version 1. file is its name for positions.
//
// The error is a [diag.List] with every mistake that could be found, in order
// of position, and then the Spec is nil. (YAML that cannot be read at all ends
// with its first mistake.) Warnings alone are no error: they are in
// Spec.Warnings.
func Parse(file string, src []byte) (*Spec, error) {
	d := &yamlfile.Decoder{}
	spec := &Spec{File: file}
	parse(d, spec, file, src)
	d.Diags.Sort()
	if err := d.Diags.Err(); err != nil {
		return nil, err
	}
	spec.Warnings = d.Diags
	return spec, nil
}

func parse(d *yamlfile.Decoder, spec *Spec, file string, src []byte) {
	root, ok := d.Open(file, src)
	if !ok || !yamlfile.Object(d, root, "the lab", labKeys(), spec) {
		return
	}
	if len(spec.Bridges)+len(spec.Guests) == 0 && len(d.Diags) == 0 {
		d.Add(d.Pos(root), diag.NothingInLab, nil)
	}
	checkLinkNames(d, spec)
	checkBridges(d, spec)
	checkBorder(d, spec)
	checkGuests(d, spec)
	for i := range spec.Bridges {
		checkDHCP(d, spec, &spec.Bridges[i])
	}
}

// nicName is the name of a guest's card by its place: eth0, eth1 and so on.
func nicName(index int) string { return fmt.Sprintf("eth%d", index) }

// checkLinkNames looks for names that two links of one namespace would have.
func checkLinkNames(d *yamlfile.Decoder, spec *Spec) {
	bridges := make(map[string]int)
	for _, b := range spec.Bridges {
		if !b.Name.Set {
			continue
		}
		if line, ok := bridges[b.Name.Value]; ok {
			d.Add(b.Name.Pos, diag.DuplicateName, diag.Args{"kind": "bridge", "name": b.Name.Value, "line": line})
			continue
		}
		bridges[b.Name.Value] = b.Name.Pos.Line
	}
	type owner struct {
		who  string
		line int
	}
	taps := make(map[string]owner)
	for _, g := range spec.Guests {
		for i, nic := range g.NICs {
			if !nic.Tap.Set {
				continue
			}
			tap, who := nic.Tap.Value, nicOf(g, i)
			if line, ok := bridges[tap]; ok {
				d.Add(nic.Tap.Pos, diag.BridgeTapName, diag.Args{"name": tap, "line": line})
			} else if first, ok := taps[tap]; ok {
				d.Add(nic.Tap.Pos, diag.TapTwice, diag.Args{"tap": tap, "guest": who, "other": first.who, "line": first.line})
			} else {
				taps[tap] = owner{who, nic.Tap.Pos.Line}
			}
		}
	}
}

// nicOf calls a card by its guest, and by its own name where there are several.
func nicOf(g GuestSpec, index int) string {
	name := g.Name.Or("a guest without a name")
	if len(g.NICs) > 1 {
		return nicName(index) + " of " + name
	}
	return name
}
