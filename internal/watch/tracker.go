package watch

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// ClientState is a state of the client's state machine (RFC 2131 figure 5), inferred from what the client was seen to
// send and to be sent.
type ClientState string

// The states.
const (
	Init       ClientState = "INIT"
	Selecting  ClientState = "SELECTING"
	Requesting ClientState = "REQUESTING"
	InitReboot ClientState = "INIT-REBOOT"
	Bound      ClientState = "BOUND"
	Renewing   ClientState = "RENEWING"
	Rebinding  ClientState = "REBINDING"
)

// Lease is what the last ACK promised.
type Lease struct {
	Address netip.Addr
	Server  netip.Addr
	// Start is when the client sent the REQUEST that was acknowledged: it counts from there (RFC 2131 section 4.4.1).
	Start      time.Time
	T1, T2     time.Duration
	Length     time.Duration // 0: for ever
	T1FromWire bool          // options 58 and 59 were there; otherwise the defaults of section 4.4.5 are taken
}

// Step is a packet's place in its exchange: the second of four, say.
type Step struct{ Number, Of int }

// ClientView is one client as the traffic shows it.
type ClientView struct {
	MAC   capture.HardwareAddr
	State ClientState
	Lease *Lease

	key       mac
	requested time.Time           // when the last REQUEST was sent
	informing bool                // the next ACK answers an INFORM
	exchanges map[capture.XID]int // the numbers of the client's own
	seen      int                 // the number of messages, of all clients, when it was seen last
}

// Tracker follows every client and exchange on a wire. Its memory is bounded: see [Tracker.See].
type Tracker struct {
	clients  map[mac]*ClientView
	order    []*ClientView
	count    int // exchanges
	messages int
}

// NewTracker has seen nothing yet.
func NewTracker() *Tracker { return &Tracker{clients: map[mac]*ClientView{}} }

// Clients are the clients in the order in which they were first seen.
func (t *Tracker) Clients() []*ClientView { return t.order }

// view is a copy of what is known of a client now, nil for a stranger.
func (t *Tracker) view(address capture.HardwareAddr) *ClientView {
	m, _ := macOf(address)
	c := t.clients[m]
	if c == nil {
		return nil
	}
	seen := *c
	seen.exchanges = nil // of no use to a record, which may outlive the client
	return &seen
}

// What is followed at the most. A client that makes up exchanges forgets its own; of too many clients those are
// forgotten that have no lease and were silent longest.
const (
	exchangesKept = 1024 // of each client
	clientsKept   = 4096
)

// See takes the next packet and returns the number of its exchange and its step there; 0 for what is no DHCP message.
func (t *Tracker) See(p *capture.Packet) (exchange int, step Step) {
	d := p.DHCP
	if d == nil {
		return 0, Step{}
	}
	client, ok := macOf(d.CHAddr)
	if !ok {
		return 0, Step{}
	}
	t.messages++
	c := t.clients[client]
	if c == nil {
		if len(t.order) >= clientsKept {
			t.forget()
		}
		// The address is copied: it would keep the whole frame.
		c = &ClientView{MAC: bytes.Clone(d.CHAddr), State: Init, key: client, exchanges: map[capture.XID]int{}}
		t.clients[client] = c
		t.order = append(t.order, c)
	}
	c.seen = t.messages
	if exchange = c.exchanges[d.XID]; exchange == 0 {
		if len(c.exchanges) >= exchangesKept {
			clear(c.exchanges)
		}
		t.count++
		exchange = t.count
		c.exchanges[d.XID] = exchange
	}
	return exchange, c.see(p)
}

// forget makes room for half as many clients as are followed.
func (t *Tracker) forget() {
	last := slices.SortedFunc(slices.Values(t.order), func(a, b *ClientView) int {
		if leased := a.Lease != nil; leased != (b.Lease != nil) {
			return map[bool]int{true: -1, false: 1}[leased]
		}
		return b.seen - a.seen
	})[clientsKept/2:]
	for _, c := range last {
		delete(t.clients, c.key)
	}
	t.order = slices.DeleteFunc(t.order, func(c *ClientView) bool { return t.clients[c.key] != c })
}

// see moves the client's state on.
func (c *ClientView) see(p *capture.Packet) Step {
	d := p.DHCP
	switch d.Type {
	case capture.Discover:
		c.State, c.requested, c.informing, c.Lease = Selecting, p.Time, false, nil // it begins anew
		return Step{1, 4}
	case capture.Offer:
		return Step{2, 4}
	case capture.Request:
		c.State, c.requested, c.informing = requestState(p), p.Time, false
		if c.State == Requesting {
			return Step{3, 4}
		}
		return Step{1, 2}
	case capture.Ack:
		return c.acknowledged(p)
	case capture.Nak:
		step := c.answerStep()
		c.State, c.Lease = Init, nil
		return step
	case capture.Decline, capture.Release:
		c.State, c.Lease = Init, nil
		return Step{}
	case capture.Inform:
		c.informing = true
		return Step{1, 2}
	default:
		return Step{}
	}
}

// answerStep is the step of an ACK or NAK.
func (c *ClientView) answerStep() Step {
	if c.State == Requesting {
		return Step{4, 4}
	}
	return Step{2, 2}
}

// requestState tells from which state a REQUEST comes (RFC 2131 section 4.3.2).
func requestState(p *capture.Packet) ClientState {
	d := p.DHCP
	switch {
	case d.Option(54) != nil:
		return Requesting
	case d.CIAddr.IsUnspecified():
		return InitReboot
	case p.IP != nil && p.IP.Destination == broadcastIP:
		return Rebinding
	default:
		return Renewing
	}
}

var broadcastIP = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func (c *ClientView) acknowledged(p *capture.Packet) Step {
	d := p.DHCP
	step := c.answerStep()
	if c.informing {
		c.informing = false
		return Step{2, 2}
	}
	seconds, ok := d.Seconds(51)
	if !ok || d.YIAddr.IsUnspecified() {
		return step
	}
	lease := &Lease{Address: d.YIAddr, Start: c.requested}
	if lease.Start.IsZero() || lease.Start.After(p.Time) {
		lease.Start = p.Time // its REQUEST was not seen
	}
	lease.Server, _ = d.Addr(54)
	if seconds != 0xffffffff {
		lease.Length = time.Duration(seconds) * time.Second
	}
	lease.T1, lease.T2 = lease.Length/2, lease.Length*7/8
	t1, hasT1 := d.Seconds(58)
	t2, hasT2 := d.Seconds(59)
	if hasT1 && hasT2 {
		lease.T1, lease.T2, lease.T1FromWire = time.Duration(t1)*time.Second, time.Duration(t2)*time.Second, true
	}
	c.State, c.Lease = Bound, lease
	return step
}

// At is the state at a time: a lease that has run out leaves nothing bound.
func (c *ClientView) At(now time.Time) ClientState {
	if c.Lease != nil && c.Lease.Length > 0 && now.After(c.Lease.Start.Add(c.Lease.Length)) {
		return Init
	}
	return c.State
}
