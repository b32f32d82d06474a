package dhcp_test

import (
	"bytes"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// otherCases are about DECLINE, RELEASE and INFORM.
func otherCases() []conformanceCase {
	return append(declineCases(), releaseCases()...)
}

func declineCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "decline/owner", rule: "DECLINE by the owner: the address is given to nobody", rfc: "2131 §4.3.3",
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				s.send(envelope{}, declining(alice, a, serverIP))
				s.reason(dhcp.ReasonDeclined)
				if r := s.offer(alice, withAddress(50, a)); r.yiaddr == a {
					s.failf("%v was offered again", a)
				}
				if r := s.offer(bob, withAddress(50, a)); r.yiaddr == a {
					s.failf("%v was offered to another client", a)
				}
			},
		},
		{
			name: "decline/not-owner", rule: "DECLINE by anyone else: ignored, the owner is still served",
			rfc: "2131 §4.3.3",
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				s.silence(envelope{}, declining(bob, a, serverIP), dhcp.ReasonNotOwner)
				s.address(s.must(s.ask(renewal(alice, a)), dhcp.Ack), a)
				s.address(s.offer(alice), a)
			},
		},
		{
			name: "decline/other-server", rule: "DECLINE to another server: ignored, the owner is still served",
			rfc: "2131 table 5",
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				s.silence(envelope{}, declining(alice, a, strangerIP), dhcp.ReasonOtherServer)
				s.address(s.must(s.ask(renewal(alice, a)), dhcp.Ack), a)
				s.address(s.offer(alice), a)
			},
		},
	}
}

func releaseCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "release/owner", rule: "RELEASE by the owner: the address is free", rfc: "2131 §4.3.4",
			setup: setup{first: one, last: one},
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				e, m := releasing(alice, a, serverIP)
				s.send(e, m)
				s.reason(dhcp.ReasonReleased)
				s.address(s.offer(bob), a)
			},
		},
		{
			name: "release/not-owner", rule: "RELEASE by anyone else: ignored, the owner is still served",
			rfc: "2131 §4.3.4", setup: setup{first: one, last: one},
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				e, m := releasing(bob, a, serverIP)
				s.silence(e, m, dhcp.ReasonNotOwner)
				s.silence(envelope{}, newMessage(dhcp.Discover, bob), dhcp.ReasonPoolFull)
				s.must(s.ask(renewal(alice, a)), dhcp.Ack)
			},
		},
		{
			name: "release/other-server", rule: "RELEASE to another server: ignored, the owner is still served",
			rfc: "2131 table 5", setup: setup{first: one, last: one},
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				e, m := releasing(alice, a, strangerIP)
				s.silence(e, m, dhcp.ReasonOtherServer)
				s.silence(envelope{}, newMessage(dhcp.Discover, bob), dhcp.ReasonPoolFull)
				s.must(s.ask(renewal(alice, a)), dhcp.Ack)
			},
		},
		{
			name: "release/no-server-id", rule: "RELEASE without 54, sent to us alone (systemd-networkd): as by the owner",
			rfc: "2131 §4.3.4", setup: setup{first: one, last: one},
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				s.send(envelope{src: a, dst: serverIP}, newMessage(dhcp.Release, alice, withCIAddr(a)))
				s.reason(dhcp.ReasonReleased)
				s.address(s.offer(bob), a)
			},
		},
		{
			name: "inform/ack", rule: "INFORM: ACK to ciaddr; yiaddr 0; no 51, 58, 59; no lease", rfc: "2131 §4.3.5",
			setup: setup{authoritative: true, first: one, last: one},
			play: func(s *stage) {
				a := ip(one)
				e := envelope{src: a}
				m := newMessage(dhcp.Inform, alice, withCIAddr(a), asking(1, 3, 6, 15, 51, 58, 59))
				r := s.must(s.ask(e, m), dhcp.Ack)
				s.to(r, alice, a, 68)
				s.address(r, nobody)
				s.never(r, 51, 58, 59)
				s.value(r, 15, []byte("aula.lan"))
				s.address(s.offer(bob), a)
			},
		},
	}
}

