package dhcp

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/kvmlab/kvmlab/untrusted"
)

// maxPayload is the largest reply: an Ethernet frame's IP packet without its headers.
const maxPayload = 1500 - udpOverIP

// Inbound is one message as it came from the wire.
type Inbound struct {
	Link    int        // index into Config.Interfaces of where it came in
	Src     netip.Addr // of the IP header; needed only for an INFORM without ciaddr
	Dst     netip.Addr // of the IP header: unicast means RENEWING, anything else REBINDING
	Message *Message
}

// Reply is what Handle answers. The zero Reply is silence.
type Reply struct {
	Type    MessageType
	Payload []byte // the DHCP message; valid until the next call with the same table
	To      Destination
	// Commit means that the reply must not leave before the table's changes are durable.
	Commit bool
	// Probe, when valid, means that nothing is to be sent yet: somebody may be using this address. The caller asks
	// the link, tells the table with Clear or Conflict, and then handles the same message once more.
	Probe netip.Addr
	// Sent is the event to be emitted when the reply has left; its time is still to be set.
	Sent Event
}

// Destination is where a reply goes (RFC 2131 section 4.1).
type Destination struct {
	IP   netip.Addr
	Port uint16
	// Link is the link-layer destination. When it is zero, the kernel's routes and neighbours find the way: to a
	// relay, or to a client that is not on the server's own link.
	Link HWAddr
}

// Ports of the protocol (RFC 2131 section 4.1).
const (
	ServerPort = 67
	ClientPort = 68
)

// linkBroadcast is the Ethernet broadcast address.
var linkBroadcast = Ethernet([6]byte{255, 255, 255, 255, 255, 255})

// scratch is memory that is used again with every message.
type scratch struct {
	key    []byte
	out    []byte
	opts   []Option
	vals   []byte
	events []Event
	asked  [256]bool
}

// exchange is one message on its way through Handle.
type exchange struct {
	t    *Table
	at   time.Time
	now  int64
	in   *Inbound
	m    *Message
	link *link
	sub  *subnet
	res  *Reservation // what is reserved for the client, or nil
	c    *client      // nil when the client has nothing here
}

// Handle decides what a server with this table does about one message: which reply, if any, and where it goes. It
// is a function of its arguments alone. The first event is always the one about the message itself, with its
// decision and reason, unless Reply.Probe asks for a probe first; that one comes when the message is handled again.
// Payload and events are valid until the next call with the same table.
func Handle(now time.Time, t *Table, in Inbound) (Reply, []Event) {
	s := &t.scratch
	s.events, t.changed = s.events[:0], t.changed[:0]
	x := exchange{t: t, at: now, now: now.UnixNano(), in: &in, m: in.Message, link: &t.links[in.Link]}
	reply := x.handle()
	return reply, s.events
}

// handle refuses what is not for a server, finds the subnet and the client, and branches by message type.
func (x *exchange) handle() Reply {
	m := x.m
	switch {
	case m.Op != opRequest:
		return x.ignore(ReasonNotRequest, "op is not BOOTREQUEST")
	case m.Hops > maxHops:
		return x.ignore(ReasonTooManyHops, "")
	case m.Type == 0:
		return x.ignore(ReasonMalformed, "no message type (53)")
	case m.Type == Offer || m.Type == Ack || m.Type == Nak:
		return x.ignore(ReasonNotRequest, "only servers send it")
	case m.Type > Inform:
		return x.ignore(ReasonNotRequest, "a type that this server has no answer to")
	case m.CHAddr.IsZero() && !m.Has(OptClientID):
		return x.ignore(ReasonMalformed, "neither chaddr nor a client identifier")
	case !m.CHAddr.station():
		return x.ignore(ReasonMalformed, "chaddr is no single station's address")
	}
	if x.sub = x.subnet(); x.sub == nil {
		return x.ignore(ReasonNoSubnet, "")
	}
	s := &x.t.scratch
	s.key = x.t.appendKey(s.key[:0], x.sub, m)
	x.c = x.sub.clients[string(s.key)]
	x.res = x.sub.reservationFor(m, x.c)
	x.noteSharedID()
	switch m.Type {
	case Discover:
		return x.discover()
	case Request:
		return x.request()
	case Decline:
		return x.decline()
	case Release:
		return x.release()
	default:
		return x.inform()
	}
}

