package dhcp

import (
	"math"
	"slices"
	"time"
)

// forever is the end of an infinite lease, in nanoseconds since 1970.
const forever = math.MaxInt64

// Table is everything that Handle knows: the configuration, who holds which address, and which offers stand. It
// does no locking.
type Table struct {
	cfg     Config
	links   []link
	subnets []*subnet
	byAddr  map[ip4]*binding
	faults  []Fault // as they were set; each link has those that show on it

	// changed are the bindings whose durable part the last call changed. The store takes them before the next call.
	changed []*binding

	spare   []binding // bindings are made many at a time, which keeps a million of them close together
	scratch scratch
}

// link is an interface as the table sees it.
type link struct {
	name string
	addr ip4
	sub  *subnet // the subnet that is served on it directly; nil when it only hears relays

	faults faultSet
}

// subnet is a Subnet made ready for look-ups.
type subnet struct {
	cfg      *Subnet
	first    ip4
	last     ip4
	mask     ip4
	link     int    // index of the link it is served on, or -1 when it lies behind relays
	pool     []span // what is given out, without exclusions and the server's own addresses
	fresh    span   // the part of pool[freshIn] that was never looked at
	freshIn  int    //
	reserved map[ip4]*Reservation
	byMAC    map[HWAddr]*Reservation
	byID     map[string]*Reservation
	byPort   map[string]*Reservation // by circuit
	clients  map[string]*client
	spare    []client    // clients are made many at a time, as bindings are
	free     bindingHeap // bindings of pool addresses, by when they may be given to somebody else
}

// span is an inclusive range of addresses; it is empty when last < first.
type span struct{ first, last ip4 }

// client is somebody who has, had, or was offered an address of one subnet (RFC 2131 section 4.2).
type client struct {
	key      string // see appendKey
	hw       HWAddr // of its last accepted message
	hostname string
	owns     *binding
	offered  *binding
}

// binding is one address that was offered or given out at least once. Owner, state, start and end are durable; the
// offer is not.
type binding struct {
	addr  ip4
	state LeaseState // StateBound, StateReleased, StateDeclined; 0 when it was only ever offered
	sub   *subnet
	owner *client // nil when nobody is known to have had it
	start int64   // nanoseconds since 1970
	end   int64   // of the lease or the quarantine, or when it was released
	acked ackMark // the message that was last acknowledged

	offeredTo *client
	offerEnd  int64
	why       Reason // of the offer
	probedAt  int64  // when a probe last found nobody there
	fresh     bool   // nobody has been told of the offer yet, because it was probed first
	probing   bool

	avail int64 // the heap's order
	index int   // in the heap; -1 when not in it
}

// ackMark is what tells whether a message is the same that was acknowledged before.
type ackMark struct {
	xid uint32
	as  Reason
	at  int64 // nanoseconds since 1970
}

// retransmitted tells whether a message that would be acknowledged for a reason has been, and is only sent again. Some
// clients keep one xid for all of a lease's life (ISC dhclient), so the xid is not enough: a message of the same kind
// after half of the lease is the next renewal.
func (b *binding) retransmitted(xid uint32, as Reason, now int64) bool {
	return b != nil && b.live(now) && b.acked.xid == xid && b.acked.as == as && now-b.acked.at < (b.end-b.acked.at)/2
}

// NewTable makes a table without bindings. The configuration must be valid.
func NewTable(cfg Config) (*Table, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &Table{cfg: cfg, byAddr: map[ip4]*binding{}}
	if t.cfg.OfferHold == 0 {
		t.cfg.OfferHold = DefaultOfferHold
	}
	if t.cfg.Quarantine == 0 {
		t.cfg.Quarantine = DefaultQuarantine
	}
	if t.cfg.ProbeWait == 0 {
		t.cfg.ProbeWait = DefaultProbeWait
	}
	for _, i := range cfg.Interfaces {
		t.links = append(t.links, link{name: i.Name, addr: toIP4(i.Address)})
	}
	for i := range cfg.Subnets {
		s := newSubnet(&cfg.Subnets[i], t.links)
		t.subnets = append(t.subnets, s)
		for j := range t.links {
			if s.contains(t.links[j].addr) {
				t.links[j].sub, s.link = s, j
			}
		}
	}
	t.setFaults(cfg.Faults)
	t.scratch.out = make([]byte, 0, maxPayload)
	return t, nil
}