// relayCases are about what relays add.
func relayCases() []conformanceCase {
	info := []byte{1, 4, 'p', 'o', 'r', 't', 2, 6, 2, 0, 0x5e, 0, 0x53, 9, 151, 3, 0, 'v', 'r'}
	link := []byte{5, 4, 10, 10, 0, 0, 1, 2, 'x', 'y'}
	return []conformanceCase{
		{
			name: "relay/82", rule: "82 comes back byte for byte, as the last option, in OFFER, ACK and NAK", rfc: "3046 §2.2",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				through := []change{throughRelay(relayIP), asking(1, 3, 6, 82, 15), with(61, 0, 9), with(82, info...)}
				o := s.offer(alice, through...)
				for _, r := range []*reply{
					o,
					s.must(s.ask(envelope{}, selecting(alice, o.yiaddr, through...)), dhcp.Ack),
					s.must(s.ask(envelope{}, reboot(bob, ip("172.16.0.7"), through...)), dhcp.Nak),
				} {
					s.value(r, 82, info)
					if codes := r.codes(); codes[len(codes)-1] != 82 {
						s.failf("%v: the options are %v", r.kind, codes)
					}
				}
			},
		},
		{
			name: "relay/82-overload", rule: "82 stays in the options field when others overload file and sname",
			rfc: "3046 §2.2", setup: setup{options: long(200, 60, 100)},
			play: func(s *stage) {
				r := s.offer(alice, asking(1, 3, 6, 15, 224, 225, 226), with(82, info...))
				s.value(r, 82, info)
				if n := len(r.parts) - r.inFile - r.inSname; r.parts[n-1].Code != 82 {
					s.failf("the options are %v, of which %d in file and %d in sname", r.codes(), r.inFile, r.inSname)
				}
			},
		},
		{
			name: "relay/link-selection", rule: "82.5 decides the subnet, giaddr where the reply goes", rfc: "3527 §3",
			play: func(s *stage) {
				r := s.offer(alice, throughRelay(relayIP), with(82, link...))
				s.to(r, relayMAC, relayIP, 67)
				if !bytes.HasPrefix(r.yiaddr.AsSlice(), []byte{10, 10, 0}) {
					s.failf("offer of %v", r.yiaddr)
				}
				s.value(r, 82, link)
			},
		},
		{
			name: "relay/subnet-selection", rule: "118 decides the subnet, and comes back", rfc: "3011 §2",
			play: func(s *stage) {
				r := s.offer(alice, throughRelay(relayIP), withAddress(118, ip("10.10.0.0")))
				s.to(r, relayMAC, relayIP, 67)
				if !bytes.HasPrefix(r.yiaddr.AsSlice(), []byte{10, 10, 0}) {
					s.failf("offer of %v", r.yiaddr)
				}
				s.value(r, 118, []byte{10, 10, 0, 0})
			},
		},
	}
}

// extensionCases are about later RFCs that a site or client must ask for.
func extensionCases() []conformanceCase {
	routes := dhcp.Option{Code: 121, Value: []byte{8, 10, 192, 168, 1, 1, 0, 192, 168, 1, 1}}
	return []conformanceCase{
		{
			name: "rapid/enabled", rule: "rapid commit, enabled and asked for: ACK with 80 and a lease", rfc: "4039 §3.1",
			setup: setup{rapidCommit: true},
			play: func(s *stage) {
				r := s.must(s.ask(envelope{}, newMessage(dhcp.Discover, alice, with(80))), dhcp.Ack)
				s.value(r, 80, []byte{})
				s.address(s.must(s.ask(renewal(alice, r.yiaddr)), dhcp.Ack), r.yiaddr)
			},
		},
		{
			name: "rapid/not-asked", rule: "enabled but not asked for: OFFER without 80", rfc: "4039 §3.1",
			setup: setup{rapidCommit: true},
			play:  func(s *stage) { s.never(s.offer(alice), 80) },
		},
		{
			name: "rapid/off", rule: "asked for but not enabled: OFFER without 80", rfc: "4039 §3.1",
			play: func(s *stage) { s.never(s.offer(alice, with(80)), 80) },
		},
		{
			name: "v6only/asked", rule: "108 for a client that asks for it", rfc: "8925 §3.3",
			setup: setup{v6Only: 30 * time.Minute},
			play: func(s *stage) {
				if got := s.offer(alice, asking(1, 108, 3)).seconds(108); got != 1800 {
					s.failf("option 108 says %d s", got)
				}
			},
		},
		{
			name: "v6only/not-asked", rule: "no 108 for a client that does not", rfc: "8925 §3.3",
			setup: setup{v6Only: 30 * time.Minute},
			play: func(s *stage) {
				s.never(s.offer(alice, asking(1, 3)), 108)
				s.never(s.offer(bob), 108)
			},
		},
		{
			name: "autoconf/no-address", rule: "116 asked and no address left: OFFER of 0.0.0.0 with DoNotAutoConfigure",
			rfc: "2563 §2.3", setup: setup{first: one, last: one, noAutoConf: true},
			play: func(s *stage) {
				s.lease(alice)
				r := s.offer(bob, with(116, 1))
				s.address(r, nobody)
				s.value(r, 116, []byte{0})
				s.silence(envelope{}, newMessage(dhcp.Discover, bob), dhcp.ReasonPoolFull)
			},
		},
		{
			name: "routes/instead", rule: "121 asked and sent: neither 3 nor 33 beside it", rfc: "3442",
			setup: setup{options: []dhcp.Option{routes}},
			play: func(s *stage) {
				r := s.offer(alice, asking(1, 121, 3, 33))
				s.value(r, 121, routes.Value)
				s.never(r, 3, 33)
			},
		},
		{
			name: "routes/not-asked", rule: "121 not asked for: 3 as ever", rfc: "3442",
			setup: setup{options: []dhcp.Option{routes}},
			play: func(s *stage) {
				r := s.offer(alice, asking(1, 3))
				s.value(r, 3, serverIP.AsSlice())
				s.never(r, 121)
			},
		},
	}
}
