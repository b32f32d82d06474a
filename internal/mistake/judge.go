package mistake

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/internal/conffile"
	"github.com/kvmlab/kvmlab/internal/diag"
)

// judge compares what the files mean with what was asked.
func (f *finder) judge(c *config) {
	f.listens(c)
	if !f.want.Address.IsValid() {
		return
	}
	if f.want.Relay.IsValid() {
		f.relays(c)
		return
	}
	network, own := f.network(), f.want.Address.Masked()
	var ours []subnet
	hasOwn := false
	for _, s := range c.subnets {
		hasOwn = hasOwn || s.prefix.Contains(f.want.Address.Addr())
		if s.prefix == network {
			ours = append(ours, s)
		}
	}
	if c.program.id == ISC && network != own && !hasOwn {
		// dhcpd does not even listen on a card whose own network is not declared.
		f.undeclared(c, own)
	}
	if len(ours) == 0 {
		f.undeclared(c, network)
	} else {
		f.ranges(ours, network)
		for _, s := range ours[:1] { // options and times of the others are the same mistake
			f.settings(c, s)
		}
	}
	f.reservations(c)
}

// network is the one in which addresses are to be lent.
func (f *finder) network() netip.Prefix {
	if f.want.Subnet.IsValid() {
		return f.want.Subnet.Masked()
	}
	return f.want.Address.Masked()
}

// spoiled says whether a file could not be read as it was meant.
func (f *finder) spoiled() bool { return f.below(rankCard) }

func (f *finder) undeclared(c *config, network netip.Prefix) {
	if f.spoiled() {
		return
	}
	pos := diag.Pos{File: c.files[0]}
	for _, s := range c.subnets {
		if s.prefix.Overlaps(network) {
			pos = s.pos
		}
	}
	f.add(rankMeaning, diag.New(diag.SubnetUndeclared, diag.Args{
		"subnet": network, "program": c.program.name,
	}).At(pos))
}

// listens compares the cards that a program is told to serve with those that there are, and with the one asked.
func (f *finder) listens(c *config) {
	if f.want.Interface == "" || c.all {
		return
	}
	// Others beside it do no harm, wherever it stands in the list.
	there, told := slices.ContainsFunc(c.listens, func(v conffile.Value) bool { return v.Text == f.want.Interface }), false
	for _, v := range c.listens {
		switch {
		case f.full():
			return
		case v.Text == f.want.Interface, there && c.program.id == ISC: // which ignores one that is not there
		case f.seen.Links != nil && f.link(v.Text) == nil:
			if d := characters(v.Text); d != nil {
				f.add(rankCard, d.At(v.Pos))
			} else {
				f.add(rankCard, diag.New(diag.InterfaceUnknown, diag.Args{"given": v.Text}).At(v.Pos))
			}
		case !there && !told:
			told = true
			f.add(rankCard, diag.New(diag.InterfaceOther, diag.Args{"given": v.Text, "want": f.want.Interface}).At(v.Pos))
		}
	}
}

// characters names the first character of a text that is not ASCII, nil for none.
func characters(text string) *diag.Diagnostic {
	if i := strings.IndexFunc(text, func(r rune) bool { return r > '~' }); i >= 0 {
		return foreign(text[i:])
	}
	return nil
}

func (f *finder) ranges(ours []subnet, network netip.Prefix) {
	var got []Range
	pos := ours[0].pos
	for _, s := range ours {
		for _, r := range s.ranges {
			got = append(got, r.Range)
			pos = r.pos
		}
	}
	switch {
	case len(f.want.Ranges) == 0 || f.spoiled():
	case len(got) == 0:
		f.add(rankMeaning, diag.New(diag.RangeMissing, diag.Args{"subnet": network}).At(pos))
	case !slices.Equal(joined(got), joined(f.want.Ranges)):
		f.add(rankMeaning, diag.New(diag.RangeDiffers, diag.Args{"got": rangeList(joined(got)), "want": rangeList(joined(f.want.Ranges))}).At(pos))
	}
}

