package dhcp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// reply builds an OFFER, ACK or NAK and says where it goes. A lease of zero leaves out the lease times.
func (x *exchange) reply(kind MessageType, yiaddr ip4, lease time.Duration) Reply {
	m, s := x.m, &x.t.scratch
	h := header{xid: m.XID, flags: m.Flags & flagB, giaddr: toIP4(m.GIAddr), chaddr: m.CHAddr, yiaddr: yiaddr}
	switch kind {
	case Nak:
		if h.giaddr != 0 {
			h.flags |= flagB // so that the relay broadcasts it (RFC 2131 section 4.3.2)
		}
	case Ack:
		if m.Type != Discover {
			h.ciaddr = toIP4(m.CIAddr)
		}
		h.siaddr = toIP4(x.sub.cfg.NextServer)
	default:
		h.siaddr = toIP4(x.sub.cfg.NextServer)
	}
	x.options(kind, lease)
	if altered := x.link.faults.altered; altered != "" && kind != Nak {
		e := x.event(DecisionNote, ReasonFault)
		e.Detail = altered
		x.emit(e)
	}
	var omitted int
	if s.out, omitted = encodeReply(s.out[:0], &h, s.opts, x.room()); omitted > 0 {
		e := x.event(DecisionNote, ReasonNoRoom)
		e.Detail = fmt.Sprintf("%d of %d options", omitted, len(s.opts))
		x.emit(e)
	}
	e := x.event(DecisionSent, ReasonSent)
	e.Direction, e.Type, e.Address, e.Lease = Out, kind, yiaddr.addr(), lease
	if kind == Nak {
		e.Address = x.about()
	}
	return Reply{
		Type: kind, Payload: s.out, To: x.destination(kind, yiaddr), Commit: kind == Ack, Sent: e,
	}
}

// room is the largest UDP payload that the client takes: option 57 counts the whole IP datagram, and less than 576
// counts as 576 (RFC 2132 section 9.10).
func (x *exchange) room() int {
	size := minMaxSize
	if v := x.m.Option(OptMaxMessageSize); len(v) == 2 {
		size = max(size, int(binary.BigEndian.Uint16(v)))
	}
	return min(size-udpOverIP, maxPayload)
}

// destination follows RFC 2131 section 4.1.
func (x *exchange) destination(kind MessageType, yiaddr ip4) Destination {
	m := x.m
	giaddr, ciaddr := toIP4(m.GIAddr), toIP4(m.CIAddr)
	switch {
	case giaddr != 0:
		return Destination{IP: m.GIAddr, Port: ServerPort}
	case kind == Nak:
		return toAll()
	case ciaddr != 0:
		return x.toClient(ciaddr, ciaddr)
	case m.Broadcast() || yiaddr == 0:
		return toAll()
	}
	return x.toClient(yiaddr, yiaddr)
}

func toAll() Destination {
	return Destination{IP: broadcastIP.addr(), Port: ClientPort, Link: linkBroadcast}
}

// toClient sends to an address of a client. On the server's own link the hardware address is known from the
// message, so nobody has to be asked for it by ARP; elsewhere the kernel routes.
func (x *exchange) toClient(a, on ip4) Destination {
	d := Destination{IP: a.addr(), Port: ClientPort}
	if x.link.sub == nil || !x.link.sub.contains(on) {
		return d
	}
	if _, ok := x.m.CHAddr.MAC(); !ok {
		return toAll() // no Ethernet address to send to
	}
	d.Link = x.m.CHAddr
	return d
}

// options collects the reply's options in their order on the wire: type, server, times, then what the client asked
// for in its own order (RFC 2132 section 9.8: MUST try), then what is echoed.
func (x *exchange) options(kind MessageType, lease time.Duration) {
	s, m := &x.t.scratch, x.m
	s.opts, s.vals, s.asked = s.opts[:0], s.vals[:0], [256]bool{}
	x.add(OptMessageType, byte(kind))
	server := x.link.addr.bytes()
	x.add(OptServerID, server[:]...)
	if kind == Nak {
		x.addValue(OptMessage, x.nakMessage())
		x.addEchoes()
		return
	}
	if lease > 0 {
		x.addTimes(secondsValue(lease))
	}
	if m.Has(OptParameterList) {
		for _, code := range m.Option(OptParameterList) {
			x.addRequested(code)
		}
	} else {
		x.addRequested(OptSubnetMask)
		x.addAll()
	}
	if kind == Offer && lease == 0 && m.Has(OptAutoConfigure) && x.sub.cfg.NoAutoConfigure {
		x.add(OptAutoConfigure, 0) // DoNotAutoConfigure
	}
	if kind == Ack && m.Type == Discover {
		x.add(OptRapidCommit)
	}
	x.addEchoes()
}

