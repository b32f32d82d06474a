package dhcp

// decline takes an address out of use because its client found somebody else there (RFC 2131 section 4.3.3). Only
// the client to which we gave or offered it is believed.
func (x *exchange) decline() Reply {
	a := toIP4(x.m.Address(OptRequestedAddress))
	if r, ok := x.forUs(); !ok {
		return r
	}
	b := x.t.byAddr[a]
	if a == 0 || b == nil || x.c == nil || x.c.owns != b && x.c.offered != b {
		return x.notOwner(b)
	}
	x.t.quarantine(x.now, b)
	e := x.event(DecisionAccept, ReasonDeclined)
	e.Address, e.Lease = a.addr(), x.t.cfg.Quarantine
	x.emit(e)
	return Reply{Commit: true}
}

// release takes an address back (RFC 2131 section 4.3.4). The client is remembered and finds it again as long as
// nobody else needs it.
func (x *exchange) release() Reply {
	a := toIP4(x.m.CIAddr)
	if r, ok := x.forUs(); !ok {
		return r
	}
	b := x.t.byAddr[a]
	if a == 0 || b == nil || x.c == nil || x.c.owns != b || b.state != StateBound {
		return x.notOwner(b)
	}
	x.t.release(x.now, b)
	e := x.event(DecisionAccept, ReasonReleased)
	e.Address = a.addr()
	x.emit(e)
	return Reply{Commit: true}
}

// forUs tells whether a RELEASE or DECLINE names this server, as both MUST (RFC 2131 table 5). When it does not,
// the reply is silence. systemd-networkd leaves the server identifier out of a RELEASE, which is sent to the server
// alone: then that it came here is name enough.
func (x *exchange) forUs() (Reply, bool) {
	server := toIP4(x.m.Address(OptServerID))
	switch {
	case !x.m.Has(OptServerID) && x.unicast():
	case server == 0:
		return x.ignore(ReasonBadRequest, "no server identifier (54)"), false
	case !x.t.isServer(server):
		e := x.event(DecisionIgnore, ReasonOtherServer)
		e.Address, e.Other = x.about(), server.addr()
		x.emit(e)
		return Reply{}, false
	}
	return Reply{}, true
}

func (x *exchange) notOwner(b *binding) Reply {
	e := x.event(DecisionIgnore, ReasonNotOwner)
	e.Address = x.about()
	if b != nil && b.owner != nil {
		e.OtherMAC = b.owner.hw
	}
	x.emit(e)
	return Reply{}
}

// inform answers with configuration alone: no address, no lease, no record (RFC 2131 section 4.3.5).
func (x *exchange) inform() Reply {
	a := toIP4(x.m.CIAddr)
	if a == 0 {
		a = toIP4(x.in.Src) // ciaddr is a MUST, but a client that leaves it out is still a station with an address
	}
	if a == 0 {
		return x.ignore(ReasonBadRequest, "no ciaddr")
	}
	if toIP4(x.m.GIAddr) == 0 && !x.sub.contains(a) {
		// RFC 2131 section 3.4: the server SHOULD check the address for consistency.
		return x.ignore(ReasonWrongNetwork, "")
	}
	e := x.event(DecisionAck, ReasonInform)
	e.Address = a.addr()
	x.emit(e)
	r := x.reply(Ack, 0, 0)
	r.Commit = false
	r.To = x.toClient(a, a)
	r.Sent.Address = e.Address
	return r
}
