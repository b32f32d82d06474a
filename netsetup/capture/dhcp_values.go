package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// AddrPair is two addresses that belong together: destination and router (option 33), address and mask (21).
type AddrPair struct {
	First  netip.Addr `json:"first"`
	Second netip.Addr `json:"second"`
}

// ClientID is the value of option 61 (RFC 2132 section 9.14; RFC 4361 for type 255).
type ClientID struct {
	Type     uint8        `json:"type"`          // a hardware type, or 0 or 255
	Hardware HardwareAddr `json:"mac,omitempty"` // for type 1 with six octets
	IAID     Hex          `json:"iaid,omitempty"`
	DUID     Hex          `json:"duid,omitempty"`
	ID       Hex          `json:"id,omitempty"`   // anything else
	Text     string       `json:"text,omitempty"` // ID, when it is printable
}

// Route is a classless static route (RFC 3442).
type Route struct {
	Destination netip.Prefix `json:"destination"`
	Router      netip.Addr   `json:"router"`
}

// FQDN is the value of option 81 (RFC 4702 section 2).
type FQDN struct {
	Flags  uint8  `json:"flags"`
	RCode1 uint8  `json:"rcode1"`
	RCode2 uint8  `json:"rcode2"`
	Name   string `json:"name"`
}

// VendorData is one vendor's part of option 124 or 125 (RFC 3925).
type VendorData struct {
	Enterprise uint32 `json:"enterprise"`
	Data       Hex    `json:"data"`
}

// Authentication is the value of option 90 (RFC 3118 section 2).
type Authentication struct {
	Protocol    uint8  `json:"protocol"`
	Algorithm   uint8  `json:"algorithm"`
	RDM         uint8  `json:"rdm"`
	Replay      uint64 `json:"replay"`
	Information Hex    `json:"information"`
}

// InterfaceID is the value of option 94 (RFC 4578 section 2.2).
type InterfaceID struct {
	Type  uint8 `json:"type"`
	Major uint8 `json:"major"`
	Minor uint8 `json:"minor"`
}

// ClientUUID is the value of option 97 (RFC 4578 section 2.3).
type ClientUUID struct {
	Type uint8 `json:"type"`
	UUID Hex   `json:"uuid"`
}

// decodeValue gives the octets of an option their type.
func decodeValue(code int, b []byte) (any, error) {
	info, ok := optionTable[code]
	if !ok {
		return Hex(b), nil
	}
	return decodeForm(info.form, b)
}

// decodeForm reads b as one form.
func decodeForm(form optionForm, b []byte) (any, error) {
	if size, fixed := formSize[form]; fixed && len(b) != size {
		return nil, wrongSize(b, size)
	}
	if unit, list := formUnit[form]; list && (len(b) == 0 || len(b)%unit != 0) {
		return nil, fmt.Errorf("%d octets, not a multiple of %d", len(b), unit)
	}
	if read := compositeForm(form); read != nil {
		return read(b)
	}
	switch form {
	case formAddr:
		return addr4(b), nil
	case formAddrs:
		return every(b, 4, addr4), nil
	case formPairs:
		return every(b, 8, func(b []byte) AddrPair { return AddrPair{addr4(b), addr4(b[4:])} }), nil
	case formUint8:
		return b[0], nil
	case formUint16:
		return binary.BigEndian.Uint16(b), nil
	case formUint16s:
		return every(b, 2, binary.BigEndian.Uint16), nil
	case formUint32:
		return binary.BigEndian.Uint32(b), nil
	case formInt32:
		return int32(binary.BigEndian.Uint32(b)), nil
	case formCodes:
		return every(b, 1, func(b []byte) int { return int(b[0]) }), nil
	case formText:
		return text(b), nil
	case formFlag:
		return true, nil
	case formInterfaceID:
		return InterfaceID{b[0], b[1], b[2]}, nil
	case formUUID:
		return ClientUUID{b[0], Hex(b[1:])}, nil
	default:
		return Hex(b), nil
	}
}

// formSize and formUnit are the lengths that a value, or each element of a list, must have.
var (
	formSize = map[optionForm]int{
		formAddr: 4, formUint8: 1, formUint16: 2, formUint32: 4, formInt32: 4, formBool: 1, formFlag: 0,
		formInterfaceID: 3, formUUID: 17,
	}
	formUnit = map[optionForm]int{formAddrs: 4, formPairs: 8, formUint16s: 2, formCodes: 1}
)

