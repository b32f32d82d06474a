package capture

import (
	"fmt"
	"net"
	"time"
)

// Frame is one link-layer frame as it was captured.
type Frame struct {
	Time      time.Time // when it was seen, by the clock of the machine that captured it
	Interface string    // the link that it was seen on; "" when a file does not tell
	Link      LinkType  // what Data begins with; Ethernet on every live link
	Data      []byte    // from the link layer's first octet on; shorter than Length when the capture cut it
	Length    int       // octets on the wire, without the frame check sequence
	Comment   string    // what a pcapng file says about it
	// Serial is the frame's number among all that were captured with it, lost ones included (pcapng's epb_packetid);
	// 0: nobody has told it.
	Serial uint64
	// Unsummed tells that the frame was seen on its way out, before its UDP or TCP checksum was filled in (packet(7),
	// TP_STATUS_CSUMNOTREADY). Files do not carry it.
	Unsummed bool
}

// HardwareAddr is a link-layer address of any length, written with colons: "02:00:5e:00:53:01".
type HardwareAddr []byte

// String writes the address with colons.
func (a HardwareAddr) String() string { return net.HardwareAddr(a).String() }

// MarshalText writes the address with colons.
func (a HardwareAddr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (a *HardwareAddr) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*a = nil
		return nil
	}
	var out HardwareAddr
	for i := 0; i < len(text); i += 3 {
		var octet byte
		if i+2 > len(text) || (i+2 < len(text) && text[i+2] != ':') {
			return fmt.Errorf("read hardware address %q: not two digits between colons", text)
		}
		if _, err := fmt.Sscanf(string(text[i:i+2]), "%02x", &octet); err != nil {
			return fmt.Errorf("read hardware address %q: %w", text, err)
		}
		out = append(out, octet)
	}
	*a = out
	return nil
}

// Broadcast reports whether the address is ff:ff:ff:ff:ff:ff.
func (a HardwareAddr) Broadcast() bool {
	for _, octet := range a {
		if octet != 0xff {
			return false
		}
	}
	return len(a) == 6
}
