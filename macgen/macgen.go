// Package macgen makes and reads the MAC addresses of a lab's guests: locally administered unicast
// addresses of the form 02:xx:xx:xx:xx:xx, either random or derived from a seed and a name.
//
// The package is pure: randomness comes from the caller, and so does the knowledge of which addresses
// are taken.
package macgen

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
)

// The two low bits of the first octet (IEEE 802-2014, section 8.2) say what kind of address it is.
const (
	multicastBit = 0x01 // I/G: 0 for one station, 1 for a group of stations
	localBit     = 0x02 // U/L: 0 for assigned by a manufacturer, 1 for assigned on the spot
)

// What can be wrong with an address; test for them with errors.Is.
var (
	ErrSyntax    = errors.New("not six octets in hexadecimal, such as 02:5e:10:00:00:01")
	ErrMulticast = errors.New("a multicast address cannot belong to a station")
	ErrZero      = errors.New("the all-zero address cannot belong to a station")
	ErrExhausted = errors.New("no free address found")
)

// MAC is a 48-bit Ethernet address. It is comparable, and its zero value is 00:00:00:00:00:00.
type MAC [6]byte

// Parse reads an address written with colons, with hyphens, or in Cisco's dotted form. Any six octets
// will do; whether a station may have them is up to [ValidateStation]. The error is [ErrSyntax].
func Parse(text string) (MAC, error) {
	hw, err := net.ParseMAC(text)
	if err != nil || len(hw) != len(MAC{}) { // ParseMAC also takes EUI-64 and InfiniBand addresses.
		return MAC{}, fmt.Errorf("parse MAC address %q: %w", text, ErrSyntax)
	}
	return MAC(hw), nil
}

// String writes the address as six lower-case octets with colons, like `ip link` does.
func (m MAC) String() string {
	b, _ := m.AppendText(make([]byte, 0, 17))
	return string(b)
}

// AppendText appends what [MAC.String] returns; the error is always nil.
func (m MAC) AppendText(b []byte) ([]byte, error) {
	for i := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = hex.AppendEncode(b, m[i:i+1])
	}
	return b, nil
}

// MarshalText makes the address a string in JSON and YAML; the error is always nil.
func (m MAC) MarshalText() ([]byte, error) { return m.AppendText(nil) }

// UnmarshalText reads what [Parse] reads.
func (m *MAC) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// HardwareAddr returns a copy in the form that the net package uses.
func (m MAC) HardwareAddr() net.HardwareAddr { return m[:] }

// IsZero reports whether the address is 00:00:00:00:00:00.
func (m MAC) IsZero() bool { return m == MAC{} }

// IsMulticast reports whether the address names a group of stations, broadcast included.
func (m MAC) IsMulticast() bool { return m[0]&multicastBit != 0 }

// IsLocal reports whether the address was assigned locally instead of by a manufacturer.
func (m MAC) IsLocal() bool { return m[0]&localBit != 0 }

// ValidateStation tells whether a network card may have the address; the error is [ErrMulticast] or
// [ErrZero]. A manufacturer's address passes: a lab file may name one on purpose.
func ValidateStation(m MAC) error {
	switch {
	case m.IsZero():
		return fmt.Errorf("MAC address %s: %w", m, ErrZero)
	case m.IsMulticast():
		return fmt.Errorf("MAC address %s: %w", m, ErrMulticast)
	default:
		return nil
	}
}

// Explain says in English what the two low bits of the first octet mean in this address.
func Explain(m MAC) string {
	reach, origin := "0, so it names one station (unicast)", "0, so a manufacturer assigned it (globally unique)"
	if m.IsMulticast() {
		reach = "1, so it names a group of stations (multicast)"
	}
	if m.IsLocal() {
		origin = "1, so it was assigned locally, by whoever runs this network"
	}
	if m == (MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) {
		return "ff:ff:ff:ff:ff:ff is the broadcast address: all 48 bits are 1, and every station on the segment takes the frame."
	}
	return fmt.Sprintf("The first octet of %s is %02x, in binary %04b %04b: its lowest bit is %s; the bit before it is %s.",
		m, m[0], m[0]>>4, m[0]&0x0f, reach, origin)
}
