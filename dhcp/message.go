package dhcp

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Sizes and values of the message format (RFC 2131 sections 2 and 3).
const (
	headerSize = 236         // up to and including file
	cookieSize = 4           // the magic cookie that begins the options field
	minReply   = 300         // BOOTP's fixed size; relays and old clients drop less (RFC 951, RFC 1542 section 2.1)
	minMaxSize = 576         // what every client must accept, IP and UDP headers included (RFC 2131 section 2)
	udpOverIP  = 28          // those headers
	cookie     = 0x63825363  // RFC 2131 section 3
	snameAt    = 44          // offsets in the header
	fileAt     = 108         //
	flagB      = 0x8000      // the broadcast flag; the other 15 must be zero
	opRequest  = 1           // BOOTREQUEST
	opReply    = 2           // BOOTREPLY
	maxHops    = 16          // RFC 1542 section 4.1.1
	infinite   = 0xffff_ffff // a lease time without an end (RFC 2131 section 3.3)
)

// The ways in which a datagram is not a DHCP message. Parse returns them as they are.
var (
	ErrShort           = errors.New("shorter than a DHCP header and its cookie")
	ErrCookie          = errors.New("no DHCP magic cookie")
	ErrHardwareLength  = errors.New("hardware address longer than 16 octets")
	ErrTruncatedOption = errors.New("an option runs past the end of its field")
	ErrOverload        = errors.New("option overload (52) has a value other than 1, 2 and 3")
)

// Message is a DHCP message as it was received. It refers to the datagram it was parsed from and is valid as long
// as that is unchanged. A Message can be parsed into again and again without allocating.
type Message struct {
	Op, Hops       uint8
	XID            uint32
	Secs, Flags    uint16
	CIAddr, YIAddr netip.Addr
	SIAddr, GIAddr netip.Addr
	CHAddr         HWAddr
	Type           MessageType // option 53; zero when absent or not one octet
	SName, File    []byte      // raw fields; nil when they hold options (overload)

	list   []optionAt // in order of first appearance
	at     [256]uint8 // 1 + index into list of a code
	fields [3][]byte  // that hold options, in the order in which they are read
	joined []byte     // values that came in several parts
	split  bool       // whether there is one
}

// optionAt is one option of a parsed message.
type optionAt struct {
	code  uint8
	split bool // it came in several parts, and value is a piece of Message.joined
	value []byte
}

// Parse reads a UDP payload. Options that come in several parts are joined (RFC 3396 section 7), in the order
// options, file, sname (RFC 2131 section 4.1 with option 52). A missing End option, pads and bytes after End are
// accepted. On an error the fixed fields hold what could be read.
func (m *Message) Parse(b []byte) error {
	m.reset()
	if len(b) < headerSize+cookieSize {
		return ErrShort
	}
	m.Op, m.Hops = b[0], b[3]
	m.XID = binary.BigEndian.Uint32(b[4:])
	m.Secs, m.Flags = binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint16(b[10:])
	m.CIAddr, m.YIAddr = addrAt(b, 12), addrAt(b, 16)
	m.SIAddr, m.GIAddr = addrAt(b, 20), addrAt(b, 24)
	if b[2] > 16 {
		return ErrHardwareLength
	}
	m.CHAddr = newHWAddr(b[1], b[28:28+int(b[2])])
	m.SName, m.File = b[snameAt:fileAt], b[fileAt:headerSize]
	if binary.BigEndian.Uint32(b[headerSize:]) != cookie {
		return ErrCookie
	}
	m.fields[0] = b[headerSize+cookieSize:]
	if err := m.parseOptions(m.fields[0]); err != nil {
		return err
	}
	if err := m.parseOverload(); err != nil {
		return err
	}
	m.join()
	if v := m.Option(OptMessageType); len(v) == 1 {
		m.Type = MessageType(v[0])
	}
	return nil
}

// reset forgets the last message but keeps the memory.
func (m *Message) reset() {
	for _, o := range m.list {
		m.at[o.code] = 0
	}
	list, at, joined := m.list[:0], &m.at, m.joined[:0]
	*m = Message{list: list, at: *at, joined: joined}
}

