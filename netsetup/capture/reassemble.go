package capture

import "time"

// How much a Reassembler keeps of packets that are not whole yet. A fragment that is alone for longer belongs to a packet
// whose rest was lost; Linux waits as long (net.ipv4.ipfrag_time).
const (
	openPackets  = 64
	fragmentWait = 30 * time.Second
	maxPayload   = 65535 - ipv4Size // of an IPv4 packet
)

// Reassembler decodes the frames of a capture one after the other, and puts IPv4 packets together that were sent in
// fragments (RFC 791 section 3.2). A fragment by itself has a network layer only; the one that completes its packet has
// the layers above as well, and says how many fragments they are from ([IPv4.Fragments]). The zero value is ready. Its
// memory is bounded: the packets that wait longest are given up.
type Reassembler struct {
	open []*assembly // the oldest first
}

// assembly is a packet that is not whole yet.
type assembly struct {
	key    fragmentKey
	began  time.Time
	pieces []piece
	octets int // in pieces
	end    int // of the packet's payload; -1 until the last fragment is here
}

// fragmentKey is what the fragments of a packet have in common (RFC 791 section 2.3).
type fragmentKey struct {
	link                string
	source, destination [4]byte
	protocol            uint8
	id                  uint16
}

type piece struct {
	at   int
	data []byte
}

// Decode decodes a frame, as the function of that name, and reassembles. Frames come in the order of the capture.
func (r *Reassembler) Decode(f Frame) *Packet {
	p := Decode(f)
	if p.IP == nil || !p.IP.Fragment() || p.Malformed != "" {
		return p
	}
	a := r.find(p)
	if !a.add(p) {
		return p
	}
	if !a.overlaps() {
		p = a.packet(f, p)
	}
	r.drop(a)
	return p
}

// find gives the assembly of a fragment's packet, and begins it when there is none.
func (r *Reassembler) find(p *Packet) *assembly {
	for len(r.open) > 0 && p.Time.Sub(r.open[0].began) > fragmentWait {
		r.open = r.open[1:]
	}
	key := fragmentKey{p.Interface, p.IP.Source.As4(), p.IP.Destination.As4(), p.IP.Protocol, p.IP.ID}
	for _, a := range r.open {
		if a.key == key {
			return a
		}
	}
	if len(r.open) == openPackets {
		r.open = r.open[1:]
	}
	a := &assembly{key: key, began: p.Time, end: -1}
	r.open = append(r.open, a)
	return a
}

func (r *Reassembler) drop(done *assembly) {
	left := r.open[:0:0]
	for _, a := range r.open {
		if a != done {
			left = append(left, a)
		}
	}
	r.open = left
}

// add takes a fragment and reports whether nothing is missing any more. One that was seen before, because the capture
// has two links of its way, counts once.
func (a *assembly) add(p *Packet) (whole bool) {
	data := p.data[p.layout.ip+p.IP.HeaderLen : p.layout.ipEnd]
	at := p.IP.FragOffset
	for _, other := range a.pieces {
		if other.at == at && len(other.data) == len(data) {
			return false
		}
	}
	if len(data) == 0 || at+len(data) > maxPayload || a.octets+len(data) > maxPayload {
		return false
	}
	a.pieces = append(a.pieces, piece{at, data})
	a.octets += len(data)
	if !p.IP.MoreFrags {
		a.end = at + len(data)
	}
	return a.end >= 0 && a.octets >= a.end
}

// overlaps reports whether fragments claim the same octets, or octets beyond the end. What was meant then nobody can
// know; Linux drops such packets too.
func (a *assembly) overlaps() bool {
	taken := make([]bool, a.end)
	for _, x := range a.pieces {
		for i := range x.data {
			if x.at+i >= a.end || taken[x.at+i] {
				return true
			}
			taken[x.at+i] = true
		}
	}
	return false
}

// packet decodes the whole: the headers of the frame that completed it, and the payload of all.
func (a *assembly) packet(f Frame, last *Packet) *Packet {
	headers := last.layout.ip + last.IP.HeaderLen
	data := make([]byte, headers+a.end)
	copy(data, f.Data[:headers])
	for _, x := range a.pieces {
		copy(data[headers+x.at:], x.data)
	}
	d := newDecoder(f)
	d.b, d.p.data, d.fragments = data, data, len(a.pieces)
	return d.decode(f.Unsummed)
}