func newSubnet(cfg *Subnet, links []link) *subnet {
	bits := 32 - cfg.Prefix.Bits()
	s := &subnet{
		cfg: cfg, first: toIP4(cfg.Prefix.Masked().Addr()), mask: ^ip4(0) << bits, link: -1,
		reserved: map[ip4]*Reservation{}, byMAC: map[HWAddr]*Reservation{}, byID: map[string]*Reservation{}, byPort: map[string]*Reservation{},
		clients: map[string]*client{},
	}
	s.last = s.first | ^s.mask
	for i := range cfg.Reservations {
		r := &cfg.Reservations[i]
		s.reserved[toIP4(r.Address)] = r
		switch {
		case len(r.ClientID) > 0:
			s.byID[string(r.ClientID)] = r
		case len(r.CircuitID) > 0:
			s.byPort[string(r.CircuitID)] = r
		default:
			s.byMAC[r.MAC] = r
		}
	}
	for _, r := range cfg.Ranges {
		s.pool = append(s.pool, span{toIP4(r.First), toIP4(r.Last)})
	}
	var holes []span
	for _, r := range cfg.Exclude {
		holes = append(holes, span{toIP4(r.First), toIP4(r.Last)})
	}
	for _, l := range links {
		holes = append(holes, span{l.addr, l.addr})
	}
	if bits >= 2 { // the network's own address and its broadcast address
		holes = append(holes, span{s.first, s.first}, span{s.last, s.last})
	}
	for _, h := range holes {
		s.pool = cut(s.pool, h)
	}
	slices.SortFunc(s.pool, func(a, b span) int { return int(int64(a.first) - int64(b.first)) })
	if len(s.pool) > 0 {
		s.fresh = s.pool[0]
	}
	return s
}

// cut removes a hole from a pool.
func cut(pool []span, hole span) []span {
	var out []span
	for _, p := range pool {
		if hole.last < p.first || hole.first > p.last {
			out = append(out, p)
			continue
		}
		if p.first < hole.first {
			out = append(out, span{p.first, hole.first - 1})
		}
		if hole.last < p.last {
			out = append(out, span{hole.last + 1, p.last})
		}
	}
	return out
}

func (s *subnet) contains(a ip4) bool { return a&s.mask == s.first }

func (s *subnet) inPool(a ip4) bool {
	for _, p := range s.pool {
		if p.first <= a && a <= p.last {
			return true
		}
	}
	return false
}

// reservationFor finds what is kept for a client: by its identifier first, then by its hardware address, then by where
// it is plugged in. A client that renews speaks to the server without its relay, which would say where that is: what it
// holds tells that it was there. c is nil when the client is not known.
func (s *subnet) reservationFor(m *Message, c *client) *Reservation {
	if id := m.Option(OptClientID); len(id) > 0 {
		if r := s.byID[string(id)]; r != nil {
			return r
		}
	}
	if r := s.byMAC[m.CHAddr]; r != nil || len(s.byPort) == 0 {
		return r
	}
	if circuit := relayOption(m.Option(OptRelayAgentInfo), 1); circuit != nil {
		return s.byPort[string(circuit)]
	}
	if c != nil && c.owns != nil && toIP4(m.GIAddr) == 0 {
		if r := s.reserved[c.owns.addr]; r != nil && len(r.CircuitID) > 0 {
			return r
		}
	}
	return nil
}

// bindingAt returns the record of an address, making it when there is none.
func (t *Table) bindingAt(s *subnet, a ip4) *binding {
	if b := t.byAddr[a]; b != nil {
		return b
	}
	if len(t.spare) == 0 {
		t.spare = make([]binding, 256)
	}
	b := &t.spare[0]
	t.spare = t.spare[1:]
	*b = binding{addr: a, sub: s, index: -1}
	t.byAddr[a] = b
	return b
}

// clientOf returns the client with a key, making it when there is none.
func (s *subnet) clientOf(key []byte) *client {
	if c := s.clients[string(key)]; c != nil {
		return c
	}
	if len(s.spare) == 0 {
		s.spare = make([]client, 64)
	}
	c := &s.spare[0]
	s.spare = s.spare[1:]
	c.key = string(key)
	s.clients[c.key] = c
	return c
}

// forget drops a client that has nothing any more.
func (s *subnet) forget(c *client) {
	if c != nil && c.owns == nil && c.offered == nil {
		delete(s.clients, c.key)
	}
}

// live tells whether the binding is a lease that has not ended.
func (b *binding) live(now int64) bool { return b.state == StateBound && b.end > now }

// freeFor tells whether an address may be given to a client: nobody else has it, was offered it, or declined it.
func (b *binding) freeFor(c *client, now int64) bool {
	if b == nil {
		return true
	}
	if b.state == StateDeclined && b.end > now || b.live(now) && b.owner != c {
		return false
	}
	return b.offeredTo == nil || b.offeredTo == c || b.offerEnd <= now
}

// settle puts a binding where it belongs in the order of reuse, after any change.
func (t *Table) settle(b *binding) {
	b.avail = b.end
	if b.state == 0 {
		b.avail = 0 // never leased: before all that were
	}
	if b.offeredTo != nil {
		b.avail = max(b.avail, b.offerEnd)
	}
	if !b.sub.inPool(b.addr) || b.sub.reserved[b.addr] != nil {
		return
	}
	b.sub.free.put(b)
}