// compositeForm gives the reader of a form with an inner structure, nil for the others.
func compositeForm(form optionForm) func([]byte) (any, error) {
	return map[optionForm]func([]byte) (any, error){
		formBool: readBool, formClientID: readClientID, formRoutes: readRoutes, formDomains: readDomains, formFQDN: readFQDN,
		formVendors: readVendors, formAuth: readAuth, formSIP: readSIP, formStrings: readStrings, formRelay: readRelay,
	}[form]
}

func wrongSize(b []byte, want int) error { return fmt.Errorf("%d octets, want %d", len(b), want) }

func every[T any](b []byte, unit int, read func([]byte) T) []T {
	out := make([]T, 0, len(b)/unit)
	for ; len(b) >= unit; b = b[unit:] {
		out = append(out, read(b[:unit]))
	}
	return out
}

func readBool(b []byte) (any, error) {
	if b[0] > 1 {
		return nil, fmt.Errorf("%d, want 0 or 1", b[0])
	}
	return b[0] == 1, nil
}

func readClientID(b []byte) (any, error) {
	if len(b) < 2 {
		return nil, fmt.Errorf("%d octets, want 2 or more", len(b))
	}
	id := ClientID{Type: b[0]}
	switch rest := b[1:]; {
	case id.Type == 1 && len(rest) == 6:
		id.Hardware = HardwareAddr(rest)
	case id.Type == 255 && len(rest) > 4:
		id.IAID, id.DUID = Hex(rest[:4]), Hex(rest[4:])
	default:
		id.ID = Hex(rest)
		if printable(rest) {
			id.Text = string(rest)
		}
	}
	return id, nil
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

func readRoutes(b []byte) (any, error) {
	var routes []Route
	for len(b) > 0 {
		bits := int(b[0])
		size := (bits + 7) / 8
		if bits > 32 {
			return nil, fmt.Errorf("a mask of %d bits", bits)
		}
		if len(b) < 1+size+4 {
			return nil, errors.New("ends inside a route")
		}
		var destination [4]byte
		copy(destination[:], b[1:1+size])
		routes = append(routes, Route{netip.PrefixFrom(netip.AddrFrom4(destination), bits), addr4(b[1+size:])})
		b = b[1+size+4:]
	}
	if routes == nil {
		return nil, errors.New("no route in it")
	}
	return routes, nil
}

func readFQDN(b []byte) (any, error) {
	if len(b) < 3 {
		return nil, fmt.Errorf("%d octets, want 3 or more", len(b))
	}
	f := FQDN{Flags: b[0], RCode1: b[1], RCode2: b[2]}
	if f.Flags&0x04 == 0 { // E is clear: ASCII (RFC 4702 section 2.3.1)
		f.Name = text(b[3:])
		return f, nil
	}
	name, _, err := readName(b[3:], 0)
	f.Name = name
	return f, err
}

func readVendors(b []byte) (any, error) {
	var out []VendorData
	for len(b) > 0 {
		if len(b) < 5 || len(b) < 5+int(b[4]) {
			return nil, errors.New("ends inside a vendor's data")
		}
		end := 5 + int(b[4])
		out = append(out, VendorData{binary.BigEndian.Uint32(b), Hex(b[5:end])})
		b = b[end:]
	}
	return out, nil
}

func readAuth(b []byte) (any, error) {
	if len(b) < 11 {
		return nil, fmt.Errorf("%d octets, want 11 or more", len(b))
	}
	return Authentication{b[0], b[1], b[2], binary.BigEndian.Uint64(b[3:]), Hex(b[11:])}, nil
}

func readSIP(b []byte) (any, error) {
	switch {
	case len(b) > 1 && b[0] == 0:
		return readDomains(b[1:])
	case len(b) > 4 && b[0] == 1 && len(b)%4 == 1:
		return every(b[1:], 4, addr4), nil
	}
	return nil, errors.New("neither names (0) nor addresses (1)")
}

// readStrings reads texts with their lengths before them (RFC 3004). Many clients send one text without a length; that
// is taken as it is.
func readStrings(b []byte) (any, error) {
	var out []string
	for rest := b; len(rest) > 0; {
		end := 1 + int(rest[0])
		if end > len(rest) || end == 1 {
			return []string{text(b)}, nil
		}
		out = append(out, text(rest[1:end]))
		rest = rest[end:]
	}
	return out, nil
}
