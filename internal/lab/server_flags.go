package lab

import (
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
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
	d := &yamlfile.Decoder{}
	spec := &serverSpec{}
	sub := subnetSpec{}
	sub.Pos = diag.Pos{File: "--range"}
	for _, name := range f.Interfaces {
		spec.Interfaces = append(spec.Interfaces, flagField(d, "--interface", name, parseLinkName("interface")))
	}
	for _, text := range f.Ranges {
		sub.Ranges = yamlfile.AppendSet(sub.Ranges, flagField(d, "--range", text, ParseRange))
	}
	for _, list := range f.DNS {
		for text := range strings.SplitSeq(list, ",") {
			sub.DNS = append(sub.DNS, flagField(d, "--dns", text, parseService))
		}
	}
	sub.Subnet = optionalFlag(d, "--subnet", f.Subnet, yamlfile.ParsePrefix)
	spec.ServerID = optionalFlag(d, "--server-id", f.ServerID, parseService)
	sub.Router = optionalFlag(d, "--router", f.Router, parseService)
	sub.Lease = optionalFlag(d, "--lease-time", f.LeaseTime, parseLease)
	sub.MinLease = optionalFlag(d, "--min-lease-time", f.MinLeaseTime, parseLease)
	sub.MaxLease = optionalFlag(d, "--max-lease-time", f.MaxLeaseTime, parseLease)
	sub.Authoritative = yamlfile.Field[bool]{Value: f.Authoritative, Set: f.Authoritative}
	sub.Probe = yamlfile.Field[bool]{Value: !f.NoProbe, Set: true}
	for _, text := range f.Reserve {
		sub.Reservations = append(sub.Reservations, reserveFlag(d, text))
	}
	given := f.Options
	if f.Domain != "" {
		given = append([]string{"domain-name=" + f.Domain}, given...)
	}
	for _, text := range given {
		optionFlag(d, &sub.Options, text)
	}
	sub.broken = len(d.Diags) > 0
	spec.Subnets = []subnetSpec{sub}
	return server(d, spec, diag.Pos{})
}

// flagField reads a flag's value like that of a key.
func flagField[V comparable](d *yamlfile.Decoder, flag, text string, parse func(yamlfile.Scalar) (V, *diag.Diagnostic)) yamlfile.Field[V] {
	var none V
	pos := diag.Pos{File: flag}
	v, problem := parse(yamlfile.Scalar{Key: strings.TrimLeft(flag, "-"), Value: strings.TrimSpace(text), Tag: "!!str"})
	if problem != nil {
		d.Diags.Add(problem.At(pos))
	}
	return yamlfile.Field[V]{Value: v, Pos: pos, Set: problem == nil || v != none}
}

// optionalFlag is flagField for a flag that may not have been given.
func optionalFlag[V comparable](d *yamlfile.Decoder, flag, text string, parse func(yamlfile.Scalar) (V, *diag.Diagnostic)) yamlfile.Field[V] {
	if text == "" {
		return yamlfile.Field[V]{}
	}
	return flagField(d, flag, text, parse)
}

// reserveFlag reads MAC=IP.
func reserveFlag(d *yamlfile.Decoder, text string) ReservationSpec {
	const flag = "--reserve"
	mac, address, _ := strings.Cut(text, "=")
	before := len(d.Diags)
	r := ReservationSpec{
		Pos: diag.Pos{File: flag}, MAC: flagField(d, flag, mac, parseMAC), Address: flagField(d, flag, address, yamlfile.ParseAddr),
	}
	r.broken = len(d.Diags) > before
	return r
}

// optionFlag reads CODE=VALUE or NAME=VALUE; a list has commas.
func optionFlag(d *yamlfile.Decoder, into *[]OptionSpec, text string) {
	pos := diag.Pos{File: "--option"}
	name, value, _ := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	kind, problem := findOption(name)
	if problem != nil {
		d.Diags.Add(problem.At(pos))
		return
	}
	if slices.ContainsFunc(*into, func(o OptionSpec) bool { return o.Option.Code == kind.code }) {
		d.Add(pos, diag.DuplicateFlagOption, diag.Args{"option": name, "code": kind.code})
		return
	}
	parts := []string{value}
	if kind.many() {
		parts = strings.Split(value, ",")
	}
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
		if !kind.accepts(parts[i]) {
			d.Add(pos, diag.BadOptionValue, diag.Args{"option": name, "want": kind.want(), "value": part})
			return
		}
	}
	*into = append(*into, OptionSpec{
		Pos: pos, Option: Option{Name: optionLabel(name), Code: kind.code, Value: strings.Join(parts, ",")},
	})
}
