package dhcp_test

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// requestCases are about the four kinds of REQUEST (RFC 2131 section 4.3.2).
func requestCases() []conformanceCase {
	return append(append(selectingCases(), rebootCases()...), extendCases()...)
}

func selectingCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "request/selecting", rule: "SELECTING, our identifier and the offered address: ACK with it",
			rfc: "2131 §4.3.2",
			play: func(s *stage) {
				o := s.offer(alice)
				r := s.must(s.ask(envelope{}, selecting(alice, o.yiaddr)), dhcp.Ack)
				s.address(r, o.yiaddr)
				if r.seconds(51) != o.seconds(51) {
					s.failf("offered for %d s, leased for %d s", o.seconds(51), r.seconds(51))
				}
			},
		},
		{
			name: "request/other-server", rule: "another server's identifier: silence, and the offer is free at once",
			rfc: "2131 §3.1, §4.3.2", setup: setup{first: one, last: one},
			play: func(s *stage) {
				a := s.offer(alice).yiaddr
				s.silence(envelope{}, newMessage(dhcp.Request, alice, withAddress(50, a), withAddress(54, strangerIP)),
					dhcp.ReasonOtherServer)
				s.address(s.offer(bob), a)
			},
		},
		{
			name: "request/not-offered", rule: "an address other than the one offered: NAK", rfc: "2131 §3.1, §4.3.2",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				s.offer(alice, withAddress(50, ip("192.168.1.50")))
				s.must(s.ask(envelope{}, selecting(alice, ip("192.168.1.51"))), dhcp.Nak)
			},
		},
		{
			name: "request/taken", rule: "an address that is another client's: NAK", rfc: "2131 §3.1",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				s.offer(bob)
				s.must(s.ask(envelope{}, selecting(bob, a)), dhcp.Nak)
			},
		},
		{
			name: "request/retransmitted", rule: "a REQUEST that is sent again gets the same ACK and no second lease",
			rfc: "2131 §3.1, §4.1",
			play: func(s *stage) {
				o := s.offer(alice)
				m := selecting(alice, o.yiaddr)
				first := s.must(s.ask(envelope{}, m), dhcp.Ack)
				s.sendFrame(envelope{from: alice}.frame(m.bytes()))
				if second := s.await(m); !bytes.Equal(first.payload, second.payload) {
					s.failf("the second answer differs: %v of %v", second.kind, second.yiaddr)
				}
				if k, ok := s.running.(*inProcess); ok && len(k.srv.Leases()) != 1 {
					s.failf("the leases are %+v", k.srv.Leases())
				}
			},
		},
	}
}

func rebootCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "reboot/right", rule: "INIT-REBOOT with the right address: ACK", rfc: "2131 §4.3.2",
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				s.address(s.must(s.ask(envelope{}, reboot(alice, a)), dhcp.Ack), a)
			},
		},
		{
			name: "reboot/wrong-network", rule: "an address of another network: NAK", rfc: "2131 §4.3.2",
			play: func(s *stage) {
				s.must(s.ask(envelope{}, reboot(alice, ip("172.16.0.7"))), dhcp.Nak)
			},
		},
		{
			name: "reboot/wrong-address", rule: "a known client with a wrong address: NAK", rfc: "2131 §4.3.2",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				s.lease(alice, withAddress(50, ip("192.168.1.50")))
				s.must(s.ask(envelope{}, reboot(alice, ip("192.168.1.51"))), dhcp.Nak)
			},
		},
		{
			name: "reboot/unknown", rule: "an unknown client, not authoritative: silence", rfc: "2131 §4.3.2",
			play: func(s *stage) {
				s.silence(envelope{}, reboot(alice, ip("192.168.1.51")), dhcp.ReasonNoRecord)
			},
		},
		{
			name: "reboot/authoritative", rule: "an unknown client, authoritative: NAK", rfc: "2131 §3.2",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				s.must(s.ask(envelope{}, reboot(alice, ip("192.168.1.51"))), dhcp.Nak)
			},
		},
	}
}

// extends checks that a lease of ten minutes is as long as ever after it was extended.
func extends(s *stage, ask func(netip.Addr) *reply) {
	a := s.lease(alice).yiaddr
	s.pass(2 * time.Second)
	r := s.must(ask(a), dhcp.Ack)
	s.address(r, a)
	s.to(r, alice, a, 68)
	if got := r.seconds(51); got != 600 {
		s.failf("extended to %d s", got)
	}
}

func extendCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "renew/right", rule: "RENEWING: ACK to ciaddr, and a longer lease", rfc: "2131 §4.3.2, §4.4.5",
			play: func(s *stage) {
				extends(s, func(a netip.Addr) *reply { return s.ask(renewal(alice, a)) })
			},
		},
		{
			name: "rebind/right", rule: "REBINDING: likewise", rfc: "2131 §4.3.2, §4.4.5",
			play: func(s *stage) {
				extends(s, func(a netip.Addr) *reply {
					s.owns(a, alice)
					_, m := renewal(alice, a)
					return s.ask(envelope{src: a, dst: everyone}, m)
				})
			},
		},
		{
			name: "renew/anothers", rule: "renewing another's address: NAK, broadcast", rfc: "2131 §4.1, §4.3.2",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				s.to(s.must(s.ask(renewal(bob, a)), dhcp.Nak), broadcast, everyone, 68)
			},
		},
		{
			name: "renew/relayed", rule: "a client behind a relay renews directly: ACK to ciaddr", rfc: "2131 §4.3.2",
			play: func(s *stage) {
				o := s.offer(alice, throughRelay(relayIP))
				a := s.must(s.ask(envelope{}, selecting(alice, o.yiaddr, throughRelay(relayIP))), dhcp.Ack).yiaddr
				_, m := renewal(alice, a)
				// Its router is the relay.
				r := s.must(s.ask(envelope{src: a, dst: serverIP, from: relayMAC}, m), dhcp.Ack)
				s.to(r, relayMAC, a, 68)
			},
		},
	}
}