// subnet finds the network the client is on: what the relay says in option 82.5 (RFC 3527), what option 118 says
// (RFC 3011), the relay's own address, the address that the client has and renews, or the link it was heard on.
func (x *exchange) subnet() *subnet {
	m := x.m
	if v := relayOption(m.Option(OptRelayAgentInfo), 5); len(v) == 4 {
		return x.t.subnetOf(toIP4(addrAt(v, 0)))
	}
	if a := toIP4(m.Address(OptSubnetSelection)); a != 0 {
		return x.t.subnetOf(a)
	}
	if a := toIP4(m.GIAddr); a != 0 {
		return x.t.subnetOf(a)
	}
	// A client behind a relay that renews speaks to the server directly, with giaddr zero: its ciaddr is to be
	// trusted (RFC 2131 section 4.3.2, RENEWING).
	if a := toIP4(m.CIAddr); a != 0 && x.unicast() {
		if s := x.t.subnetOf(a); s != nil {
			return s
		}
	}
	return x.link.sub
}

func (t *Table) subnetOf(a ip4) *subnet {
	for _, s := range t.subnets {
		if s.contains(a) {
			return s
		}
	}
	return nil
}

// relayOption returns a sub-option of option 82 (RFC 3046 section 2.0): the circuit (1), the link selection (5, RFC 3527
// section 3). It is nil when there is none.
func relayOption(info []byte, code uint8) []byte {
	for len(info) >= 2 && len(info) >= 2+int(info[1]) {
		n := 2 + int(info[1])
		if info[0] == code {
			return info[2:n:n]
		}
		info = info[n:]
	}
	return nil
}

// unicast tells whether the message was sent to one of the server's own addresses.
func (x *exchange) unicast() bool { return x.t.isServer(toIP4(x.in.Dst)) }

// isServer tells whether an address is one of the server's. All of them identify it (RFC 2131 section 4.1).
func (t *Table) isServer(a ip4) bool {
	for i := range t.links {
		if a != 0 && t.links[i].addr == a {
			return true
		}
	}
	return false
}

// noteSharedID tells of a client identifier that is used from another hardware address while the lease of the first
// still runs. RFC 4361 wants one lease for both, and that is what happens; but when both stations are up, they are
// clones that share a machine-id, and they fight over one address.
func (x *exchange) noteSharedID() {
	c, m := x.c, x.m
	if c == nil || c.owns == nil || c.key[0] != keyClientID || c.hw == m.CHAddr || !c.owns.live(x.now) {
		return
	}
	e := x.event(DecisionNote, ReasonSharedClientID)
	e.Address, e.OtherMAC = c.owns.addr.addr(), c.hw
	x.emit(e)
}

// event begins an event about the message.
func (x *exchange) event(d Decision, why Reason) Event {
	m := x.m
	e := Event{
		Time: x.at, Interface: x.link.name, Direction: In, Type: m.Type, XID: m.XID, MAC: m.CHAddr,
		Decision: d, Reason: why,
	}
	e.Hostname = x.hostname()
	if id := m.Option(OptClientID); len(id) > 0 {
		if x.c != nil && x.c.clientID() == string(id) {
			e.ClientID = x.c.clientID() // the same text without a copy
		} else {
			e.ClientID = string(id)
		}
	}
	return e
}

// emit adds an event. The one about the message itself, which has a decision about it, goes first.
func (x *exchange) emit(e Event) {
	s := &x.t.scratch
	s.events = append(s.events, e)
	if e.Decision != DecisionNote && len(s.events) > 1 {
		last := len(s.events) - 1
		copy(s.events[1:], s.events[:last])
		s.events[0] = e
	}
}

// ignore is silence with its reason.
func (x *exchange) ignore(why Reason, detail string) Reply {
	e := x.event(DecisionIgnore, why)
	e.Detail, e.Address = detail, x.about()
	x.emit(e)
	return Reply{}
}

// about is the address that a message speaks of: the requested one, or the client's own.
func (x *exchange) about() netip.Addr {
	if a := x.m.Address(OptRequestedAddress); a.IsValid() {
		return a
	}
	if x.m.CIAddr.IsUnspecified() {
		return netip.Addr{}
	}
	return x.m.CIAddr
}

// hostname is option 12 made visible, of at most 64 octets.
func (x *exchange) hostname() string {
	v := x.m.Option(OptHostname)
	if len(v) == 0 {
		return ""
	}
	if x.c != nil && x.c.hostname == string(v) {
		return x.c.hostname
	}
	name, _, _ := bytes.Cut(v, []byte{0})
	return untrusted.VisibleBytes(name, maxHostname)
}

// maxHostname is how much of a host name is kept: one label has 63 octets at most (RFC 1035 section 2.3.4).
const maxHostname = 64