// joined sorts ranges and joins those that touch or overlap.
func joined(ranges []Range) []Range {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b Range) int { return a.First.Compare(b.First) })
	var out []Range
	for _, r := range sorted {
		if n := len(out); n > 0 && (out[n-1].contains(r.First) || out[n-1].Last.Next() == r.First) {
			if out[n-1].Last.Less(r.Last) {
				out[n-1].Last = r.Last
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

func rangeList(ranges []Range) string {
	var parts []string
	for _, r := range ranges {
		if r.First == r.Last {
			parts = append(parts, r.First.String())
		} else {
			parts = append(parts, fmt.Sprintf("%s–%s", r.First, r.Last))
		}
	}
	return strings.Join(parts, ", ")
}

// settings compares lease time, options and authority.
func (f *finder) settings(c *config, s subnet) {
	if want := int(f.want.Lease.Seconds()); want > 0 && s.lease != want {
		f.add(rankMeaning, diag.New(diag.LeaseDiffers, diag.Args{"got": s.lease, "want": want}).At(s.leasePos))
	}
	for _, o := range f.want.Options {
		got, set := s.options[o.Name]
		if !set && o.Name == "subnet-mask" { // every server sends it by itself
			continue
		}
		if slices.EqualFunc(got.values, o.Values, strings.EqualFold) || f.spoiled() && !set {
			continue
		}
		f.add(rankMeaning, diag.New(diag.OptionNotAsAsked, diag.Args{
			"option": o.Name, "got": strings.Join(got.values, ", "), "want": strings.Join(o.Values, ", "),
		}).At(cmpPos(got.pos, s.pos)))
	}
	if f.want.Authoritative && !s.authoritative && !f.has(diag.WordMisspelt) && !f.spoiled() {
		f.add(rankMeaning, diag.New(diag.NotAuthoritative, diag.Args{"program": c.program.name}).At(s.pos))
	}
}

// reservations compares the reservations of the files with those asked.
func (f *finder) reservations(c *config) {
	for _, want := range f.want.Reservations {
		f.reservation(c, want)
	}
	if c.program.id != ISC { // the others keep a reserved address free
		return
	}
	for _, h := range c.hosts {
		for _, s := range c.subnets {
			for _, r := range s.ranges {
				if h.address.IsValid() && r.contains(h.address) {
					f.add(rankMeaning, diag.New(diag.ReservationInPool, diag.Args{"address": h.address}).At(h.pos))
				}
			}
		}
	}
}

func (f *finder) reservation(c *config, want Reservation) {
	var named *host // the one for the address, or for a card
	for i, h := range c.hosts {
		if bytes.Equal(h.mac, want.MAC) && h.address == want.Address {
			return
		}
		if h.address == want.Address || named == nil && bytes.Equal(h.mac, want.MAC) {
			named = &c.hosts[i]
		}
	}
	if f.has(diag.HardwareDashes, diag.MACOfGroup) || f.spoiled() {
		return
	}
	if named == nil || named.address != want.Address || len(named.mac) == 0 {
		pos := diag.Pos{File: c.files[0]}
		if named != nil {
			pos = named.pos
		}
		f.add(rankMeaning, diag.New(diag.ReservationAbsent, diag.Args{
			"guest": want.Guest, "nic": want.NIC, "address": want.Address,
		}).At(pos))
		return
	}
	for _, n := range append(slices.Clone(want.Others), f.want.Host.NICs...) {
		if bytes.Equal(n.MAC, named.mac) {
			f.add(rankMeaning, diag.New(diag.ReservationNIC, diag.Args{
				"guest": want.Guest, "nic": want.NIC, "mac": named.mac, "owner": n.Name + " (" + n.Guest + ")",
			}).At(named.macPos))
			return
		}
	}
	f.add(rankMeaning, diag.New(diag.ReservationNobody, diag.Args{
		"guest": want.Guest, "nic": want.NIC, "mac": named.mac,
	}).At(named.macPos))
}
