package dhcp_test

import (
	"bytes"
	"slices"

	"github.com/kvmlab/kvmlab/dhcp"
)

// long are options of the site that make a reply as long as a case needs it.
func long(sizes ...int) (options []dhcp.Option) {
	for i, n := range sizes {
		options = append(options, dhcp.Option{Code: uint8(224 + i), Value: bytes.Repeat([]byte{byte('a' + i)}, n)})
	}
	return options
}

// withSize is option 57.
func withSize(n int) change { return with(57, byte(n>>8), byte(n)) }

// optionCases are about which options a reply has, and how they are written.
func optionCases() []conformanceCase {
	return append(optionChoiceCases(), optionFormatCases()...)
}

func optionChoiceCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "options/server-id", rule: "54 in OFFER, ACK and NAK", rfc: "2131 table 3",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				for _, r := range []*reply{
					s.offer(alice), s.lease(alice), s.must(s.ask(envelope{}, reboot(bob, ip("172.16.0.7"))), dhcp.Nak),
				} {
					s.value(r, 54, serverIP.AsSlice())
				}
			},
		},
		{
			name: "options/nak", rule: "NAK has 53, 54, 56, 60, 61, 82 and nothing else", rfc: "2131 table 3, 6842 §3, 3046 §2.2",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				r := s.ask(envelope{}, reboot(alice, ip("172.16.0.7"), asking(1, 3, 6, 15, 51, 58, 59), with(61, 1, 2, 3)))
				s.only(s.must(r, dhcp.Nak), 53, 54, 56, 60, 61, 82)
				if s.ring() != nil {
					s.echoedInNak()
				}
			},
		},
		{
			name: "options/client-only", rule: "50, 55 and 57 never come back, even if they are asked for",
			rfc: "2131 table 3",
			play: func(s *stage) {
				a := ip("192.168.1.50")
				r := s.lease(alice, withSize(1400), asking(1, 50, 55, 57, 3), withAddress(50, a))
				s.never(r, 50, 55, 57)
			},
		},
		{
			name: "options/order", rule: "53 first, End last, the options asked for in the order asked",
			rfc: "2132 §9.8, 2131 §4.1",
			play: func(s *stage) {
				r := s.offer(alice, asking(1, 15, 6, 3))
				codes := r.codes()
				if codes[0] != 53 {
					s.failf("first is option %d", codes[0])
				}
				asked := slices.DeleteFunc(codes, func(c uint8) bool { return !slices.Contains([]uint8{1, 15, 6, 3}, c) })
				if !slices.Equal(asked, []uint8{1, 15, 6, 3}) {
					s.failf("the options asked for came in the order %v", asked)
				}
				if s.ring() != nil {
					s.ordered(r)
					s.ordered(s.lease(bob, asking(1, 15, 6, 3)))
					s.ordered(s.must(s.ask(envelope{}, reboot(alice, ip("172.16.0.7"), with(61, 0, 9))), dhcp.Nak))
				}
			},
		},
		{
			name: "options/once", rule: "an option asked for twice comes once", rfc: "2131 §4.3.1",
			play: func(s *stage) {
				codes := s.offer(alice, asking(15, 1, 15, 6, 1, 54, 51)).codes()
				slices.Sort(codes)
				if len(slices.Compact(slices.Clone(codes))) != len(codes) {
					s.failf("options %v", codes)
				}
			},
		},
		{
			name: "options/unknown", rule: "what is asked for and not configured is left out", rfc: "2131 §4.3.1",
			play: func(s *stage) { s.never(s.offer(alice, asking(1, 200, 66, 12, 3)), 200, 66, 12) },
		},
		{
			name: "options/client-id", rule: "61 comes back as it was sent, in OFFER, ACK and NAK", rfc: "6842 §3",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				id := []byte{0, 'p', 'c', 7}
				s.value(s.offer(alice, with(61, id...)), 61, id)
				s.value(s.lease(alice, with(61, id...)), 61, id)
				s.value(s.must(s.ask(envelope{}, reboot(alice, ip("172.16.0.7"), with(61, id...))), dhcp.Nak), 61, id)
			},
		},
		{
			name: "options/no-client-id", rule: "61 is not invented", rfc: "6842 §3",
			play: func(s *stage) { s.never(s.lease(alice, asking(1, 61)), 61) },
		},
		{
			name: "options/times", rule: "51 in OFFER and ACK; where 58 and 59 are sent, T1 < T2 < lease", rfc: "2131 table 3, §4.4.5",
			play: func(s *stage) {
				for _, r := range []*reply{s.offer(alice), s.lease(alice)} {
					t1, t2, lease := r.seconds(58), r.seconds(59), r.seconds(51)
					sent := r.has(58) && r.has(59)
					if lease != 600 || sent && (t1 == 0 || t1 >= t2 || t2 >= lease) || !sent && s.ring() != nil {
						s.failf("T1 %d, T2 %d, lease %d", t1, t2, lease)
					}
					if s.ring() != nil && (t1 != 300 || t2 != 525) {
						s.failf("T1 %d and T2 %d are not 0.5 and 0.875 of %d", t1, t2, lease)
					}
				}
			},
		},
	}
}

// echoedInNak checks that a NAK says why, and gives back what the client and its relay sent.
func (s *stage) echoedInNak() {
	r := s.must(s.ask(envelope{}, reboot(alice, ip("172.16.0.7"), throughRelay(relayIP), asking(1, 3, 51, 56),
		with(60, 'x'), with(61, 1, 2, 3), with(82, 1, 1, 7))), dhcp.Nak)
	s.only(r, 53, 54, 56, 60, 61, 82)
	s.value(r, 61, []byte{1, 2, 3})
	s.value(r, 82, []byte{1, 1, 7})
	if len(r.option(56)) == 0 {
		s.failf("NAK without a message")
	}
}

