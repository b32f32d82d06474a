package dhcp

import (
	"cmp"
	"time"
)

// pick chooses the address to offer, in the order of RFC 2131 section 4.3.1: what is reserved for the client, the
// offer that stands, the client's current address, its previous one, the one it asks for, a new one. ok is false when nothing is left.
func (x *exchange) pick(want ip4) (a ip4, why Reason, ok bool) {
	t, now, s, c, r := x.t, x.now, x.sub, x.c, x.res
	if r != nil {
		if a := toIP4(r.Address); t.byAddr[a].freeFor(c, now) {
			return a, ReasonReserved, true
		}
	}
	if c != nil {
		if b := c.owns; b != nil && b.freeFor(c, now) && s.dynamic(b.addr) {
			if b.live(now) {
				return b.addr, ReasonCurrent, true
			}
			return b.addr, ReasonPrevious, true
		}
		if b := c.offered; b != nil && b.freeFor(c, now) && s.dynamic(b.addr) {
			return b.addr, ReasonSameOffer, true
		}
	}
	if x.link.faults.poolFull {
		return 0, "", false
	}
	if want != 0 && s.dynamic(want) && t.byAddr[want].freeFor(c, now) {
		return want, ReasonRequested, true
	}
	return t.pickAny(now, s)
}

// pickAny takes an address that nobody has a claim to: one that was offered but never leased, then one that was
// never looked at, then the one that has been free for longest.
func (t *Table) pickAny(now int64, s *subnet) (a ip4, why Reason, ok bool) {
	first := s.free.first()
	if first != nil && first.avail > now {
		first = nil
	}
	if first != nil && first.state == 0 {
		return first.addr, ReasonNew, true
	}
	if a, ok := t.pickFresh(s); ok {
		return a, ReasonNew, true
	}
	if first != nil {
		return first.addr, ReasonReused, true
	}
	return 0, "", false
}

// pickFresh finds the next pool address without a record. What it passes over has one, so it never has to go back.
func (t *Table) pickFresh(s *subnet) (ip4, bool) {
	for s.freshIn < len(s.pool) {
		for s.fresh.first <= s.fresh.last {
			a := s.fresh.first
			if t.byAddr[a] == nil && s.reserved[a] == nil {
				return a, true
			}
			if a == s.fresh.last {
				break
			}
			s.fresh.first++
		}
		if s.freshIn++; s.freshIn < len(s.pool) {
			s.fresh = s.pool[s.freshIn]
		}
	}
	return 0, false
}

// dynamic tells whether an address is given to whoever comes.
func (s *subnet) dynamic(a ip4) bool { return s.inPool(a) && s.reserved[a] == nil }

// mayHold tells whether the configuration lets a client keep an address: its reserved one, or one of the pool. A
// client with a reservation keeps a pool address only as long as somebody else holds the reserved one.
func (t *Table) mayHold(now int64, s *subnet, c *client, r *Reservation, a ip4) bool {
	if r == nil {
		return s.dynamic(a)
	}
	own := toIP4(r.Address)
	return a == own || s.dynamic(a) && !t.byAddr[own].freeFor(c, now)
}

// leaseTime is how long a lease is given for: what the client asks for in option 51, within the subnet's bounds,
// or the subnet's own.
func (x *exchange) leaseTime() time.Duration {
	if short := x.link.faults.lease; short > 0 {
		return short
	}
	s, m := x.sub, x.m
	lease := s.cfg.Lease
	if lease == 0 {
		lease = DefaultLease
	}
	longest := s.cfg.MaxLease
	if longest == 0 {
		longest = max(lease, s.cfg.MinLease)
	}
	shortest := cmp.Or(s.cfg.MinLease, min(lease, defaultMinLease))
	if asked, ok := m.seconds(OptLeaseTime); ok {
		lease = time.Duration(asked) * time.Second
	}
	return min(max(lease, shortest), longest)
}
