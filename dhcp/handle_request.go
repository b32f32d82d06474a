package dhcp

// request answers a REQUEST. Which of the four states of RFC 2131 section 4.3.2 the client is in follows from the
// server identifier, the requested address and ciaddr (table 4).
func (x *exchange) request() Reply {
	m := x.m
	server := toIP4(m.Address(OptServerID))
	want, own := toIP4(m.Address(OptRequestedAddress)), toIP4(m.CIAddr)
	switch {
	case m.Has(OptServerID) && server == 0:
		return x.ignore(ReasonBadRequest, "the server identifier (54) is no address")
	case m.Has(OptServerID) && !x.t.isServer(server):
		return x.choseOther(server)
	case server != 0 && want != 0:
		return x.selecting(want)
	case own != 0:
		// Some clients that renew add the server identifier or the requested address, which table 4 forbids; what
		// they mean is clear.
		return x.extend(own)
	case want != 0:
		return x.initReboot(want)
	}
	return x.ignore(ReasonBadRequest, "neither a requested address (50) nor ciaddr")
}

// choseOther handles a REQUEST to another server: our offer is free at once.
func (x *exchange) choseOther(server ip4) Reply {
	e := x.event(DecisionIgnore, ReasonOtherServer)
	e.Address, e.Other = x.about(), server.addr()
	x.emit(e)
	if c := x.c; c != nil && c.offered != nil {
		e := x.event(DecisionNote, ReasonOfferFreed)
		e.Address, e.Other = c.offered.addr.addr(), server.addr()
		x.emit(e)
		x.t.withdraw(c)
		x.sub.forget(c)
	}
	return Reply{}
}

// selecting handles the answer to our offer.
func (x *exchange) selecting(want ip4) Reply {
	c, b := x.c, x.t.byAddr[want]
	if c != nil && c.owns != nil && c.owns == b && b.retransmitted(x.m.XID, ReasonSelecting, x.now) {
		return x.again(b)
	}
	switch {
	case !x.sub.contains(want):
		return x.nak(ReasonWrongNetwork, want, 0)
	case c != nil && c.offered != nil && c.offered != b && c.offered.offerEnd > x.now:
		return x.nak(ReasonWrongAddress, want, c.offered.addr)
	case !b.freeFor(c, x.now):
		return x.nak(ReasonTaken, want, 0)
	case !x.t.mayHold(x.now, x.sub, c, x.res, want):
		return x.nak(ReasonNotServed, want, 0)
	case x.link.faults.nak():
		return x.nak(ReasonFault, want, 0)
	}
	// An offer that has lapsed, or that a restart has made us forget, still stands if nobody else came. Nor may anybody
	// have come who never asked: what was not offered just now is probed, as it would have been before an offer.
	offered := c != nil && c.offered == b && b != nil
	b = x.t.bindingAt(x.sub, want)
	if !offered && x.mustProbe(b) {
		return x.probe(b, ReasonRequested)
	}
	return x.ack(b, x.client(), x.leaseTime(), ReasonSelecting)
}

// again acknowledges a retransmitted REQUEST with the very same message. The lease is made durable anew, because
// the client counts its time from the REQUEST that it sent last.
func (x *exchange) again(b *binding) Reply {
	return x.ack(b, x.c, x.leaseTime(), ReasonRetransmitted)
}

// initReboot verifies the address that a client remembers from before it was turned off.
func (x *exchange) initReboot(want ip4) Reply {
	c := x.c
	if !x.sub.contains(want) {
		return x.nak(ReasonWrongNetwork, want, 0)
	}
	known := c != nil && c.owns != nil || x.res != nil
	if !known {
		return x.unknown(want)
	}
	b := x.t.byAddr[want]
	reserved := x.res != nil && toIP4(x.res.Address) == want
	switch owns := c != nil && c.owns != nil && c.owns == b; {
	case !owns && !reserved:
		return x.nak(ReasonWrongAddress, want, x.current())
	case !b.freeFor(c, x.now):
		return x.nak(ReasonTaken, want, 0)
	case !x.t.mayHold(x.now, x.sub, c, x.res, want):
		return x.nak(ReasonNotServed, want, x.current())
	case x.link.faults.nak():
		return x.nak(ReasonFault, want, 0)
	case owns && b.retransmitted(x.m.XID, ReasonInitReboot, x.now):
		return x.again(b)
	}
	b = x.t.bindingAt(x.sub, want)
	return x.ack(b, x.client(), x.leaseTime(), ReasonInitReboot)
}

// extend renews or rebinds. Only the destination of the packet tells which (table 4).
func (x *exchange) extend(own ip4) Reply {
	why := ReasonRebinding
	if x.unicast() && toIP4(x.m.GIAddr) == 0 {
		why = ReasonRenewing
	}
	if !x.sub.contains(own) {
		return x.nak(ReasonWrongNetwork, own, 0)
	}
	c, b := x.c, x.t.byAddr[own]
	if c == nil || c.owns == nil || c.owns != b {
		switch {
		case b != nil && b.live(x.now):
			return x.nak(ReasonTaken, own, x.current())
		case c != nil && c.owns != nil:
			return x.nak(ReasonWrongAddress, own, c.owns.addr)
		}
		return x.unknown(own)
	}
	switch {
	case !b.freeFor(c, x.now):
		return x.nak(ReasonTaken, own, 0)
	case !x.t.mayHold(x.now, x.sub, c, x.res, own):
		return x.nak(ReasonNotServed, own, x.current())
	case x.link.faults.nak():
		return x.nak(ReasonFault, own, 0)
	case b.retransmitted(x.m.XID, why, x.now):
		return x.again(b)
	}
	return x.ack(b, c, x.leaseTime(), why)
}

// unknown handles a client that speaks of an address without our having a record of it. It may be another server's
// client, so silence is a MUST (RFC 2131 section 4.3.2) unless this server has been told that it is the only one.
func (x *exchange) unknown(a ip4) Reply {
	if x.t.cfg.Authoritative || x.sub.cfg.Authoritative {
		return x.nak(ReasonUnknown, a, 0)
	}
	return x.ignore(ReasonNoRecord, "")
}

// current is the address that the client should be using, for the text of a NAK.
func (x *exchange) current() ip4 {
	switch {
	case x.res != nil:
		return toIP4(x.res.Address)
	case x.c != nil && x.c.owns != nil:
		return x.c.owns.addr
	}
	return 0
}

// nak refuses an address. other is the address that the client should use instead, if there is one.
func (x *exchange) nak(why Reason, a, other ip4) Reply {
	e := x.event(DecisionNak, why)
	e.Address, e.Other = a.addr(), other.addr()
	if why == ReasonFault {
		e.Detail = "nak"
	}
	x.emit(e)
	return x.reply(Nak, 0, 0)
}