// ordered checks that the message type is the first option, and that End is the last thing in a message.
func (s *stage) ordered(r *reply) {
	if codes := r.codes(); codes[0] != 53 {
		s.failf("%v: the options are %v", r.kind, codes)
	}
	if len(bytes.Trim(r.rest, "\x00")) > 0 {
		s.failf("%v: behind End is %x", r.kind, r.rest)
	}
}

func optionFormatCases() []conformanceCase {
	return []conformanceCase{
		{
			name: "size/least", rule: "a reply has at least 300 octets", rfc: "1542 §2.1",
			setup: setup{authoritative: true},
			play: func(s *stage) {
				for _, r := range []*reply{s.offer(alice), s.must(s.ask(envelope{}, reboot(bob, ip("172.16.0.7"))), dhcp.Nak)} {
					if len(r.payload) < 300 {
						s.failf("%v of %d octets", r.kind, len(r.payload))
					}
				}
			},
		},
		{
			name: "size/no-57", rule: "without 57 the IP packet has at most 576 octets", rfc: "2131 §2",
			setup: setup{options: long(120, 120, 120, 120)},
			play: func(s *stage) {
				r := s.offer(alice, asking(1, 3, 224, 225, 226, 227))
				if n := int(r.ip.Length); n > 576 {
					s.failf("%d octets", n)
				}
				s.value(r, 1, []byte{255, 255, 255, 0})
				if s.ring() != nil { // what is left out is the last one, which no field has room for
					s.only(r, 53, 54, 51, 58, 59, 1, 3, 224, 225, 226, 52)
					s.lacksNone(r, 53, 54, 51, 58, 59, 1, 3, 224, 225, 226)
					s.reason(dhcp.ReasonNoRoom)
				}
			},
		},
		{
			name: "size/small-57", rule: "a 57 of less than 576 counts as 576", rfc: "2132 §9.10",
			setup: setup{options: long(180)},
			play: func(s *stage) {
				r := s.offer(alice, withSize(320), asking(1, 224))
				if n := int(r.ip.Length); n > 576 {
					s.failf("%d octets", n)
				}
				s.value(r, 224, long(180)[0].Value)
				if r.has(52) {
					s.failf("overload, although it fits in 576 octets")
				}
			},
		},
		{
			name: "size/large-57", rule: "a larger 57 is made use of", rfc: "2132 §9.10",
			setup: setup{options: long(200, 200, 200)},
			play: func(s *stage) {
				r := s.offer(alice, withSize(1400), asking(1, 224, 225, 226))
				for _, o := range long(200, 200, 200) {
					s.value(r, o.Code, o.Value)
				}
				if n := int(r.ip.Length); n > 1400 {
					s.failf("%d octets", n)
				}
			},
		},
		{
			name: "size/overload", rule: "what does not fit goes to file, then to sname (52)", rfc: "2132 §9.3, 2131 §4.1",
			setup: setup{options: long(200, 60, 100, 50)},
			play: func(s *stage) {
				r := s.offer(alice, asking(1, 224, 225, 226, 227))
				for _, o := range long(200, 60, 100, 50) {
					s.value(r, o.Code, o.Value)
				}
				if n := int(r.ip.Length); n > 576 {
					s.failf("%d octets", n)
				}
				if r.inFile == 0 {
					s.failf("nothing is in file")
				}
				if codes := r.codes(); s.ring() != nil && (r.inFile != 1 || r.inSname != 1 || codes[len(codes)-1] != 227) {
					s.failf("of %v, %d are in file and %d in sname", codes, r.inFile, r.inSname)
				}
			},
		},
		{
			name: "overload/read", rule: "52 in a request: file is read before sname", rfc: "2131 §4.1, 3396 §5",
			setup: setup{options: long(4, 5)},
			play: func(s *stage) {
				inFile := wireOptions(dhcp.Option{Code: 61, Value: []byte{0, 'a'}}, dhcp.Option{Code: 55, Value: []byte{1, 224}})
				inSname := wireOptions(dhcp.Option{Code: 61, Value: []byte{'b', 'c'}}, dhcp.Option{Code: 55, Value: []byte{225}})
				r := s.offer(alice, with(52, 3), func(m *message) {
					m.file, m.sname = append(inFile, 255), append(inSname, 255)
				})
				s.joined(r, []byte{0, 'a', 'b', 'c'})
			},
		},
		{
			name: "long/read", rule: "an option that comes in parts is one option", rfc: "3396 §7",
			setup: setup{options: long(4, 5)},
			play: func(s *stage) {
				r := s.offer(alice, asking(1, 224), with(61, 0, 'p', 'c'), asking(225), with(61, '-', '1'))
				s.joined(r, []byte("\x00pc-1"))
			},
		},
		{
			name: "long/write", rule: "an option of over 255 octets is sent in parts", rfc: "3396 §6",
			setup: setup{options: long(300)},
			play: func(s *stage) {
				r := s.offer(alice, withSize(1400), asking(1, 224))
				s.value(r, 224, long(300)[0].Value)
			},
		},
	}
}

// joined checks the reply to a client that asked in two parts for 1 and 224, and for 225, and gave its identifier in two
// parts. Not every server sends that back.
func (s *stage) joined(r *reply, id []byte) {
	for _, o := range long(4, 5) {
		s.value(r, o.Code, o.Value)
	}
	if r.has(61) || s.ring() != nil {
		s.value(r, 61, id)
	}
}
