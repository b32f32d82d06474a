package dhcp

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/untrusted"
)

// Text writes an option's value for people, in the form in which ParseOption reads it where the value is of its type;
// anything else is octets in hexadecimal.
func (o Option) Text() string {
	kind := kindHex
	for _, k := range knownOptions {
		if k.code == o.Code {
			kind = k.kind
		}
	}
	switch o.Code {
	case OptServerID, OptRequestedAddress:
		kind = kindAddress
	case OptLeaseTime, OptRenewalTime, OptRebindingTime:
		kind = kindUint32
	case OptMessage:
		kind = kindText
	}
	if text, ok := formatValue(kind, o.Value); ok {
		return text
	}
	return hex.EncodeToString(o.Value)
}

// formatValue is the inverse of parseValue; ok is false when the octets are not of the kind.
func formatValue(kind valueKind, v []byte) (text string, ok bool) {
	switch kind {
	case kindText:
		return cleanText(v), len(v) > 0
	case kindAddress, kindAddresses:
		return formatAddresses(v)
	case kindUint8, kindBool:
		if len(v) != 1 {
			return "", false
		}
		if kind == kindBool {
			return strconv.FormatBool(v[0] != 0), v[0] < 2
		}
		return strconv.Itoa(int(v[0])), true
	case kindUint16:
		if len(v) != 2 {
			return "", false
		}
		return strconv.Itoa(int(binary.BigEndian.Uint16(v))), true
	case kindUint32, kindInt32:
		if len(v) != 4 {
			return "", false
		}
		n := binary.BigEndian.Uint32(v)
		if kind == kindInt32 {
			return strconv.Itoa(int(int32(n))), true
		}
		return strconv.FormatUint(uint64(n), 10), true
	case kindRoutes:
		return formatRoutes(v)
	case kindDomains:
		return formatDomains(v)
	default:
		return "", false
	}
}

// cleanText is a text of the wire made visible, without the zeros that it may end in.
func cleanText(v []byte) string { return untrusted.Visible(strings.TrimRight(string(v), "\x00")) }

func formatAddresses(v []byte) (string, bool) {
	if len(v) == 0 || len(v)%4 != 0 {
		return "", false
	}
	var out []string
	for i := 0; i < len(v); i += 4 {
		out = append(out, addrAt(v, i).String())
	}
	return strings.Join(out, ", "), true
}

// formatRoutes reads the compact form of RFC 3442.
func formatRoutes(v []byte) (string, bool) {
	var out []string
	for len(v) > 0 {
		bits := int(v[0])
		n := (bits + 7) / 8
		if bits > 32 || len(v) < 1+n+4 {
			return "", false
		}
		var net [4]byte
		copy(net[:], v[1:1+n])
		prefix := netip.PrefixFrom(netip.AddrFrom4(net), bits)
		out = append(out, prefix.String()+" via "+addrAt(v, 1+n).String())
		v = v[1+n+4:]
	}
	return strings.Join(out, ", "), len(out) > 0
}

// formatDomains reads names without compression pointers (RFC 3397 allows them; with one, the octets are shown).
func formatDomains(v []byte) (string, bool) {
	var names, labels []string
	for len(v) > 0 {
		n := int(v[0])
		if n == 0 {
			names = append(names, strings.Join(labels, "."))
			labels, v = nil, v[1:]
			continue
		}
		if n > 63 || len(v) < 1+n {
			return "", false
		}
		labels = append(labels, cleanText(v[1:1+n]))
		v = v[1+n:]
	}
	return strings.Join(names, ", "), len(names) > 0 && len(labels) == 0
}
