package dhcp

import (
	"encoding/binary"
	"net/netip"
)

// Draft is a message to be sent by somebody who is not [Server]: a client, a relay, another server. Fields that are left
// out are zero on the wire (RFC 2131 section 2).
type Draft struct {
	Type           MessageType // option 53, which goes first
	Hops           uint8       // relays that the message has passed
	XID            uint32
	Broadcast      bool // the client asks for broadcast replies (the B flag)
	CIAddr, YIAddr netip.Addr
	GIAddr         netip.Addr
	CHAddr         HWAddr
	Options        []Option // the others, in this order
}

// AppendPacket writes the message as an IPv4 packet with a UDP header and both checksums: what an Ethernet frame of type
// 0x0800 carries. The addresses must be IPv4. The op field follows from the type.
func (d *Draft) AppendPacket(dst []byte, from, to netip.AddrPort) []byte {
	return appendDatagram(dst, toIP4(from.Addr()), from.Port(), toIP4(to.Addr()), to.Port(), d.payload())
}

func (d *Draft) payload() []byte {
	h := header{
		xid: d.XID, ciaddr: toIP4(d.CIAddr), yiaddr: toIP4(d.YIAddr), giaddr: toIP4(d.GIAddr), chaddr: d.CHAddr,
	}
	if d.Broadcast {
		h.flags = flagB
	}
	b := appendHeader(make([]byte, 0, minReply), &h)
	if d.Type != Offer && d.Type != Ack && d.Type != Nak {
		b[0] = opRequest
	}
	b[3] = d.Hops
	b = appendOption(b, Option{OptMessageType, []byte{byte(d.Type)}})
	for _, o := range d.Options {
		b = appendOption(b, o)
	}
	b = append(b, OptEnd)
	return append(b, make([]byte, max(0, minReply-len(b)))...)
}

// ToServers is where a client sends what is for every server: broadcast, port 67.
func ToServers() netip.AddrPort { return netip.AddrPortFrom(broadcastIP.addr(), ServerPort) }

// ParsePacket reads the message in an IPv4 packet to a UDP port. The error says why there is none; those of [Message.Parse]
// are among them.
func (m *Message) ParsePacket(b []byte, port uint16) error {
	d, err := parseDatagram(b, false, port)
	if err != nil {
		return err
	}
	return m.Parse(d.payload)
}

// SecondsOption returns an option whose value is a time in whole seconds: the lease time (51).
func SecondsOption(code uint8, seconds uint32) Option {
	return Option{Code: code, Value: binary.BigEndian.AppendUint32(nil, seconds)}
}