// add appends an option whose value is written into the scratch memory.
func (x *exchange) add(code uint8, value ...byte) {
	s := &x.t.scratch
	start := len(s.vals)
	s.vals = append(s.vals, value...)
	x.addValue(code, s.vals[start:len(s.vals):len(s.vals)])
}

func (x *exchange) addValue(code uint8, value []byte) {
	s := &x.t.scratch
	s.opts = append(s.opts, Option{code, value})
	s.asked[code] = true
}

// addTimes writes the lease time, T1 and T2 (RFC 2131 section 4.4.5: 0.5 and 0.875 of the lease). T1 < T2 < lease
// has no solution in seconds below 3; an infinite lease has no T1.
func (x *exchange) addTimes(lease uint32) {
	x.addSeconds(OptLeaseTime, lease)
	if lease == infinite {
		return
	}
	if t1, t2 := lease/2, uint32(uint64(lease)*7/8); 0 < t1 && t1 < t2 && t2 < lease {
		x.addSeconds(OptRenewalTime, t1)
		x.addSeconds(OptRebindingTime, t2)
	}
}

func (x *exchange) addSeconds(code uint8, v uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	x.add(code, b[:]...)
}

// addRequested adds an option that the client asked for, once, if there is a value for it.
func (x *exchange) addRequested(code uint8) {
	s := &x.t.scratch
	if s.asked[code] {
		return
	}
	switch code {
	case OptSubnetMask:
		mask := x.sub.mask
		if x.link.faults.mask != 0 {
			mask = x.link.faults.mask
		}
		b := mask.bytes()
		x.add(OptSubnetMask, b[:]...)
		return
	case OptIPv6OnlyPref:
		if x.wantsIPv6Only() {
			x.addSeconds(code, secondsValue(x.sub.cfg.V6OnlyWait))
		}
		return
	case OptHostname:
		if x.res != nil && x.res.Hostname != "" {
			x.addValue(code, []byte(x.res.Hostname))
			return
		}
	case OptRouter, OptStaticRoutes:
		if x.routesReplace() {
			return
		}
		// RFC 2132 section 3.3: if both are sent, the mask MUST be before the router.
		if x.listed(OptSubnetMask) {
			x.addRequested(OptSubnetMask)
		}
	}
	if v := x.value(code); v != nil {
		x.addValue(code, v)
	}
}

// listed tells whether the client's parameter request list has a code; without a list, everything is asked for.
func (x *exchange) listed(code uint8) bool {
	list := x.m.Option(OptParameterList)
	return list == nil || slices.Contains(list, code)
}

// routesReplace tells whether classless routes stand in for router and static routes: with option 121 asked for and
// sent, the server SHOULD NOT send 3 and 33 as well (RFC 3442, "DHCP Server Administrator Responsibilities").
func (x *exchange) routesReplace() bool {
	return x.m.Has(OptParameterList) && x.listed(OptClasslessRoutes) && x.value(OptClasslessRoutes) != nil
}

// value is what is configured for an option: by a fault, for the host, or for the subnet.
func (x *exchange) value(code uint8) []byte {
	for _, o := range x.link.faults.options {
		if o.Code == code {
			return o.Value
		}
	}
	if x.res != nil {
		for _, o := range x.res.Options {
			if o.Code == code {
				return o.Value
			}
		}
	}
	for _, o := range x.sub.cfg.Options {
		if o.Code == code {
			return o.Value
		}
	}
	return nil
}

// addAll adds everything that is configured, for a client that gives no list.
func (x *exchange) addAll() {
	if x.res != nil {
		x.addRequested(OptHostname)
		for _, o := range x.res.Options {
			x.addRequested(o.Code)
		}
	}
	for _, o := range x.link.faults.options {
		x.addRequested(o.Code)
	}
	for _, o := range x.sub.cfg.Options {
		x.addRequested(o.Code)
	}
}

// addEchoes adds what the client or relay sent and gets back: the client identifier (RFC 6842 section 3), the
// subnet selection (RFC 3011 section 2), and last the relay agent information (RFC 3046 section 2.2).
func (x *exchange) addEchoes() {
	m, nak := x.m, x.t.scratch.opts[0].Value[0] == byte(Nak)
	if v := m.Option(OptClientID); v != nil {
		x.addValue(OptClientID, v)
	}
	if v := m.Option(OptSubnetSelection); v != nil && !nak {
		x.addValue(OptSubnetSelection, v)
	}
	if v := m.Option(OptRelayAgentInfo); v != nil && !x.t.cfg.DropRelayInfo {
		x.addValue(OptRelayAgentInfo, v)
	}
}

// nakMessage is the text of option 56 in a NAK: the sentence of its event.
func (x *exchange) nakMessage() []byte {
	return []byte(x.t.scratch.events[0].Text())
}
