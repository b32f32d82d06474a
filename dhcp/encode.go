package dhcp

import (
	"encoding/binary"
	"slices"
)

// header holds the fixed fields of a reply that are not zero.
type header struct {
	xid            uint32
	flags          uint16
	ciaddr, yiaddr ip4
	siaddr, giaddr ip4
	chaddr         HWAddr
}

// encodeReply appends a BOOTREPLY with its options to dst, which must be empty with a capacity of at least limit
// for it not to allocate. limit is the largest UDP payload the client takes. Options keep their order, except that
// relay agent information goes last and stays in the options field (RFC 3046 section 2.1). What does not fit goes
// to file, then to sname (option 52); what still does not fit is left out, and counted in omitted.
func encodeReply(dst []byte, h *header, options []Option, limit int) (reply []byte, omitted int) {
	dst = appendHeader(slices.Grow(dst, limit), h)
	need := 1 // End
	for _, o := range options {
		need += sizeOnWire(o)
	}
	room := limit - len(dst)
	if need <= room {
		for _, o := range options {
			dst = appendOption(dst, o)
		}
		dst = append(dst, OptEnd)
	} else {
		dst, omitted = appendOverloaded(dst, options, limit)
	}
	for len(dst) < minReply {
		dst = append(dst, OptPad)
	}
	return dst, omitted
}

// appendHeader writes the 236 fixed octets and the cookie. hops and secs of a reply are zero (RFC 2131 table 3).
func appendHeader(dst []byte, h *header) []byte {
	dst = append(dst, make([]byte, headerSize+cookieSize)...)
	dst[0], dst[1], dst[2] = opReply, h.chaddr.kind, h.chaddr.size
	binary.BigEndian.PutUint32(dst[4:], h.xid)
	binary.BigEndian.PutUint16(dst[10:], h.flags)
	binary.BigEndian.PutUint32(dst[12:], uint32(h.ciaddr))
	binary.BigEndian.PutUint32(dst[16:], uint32(h.yiaddr))
	binary.BigEndian.PutUint32(dst[20:], uint32(h.siaddr))
	binary.BigEndian.PutUint32(dst[24:], uint32(h.giaddr))
	copy(dst[28:], h.chaddr.bytes[:])
	binary.BigEndian.PutUint32(dst[headerSize:], cookie)
	return dst
}

// sizeOnWire is how many octets an option takes when it is split into parts of at most 255 (RFC 3396 section 5).
func sizeOnWire(o Option) int {
	parts := max(1, (len(o.Value)+254)/255)
	return 2*parts + len(o.Value)
}

func appendOption(dst []byte, o Option) []byte {
	v := o.Value
	for {
		n := min(len(v), 255)
		dst = append(append(dst, o.Code, byte(n)), v[:n]...)
		if v = v[n:]; len(v) == 0 {
			return dst
		}
	}
}

// overloadSize is what option 52 itself takes.
const overloadSize = 3

// fields are the three places for options of a reply that is overloaded.
type fields struct {
	options     []byte // the whole message so far; it is not moved, because the others are parts of it
	file, sname []byte
	limit       int // of options
}

// place appends an option to the first field that holds it whole. One that has to be split anyway (RFC 3396 section
// 5) may also go on in the next field: options, file and sname is the order in which they are joined.
func (f *fields) place(o Option) bool {
	n := sizeOnWire(o)
	switch rooms := f.rooms(); {
	case n <= rooms[0]:
		f.options = appendOption(f.options, o)
	case n <= rooms[1]:
		f.file = appendOption(f.file, o)
	case n <= rooms[2]:
		f.sname = appendOption(f.sname, o)
	default:
		return len(o.Value) > 255 && f.spread(o, rooms)
	}
	return true
}

// rooms is how many octets of options each field still takes.
func (f *fields) rooms() [3]int {
	return [3]int{f.limit - len(f.options), cap(f.file) - len(f.file) - 1, cap(f.sname) - len(f.sname) - 1}
}

// spread splits an option over the fields, if all of it fits.
func (f *fields) spread(o Option, rooms [3]int) bool {
	holds := 0
	for _, room := range rooms {
		whole, rest := room/257, room%257
		holds += 255*max(whole, 0) + max(rest-2, 0)
	}
	if holds < len(o.Value) {
		return false
	}
	v := o.Value
	for i, field := range []*[]byte{&f.options, &f.file, &f.sname} {
		for room := rooms[i]; room > 2 && len(v) > 0; {
			n := min(len(v), 255, room-2)
			*field = append(append(*field, o.Code, byte(n)), v[:n]...)
			v, room = v[n:], room-n-2
		}
	}
	return true
}

// appendOverloaded places options in the options field, file and sname, in this order, which is also the order in
// which a client reads them.
func appendOverloaded(dst []byte, options []Option, limit int) (reply []byte, omitted int) {
	var last []Option // relay agent information
	if n := len(options); n > 0 && options[n-1].Code == OptRelayAgentInfo {
		options, last = options[:n-1], options[n-1:]
		if len(dst)+overloadSize+sizeOnWire(last[0])+1 > limit {
			last, omitted = nil, 1 // it cannot be copied in full (RFC 3046 section 2.2)
		}
	}
	f := fields{
		options: dst, file: dst[fileAt:fileAt:headerSize], sname: dst[snameAt:snameAt:fileAt],
		limit: limit - overloadSize - 1,
	}
	for _, o := range last {
		f.limit -= sizeOnWire(o)
	}
	for _, o := range options {
		if !f.place(o) {
			omitted++
		}
	}
	dst = f.options
	overload := byte(0)
	if len(f.file) > 0 {
		overload |= 1
		dst[fileAt+len(f.file)] = OptEnd
	}
	if len(f.sname) > 0 {
		overload |= 2
		dst[snameAt+len(f.sname)] = OptEnd
	}
	if overload != 0 {
		dst = append(dst, OptOverload, 1, overload)
	}
	for _, o := range last {
		dst = appendOption(dst, o)
	}
	return append(dst, OptEnd), omitted
}
