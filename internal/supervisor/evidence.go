package supervisor

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// frameKind sorts frames by what they are kept for.
type frameKind uint8

// The kinds. What is taught and checked with has room of its own, kind by kind; the rest shares the rolling files.
const (
	kindOther frameKind = iota
	kindDHCP
	kindARP
	kindICMP
	frameKinds int = iota
)

// String is the kind as people say it.
func (k frameKind) String() string { return [...]string{"other", "DHCP", "ARP", "ICMP"}[k] }

// kindOf looks at a frame's headers. As in filters, a frame with a VLAN tag is of no protocol.
func kindOf(b []byte) frameKind {
	const ethernet, portsEnd = 14, 4
	if len(b) < ethernet+20 {
		return kindOther
	}
	switch capture.EtherType(binary.BigEndian.Uint16(b[12:])) {
	case capture.TypeARP:
		return kindARP
	case capture.TypeIPv4:
	default:
		return kindOther
	}
	ports := ethernet + int(b[ethernet]&0xf)*4
	switch protocol, fragment := b[ethernet+9], binary.BigEndian.Uint16(b[ethernet+6:])&0x1fff; {
	case protocol == 1:
		return kindICMP
	case protocol != 17 || fragment != 0 || len(b) < ports+portsEnd:
		return kindOther
	}
	for _, port := range []uint16{binary.BigEndian.Uint16(b[ports:]), binary.BigEndian.Uint16(b[ports+2:])} {
		if port == 67 || port == 68 {
			return kindDHCP
		}
	}
	return kindOther
}

// senderOf is the MAC address that a frame says it comes from.
func senderOf(b []byte) (sender macgen.MAC) {
	if len(b) >= 12 {
		copy(sender[:], b[6:12])
	}
	return sender
}

// What is kept at the most, in octets with what it takes in memory. A station of the lab has its room whatever others
// send. Strangers, of whom a flood can bring any number, share what a few of them may have.
const (
	frameCost      = 128
	strangersKept  = 128
	strangerOctets = 16 << 10
)

// shelfOctets is the budget of a station of the lab: for a kind, or of DHCP for each partner and type of message.
// kindOctets is that of all of them together.
var (
	shelfOctets = [frameKinds]int{kindDHCP: 256 << 10, kindARP: 256 << 10, kindICMP: 1 << 20}
	kindOctets  = [frameKinds]int{kindDHCP: 8 << 20, kindARP: 4 << 20, kindICMP: 8 << 20}
)

// shelfKey tells whose budget a frame is on. Requests count on their sender, and so do answers, but for each client
// apart: what somebody makes a server send to him must not use up what it has sent to others. Between stations of the
// lab each type of message has its own, so that a client's thousand DISCOVERs leave its ACK.
type shelfKey struct {
	kind           frameKind
	sender, client macgen.MAC
	message        capture.MessageType
}

// shelf holds the newest frames on one budget, oldest first.
type shelf struct {
	key    shelfKey
	known  bool // it is of stations of the lab
	frames []capture.Frame
	octets int
}

func cost(f capture.Frame) int { return len(f.Data) + frameCost }

// newest is the number of the newest frame.
func (s *shelf) newest() uint64 { return s.frames[len(s.frames)-1].Serial }

// less orders shelves by how much they hold, and then by how long nothing came.
func (s *shelf) less(other *shelf) bool {
	return cmp.Or(cmp.Compare(len(s.frames), len(other.frames)), cmp.Compare(s.newest(), other.newest())) < 0
}

// shrink lets the oldest frames go until no more than so many octets are left, or one frame.
func (s *shelf) shrink(most int) (gone int) {
	drop := 0
	for s.octets-gone > most && drop < len(s.frames)-1 {
		gone += cost(s.frames[drop])
		drop++
	}
	s.octets -= gone
	clear(s.frames[:drop]) // the array is shared until it grows
	s.frames = s.frames[drop:]
	return gone
}

// evidence keeps the frames of the kinds that are taught and checked with: the newest of every sender, in memory, from
// the moment on at which they are seen. What one sender sends pushes out nothing of another.
type evidence struct {
	ours      func(macgen.MAC) bool // stations of the lab
	shelves   map[shelfKey]*shelf
	strangers [frameKinds]int // shelves that are not the lab's
	octets    [frameKinds]int
}

func newEvidence(ours func(macgen.MAC) bool) *evidence {
	return &evidence{ours: ours, shelves: map[shelfKey]*shelf{}}
}

// keep takes a frame of a kind that is not kindOther. Frames come in the order of their numbers.
func (e *evidence) keep(kind frameKind, f capture.Frame) {
	key, known := e.place(kind, f)
	s := e.shelves[key]
	if s == nil {
		s = &shelf{key: key, known: known}
		e.shelves[key] = s
		if !known {
			e.strangers[kind]++
		}
	}
	s.frames = append(s.frames, f)
	s.octets += cost(f)
	e.octets[kind] += cost(f)

	most := strangerOctets
	if known {
		most = shelfOctets[kind]
	}
	e.octets[kind] -= s.shrink(most)
	if e.strangers[kind] > strangersKept {
		e.forget(e.leastOf(kind, s))
	}
	for e.octets[kind] > kindOctets[kind] {
		largest := e.largestOf(kind)
		gone := largest.shrink(largest.octets / 2)
		e.octets[kind] -= gone
		if gone == 0 {
			return // a frame for each of thousands: there is nothing to halve
		}
	}
}

// place finds the budget of a frame.
func (e *evidence) place(kind frameKind, f capture.Frame) (key shelfKey, known bool) {
	key = shelfKey{kind: kind, sender: senderOf(f.Data)}
	known = e.ours(key.sender)
	if kind != kindDHCP {
		return key, known
	}
	m := capture.Decode(f).DHCP
	if m == nil {
		return key, known
	}
	var client macgen.MAC
	copy(client[:], m.CHAddr)
	switch {
	case known && e.ours(client):
		key.client = client
		if m.Type <= capture.Inform { // of what is no message of RFC 2131, a sender can make up hundreds
			key.message = m.Type
		}
	case m.Op == 2: // to a stranger, or from one
		key.client, known = client, false
	}
	return key, known
}

// leastOf is the stranger who is forgotten for a new one: one who has sent least, of those the one who was silent
// longest. A flood of addresses thereby pushes out its own.
func (e *evidence) leastOf(kind frameKind, but *shelf) *shelf {
	var least *shelf
	for _, s := range e.shelves {
		if s.known || s.key.kind != kind || s == but {
			continue
		}
		if least == nil || s.less(least) {
			least = s
		}
	}
	return least
}

// largestOf is the budget of a kind that has used most.
func (e *evidence) largestOf(kind frameKind) *shelf {
	var largest *shelf
	for _, s := range e.shelves {
		if s.key.kind == kind && (largest == nil || s.octets > largest.octets) {
			largest = s
		}
	}
	return largest
}

func (e *evidence) forget(s *shelf) {
	delete(e.shelves, s.key)
	e.strangers[s.key.kind]--
	e.octets[s.key.kind] -= s.octets
}

// all gives what is kept, in the order of the numbers.
func (e *evidence) all() []capture.Frame {
	var frames []capture.Frame
	for _, s := range e.shelves {
		frames = append(frames, s.frames...)
	}
	slices.SortFunc(frames, byNumber)
	return frames
}

// byNumber orders frames by their numbers, and those that have none by their time.
func byNumber(a, b capture.Frame) int {
	if a.Serial == 0 || b.Serial == 0 {
		return a.Time.Compare(b.Time)
	}
	return cmp.Compare(a.Serial, b.Serial)
}
