package lab

import (
	"net/netip"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/macgen"
)

// checkDHCP checks what a bridge's server would hand out. The bridge's address,
// if any, is known to be good.
func (d *decoder) checkDHCP(spec *Spec, b *BridgeSpec) {
	if b.DHCP == nil {
		return
	}
	if !b.Address.Set {
		if b.Address.Pos.IsZero() {
			d.add(b.DHCP.Pos, diag.DHCPWithoutAddress, diag.Args{"bridge": b.Name.Value})
		}
		return
	}
	if len(b.DHCP.Ranges)+len(b.DHCP.Reservations) == 0 && !b.DHCP.broken {
		d.add(b.DHCP.Pos, diag.DHCPWithoutRange, diag.Args{"bridge": b.Name.Value})
	}
	d.checkRanges(b)
	if r := b.DHCP.Router; r.Set && r.Value.IsValid() {
		d.checkInside(b, "the router", r)
	}
	d.checkReservations(spec, b)
	d.checkPoolSize(spec, b)
}

// checkInside checks that an address is in the bridge's subnet.
func (d *decoder) checkInside(b *BridgeSpec, what string, a Field[netip.Addr]) bool {
	if b.Address.Value.Contains(a.Value) {
		return true
	}
	d.add(a.Pos, diag.OutsideSubnet, diag.Args{
		"what": what, "address": a.Value, "subnet": b.Address.Value.Masked(), "bridge": b.Name.Value,
	})
	return false
}

func (d *decoder) checkRanges(b *BridgeSpec) {
	own, net := b.Address.Value.Addr(), b.Address.Value.Masked()
	for i, r := range b.DHCP.Ranges {
		outside := r.Value.First
		if net.Contains(outside) {
			outside = r.Value.Last
		}
		if !net.Contains(outside) {
			d.add(r.Pos, diag.RangeLeavesSubnet, diag.Args{
				"range": r.Value, "address": outside, "subnet": net, "bridge": b.Name.Value,
			})
			continue
		}
		for _, end := range []netip.Addr{r.Value.First, r.Value.Last} {
			if which := edge(net, end); which != "" {
				d.add(r.Pos, diag.RangeHoldsEdge, diag.Args{"range": r.Value, "address": end, "which": which})
			}
		}
		if r.Value.Contains(own) {
			d.add(r.Pos, diag.RangeHoldsBridge, diag.Args{"range": r.Value, "address": own, "bridge": b.Name.Value})
		}
		for _, other := range b.DHCP.Ranges[:i] {
			if r.Value.Contains(other.Value.First) || other.Value.Contains(r.Value.First) {
				d.add(r.Pos, diag.RangesOverlap, diag.Args{"range": r.Value, "other": other.Value, "line": other.Pos.Line})
				break
			}
		}
	}
}

func (d *decoder) checkReservations(spec *Spec, b *BridgeSpec) {
	addresses := make(map[netip.Addr]int)
	clients := make(map[string]int)
	for _, r := range b.DHCP.Reservations {
		if client := d.reservedFor(spec, b, r); client != "" {
			if line, ok := clients[client]; ok {
				d.add(r.Pos, diag.ReservationAgain, diag.Args{"client": r.client(), "line": line})
			} else {
				clients[client] = r.Pos.Line
			}
		}
		if !r.Address.Set || !d.checkInside(b, "the reserved address", r.Address) {
			continue
		}
		which := edge(b.Address.Value, r.Address.Value)
		if r.Address.Value == b.Address.Value.Addr() {
			which = "own"
		}
		if which != "" {
			d.add(r.Address.Pos, diag.ReservationEdge, diag.Args{
				"address": r.Address.Value, "which": which, "bridge": b.Name.Value,
			})
			continue
		}
		if line, ok := addresses[r.Address.Value]; ok {
			d.add(r.Address.Pos, diag.ReservationTwice, diag.Args{"address": r.Address.Value, "line": line})
			continue
		}
		addresses[r.Address.Value] = r.Address.Pos.Line
	}
}

// client calls the client of a reservation as the file does.
func (r ReservationSpec) client() string {
	if r.Guest.Set {
		return r.Guest.Value
	}
	return r.MAC.Value.String()
}

// reservedFor checks who a reservation is for and gives a string that is equal
// for equal clients, or "" when it is for nobody known.
func (d *decoder) reservedFor(spec *Spec, b *BridgeSpec, r ReservationSpec) string {
	switch {
	case r.Guest.Set && r.MAC.Set:
		d.add(r.Pos, diag.ReservationWho, diag.Args{"problem": "both"})
		return ""
	case r.MAC.Set:
		return r.MAC.Value.String()
	case !r.Guest.Set:
		if !r.broken {
			d.add(r.Pos, diag.ReservationWho, diag.Args{"problem": "neither"})
		}
		return ""
	}
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
			d.add(r.Guest.Pos, diag.ReservationNoNIC, diag.Args{"guest": name, "bridge": b.Name.Value})
			return ""
		case nic.MAC.Set:
			return nic.MAC.Value.String()
		}
		return "guest " + name
	}
	d.add(r.Guest.Pos, diag.ReservationGuest, diag.Args{"guest": name, "suggestion": suggest(name, known), "known": known})
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
func (d *decoder) checkPoolSize(spec *Spec, b *BridgeSpec) {
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
	if free := unreserved(b.DHCP); clients > free && len(d.diags.Errors()) == 0 {
		d.add(b.DHCP.Pos, diag.FewAddresses, diag.Args{"bridge": b.Name.Value, "addresses": free, "clients": clients})
	}
}

// unreserved counts the addresses of the ranges that are kept for nobody.
func unreserved(spec *DHCPSpec) int {
	free := 0
	for _, pool := range spec.Ranges {
		free += pool.Value.Count()
		for _, r := range spec.Reservations {
			if r.Address.Set && pool.Value.Contains(r.Address.Value) {
				free--
			}
		}
	}
	return max(free, 0)
}
