package supervisor

import (
	"cmp"
	"slices"
	"time"

	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// Flood is more than a network that works would carry: from one station, or from many unknown addresses.
type Flood struct {
	MAC     string    `json:"mac,omitempty"`   // the sender; absent for many
	Guest   string    `json:"guest,omitempty"` // whose card that is, when it is the lab's
	NIC     string    `json:"nic,omitempty"`
	Kind    string    `json:"kind"`              // DHCP, ARP, ICMP or other
	Packets uint64    `json:"packets"`           // the most in one second
	Senders uint64    `json:"senders,omitempty"` // the unknown addresses that these came from, when they are many
	At      time.Time `json:"at"`                // when that second began
	Seconds uint64    `json:"seconds"`           // how many such seconds there have been
}

// floodRates are the packets of one sender in one second from which on they are a flood. A ping every second, a scan
// of a subnet or a class whose guests all start at once stay below; a download does, because its packets are large.
var floodRates = [frameKinds]uint64{kindOther: 10_000, kindDHCP: 200, kindARP: 500, kindICMP: 500}

// What is remembered at the most: unknown senders in one second, and floods.
const (
	manySenders   = 100 // unknown ones in one second are a flood by themselves
	sendersNoted  = 2048
	floodsNoted   = 64
	floodInterval = time.Second
)

// floodKey tells floods apart; that of many unknown senders has no address.
type floodKey struct {
	sender macgen.MAC
	kind   frameKind
}

// floodWatch counts frames by sender and kind, second by second.
type floodWatch struct {
	ours   func(macgen.MAC) bool
	began  time.Time // the second that is counted
	counts map[macgen.MAC]*[frameKinds]uint64
	crowd  uint64 // frames of senders who were too many to be counted each
	floods map[floodKey]*Flood
}

func newFloodWatch(ours func(macgen.MAC) bool) *floodWatch {
	return &floodWatch{ours: ours, counts: map[macgen.MAC]*[frameKinds]uint64{}, floods: map[floodKey]*Flood{}}
}

// see counts a frame.
func (w *floodWatch) see(kind frameKind, f capture.Frame) {
	if passed := f.Time.Sub(w.began); passed >= floodInterval || passed < 0 {
		w.turn()
		w.began = f.Time
	}
	sender := senderOf(f.Data)
	n := w.counts[sender]
	if n == nil {
		if len(w.counts) >= sendersNoted && !w.ours(sender) {
			w.crowd++
			return
		}
		n = new([frameKinds]uint64)
		w.counts[sender] = n
	}
	n[kind]++
}

// turn ends a second.
func (w *floodWatch) turn() {
	unknown := Flood{Packets: w.crowd, Senders: w.crowd} // each of the crowd may be somebody else
	var kinds [frameKinds]uint64
	for sender, n := range w.counts {
		known := w.ours(sender)
		for kind, packets := range n {
			if packets >= floodRates[kind] {
				w.note(floodKey{sender, frameKind(kind)}, Flood{Packets: packets})
			}
			if !known {
				unknown.Packets += packets
				kinds[kind] += packets
			}
		}
		if !known {
			unknown.Senders++
		}
	}
	if unknown.Senders >= manySenders {
		kind := frameKind(slices.Index(kinds[:], slices.Max(kinds[:])))
		w.note(floodKey{kind: kind}, unknown)
	}
	clear(w.counts)
	w.crowd = 0
}

// note keeps a flood's worst second. Of too many floods the least is forgotten.
func (w *floodWatch) note(key floodKey, one Flood) {
	known := w.floods[key]
	if known == nil {
		known = &Flood{}
		w.floods[key] = known
	}
	known.Seconds++
	if one.Packets > known.Packets {
		known.Packets, known.Senders, known.At = one.Packets, one.Senders, w.began
	}
	if len(w.floods) <= floodsNoted {
		return
	}
	least := key
	for other, flood := range w.floods {
		if flood.Packets < w.floods[least].Packets {
			least = other
		}
	}
	delete(w.floods, least)
}

// list names the floods so far, the oldest first, as of now.
func (w *floodWatch) list(now time.Time, station func(macgen.MAC) (guest, nic string, ok bool)) []Flood {
	if now.Sub(w.began) >= floodInterval {
		w.turn()
	}
	out := []Flood{}
	for key, flood := range w.floods {
		one := *flood
		one.Kind = key.kind.String()
		if one.Senders == 0 {
			one.MAC = key.sender.String()
			one.Guest, one.NIC, _ = station(key.sender)
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Flood) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.MAC, b.MAC), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}