func addrAt(b []byte, at int) netip.Addr { return netip.AddrFrom4([4]byte(b[at : at+4])) }

// parseOverload reads the options that option 52 says are in file and sname.
func (m *Message) parseOverload() error {
	v := m.Option(OptOverload)
	if v == nil {
		return nil
	}
	if len(v) != 1 || v[0] < 1 || v[0] > 3 || m.list[m.at[OptOverload]-1].split {
		return ErrOverload
	}
	if v[0]&1 != 0 {
		m.fields[1], m.File = m.File, nil
		if err := m.parseOptions(m.fields[1]); err != nil {
			return err
		}
	}
	if v[0]&2 != 0 {
		m.fields[2], m.SName = m.SName, nil
		return m.parseOptions(m.fields[2])
	}
	return nil
}

// nextOption takes the first option off a field. A code of End means that there is none.
func nextOption(b []byte) (code uint8, value, rest []byte, err error) {
	for len(b) > 0 && b[0] == OptPad {
		b = b[1:]
	}
	if len(b) == 0 || b[0] == OptEnd {
		return OptEnd, nil, nil, nil
	}
	if len(b) < 2 || len(b) < 2+int(b[1]) {
		return OptEnd, nil, nil, ErrTruncatedOption
	}
	n := 2 + int(b[1])
	return b[0], b[2:n:n], b[n:], nil
}

// parseOptions walks one field of options up to its End.
func (m *Message) parseOptions(b []byte) error {
	for {
		code, value, rest, err := nextOption(b)
		if err != nil || code == OptEnd {
			return err
		}
		b = rest
		if i := m.at[code]; i != 0 {
			m.list[i-1].split, m.split = true, true
			continue
		}
		m.list = append(m.list, optionAt{code: code, value: value})
		m.at[code] = uint8(len(m.list)) // there are 254 codes, so it fits
	}
}

// join puts the parts of split options together. Each such option costs one more walk over the message, so that no
// interleaving of parts costs more than a message's length for each code.
func (m *Message) join() {
	if !m.split {
		return
	}
	if m.joined == nil {
		m.joined = make([]byte, 0, 512) // not nil, for values of length zero
	}
	for i := range m.list {
		o := &m.list[i]
		if !o.split {
			continue
		}
		start := len(m.joined)
		for _, field := range m.fields {
			for code, value, rest, _ := nextOption(field); code != OptEnd; code, value, rest, _ = nextOption(rest) {
				if code == o.code {
					m.joined = append(m.joined, value...)
				}
			}
		}
		o.value = m.joined[start:len(m.joined):len(m.joined)]
	}
}

// Option returns an option's value, or nil when it is absent. A present option of length zero is empty, not nil.
func (m *Message) Option(code uint8) []byte {
	if i := m.at[code]; i != 0 {
		return m.list[i-1].value
	}
	return nil
}

// Has tells whether the option is present.
func (m *Message) Has(code uint8) bool { return m.at[code] != 0 }

// Codes appends the codes of the options, in the order in which they first appear, to dst.
func (m *Message) Codes(dst []uint8) []uint8 {
	for _, o := range m.list {
		dst = append(dst, o.code)
	}
	return dst
}

// Broadcast tells whether the client asks for broadcast replies (the B flag, RFC 2131 section 4.1).
func (m *Message) Broadcast() bool { return m.Flags&flagB != 0 }

// Address returns an option that must be one address; the zero Addr when it is absent or of another length.
func (m *Message) Address(code uint8) netip.Addr {
	if v := m.Option(code); len(v) == 4 {
		return addrAt(v, 0)
	}
	return netip.Addr{}
}

// seconds returns an option that is a time in seconds; ok is false when it is absent or of another length.
func (m *Message) seconds(code uint8) (s uint32, ok bool) {
	if v := m.Option(code); len(v) == 4 {
		return binary.BigEndian.Uint32(v), true
	}
	return 0, false
}
