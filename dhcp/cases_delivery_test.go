package dhcp_test

import (
	"github.com/kvmlab/kvmlab/dhcp"
)

// deliveryCases are about where replies go.
func deliveryCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "delivery/giaddr", rule: "giaddr set: to giaddr, port 67", rfc: "2131 §4.1",
			play: func(s *stage) {
				r := s.offer(alice, throughRelay(relayIP))
				s.to(r, relayMAC, relayIP, 67)
				s.must(s.ask(envelope{}, selecting(alice, r.yiaddr, throughRelay(relayIP))), dhcp.Ack)
			},
		},
		{
			name: "delivery/ciaddr", rule: "ciaddr set: unicast to ciaddr, port 68", rfc: "2131 §4.1",
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				s.to(s.ask(renewal(alice, a)), alice, a, 68)
			},
		},
		{
			name: "delivery/broadcast-flag", rule: "both zero and B set: broadcast on the IP and the link layer",
			rfc: "2131 §4.1",
			play: func(s *stage) {
				s.to(s.offer(alice, withFlags(0x8000)), broadcast, everyone, 68)
				s.to(s.lease(alice, withFlags(0x8000)), broadcast, everyone, 68)
			},
		},
		{
			name: "delivery/no-broadcast-flag", rule: "both zero and B clear: to yiaddr and chaddr, without ARP",
			rfc: "2131 §4.1",
			play: func(s *stage) {
				r := s.lease(alice)
				s.to(r, alice, r.yiaddr, 68)
				if s.wasAsked(r.yiaddr) {
					s.failf("the server asked for %v by ARP", r.yiaddr)
				}
			},
		},
		{
			name: "delivery/nak", rule: "NAK without giaddr: broadcast, even with B clear", rfc: "2131 §4.1",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				s.to(s.must(s.ask(envelope{}, reboot(alice, ip("172.16.0.7"))), dhcp.Nak), broadcast, everyone, 68)
			},
		},
		{
			name: "delivery/nak-ciaddr", rule: "NAK without giaddr: broadcast, even with ciaddr set", rfc: "2131 §4.1",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				_, m := renewal(bob, a)
				s.to(s.must(s.ask(envelope{src: a}, m), dhcp.Nak), broadcast, everyone, 68)
			},
		},
		{
			name: "delivery/nak-giaddr", rule: "NAK with giaddr: to the relay, with the B bit set", rfc: "2131 §4.3.2",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				r := s.must(s.ask(envelope{}, reboot(alice, ip("172.16.0.7"), throughRelay(relayIP))), dhcp.Nak)
				s.to(r, relayMAC, relayIP, 67)
				if r.flags != 0x8000 {
					s.failf("flags %#x", r.flags)
				}
			},
		},
		{
			name: "delivery/checksums", rule: "IP and UDP checksums are complete in the frame, even where a card could do it", rfc: "1122 §4.1.3.4",
			play: func(s *stage) {
				r := s.lease(alice, withFlags(0x8000))
				if r.sums != nil {
					s.failf("broadcast: %v", r.sums)
				}
				if r = s.ask(renewal(alice, r.yiaddr)); r.sums != nil {
					s.failf("unicast: %v", r.sums)
				}
			},
		},
	}
}

// headerCases are about the fixed fields of replies.
func headerCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "header/copied", rule: "xid, B, giaddr and chaddr are copied", rfc: "2131 table 3",
			play: func(s *stage) {
				for _, c := range []change{withFlags(0x8000), throughRelay(relayIP)} {
					m := newMessage(dhcp.Discover, alice, c)
					r := s.ask(envelope{}, m) // it has the xid, or it would not be found
					var chaddr [16]byte
					copy(chaddr[:], alice)
					if r.flags != m.flags || r.giaddr != m.giaddr || r.chaddr != chaddr || r.htype != 1 || r.hlen != 6 {
						s.failf("flags %#x, giaddr %v, htype %d, hlen %d, chaddr %x", r.flags, r.giaddr, r.htype, r.hlen, r.chaddr)
					}
				}
			},
		},
		{
			name: "header/reserved-flags", rule: "the 15 reserved flag bits are zero", rfc: "2131 §2, figure 2",
			play: func(s *stage) {
				if r := s.offer(alice, withFlags(0xd5a5)); r.flags != 0x8000 {
					s.failf("flags %#x", r.flags)
				}
			},
		},
		{
			name: "header/hops-secs", rule: "hops and secs are zero", rfc: "2131 table 3",
			play: func(s *stage) {
				r := s.offer(alice, throughRelay(relayIP), func(m *message) { m.hops, m.secs = 3, 9 })
				if r.hops != 0 || r.secs != 0 {
					s.failf("hops %d, secs %d", r.hops, r.secs)
				}
			},
		},
		{
			name: "header/offer-ciaddr", rule: "OFFER: ciaddr is zero", rfc: "2131 table 3",
			play: func(s *stage) {
				r := s.offer(alice, withCIAddr(ip("192.168.1.77")), withFlags(0x8000))
				if r.ciaddr != nobody {
					s.failf("ciaddr %v", r.ciaddr)
				}
			},
		},
		{
			name: "header/ack-ciaddr", rule: "ACK: ciaddr is that of the REQUEST", rfc: "2131 table 3",
			play: func(s *stage) {
				r := s.lease(alice)
				if r.ciaddr != nobody {
					s.failf("ciaddr %v in SELECTING", r.ciaddr)
				}
				if n := s.ask(renewal(alice, r.yiaddr)); n.ciaddr != r.yiaddr {
					s.failf("ciaddr %v in RENEWING", n.ciaddr)
				}
			},
		},
		{
			name: "header/nak", rule: "NAK: ciaddr, yiaddr and siaddr are zero", rfc: "2131 table 3",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				r := s.must(s.ask(envelope{}, reboot(alice, ip("172.16.0.7"))), dhcp.Nak)
				if r.ciaddr != nobody || r.yiaddr != nobody || r.siaddr != nobody {
					s.failf("ciaddr %v, yiaddr %v, siaddr %v", r.ciaddr, r.yiaddr, r.siaddr)
				}
			},
		},
	}
}
