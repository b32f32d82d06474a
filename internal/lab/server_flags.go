package lab

import (
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// ServerFlags are the flags of `kvmlab dhcp serve` as they were written. Mistakes
// in them are found and told as those of a file are, with the flag in the place
// of line and column.
type ServerFlags struct {
	Interfaces    []string
	Subnet        string
	Ranges        []string
	ServerID      string
	Router        string
	DNS           []string // each may be a list with commas
	Domain        string
	LeaseTime     string
	MinLeaseTime  string
	MaxLeaseTime  string
	Reserve       []string // MAC=IP
	Options       []string // CODE=VALUE
	Authoritative bool
	NoProbe       bool
}

// ServerFromFlags makes the server that flags describe. The error is a
// [diag.List] with every mistake.
func ServerFromFlags(f ServerFlags) (*Server, error) {
	d := &decoder{}
	spec := &serverSpec{}
	sub := subnetSpec{}
	sub.Pos = diag.Pos{File: "--range"}
	for _, name := range f.Interfaces {
		spec.Interfaces = append(spec.Interfaces, flagField(d, "--interface", name, parseLinkName("interface")))
	}
	for _, text := range f.Ranges {
		sub.Ranges = append(sub.Ranges, flagField(d, "--range", text, parseRange))
	}
	for _, list := range f.DNS {
		for text := range strings.SplitSeq(list, ",") {
			sub.DNS = append(sub.DNS, flagField(d, "--dns", text, parseService))
		}
	}
	sub.Subnet = optionalFlag(d, "--subnet", f.Subnet, parsePrefix)
	spec.ServerID = optionalFlag(d, "--server-id", f.ServerID, parseService)
	sub.Router = optionalFlag(d, "--router", f.Router, parseService)
	sub.Lease = optionalFlag(d, "--lease-time", f.LeaseTime, parseLease)
	sub.MinLease = optionalFlag(d, "--min-lease-time", f.MinLeaseTime, parseLease)
	sub.MaxLease = optionalFlag(d, "--max-lease-time", f.MaxLeaseTime, parseLease)
	sub.Authoritative = Field[bool]{Value: f.Authoritative, Set: f.Authoritative}
	sub.Probe = Field[bool]{Value: !f.NoProbe, Set: true}
	for _, text := range f.Reserve {
		sub.Reservations = append(sub.Reservations, d.reserveFlag(text))
	}
	given := f.Options
	if f.Domain != "" {
		given = append([]string{"domain-name=" + f.Domain}, given...)
	}
	for _, text := range given {
		d.optionFlag(&sub.Options, text)
	}
	sub.broken = len(d.diags) > 0
	spec.Subnets = []subnetSpec{sub}
	return d.server(spec, diag.Pos{})
}

// flagField reads a flag's value like that of a key.
func flagField[V comparable](d *decoder, flag, text string, parse func(scalar) (V, *diag.Diagnostic)) Field[V] {
	var none V
	pos := diag.Pos{File: flag}
	v, problem := parse(scalar{key: strings.TrimLeft(flag, "-"), value: strings.TrimSpace(text), tag: "!!str"})
	if problem != nil {
		d.diags.Add(problem.At(pos))
	}
	return Field[V]{Value: v, Pos: pos, Set: problem == nil || v != none}
}

// optionalFlag is flagField for a flag that may not have been given.
func optionalFlag[V comparable](d *decoder, flag, text string, parse func(scalar) (V, *diag.Diagnostic)) Field[V] {
	if text == "" {
		return Field[V]{}
	}
	return flagField(d, flag, text, parse)
}

// reserveFlag reads MAC=IP.
func (d *decoder) reserveFlag(text string) ReservationSpec {
	const flag = "--reserve"
	mac, address, _ := strings.Cut(text, "=")
	before := len(d.diags)
	r := ReservationSpec{
		Pos: diag.Pos{File: flag}, MAC: flagField(d, flag, mac, parseMAC), Address: flagField(d, flag, address, parseAddr),
	}
	r.broken = len(d.diags) > before
	return r
}

// optionFlag reads CODE=VALUE or NAME=VALUE; a list has commas.
func (d *decoder) optionFlag(into *[]OptionSpec, text string) {
	pos := diag.Pos{File: "--option"}
	name, value, _ := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	kind, problem := findOption(name)
	if problem != nil {
		d.diags.Add(problem.At(pos))
		return
	}
	if slices.ContainsFunc(*into, func(o OptionSpec) bool { return o.Option.Code == kind.code }) {
		d.add(pos, diag.DuplicateFlagOption, diag.Args{"option": name, "code": kind.code})
		return
	}
	parts := []string{value}
	if kind.many() {
		parts = strings.Split(value, ",")
	}
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
		if !kind.accepts(parts[i]) {
			d.add(pos, diag.BadOptionValue, diag.Args{"option": name, "want": kind.want(), "value": part})
			return
		}
	}
	*into = append(*into, OptionSpec{
		Pos: pos, Option: Option{Name: optionLabel(name), Code: kind.code, Value: strings.Join(parts, ",")},
	})
}
