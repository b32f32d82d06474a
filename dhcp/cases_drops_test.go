package dhcp_test

import (
	"bytes"

	"github.com/kvmlab/kvmlab/dhcp"
)

// dropped is a case in which a message is ignored, and everybody else served as ever.
func dropped(name, rule, rfc string, why dhcp.Reason, changes ...change) conformanceCase {
	return conformanceCase{
		name: "drop/" + name, rule: rule + ": ignored", rfc: rfc,
		play: func(s *stage) { s.silence(envelope{}, newMessage(dhcp.Discover, alice, changes...), why) },
	}
}

// accepted is a case in which a message is odd, but sound.
func accepted(name, rule, rfc string, e envelope, changes ...change) conformanceCase {
	return conformanceCase{
		name: "accept/" + name, rule: rule + ": answered", rfc: rfc,
		play: func(s *stage) {
			s.must(s.ask(e, newMessage(dhcp.Discover, alice, changes...)), dhcp.Offer)
		},
	}
}

// ofType is a message of another type.
func ofType(kind byte) change {
	return func(m *message) { m.options[0].Value = []byte{kind} }
}

// dropCases are about what is no sound request.
func dropCases() []conformanceCase {
	return append([]conformanceCase{
		dropped("op", "op other than BOOTREQUEST", "2131 table 5", dhcp.ReasonNotRequest,
			func(m *message) { m.op = 2 }),
		dropped("hlen", "hlen over 16", "2131 §2", dhcp.ReasonMalformed, func(m *message) { m.hlen = 17 }),
		dropped("truncated-option", "an option that runs past the end", "2132 §2", dhcp.ReasonMalformed,
			func(m *message) { m.noEnd, m.tail = true, []byte{12, 40, 'p', 'c'} }),
		dropped("cookie", "a wrong magic cookie", "2131 §3", dhcp.ReasonMalformed,
			func(m *message) { m.cookie = 0x63825362 }),
		dropped("offer", "OFFER, a type that servers send", "2131 §4.3", dhcp.ReasonNotRequest, ofType(2)),
		dropped("ack", "ACK, a type that servers send", "2131 §4.3", dhcp.ReasonNotRequest, ofType(5)),
		dropped("nak", "NAK, a type that servers send", "2131 §4.3", dhcp.ReasonNotRequest, ofType(6)),
		dropped("unknown-type", "a message type that nobody knows", "2132 §9.6", dhcp.ReasonNotRequest, ofType(99)),
		dropped("hops", "over 16 hops, as relays must", "1542 §4.1.1", dhcp.ReasonTooManyHops, throughRelay(relayIP),
			func(m *message) { m.hops = 17 }),
		{
			name: "drop/zero-length", rule: "a datagram without a payload: ignored", rfc: "2131 §2",
			play: func(s *stage) {
				s.sendFrame(envelope{from: alice}.frame(nil))
				s.silent(0, "nothing", dhcp.ReasonMalformed)
			},
		},
		{
			name: "drop/64k", rule: "a datagram of 64 KiB: no harm, whether or not it is answered", rfc: "2131 §2",
			setup: setup{mtu: 65535},
			play: func(s *stage) {
				m := newMessage(dhcp.Discover, alice, func(m *message) { m.tail = bytes.Repeat([]byte{0}, 65000) })
				s.send(envelope{}, m)
				s.canary(func(*reply) {})
				e, ok := s.eventThat(func(e dhcp.Event) bool { return e.MAC == eth(alice) })
				if ok && (e.Decision != dhcp.DecisionIgnore || e.Reason != dhcp.ReasonMalformed) {
					s.failf("%v because of %q", e.Decision, e.Reason)
				}
			},
		},
		{
			name: "drop/fragments", rule: "one of two fragments: ignored", rfc: "791 §2.3",
			play: func(s *stage) {
				m := newMessage(dhcp.Discover, alice)
				first, _ := fragments(envelope{from: alice}.frame(m.bytes()))
				s.sendFrame(first)
				s.canary(func(r *reply) {
					if r.xid == m.xid {
						s.failf("half a message was answered by %v", r.kind)
					}
				})
				s.reason(dhcp.ReasonFragment)
			},
		},
		{
			name: "drop/checksum", rule: "a wrong UDP checksum: ignored", rfc: "1122 §4.1.3.4",
			play: func(s *stage) {
				m := newMessage(dhcp.Discover, alice)
				s.send(envelope{badSum: true}, m)
				s.canary(func(r *reply) {
					if r.xid == m.xid {
						s.failf("it was answered by %v", r.kind)
					}
				})
				s.reason(dhcp.ReasonBadChecksum)
			},
		},
	}, acceptCases()...)
}

func acceptCases() []conformanceCase {
	return []conformanceCase{
		accepted("no-end", "no End option", "2132 §3.2", envelope{}, func(m *message) { m.noEnd = true }),
		accepted("pads", "pads between options", "2132 §3.1", envelope{}, with(0), with(0), with(61, 0, 1), with(0),
			asking(1, 3)),
		accepted("trailing", "octets after End", "2132 §3.2", envelope{},
			func(m *message) { m.tail = []byte{12, 200, 1, 2, 3, 53, 1, 9} }),
		accepted("no-checksum", "no UDP checksum", "1122 §4.1.3.4", envelope{noSum: true}),
		accepted("option-53-last", "the message type behind other options", "2131 §3", envelope{},
			func(m *message) {
				m.options = []dhcp.Option{{Code: 55, Value: []byte{1, 3}}, m.options[0]}
			}),
	}
}

// restartCases are about leases that outlive the server.
func restartCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "durability/kill",
			rule: "SIGKILL right after an ACK was seen: after a restart the lease is honoured, and nobody else gets it",
			rfc:  "2131 §2.1, §3.1", setup: setup{process: true, first: one, last: one, authoritative: true},
			play: func(s *stage) {
				a := s.lease(alice).yiaddr
				if err := s.restart(s); err != nil {
					s.failf("restart: %v", err)
				}
				s.silence(envelope{}, newMessage(dhcp.Discover, bob), dhcp.ReasonPoolFull)
				s.address(s.must(s.ask(envelope{}, reboot(alice, a)), dhcp.Ack), a)
			},
		},
	}
}
