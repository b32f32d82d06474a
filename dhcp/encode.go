package dhcp

import "encoding/binary"

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
	dst = appendHeader(dst, h)
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

// appendOverloaded places options in the options field, file and sname, in this order, which is also the order in
// which a client reads them. An option goes to the first field from the current one on that holds it whole.
func appendOverloaded(dst []byte, options []Option, limit int) (reply []byte, omitted int) {
	const overloadSize = 3
	last := 0 // what must be kept free for relay agent information
	if n := len(options); n > 0 && options[n-1].Code == OptRelayAgentInfo {
		last = sizeOnWire(options[n-1])
		if len(dst)+overloadSize+last+1 > limit {
			// It cannot be copied in full, so it is left out (RFC 3046 section 2.2).
			options, last, omitted = options[:n-1], 0, 1
		}
	}
	var file, sname [128]byte
	inFile, inSname := file[:0:128], sname[:0:64]
	for _, o := range options {
		n := sizeOnWire(o)
		switch {
		case o.Code == OptRelayAgentInfo:
			continue // below, last
		case len(dst)+n+overloadSize+last+1 <= limit:
			dst = appendOption(dst, o)
		case len(inFile)+n+1 <= cap(inFile):
			inFile = appendOption(inFile, o)
		case len(inSname)+n+1 <= cap(inSname):
			inSname = appendOption(inSname, o)
		default:
			omitted++
		}
	}
	overload := byte(0)
	if len(inFile) > 0 {
		overload |= 1
		copy(dst[fileAt:headerSize], append(inFile, OptEnd))
	}
	if len(inSname) > 0 {
		overload |= 2
		copy(dst[snameAt:fileAt], append(inSname, OptEnd))
	}
	if overload != 0 {
		dst = append(dst, OptOverload, 1, overload)
	}
	if last > 0 {
		dst = appendOption(dst, options[len(options)-1])
	}
	return append(dst, OptEnd), omitted
}
