package dhcp_test

import (
	"net"
	"net/netip"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// one is a pool of a single address.
const one = "192.168.1.20"

// discoverCases are about which address is offered.
func discoverCases() []conformanceCase {
	return append(offeredCases(), sharedCases()...)
}

func offeredCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "discover/current", rule: "a client with a lease is offered its address", rfc: "2131 §4.3.1",
			play: func(s *stage) {
				a := s.lease(alice, withAddress(50, ip("192.168.1.70"))).yiaddr
				s.lease(bob)
				s.address(s.offer(alice), a)
			},
		},
		{
			name: "discover/released", rule: "one that has released its address is offered it again", rfc: "2131 §4.3.1",
			play: func(s *stage) {
				a := s.lease(alice, withAddress(50, ip("192.168.1.70"))).yiaddr
				e, m := releasing(alice, a, serverIP)
				s.send(e, m)
				s.address(s.offer(alice), a)
			},
		},
		{
			name: "discover/expired", rule: "one whose lease has ended is offered it again", rfc: "2131 §4.3.1",
			setup: setup{lease: 2 * time.Second, maximum: 2 * time.Second},
			play: func(s *stage) {
				a := s.lease(alice, withAddress(50, ip("192.168.1.70"))).yiaddr
				s.pass(3 * time.Second)
				s.address(s.offer(alice), a)
			},
		},
		{
			name: "discover/requested", rule: "50, free and of the pool, is honoured", rfc: "2131 §4.3.1",
			play: func(s *stage) {
				a := ip("192.168.1.123")
				s.address(s.offer(alice, withAddress(50, a)), a)
			},
		},
		{
			name: "discover/requested-taken", rule: "50, taken: another address", rfc: "2131 §4.3.1",
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				if r := s.offer(bob, withAddress(50, a)); r.yiaddr == a {
					s.failf("%v was offered to a second client", a)
				}
			},
		},
		{
			name: "discover/many", rule: "200 DISCOVERs get 200 addresses; a repeat gets the same one", rfc: "2131 §4.3.1",
			play: func(s *stage) {
				offered := map[netip.Addr]bool{}
				var first netip.Addr
				for i := range 200 {
					r := s.offer(net.HardwareAddr{2, 0, 0x5e, 1, 0, byte(i)})
					if offered[r.yiaddr] {
						s.failf("%v was offered twice", r.yiaddr)
					}
					if offered[r.yiaddr] = true; i == 0 {
						first = r.yiaddr
					}
				}
				s.address(s.offer(net.HardwareAddr{2, 0, 0x5e, 1, 0, 0}), first)
			},
		},
		{
			name: "discover/pool-full", rule: "no address is left: silence", rfc: "2131 §4.3.1",
			setup: setup{first: one, last: one},
			play: func(s *stage) {
				s.lease(alice)
				s.silence(envelope{}, newMessage(dhcp.Discover, bob), dhcp.ReasonPoolFull)
			},
		},
		{
			name: "discover/lease-time", rule: "the lease time asked for is granted within bounds", rfc: "2131 §4.3.1",
			setup: setup{lease: 600 * time.Second, minimum: 300 * time.Second, maximum: 900 * time.Second},
			play: func(s *stage) {
				for asked, want := range map[uint32]uint32{700: 700, 5000: 900, 10: 300} {
					if got := s.offer(alice, withSeconds(51, asked)).seconds(51); got != want {
						s.failf("asked for %d s, offered %d s, not %d s", asked, got, want)
					}
				}
			},
		},
		{
			name: "discover/squatter", rule: "an address that is in use by somebody is not offered", rfc: "2131 §2.2, §3.1",
			setup: setup{probe: true, first: one, last: "192.168.1.21"},
			play: func(s *stage) {
				s.clients.Run(s, "ip addr add "+one+"/24 dev eth0")
				s.address(s.eventualOffer(alice, withAddress(50, ip(one))), ip("192.168.1.21"))
				s.reason(dhcp.ReasonConflict)
			},
		},
	}
}

func sharedCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "discover/two-ids", rule: "one chaddr with two client identifiers: two leases", rfc: "2131 §4.2",
			play: func(s *stage) {
				a := s.lease(alice, with(61, 0, 1)).yiaddr
				if b := s.lease(alice, with(61, 0, 2)).yiaddr; a == b {
					s.failf("both have %v", a)
				}
			},
		},
		{
			name: "discover/new-chaddr", rule: "one client identifier with a new chaddr: the same lease",
			rfc: "2131 §4.2, 4361 §6.3",
			play: func(s *stage) {
				a := s.lease(alice, with(61, 0, 1)).yiaddr
				r := s.lease(bob, with(61, 0, 1))
				s.address(r, a)
				s.to(r, bob, a, 68)
			},
		},
	}
}

// eventualOffer repeats a DISCOVER, as clients do, because some servers look for seconds and then wait to be asked
// again.
func (s *stage) eventualOffer(who net.HardwareAddr, changes ...change) *reply {
	m := newMessage(dhcp.Discover, who, changes...)
	s.send(envelope{}, m)
	for range 3 {
		if r := s.within(4*time.Second, m); r != nil {
			return s.must(r, dhcp.Offer)
		}
		s.sendFrame(envelope{from: who}.frame(m.bytes()))
	}
	s.failf("no answer to DISCOVER, sent four times")
	return nil
}
