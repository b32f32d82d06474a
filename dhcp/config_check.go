package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// ConfigError is one mistake in a Config.
type ConfigError struct {
	Field   string // where it is: "Subnets[0].Ranges[1]"
	Problem string
}

// Error says where the mistake is and what it is.
func (e *ConfigError) Error() string { return e.Field + ": " + e.Problem }

// checker collects mistakes.
type checker struct{ errs []error }

func (c *checker) add(field, format string, args ...any) {
	c.errs = append(c.errs, &ConfigError{field, fmt.Sprintf(format, args...)})
}

// Validate reports every mistake at once, each a *ConfigError, joined.
func (c Config) Validate() error {
	var ch checker
	seen := map[string]bool{}
	for i, l := range c.Interfaces {
		field := fmt.Sprintf("Interfaces[%d]", i)
		if l.Name == "" || seen[l.Name] {
			ch.add(field+".Name", "%q is empty or named twice", l.Name)
		}
		seen[l.Name] = true
		if !l.Address.Is4() || l.Address.IsUnspecified() {
			ch.add(field+".Address", "%v is not an IPv4 address", l.Address)
		}
	}
	for i, s := range c.Subnets {
		s.check(&ch, fmt.Sprintf("Subnets[%d]", i))
		for j := range i {
			if s.Prefix.IsValid() && c.Subnets[j].Prefix.IsValid() && s.Prefix.Overlaps(c.Subnets[j].Prefix) {
				ch.add(fmt.Sprintf("Subnets[%d].Prefix", i), "%v overlaps %v", s.Prefix, c.Subnets[j].Prefix)
			}
		}
	}
	for name, d := range map[string]time.Duration{
		"ProbeWait": c.ProbeWait, "OfferHold": c.OfferHold, "Quarantine": c.Quarantine,
	} {
		if d < 0 {
			ch.add(name, "%v is negative", d)
		}
	}
	c.checkFaults(&ch, c.Faults)
	return errors.Join(ch.errs...)
}

// checkFaults reports the mistakes of teaching faults.
func (c Config) checkFaults(ch *checker, faults []Fault) {
	for i, f := range faults {
		field := fmt.Sprintf("Faults[%d]", i)
		if p := f.problem(); p != "" {
			ch.add(field, "%s", p)
		}
		served := slices.ContainsFunc(c.Interfaces, func(l Interface) bool { return l.Name == f.Interface })
		if f.Interface != "" && !served {
			ch.add(field+".Interface", "%q is not served", f.Interface)
		}
	}
}

// check reports the mistakes of one subnet.
func (s Subnet) check(ch *checker, field string) {
	if !s.Prefix.IsValid() || !s.Prefix.Addr().Is4() || s.Prefix.Bits() < 8 || s.Prefix.Bits() > 31 {
		ch.add(field+".Prefix", "%v is not an IPv4 prefix of 8 to 31 bits", s.Prefix)
		return
	}
	s.checkRanges(ch, field+".Ranges", s.Ranges)
	s.checkRanges(ch, field+".Exclude", s.Exclude)
	for i := range s.Ranges {
		for j := range i {
			if a, b := s.Ranges[i], s.Ranges[j]; !a.Last.Less(b.First) && !b.Last.Less(a.First) {
				ch.add(fmt.Sprintf("%s.Ranges[%d]", field, i), "%v-%v overlaps %v-%v", a.First, a.Last, b.First, b.Last)
			}
		}
	}
	s.checkReservations(ch, field)
	checkOptions(ch, field, s.Options)
	const second = time.Second
	if s.Lease < 0 || s.MinLease < 0 || s.MaxLease < 0 || (s.Lease > 0 && s.Lease < second) {
		ch.add(field+".Lease", "a lease time is at least one second")
	}
	if s.MaxLease > 0 && (s.MaxLease < s.MinLease || s.MaxLease < s.Lease) {
		ch.add(field+".MaxLease", "%v is less than MinLease or Lease", s.MaxLease)
	}
	if s.Lease > 0 && s.Lease < s.MinLease {
		ch.add(field+".MinLease", "%v is more than Lease", s.MinLease)
	}
}

func (s Subnet) checkRanges(ch *checker, field string, ranges []Range) {
	for i, r := range ranges {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case !r.First.Is4() || !r.Last.Is4():
			ch.add(at, "%v-%v are not IPv4 addresses", r.First, r.Last)
		case r.Last.Less(r.First):
			ch.add(at, "%v-%v is backwards", r.First, r.Last)
		case !s.Prefix.Contains(r.First) || !s.Prefix.Contains(r.Last):
			ch.add(at, "%v-%v is not inside %v", r.First, r.Last, s.Prefix)
		}
	}
}

func (s Subnet) checkReservations(ch *checker, field string) {
	byAddr := map[netip.Addr]bool{}
	seen := map[string]bool{}
	for i, r := range s.Reservations {
		at := fmt.Sprintf("%s.Reservations[%d]", field, i)
		name := fmt.Sprintf("%v %x %x", r.MAC, r.ClientID, r.CircuitID)
		if r.identities() != 1 {
			ch.add(at, "exactly one of MAC, ClientID and CircuitID is wanted")
		} else if seen[name] {
			ch.add(at, "the client has another reservation")
		}
		seen[name] = true
		if !s.Prefix.Contains(r.Address) || s.isEdge(toIP4(r.Address)) {
			ch.add(at+".Address", "%v is not a host address of %v", r.Address, s.Prefix)
		} else if byAddr[r.Address] {
			ch.add(at+".Address", "%v is reserved twice", r.Address)
		}
		byAddr[r.Address] = true
		checkOptions(ch, at, r.Options)
	}
}

func checkOptions(ch *checker, field string, options []Option) {
	for i, o := range options {
		if serverOwn(o.Code) {
			ch.add(fmt.Sprintf("%s.Options[%d]", field, i), "the server sets option %d itself", o.Code)
		}
	}
}

// isEdge tells whether an address is the network's own or its broadcast address. A /31 has neither (RFC 3021).
func (s Subnet) isEdge(a ip4) bool {
	bits := 32 - s.Prefix.Bits()
	if bits < 2 {
		return false
	}
	mask := ip4(1)<<bits - 1
	return a&mask == 0 || a&mask == mask
}
