package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/kvmlab/kvmlab/untrusted"
)

// Offsets in a DHCP message (RFC 2131 section 2).
const (
	dhcpHeader  = 236 // up to and including file
	cookieEnd   = dhcpHeader + 4
	chaddrAt    = 28
	snameAt     = 44
	fileAt      = 108
	magicCookie = 0x63825363 // RFC 2131 section 3
)

// The options that Decode itself has to know.
const (
	optPad         = 0
	optOverload    = 52
	optMessageType = 53
	optEnd         = 255
)

// optionSpan is one appearance of an option in a message: octets of the frame.
type optionSpan struct {
	code       int
	start, end int // from the code to the last octet of the value
	value      int // where the value begins
}

// dhcp decodes the UDP payload d.b[at:end].
func (d *decoder) dhcp(at, end int) {
	b := d.b[at:end]
	if len(b) < dhcpHeader {
		if !d.cut {
			d.bad("a DHCP message of %d octets; its fixed part alone has %d (RFC 2131 section 2)", len(b), dhcpHeader)
		}
		return
	}
	m := &DHCP{
		Op: b[0], HType: b[1], HLen: b[2], Hops: b[3], XID: XID(binary.BigEndian.Uint32(b[4:])),
		Secs: binary.BigEndian.Uint16(b[8:]), Flags: binary.BigEndian.Uint16(b[10:]),
		CIAddr: addr4(b[12:]), YIAddr: addr4(b[16:]), SIAddr: addr4(b[20:]), GIAddr: addr4(b[24:]),
		Options: map[int]*Option{}, Order: []int{},
	}
	m.Broadcast = m.Flags&0x8000 != 0
	m.CHAddr = HardwareAddr(b[chaddrAt : chaddrAt+min(int(m.HLen), 16)])
	d.p.DHCP, d.p.layout.dhcp, d.p.layout.dhcpEnd = m, at, end
	if m.Op != 1 && m.Op != 2 {
		d.bad("op is %d; 1 is a request and 2 a reply (RFC 2131 section 2)", m.Op)
	}
	if m.HLen > 16 {
		d.bad("hlen is %d, and chaddr has room for 16 (RFC 2131 section 2)", m.HLen)
	}
	overload := byte(0)
	if len(b) >= cookieEnd && binary.BigEndian.Uint32(b[dhcpHeader:]) == magicCookie {
		overload = d.options(at, end)
	}
	m.BOOTP = m.Type == 0
	if overload&1 == 0 {
		m.File = text(b[fileAt:dhcpHeader])
	}
	if overload&2 == 0 {
		m.SName = text(b[snameAt:fileAt])
	}
}

// options decodes the options of the message at d.b[at:end], in the order options, file, sname (RFC 2131 section 4.1),
// and returns the value of option overload.
func (d *decoder) options(at, end int) (overload byte) {
	m := d.p.DHCP
	spans, ended := d.walk(nil, at+cookieEnd, end, "options")
	m.End = ended
	for _, span := range spans {
		if span.code != optOverload {
			continue
		}
		if span.end != span.value+1 || d.b[span.value] < 1 || d.b[span.value] > 3 {
			d.bad("option 52 (Option Overload) is %x; 1, 2 and 3 are its values (RFC 2132 section 9.3)", d.b[span.value:span.end])
			break
		}
		overload = d.b[span.value]
	}
	if overload&1 != 0 {
		spans, _ = d.walk(spans, at+fileAt, at+dhcpHeader, "file")
	}
	if overload&2 != 0 {
		spans, _ = d.walk(spans, at+snameAt, at+fileAt, "sname")
	}
	d.p.layout.options = spans
	joined := map[int][]byte{}
	parts := map[int]int{}
	for _, span := range spans {
		if parts[span.code] == 0 {
			m.Order = append(m.Order, span.code)
		}
		parts[span.code]++
		joined[span.code] = append(joined[span.code], d.b[span.value:span.end]...)
	}
	for _, code := range m.Order {
		d.option(code, joined[code], parts[code])
	}
	return overload
}

// walk finds the options in d.b[at:end], which is the field called where, and appends them to spans.
func (d *decoder) walk(spans []optionSpan, at, end int, where string) (_ []optionSpan, ended bool) {
	for at < end {
		code := int(d.b[at])
		switch code {
		case optPad:
			at++
			continue
		case optEnd:
			return spans, true
		}
		if at+1 >= end {
			d.optionShort("option %s is the last octet of %s: it has no length", describeCode(code), where)
			return spans, false
		}
		span := optionSpan{code: code, start: at, value: at + 2, end: at + 2 + int(d.b[at+1])}
		if span.end > end {
			d.optionShort("option %s says that it has %d octets, and %d are left in %s",
				describeCode(code), span.end-span.value, end-span.value, where)
			return spans, false
		}
		spans = append(spans, span)
		at = span.end
	}
	return spans, false
}

// optionShort is bad, unless the message itself was cut short, which has been said already.
func (d *decoder) optionShort(format string, args ...any) {
	if !d.cut && len(d.why) == 0 {
		d.bad(format, args...)
	}
}

func (d *decoder) option(code int, raw []byte, parts int) {
	m := d.p.DHCP
	o := &Option{Name: OptionName(code), Raw: raw}
	if parts > 1 {
		o.Parts = parts
	}
	m.Options[code] = o
	value, err := decodeValue(code, raw)
	if err != nil {
		o.Malformed = err.Error()
		d.bad("option %s: %v", describeCode(code), err)
		return
	}
	o.Value = value
	if number, ok := value.(uint8); ok {
		o.Text = meaning(code, number)
		if code == optMessageType {
			m.Type = MessageType(number)
		}
	}
}

func describeCode(code int) string {
	if name := OptionName(code); name != "" {
		return fmt.Sprintf("%d (%s)", code, name)
	}
	return fmt.Sprint(code)
}

// meaning says what the number in an option stands for.
func meaning(code int, number uint8) string {
	switch code {
	case optMessageType:
		return MessageType(number).String()
	case optOverload:
		return map[uint8]string{1: "file", 2: "sname", 3: "file and sname"}[number]
	}
	return ""
}

// text reads a string that zeros fill up, and makes it visible: the octets themselves are in Option.Raw.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return untrusted.Visible(string(b))
}
