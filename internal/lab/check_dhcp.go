package lab

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
	"github.com/kvmlab/kvmlab/macgen"
)

// checkDHCP checks what a bridge's server would hand out. The bridge's address,
// if any, is known to be good.
func checkDHCP(d *yamlfile.Decoder, spec *Spec, b *BridgeSpec) {
	if b.DHCP == nil {
		return
	}
	if !b.Address.Set {
		if b.Address.Pos.IsZero() {
			d.Add(b.DHCP.Pos, diag.DHCPWithoutAddress, diag.Args{"bridge": b.Name.Value})
		}
		return
	}
	if !b.DHCP.assigns() {
		d.Add(b.DHCP.Pos, diag.DHCPWithoutRange, diag.Args{"bridge": b.Name.Value, "ranges": len(b.DHCP.Ranges)})
	}
	checkServed(d, segment{
		bridge: b.Name.Value, net: b.Address.Value.Masked(), own: b.Address.Value.Addr(), dhcp: b.DHCP,
		client: func(r ReservationSpec) string { return guestReserved(d, spec, b, r) },
	})
	checkPoolSize(d, spec, b)
}

// assigns reports whether a server would have anything for a client. Of what could not be read nobody knows.
func (s *DHCPSpec) assigns() bool {
	return s.broken || len(s.Reservations) > 0 || anyLeft(values(s.Ranges), values(s.Exclude), nil)
}

// segment is a subnet that a DHCP server serves: that of a bridge, or one of
// `kvmlab dhcp serve`.
type segment struct {
	bridge string // "" for the latter
	net    netip.Prefix
	own    netip.Addr // the server's own address there, if it is known
	dhcp   *DHCPSpec
	// client gives a string that is equal for equal clients of reservations for
	// a guest, and reports what is wrong with the guest.
	client func(ReservationSpec) string
}

// checkServed checks what holds wherever a server serves a subnet.
func checkServed(d *yamlfile.Decoder, s segment) {
	checkRanges(d, s)
	for _, r := range s.dhcp.Exclude {
		rangeInside(d, s, r)
	}
	if r := s.dhcp.Router; r.Set && r.Value.IsValid() {
		checkInside(d, s, "the router", r)
	}
	checkTimes(d, s.dhcp)
	checkReservations(d, s)
}

// checkTimes checks that the lease times are in order. One that is left out fits
// itself to the others.
func checkTimes(d *yamlfile.Decoder, s *DHCPSpec) {
	type named struct {
		name string
		time yamlfile.Field[time.Duration]
	}
	least, usual, most := named{"min-lease", s.MinLease}, named{"lease", s.Lease}, named{"max-lease", s.MaxLease}
	for _, pair := range [][2]named{{least, usual}, {usual, most}, {least, most}} {
		a, b := pair[0], pair[1]
		if a.time.Set && b.time.Set && a.time.Value > b.time.Value {
			d.Add(a.time.Pos, diag.LeaseOrder, diag.Args{
				"first": a.name, "firsttime": a.time.Value, "second": b.name, "secondtime": b.time.Value,
			})
			return
		}
	}
}

// checkInside checks that an address is in the subnet.
func checkInside(d *yamlfile.Decoder, s segment, what string, a yamlfile.Field[netip.Addr]) bool {
	if s.net.Contains(a.Value) {
		return true
	}
	d.Add(a.Pos, diag.OutsideSubnet, diag.Args{"what": what, "address": a.Value, "subnet": s.net, "bridge": s.bridge})
	return false
}

// rangeInside checks that both ends of a range are in the subnet.
func rangeInside(d *yamlfile.Decoder, s segment, r yamlfile.Field[Range]) bool {
	outside := r.Value.First
	if s.net.Contains(outside) {
		outside = r.Value.Last
	}
	if s.net.Contains(outside) {
		return true
	}
	d.Add(r.Pos, diag.RangeLeavesSubnet, diag.Args{
		"range": r.Value, "address": outside, "subnet": s.net, "bridge": s.bridge,
	})
	return false
}

func checkRanges(d *yamlfile.Decoder, s segment) {
	own, net := s.own, s.net
	for i, r := range s.dhcp.Ranges {
		if !rangeInside(d, s, r) {
			continue
		}
		for _, end := range []netip.Addr{r.Value.First, r.Value.Last} {
			if which := edge(net, end); which != "" {
				d.Add(r.Pos, diag.RangeHoldsEdge, diag.Args{"range": r.Value, "address": end, "which": which})
			}
		}
		if own.IsValid() && r.Value.Contains(own) {
			d.Add(r.Pos, diag.RangeHoldsBridge, diag.Args{"range": r.Value, "address": own, "bridge": s.bridge})
		}
		for _, other := range s.dhcp.Ranges[:i] {
			if r.Value.Contains(other.Value.First) || other.Value.Contains(r.Value.First) {
				d.Add(r.Pos, diag.RangesOverlap, diag.Args{"range": r.Value, "other": other.Value, "line": other.Pos.Line})
				break
			}
		}
	}
}

