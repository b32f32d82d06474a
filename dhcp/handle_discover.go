package dhcp

import (
	"net/netip"
	"slices"
	"time"
)

// discover answers a DISCOVER (RFC 2131 section 4.3.1).
func (x *exchange) discover() Reply {
	t, s, m := x.t, x.sub, x.m
	a, why, ok := x.pick(toIP4(m.Address(OptRequestedAddress)))
	if !ok {
		return x.nothingToOffer()
	}
	if x.mustProbe(t.byAddr[a]) {
		return x.probe(t.bindingAt(s, a), why)
	}
	c, b := x.client(), t.bindingAt(s, a)
	if why == ReasonSameOffer && b.fresh {
		why = b.why
	}
	b.fresh = false
	lease := x.leaseTime()
	if (t.cfg.RapidCommit || s.cfg.RapidCommit) && m.Has(OptRapidCommit) && !x.wantsIPv6Only() {
		return x.ack(b, c, lease, ReasonRapidCommit)
	}
	t.offer(x.now, b, c, why)
	if c.owns == nil {
		x.remember(c)
	}
	e := x.event(DecisionOffer, why)
	e.Address, e.Lease = a.addr(), lease
	x.emit(e)
	return x.reply(Offer, a, lease)
}

// client returns the record of the client, making it when there is none.
func (x *exchange) client() *client {
	if x.c == nil {
		x.c = x.sub.clientOf(x.t.scratch.key)
		x.remember(x.c)
	}
	return x.c
}

// remember notes what the client says of itself. While it has a lease, that is done only with a new one: a note
// about somebody who merely asks must not replace what is durable.
func (x *exchange) remember(c *client) {
	c.hostname = x.hostname() // first: it compares with what is there
	c.hw = x.m.CHAddr
}

// mustProbe tells whether somebody may be using the address that is to be offered (RFC 2131 sections 2.2 and 3.1: the server
// SHOULD probe the reused address before allocating it). Not so when the client itself had it last, when a probe
// has just come back empty, or when the address is behind a relay, where ARP does not reach.
func (x *exchange) mustProbe(b *binding) bool {
	if x.t.cfg.NoProbe || x.sub.cfg.NoProbe || x.sub.link < 0 || x.sub.link != x.in.Link || toIP4(x.m.GIAddr) != 0 {
		return false
	}
	if b == nil {
		return true
	}
	if x.c != nil && b.owner == x.c {
		return false
	}
	return b.probedAt == 0 || x.now-b.probedAt > int64(x.t.cfg.OfferHold)
}

// probe keeps an address for the client until it is known whether somebody uses it.
func (x *exchange) probe(b *binding, why Reason) Reply {
	if b.probing {
		return x.ignore(ReasonProbing, "")
	}
	b.probing, b.fresh = true, true
	x.t.offer(x.now, b, x.client(), why)
	return Reply{Probe: b.addr.addr()}
}

// Clear tells the table that a probe found nobody at an address.
func (t *Table) Clear(now time.Time, a netip.Addr) {
	if b := t.byAddr[toIP4(a)]; b != nil {
		b.probing, b.probedAt = false, now.UnixNano()
	}
}

// Conflict tells the table that a station answered the probe of an address. Unless it is the client to which the
// address is to be offered, the address goes into quarantine.
func (t *Table) Conflict(now time.Time, a netip.Addr, who HWAddr) []Event {
	t.scratch.events, t.changed = t.scratch.events[:0], t.changed[:0]
	b := t.byAddr[toIP4(a)]
	if b == nil {
		return nil
	}
	b.probing = false
	if c := b.offeredTo; c != nil && c.hw == who {
		b.probedAt = now.UnixNano()
		return nil
	}
	if b.live(now.UnixNano()) { // it was given out meanwhile; its owner answers
		return nil
	}
	t.quarantine(now.UnixNano(), b)
	e := Event{
		Time: now, Direction: Internal, Decision: DecisionNote, Reason: ReasonConflict, Address: a,
		OtherMAC: who, Lease: t.cfg.Quarantine,
	}
	if b.sub.link >= 0 {
		e.Interface = t.links[b.sub.link].name
	}
	t.scratch.events = append(t.scratch.events, e)
	return t.scratch.events
}

// nothingToOffer answers a DISCOVER when no address is left. Most clients hear nothing. One that could do with IPv6
// alone is told so (RFC 8925 section 3.3), and one that asks is told not to make up an address (RFC 2563 section
// 2.3); both by an OFFER of 0.0.0.0.
func (x *exchange) nothingToOffer() Reply {
	if x.link.faults.poolFull {
		e := x.event(DecisionNote, ReasonFault)
		e.Detail = FaultPoolFull.String()
		x.emit(e)
	}
	why := ReasonPoolFull
	switch auto := x.m.Option(OptAutoConfigure); {
	case x.wantsIPv6Only():
		why = ReasonIPv6Only
	case x.sub.cfg.NoAutoConfigure && len(auto) == 1 && auto[0] == 1:
	default:
		return x.ignore(ReasonPoolFull, "")
	}
	x.emit(x.event(DecisionOffer, why))
	return x.reply(Offer, 0, 0)
}

// wantsIPv6Only tells whether option 108 is to be sent: it is configured, and the client lists it (RFC 8925
// section 3.3 forbids it otherwise).
func (x *exchange) wantsIPv6Only() bool {
	if x.sub.cfg.V6OnlyWait <= 0 {
		return false
	}
	return slices.Contains(x.m.Option(OptParameterList), OptIPv6OnlyPref)
}

// ack binds an address and acknowledges it, for a REQUEST or for a DISCOVER with rapid commit.
func (x *exchange) ack(b *binding, c *client, lease time.Duration, why Reason) Reply {
	mark := ackMark{xid: x.m.XID, as: why, at: x.now}
	if why == ReasonRetransmitted {
		mark.as = b.acked.as
	}
	x.remember(c)
	x.t.bind(x.now, b, c, lease, mark)
	e := x.event(DecisionAck, why)
	e.Address, e.Lease = b.addr.addr(), lease
	x.emit(e)
	return x.reply(Ack, b.addr, lease)
}
