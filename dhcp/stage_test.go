package dhcp_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/kvmlab/kvmlab/dhcp"
)

// setup is what a case needs of a server's configuration, in words that every server has its own for. The zero value
// is the class's network: 192.168.1.20 to .240 for ten minutes, router and DNS server 192.168.1.1, the domain
// aula.lan, and 10.9.0.0/24 and 10.10.0.0/24 behind a relay.
type setup struct {
	first, last   string // of the pool
	lease         time.Duration
	minimum       time.Duration
	maximum       time.Duration
	authoritative bool
	rapidCommit   bool
	probe         bool // look whether an address is in use before it is offered
	v6Only        time.Duration
	noAutoConf    bool
	options       []dhcp.Option // beside the usual ones
	mtu           int           // of the wire
	process       bool          // the server is to be a process that can be killed
}

func (s setup) pool() (first, last string) {
	if s.first == "" {
		return "192.168.1.20", "192.168.1.240"
	}
	return s.first, s.last
}

func (s setup) leaseTime() time.Duration {
	if s.lease == 0 {
		return 10 * time.Minute
	}
	return s.lease
}

// unsupportedError is for a server that has no words for what a case needs.
type unsupportedError struct{ what string }

func (e *unsupportedError) Error() string { return "no setting for " + e.what }

// subject is a DHCP server that cases are tried on.
type subject interface {
	// start runs the server in the wire's servers' namespace until the test ends. When it returns, it listens.
	start(tb testing.TB, w *wire, set setup) (running, error)
}

// running is a server at work.
type running interface {
	// restart ends it, with SIGKILL if it is a process, and starts it again on the same leases.
	restart(tb testing.TB) error
	// pass lets time go by.
	pass(d time.Duration)
	// ring is where its events are; nil when it has none.
	ring() *dhcp.EventRing
}

// stage is where a case plays: a running server, and the stations on its wire.
type stage struct {
	testing.TB
	*wire
	running

	set      setup
	patience time.Duration // how long a reply may take
	xid      uint32
	canaries byte
	lastSeen uint64 // of the events
}

// failure is what ends a case. It is a panic so that a case reads as a plain sequence, on servers for which a failure
// is a result and not a test's failure.
type failure struct{ text string }