func checkReservations(d *yamlfile.Decoder, s segment) {
	addresses := make(map[netip.Addr]int)
	clients := make(map[string]int)
	for _, r := range s.dhcp.Reservations {
		if client := reservedFor(d, s, r); client != "" {
			if line, ok := clients[client]; ok {
				d.Add(r.Pos, diag.ReservationAgain, diag.Args{"client": r.client(), "line": line})
			} else {
				clients[client] = r.Pos.Line
			}
		}
		if !r.Address.Set || !checkInside(d, s, "the reserved address", r.Address) {
			continue
		}
		which := edge(s.net, r.Address.Value)
		if r.Address.Value == s.own {
			which = "own"
		}
		if which != "" {
			d.Add(r.Address.Pos, diag.ReservationEdge, diag.Args{
				"address": r.Address.Value, "which": which, "bridge": cmp.Or(s.bridge, s.net.String()),
			})
			continue
		}
		if line, ok := addresses[r.Address.Value]; ok {
			d.Add(r.Address.Pos, diag.ReservationTwice, diag.Args{"address": r.Address.Value, "line": line})
			continue
		}
		addresses[r.Address.Value] = r.Address.Pos.Line
	}
}

// client calls the client of a reservation as the file does.
func (r ReservationSpec) client() string {
	switch {
	case r.Guest.Set:
		return r.Guest.Value
	case r.ClientID.Set:
		return r.ClientID.Value
	case r.Circuit.Set:
		return r.Circuit.Value
	}
	return r.MAC.Value.String()
}

// reservedFor checks who a reservation is for and gives a string that is equal
// for equal clients, or "" when it is for nobody known.
func reservedFor(d *yamlfile.Decoder, s segment, r ReservationSpec) string {
	named := 0
	for _, set := range []bool{r.Guest.Set, r.MAC.Set, r.ClientID.Set, r.Circuit.Set} {
		if set {
			named++
		}
	}
	switch {
	case named > 1:
		d.Add(r.Pos, diag.ReservationWho, diag.Args{"problem": "more than one"})
	case r.MAC.Set:
		return r.MAC.Value.String()
	case r.ClientID.Set:
		return "client " + r.ClientID.Value
	case r.Circuit.Set:
		return "circuit " + r.Circuit.Value
	case r.Guest.Set:
		return s.client(r)
	case !r.broken:
		d.Add(r.Pos, diag.ReservationWho, diag.Args{"problem": "none"})
	}
	return ""
}

// guestReserved is segment.client for a bridge of a lab.
func guestReserved(d *yamlfile.Decoder, spec *Spec, b *BridgeSpec, r ReservationSpec) string {
	name := r.Guest.Value
	known := make([]string, 0, len(spec.Guests))
	for _, g := range spec.Guests {
		known = append(known, g.Name.Value)
		if g.Name.Value != name {
			continue
		}
		nic := firstOn(g, b.Name.Value)
		switch {
		case nic == nil:
			d.Add(r.Guest.Pos, diag.ReservationNoNIC, diag.Args{"guest": name, "bridge": b.Name.Value})
			return ""
		case nic.MAC.Set:
			return nic.MAC.Value.String()
		}
		return "guest " + name
	}
	d.Add(r.Guest.Pos, diag.ReservationGuest, diag.Args{"guest": name, "suggestion": yamlfile.Suggest(name, known), "known": known})
	return ""
}

// firstOn is the first card of g on a bridge, or nil.
func firstOn(g GuestSpec, bridge string) *NICSpec {
	for i := range g.NICs {
		if g.NICs[i].Bridge.Value == bridge {
			return &g.NICs[i]
		}
	}
	return nil
}

// checkPoolSize warns when the guests on a bridge are more than the addresses.
// Cards with a reservation need none of the pool, and reserved addresses are
// nobody else's.
func checkPoolSize(d *yamlfile.Decoder, spec *Spec, b *BridgeSpec) {
	reserved := make(map[string]bool)
	macs := make(map[macgen.MAC]bool)
	for _, r := range b.DHCP.Reservations {
		reserved[r.Guest.Value] = r.Guest.Set
		macs[r.MAC.Value] = r.MAC.Set
	}
	clients := 0
	for _, g := range spec.Guests {
		first := firstOn(g, b.Name.Value)
		for i := range g.NICs {
			nic := &g.NICs[i]
			if nic.Bridge.Value != b.Name.Value {
				continue
			}
			if nic == first && reserved[g.Name.Value] || nic.MAC.Set && macs[nic.MAC.Value] {
				continue
			}
			clients++
		}
	}
	if free := unreserved(b.DHCP); clients > free && len(d.Diags.Errors()) == 0 {
		d.Add(b.DHCP.Pos, diag.FewAddresses, diag.Args{"bridge": b.Name.Value, "addresses": free, "clients": clients})
	}
}

// unreserved counts the addresses of the ranges that are kept for nobody.
func unreserved(spec *DHCPSpec) int {
	free := 0
	for _, pool := range spec.Ranges {
		free += pool.Value.Count()
		for _, hole := range spec.Exclude {
			free -= pool.Value.shared(hole.Value)
		}
		for _, r := range spec.Reservations {
			if r.Address.Set && pool.Value.Contains(r.Address.Value) {
				free--
			}
		}
	}
	return max(free, 0)
}
