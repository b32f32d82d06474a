package dhcp_test

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/kvmlab/kvmlab/dhcp"
)

// The stations' own codec. It shares nothing with the server's and can write what no client should.

// message is what a station sends.
type message struct {
	op, htype, hops uint8
	hlen            int // 0: that of chaddr
	xid             uint32
	secs, flags     uint16
	ciaddr, giaddr  netip.Addr
	chaddr          net.HardwareAddr
	sname, file     []byte
	cookie          uint32
	options         []dhcp.Option
	noEnd           bool
	tail            []byte // behind End
}

// change makes a message differ from the usual one.
type change func(*message)

func newMessage(kind dhcp.MessageType, from net.HardwareAddr, changes ...change) *message {
	m := &message{
		op: 1, htype: 1, chaddr: from, ciaddr: nobody, giaddr: nobody, cookie: 0x63825363,
		options: []dhcp.Option{{Code: 53, Value: []byte{byte(kind)}}},
	}
	for _, c := range changes {
		c(m)
	}
	return m
}

func (m *message) kind() dhcp.MessageType { return dhcp.MessageType(m.options[0].Value[0]) }

func (m *message) bytes() []byte {
	b := make([]byte, 240)
	b[0], b[1], b[2], b[3] = m.op, m.htype, byte(len(m.chaddr)), m.hops
	if m.hlen != 0 {
		b[2] = byte(m.hlen)
	}
	binary.BigEndian.PutUint32(b[4:], m.xid)
	binary.BigEndian.PutUint16(b[8:], m.secs)
	binary.BigEndian.PutUint16(b[10:], m.flags)
	copy(b[12:], m.ciaddr.AsSlice())
	copy(b[24:], m.giaddr.AsSlice())
	copy(b[28:44], m.chaddr)
	copy(b[44:108], m.sname)
	copy(b[108:236], m.file)
	binary.BigEndian.PutUint32(b[236:], m.cookie)
	b = append(b, wireOptions(m.options...)...)
	if !m.noEnd {
		b = append(b, 255)
	}
	b = append(b, m.tail...)
	for len(b) < 300 && !m.noEnd {
		b = append(b, 0)
	}
	return b
}

// wireOptions writes options as they are, one part each, however long; a code of 0 is a pad.
func wireOptions(options ...dhcp.Option) (b []byte) {
	for _, o := range options {
		if o.Code == 0 {
			b = append(b, 0)
			continue
		}
		b = append(append(b, o.Code, byte(len(o.Value))), o.Value...)
	}
	return b
}

// with adds an option.
func with(code uint8, value ...byte) change {
	return func(m *message) { m.options = append(m.options, dhcp.Option{Code: code, Value: value}) }
}

func withAddress(code uint8, a netip.Addr) change { return with(code, a.AsSlice()...) }

func withSeconds(code uint8, s uint32) change {
	return with(code, binary.BigEndian.AppendUint32(nil, s)...)
}

func withFlags(flags uint16) change { return func(m *message) { m.flags = flags } }

func withCIAddr(a netip.Addr) change { return func(m *message) { m.ciaddr = a } }

// throughRelay is what a relay adds.
func throughRelay(giaddr netip.Addr) change {
	return func(m *message) { m.giaddr = giaddr; m.hops = 1 }
}

// asking is a parameter request list.
func asking(codes ...byte) change { return with(55, codes...) }

// reply is what a server answered, taken apart.
type reply struct {
	frame
	kind                           dhcp.MessageType
	op, htype, hlen, hops          uint8
	xid                            uint32
	secs, flags                    uint16
	ciaddr, yiaddr, siaddr, giaddr netip.Addr
	chaddr                         [16]byte
	parts                          []dhcp.Option // of options, file and sname, in this order and not joined
	inFile, inSname                int           // how many parts came from there
	rest                           []byte        // behind End
	problem                        string        // why it cannot be read
}

func readReply(f frame) *reply {
	b := f.payload
	r := &reply{frame: f}
	if len(b) < 240 || binary.BigEndian.Uint32(b[236:]) != 0x63825363 {
		r.problem = "no DHCP message"
		return r
	}
	r.op, r.htype, r.hlen, r.hops = b[0], b[1], b[2], b[3]
	r.xid = binary.BigEndian.Uint32(b[4:])
	r.secs, r.flags = binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint16(b[10:])
	r.ciaddr, r.yiaddr = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	r.siaddr, r.giaddr = netip.AddrFrom4([4]byte(b[20:])), netip.AddrFrom4([4]byte(b[24:]))
	r.chaddr = [16]byte(b[28:])
	r.rest = r.walk(b[240:])
	if v := r.option(52); len(v) == 1 {
		n := len(r.parts)
		if v[0]&1 != 0 {
			r.walk(b[108:236])
			r.inFile = len(r.parts) - n
		}
		n = len(r.parts)
		if v[0]&2 != 0 {
			r.walk(b[44:108])
			r.inSname = len(r.parts) - n
		}
	}
	if v := r.option(53); len(v) == 1 {
		r.kind = dhcp.MessageType(v[0])
	}
	return r
}

// walk reads one field of options, and returns what is behind End.
func (r *reply) walk(b []byte) (rest []byte) {
	for len(b) > 0 {
		switch {
		case b[0] == 0:
			b = b[1:]
			continue
		case b[0] == 255:
			return b[1:]
		case len(b) < 2 || len(b) < 2+int(b[1]):
			r.problem = "an option runs past the end of its field"
			return nil
		}
		r.parts = append(r.parts, dhcp.Option{Code: b[0], Value: b[2 : 2+int(b[1])]})
		b = b[2+int(b[1]):]
	}
	r.problem = "a field of options without End"
	return nil
}

// option joins the parts of an option; nil when there is none.
func (r *reply) option(code uint8) (v []byte) {
	for _, o := range r.parts {
		if o.Code == code {
			v = append(v, o.Value...)
			if v == nil {
				v = []byte{}
			}
		}
	}
	return v
}

func (r *reply) has(code uint8) bool { return r.option(code) != nil }

// codes are those of the parts, as they come.
func (r *reply) codes() (codes []uint8) {
	for _, o := range r.parts {
		codes = append(codes, o.Code)
	}
	return codes
}

// seconds is an option that is a time; 0 when it is absent.
func (r *reply) seconds(code uint8) uint32 {
	if v := r.option(code); len(v) == 4 {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

// address is an option that is an address.
func (r *reply) address(code uint8) netip.Addr {
	if v := r.option(code); len(v) == 4 {
		return netip.AddrFrom4([4]byte(v))
	}
	return netip.Addr{}
}