// offer holds an address for a client.
func (t *Table) offer(now int64, b *binding, c *client, why Reason) {
	if c.offered != nil && c.offered != b {
		t.withdraw(c)
	}
	if old := b.offeredTo; old != nil && old != c {
		old.offered = nil
		b.sub.forget(old)
	}
	b.offeredTo, b.offerEnd, b.why = c, now+int64(t.cfg.OfferHold), why
	c.offered = b
	t.settle(b)
}

// withdraw frees the offer that a client has, if it has one.
func (t *Table) withdraw(c *client) {
	if b := c.offered; b != nil {
		b.offeredTo, b.offerEnd, c.offered = nil, 0, nil
		t.settle(b)
	}
}

// bind makes a durable lease of it. Another address that the client had is released, and the client that had this
// one before is forgotten: it no longer has a claim.
func (t *Table) bind(now int64, b *binding, c *client, lease time.Duration, mark ackMark) {
	if old := c.owns; old != nil && old != b {
		old.owner, old.state, old.end = nil, StateReleased, now
		t.change(old)
	}
	if old := b.owner; old != nil && old != c {
		old.owns = nil
		b.sub.forget(old)
	}
	if b.owner != c || !b.live(now) {
		b.start = now
	}
	b.owner, c.owns = c, b
	b.state, b.acked = StateBound, mark
	b.end = now + int64(lease)
	if lease >= infinite*time.Second {
		b.end = forever
	}
	t.withdraw(c)
	if old := b.offeredTo; old != nil { // somebody else's offer that had lapsed
		t.withdraw(old)
		b.sub.forget(old)
	}
	t.change(b)
}

// release marks an address as free again; its client is remembered (RFC 2131 section 4.3.4).
func (t *Table) release(now int64, b *binding) {
	b.state, b.end = StateReleased, now
	t.change(b)
}

// quarantine takes an address out of use, whoever had it.
func (t *Table) quarantine(now int64, b *binding) {
	if c := b.owner; c != nil {
		c.owns, b.owner = nil, nil
		defer b.sub.forget(c)
	}
	if c := b.offeredTo; c != nil {
		t.withdraw(c)
		defer b.sub.forget(c)
	}
	b.state, b.start, b.end = StateDeclined, now, now+int64(t.cfg.Quarantine)
	t.change(b)
}

// change notes that the durable part of a binding is new.
func (t *Table) change(b *binding) {
	t.settle(b)
	t.changed = append(t.changed, b)
}

// appendKey writes what identifies a client within a subnet: its client identifier, or its hardware address when it
// sent none or the configuration says so (RFC 2131 section 4.2). The first octet tells them apart.
func (t *Table) appendKey(dst []byte, s *subnet, m *Message) []byte {
	if id := m.Option(OptClientID); len(id) > 0 && !t.cfg.IgnoreClientID && !s.cfg.IgnoreClientID {
		return append(append(dst, keyClientID), id...)
	}
	dst = append(dst, keyHardware, m.CHAddr.kind)
	return append(dst, m.CHAddr.bytes[:m.CHAddr.size]...)
}

// The first octet of a client's key.
const (
	keyClientID = 'c'
	keyHardware = 'h'
)

// Leases returns a copy of what the table knows of each address, in the order of the addresses.
func (t *Table) Leases(now time.Time) []Lease {
	out := make([]Lease, 0, len(t.byAddr))
	for _, b := range t.byAddr {
		if l, ok := b.lease(now.UnixNano(), t.serverFor(b.sub)); ok {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b Lease) int { return a.Address.Compare(b.Address) })
	return out
}

// serverFor is the address by which clients of a subnet know the server.
func (t *Table) serverFor(s *subnet) ip4 {
	if s.link >= 0 {
		return t.links[s.link].addr
	}
	if len(t.links) > 0 {
		return t.links[0].addr
	}
	return 0
}

// lease describes the binding; ok is false when nothing is left to say of it.
func (b *binding) lease(now int64, server ip4) (l Lease, ok bool) {
	l = Lease{Address: b.addr.addr(), Server: server.addr()}
	who, start, end := b.owner, b.start, b.end
	switch {
	case b.live(now):
		l.State = StateBound
	case b.offeredTo != nil && b.offerEnd > now:
		l.State, who = StateOffered, b.offeredTo
		start, end = b.offerEnd, b.offerEnd
	case b.state == StateBound:
		l.State = StateExpired
	case b.state == StateDeclined && b.end <= now, b.state == StateReleased && who == nil, b.state == 0:
		return Lease{}, false
	default:
		l.State = b.state
	}
	if who != nil {
		l.MAC, l.Hostname, l.ClientID = who.hw, who.hostname, who.clientID()
	}
	l.Start, l.Expires = time.Unix(0, start), time.Unix(0, end)
	return l, true
}

// clientID is the client identifier that is part of the key, if it is.
func (c *client) clientID() string {
	if c.key != "" && c.key[0] == keyClientID {
		return c.key[1:]
	}
	return ""
}
