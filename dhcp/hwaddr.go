package dhcp

import (
	"encoding/hex"
	"fmt"
	"net"
)

// HWAddr is a client's hardware address as the header carries it: htype, hlen and chaddr (RFC 2131 section 2).
// It is comparable, so it can be a map key. The zero value is "no address".
type HWAddr struct {
	bytes [16]byte
	size  uint8
	kind  uint8
}

// htypeEthernet is the hardware type of Ethernet in the ARP parameters (RFC 1700, "Number Hardware Type").
const htypeEthernet = 1

// Ethernet returns the hardware address of an Ethernet station.
func Ethernet(mac [6]byte) HWAddr {
	h := HWAddr{size: 6, kind: htypeEthernet}
	copy(h.bytes[:], mac[:])
	return h
}

// ParseHWAddr reads an Ethernet address in any notation that net.ParseMAC takes.
func ParseHWAddr(s string) (HWAddr, error) {
	mac, err := net.ParseMAC(s)
	if err != nil {
		return HWAddr{}, fmt.Errorf("parse hardware address: %w", err)
	}
	if len(mac) != 6 {
		return HWAddr{}, fmt.Errorf("parse hardware address %q: an Ethernet address has 6 octets, not %d", s, len(mac))
	}
	return Ethernet([6]byte(mac)), nil
}

// newHWAddr takes the address from a header. A size over 16 has been refused before.
func newHWAddr(kind uint8, b []byte) HWAddr {
	h := HWAddr{size: uint8(len(b)), kind: kind}
	copy(h.bytes[:], b)
	return h
}

// IsZero tells whether there is no address: none was given, or its length is zero.
func (h HWAddr) IsZero() bool { return h.size == 0 }

// MAC returns the address as an Ethernet one; ok is false when it is of another kind or length.
func (h HWAddr) MAC() (mac [6]byte, ok bool) {
	copy(mac[:], h.bytes[:6])
	return mac, h.kind == htypeEthernet && h.size == 6
}

// station tells whether the address can be one machine's. On Ethernet zero is nobody's, and a first octet that is odd is a
// group's, everybody's among them (IEEE 802 section 8.2.2): a reply would go to all stations, or to none.
func (h HWAddr) station() bool {
	mac, ok := h.MAC()
	return !ok || mac != [6]byte{} && mac[0]&1 == 0
}

// String writes Ethernet addresses as 02:00:5e:00:53:01 and others with their hardware type before them ("6/0a0b…").
func (h HWAddr) String() string {
	if h.IsZero() {
		return ""
	}
	if _, ok := h.MAC(); ok {
		return net.HardwareAddr(h.bytes[:6]).String()
	}
	return fmt.Sprintf("%d/%s", h.kind, hex.EncodeToString(h.bytes[:h.size]))
}

// MarshalText writes what String writes.
func (h HWAddr) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes; an empty text is the zero value.
func (h *HWAddr) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*h = HWAddr{}
		return nil
	}
	var kind uint8
	var digits string
	if n, _ := fmt.Sscanf(string(text), "%d/%s", &kind, &digits); n == 2 {
		raw, err := hex.DecodeString(digits)
		if err != nil || len(raw) > len(h.bytes) {
			return fmt.Errorf("parse hardware address %q: not type/hex of at most 16 octets", text)
		}
		*h = newHWAddr(kind, raw)
		return nil
	}
	var err error
	*h, err = ParseHWAddr(string(text))
	return err
}