func (s *stage) failf(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

// send gives a message an xid and puts it on the wire; one from a relay travels as relays send.
func (s *stage) send(e envelope, m *message) {
	s.xid++
	m.xid = 0x5e000000 + s.xid
	if m.giaddr != nobody && !e.src.IsValid() {
		e = envelope{src: m.giaddr, dst: serverIP, srcPort: 67, from: relayMAC}
	}
	if e.from == nil {
		e.from = m.chaddr
	}
	if e.src.IsValid() {
		s.owns(e.src, e.from)
	}
	s.sendFrame(e.frame(m.bytes()))
}

func (s *stage) sendFrame(frame []byte) {
	if err := s.wire.send(frame); err != nil {
		s.failf("%v", err)
	}
}

// ask sends a message and returns the reply.
func (s *stage) ask(e envelope, m *message) *reply {
	s.send(e, m)
	return s.await(m)
}

// await returns the reply to a message, and checks what holds for every reply.
func (s *stage) await(m *message) *reply {
	r := s.within(s.patience, m)
	if r == nil {
		s.failf("no answer to %v%s", m.kind(), s.told())
	}
	return r
}

// within is await with a time of its own, after which the reply is nil.
func (s *stage) within(d time.Duration, m *message) *reply {
	timeout := time.After(d)
	for {
		select {
		case f := <-s.heard:
			r := readReply(f)
			if r.xid != m.xid {
				continue
			}
			s.sound(r, m)
			return r
		case <-timeout:
			return nil
		}
	}
}

// sound checks that a reply can be read, by the oracle too, and is one.
func (s *stage) sound(r *reply, m *message) {
	if r.problem != "" {
		s.failf("answer to %v: %s", m.kind(), r.problem)
	}
	if _, err := dhcpv4.FromBytes(r.payload); err != nil {
		s.failf("the oracle cannot read the answer to %v: %v", m.kind(), err)
	}
	if r.op != 2 || r.ip.SrcIP.String() != serverIP.String() || r.eth.SrcMAC.String() != serverMAC.String() {
		s.failf("an answer with op %d from %v %v", r.op, r.eth.SrcMAC, r.ip.SrcIP)
	}
	if s.ring() != nil && r.sums != nil { // others may leave the sums to a card
		s.failf("answer to %v: %v", m.kind(), r.sums)
	}
}

// silence sends a message that must not be answered. A canary, which is answered, follows it and tells when the
// server is through with it; kvmlab must also give the reason.
func (s *stage) silence(e envelope, m *message, why dhcp.Reason) {
	s.send(e, m)
	s.silent(m.xid, m.kind().String(), why)
}

func (s *stage) silent(xid uint32, what string, why dhcp.Reason) {
	if e, ok := s.event(xid); ok && e.Reason != why {
		s.failf("%s was ignored because of %q (%s), want %q", what, e.Reason, e.Text(), why)
	}
	s.canary(func(r *reply) {
		if r.xid == xid {
			s.failf("%s was answered by %v", what, r.kind)
		}
	})
}

// canary has a client behind the relay ask for an address, and waits for its offer.
func (s *stage) canary(other func(*reply)) {
	s.canaries++
	m := newMessage(dhcp.Discover, net.HardwareAddr{2, 0, 0x5e, 0, 0x54, s.canaries}, throughRelay(relayIP))
	s.send(envelope{}, m)
	timeout := time.After(s.patience)
	for {
		select {
		case f := <-s.heard:
			r := readReply(f)
			if r.xid != m.xid {
				other(r)
				continue
			}
			if s.ring() != nil {
				s.sound(r, m)
			}
			return
		case <-timeout:
			s.failf("the server answers nobody any more%s", s.told())
		}
	}
}

// event waits for the decision about a message; ok is false when the server has no events.
func (s *stage) event(xid uint32) (dhcp.Event, bool) {
	return s.eventThat(func(e dhcp.Event) bool {
		return e.Direction == dhcp.In && e.XID == xid && e.Decision != dhcp.DecisionNote
	})
}

// eventThat waits for the next event that fits; those before it are passed over.
func (s *stage) eventThat(fits func(dhcp.Event) bool) (dhcp.Event, bool) {
	if s.ring() == nil {
		return dhcp.Event{}, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	for {
		events, next, _, err := s.ring().Next(ctx, s.lastSeen)
		if err != nil {
			s.failf("an event did not come%s", s.told())
		}
		for i, e := range events {
			if fits(e) {
				s.lastSeen = next - uint64(len(events)-i-1)
				return e, true
			}
		}
		s.lastSeen = next
	}
}

// reason waits for an event with a reason, on a server that has events.
func (s *stage) reason(why dhcp.Reason) {
	s.eventThat(func(e dhcp.Event) bool { return e.Reason == why })
}

// told is what the server says of it all.
func (s *stage) told() string {
	if s.ring() == nil {
		return ""
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	events, _, _, _ := s.ring().Next(ctx, 0)
	var out strings.Builder
	for _, e := range events {
		fmt.Fprintf(&out, "\n  %v %v %v %v/%v: %s", e.Direction, e.Type, e.MAC, e.Decision, e.Reason, e.Text())
	}
	return "; events:" + out.String()
}

// ---- what clients do

// must checks a reply's type.
func (s *stage) must(r *reply, kind dhcp.MessageType) *reply {
	if r.kind != kind {
		s.failf("%v instead of %v", r.kind, kind)
	}
	return r
}

// offer sends a DISCOVER and returns the OFFER.
func (s *stage) offer(who net.HardwareAddr, changes ...change) *reply {
	return s.must(s.ask(envelope{}, newMessage(dhcp.Discover, who, changes...)), dhcp.Offer)
}

// selecting is the REQUEST for an offered address.
func selecting(who net.HardwareAddr, a netip.Addr, changes ...change) *message {
	m := newMessage(dhcp.Request, who, changes...)
	m.options = slices.DeleteFunc(m.options, func(o dhcp.Option) bool { return o.Code == 50 }) // of the DISCOVER
	withAddress(50, a)(m)
	withAddress(54, serverIP)(m)
	return m
}

// lease goes through DISCOVER, OFFER, REQUEST and ACK, and returns the ACK.
func (s *stage) lease(who net.HardwareAddr, changes ...change) *reply {
	o := s.offer(who, changes...)
	return s.must(s.ask(envelope{}, selecting(who, o.yiaddr, changes...)), dhcp.Ack)
}

// reboot is the REQUEST of a client in INIT-REBOOT.
func reboot(who net.HardwareAddr, a netip.Addr, changes ...change) *message {
	return newMessage(dhcp.Request, who, append([]change{withAddress(50, a)}, changes...)...)
}

// renewal is the REQUEST of a client in RENEWING, and how it travels; in REBINDING, it is broadcast.
func renewal(who net.HardwareAddr, a netip.Addr, changes ...change) (envelope, *message) {
	return envelope{src: a, dst: serverIP},
		newMessage(dhcp.Request, who, append([]change{withCIAddr(a)}, changes...)...)
}

// releasing is a RELEASE and how it travels.
func releasing(who net.HardwareAddr, a, server netip.Addr) (envelope, *message) {
	return envelope{src: a, dst: serverIP},
		newMessage(dhcp.Release, who, withCIAddr(a), withAddress(54, server))
}

// declining is a DECLINE.
func declining(who net.HardwareAddr, a, server netip.Addr) *message {
	return newMessage(dhcp.Decline, who, withAddress(50, a), withAddress(54, server))
}

// ---- what is checked of replies

// to checks where a reply went.
func (s *stage) to(r *reply, link net.HardwareAddr, a netip.Addr, port int) {
	if got := r.ip.DstIP.String(); got != a.String() || int(r.udp.DstPort) != port {
		s.failf("%v went to %s port %d, not to %v port %d", r.kind, got, r.udp.DstPort, a, port)
	}
	if got := r.eth.DstMAC; !bytes.Equal(got, link) {
		s.failf("%v went to the link address %v, not to %v", r.kind, got, link)
	}
}

// address checks which address a reply gives.
func (s *stage) address(r *reply, want netip.Addr) {
	if r.yiaddr != want {
		s.failf("%v of %v, not of %v", r.kind, r.yiaddr, want)
	}
}

// only checks that a reply has no options but these.
func (s *stage) only(r *reply, allowed ...uint8) {
	for _, code := range r.codes() {
		if !bytes.Contains(allowed, []byte{code}) {
			s.failf("%v with option %d", r.kind, code)
		}
	}
}

// never checks that a reply lacks some options.
func (s *stage) never(r *reply, codes ...uint8) {
	for _, code := range codes {
		if r.has(code) {
			s.failf("%v with option %d", r.kind, code)
		}
	}
}

// lacksNone checks that a reply has some options.
func (s *stage) lacksNone(r *reply, codes ...uint8) {
	for _, code := range codes {
		if !r.has(code) {
			s.failf("%v without option %d", r.kind, code)
		}
	}
}

// value checks an option.
func (s *stage) value(r *reply, code uint8, want []byte) {
	switch got := r.option(code); {
	case !r.has(code):
		s.failf("%v without option %d", r.kind, code)
	case !bytes.Equal(got, want):
		s.failf("option %d of %v is %.16x, not %.16x", code, r.kind, got, want)
	}
}
