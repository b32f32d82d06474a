package dhcp

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The options that the server itself understands (RFC 2132, and the RFC named beside the code).
const (
	OptPad              uint8 = 0
	OptSubnetMask       uint8 = 1
	OptRouter           uint8 = 3
	OptDNS              uint8 = 6
	OptHostname         uint8 = 12
	OptDomainName       uint8 = 15
	OptStaticRoutes     uint8 = 33
	OptRequestedAddress uint8 = 50
	OptLeaseTime        uint8 = 51
	OptOverload         uint8 = 52
	OptMessageType      uint8 = 53
	OptServerID         uint8 = 54
	OptParameterList    uint8 = 55
	OptMessage          uint8 = 56
	OptMaxMessageSize   uint8 = 57
	OptRenewalTime      uint8 = 58
	OptRebindingTime    uint8 = 59
	OptVendorClass      uint8 = 60
	OptClientID         uint8 = 61
	OptRapidCommit      uint8 = 80  // RFC 4039
	OptRelayAgentInfo   uint8 = 82  // RFC 3046
	OptIPv6OnlyPref     uint8 = 108 // RFC 8925
	OptAutoConfigure    uint8 = 116 // RFC 2563
	OptSubnetSelection  uint8 = 118 // RFC 3011
	OptClasslessRoutes  uint8 = 121 // RFC 3442
	OptEnd              uint8 = 255
)

// Option is one option as it goes on the wire, without its code and length octets. Values over 255 octets are
// split on the wire (RFC 3396).
type Option struct {
	Code  uint8
	Value []byte
}

// AddressesOption returns an option whose value is a list of IPv4 addresses: routers (3), DNS servers (6).
func AddressesOption(code uint8, addrs ...netip.Addr) Option {
	o := Option{Code: code}
	for _, a := range addrs {
		b := toIP4(a).bytes()
		o.Value = append(o.Value, b[:]...)
	}
	return o
}

// StringOption returns an option whose value is text: the domain name (15).
func StringOption(code uint8, text string) Option { return Option{Code: code, Value: []byte(text)} }

// OptionError says why an option cannot be read from a configuration.
type OptionError struct {
	Name    string // as it was written: "domain-name", "15"
	Problem string
}

// Error says which option, and what is wrong with it.
func (e *OptionError) Error() string { return fmt.Sprintf("option %s: %s", e.Name, e.Problem) }

// valueKind is how the value of an option is written in a configuration.
type valueKind uint8

const (
	kindHex       valueKind = iota + 1 // octets: "01:02:ff", "0102ff", or text in double quotes
	kindText                           // as it is
	kindAddress                        // one address
	kindAddresses                      // addresses, separated by commas
	kindUint8
	kindUint16
	kindUint32
	kindInt32
	kindBool
	kindRoutes  // "10.0.0.0/8 192.168.1.1, 0.0.0.0/0 192.168.1.1"
	kindDomains // names separated by commas, without compression (RFC 3397)
)

// knownOption is an option that has a name and a type here.
type knownOption struct {
	code uint8
	name string
	kind valueKind
}

// knownOptions are in the order of their codes. Names are those of the IANA registry in lower case.
var knownOptions = [...]knownOption{
	{1, "subnet-mask", kindAddress},
	{2, "time-offset", kindInt32},
	{3, "router", kindAddresses},
	{4, "time-server", kindAddresses},
	{6, "dns", kindAddresses},
	{7, "log-server", kindAddresses},
	{9, "lpr-server", kindAddresses},
	{12, "hostname", kindText},
	{13, "boot-file-size", kindUint16},
	{15, "domain-name", kindText},
	{17, "root-path", kindText},
	{19, "ip-forwarding", kindBool},
	{23, "default-ttl", kindUint8},
	{26, "interface-mtu", kindUint16},
	{28, "broadcast-address", kindAddress},
	{33, "static-routes", kindAddresses},
	{35, "arp-cache-timeout", kindUint32},
	{40, "nis-domain", kindText},
	{41, "nis-servers", kindAddresses},
	{42, "ntp-servers", kindAddresses},
	{43, "vendor-specific", kindHex},
	{44, "netbios-name-servers", kindAddresses},
	{46, "netbios-node-type", kindUint8},
	{51, "lease-time", kindUint32},
	{54, "server-identifier", kindAddress},
	{58, "renewal-time", kindUint32},
	{59, "rebinding-time", kindUint32},
	{60, "vendor-class", kindText},
	{66, "tftp-server-name", kindText},
	{67, "bootfile-name", kindText},
	{69, "smtp-server", kindAddresses},
	{70, "pop3-server", kindAddresses},
	{100, "posix-timezone", kindText},
	{101, "tzdb-timezone", kindText},
	{108, "ipv6-only-preferred", kindUint32},
	{114, "captive-portal", kindText},
	{119, "domain-search", kindDomains},
	{121, "classless-routes", kindRoutes},
	{150, "tftp-servers", kindAddresses},
	{252, "wpad-url", kindText},
}

// OptionName returns the name of an option ("router"), or its code as a number when it has none here.
func OptionName(code uint8) string {
	for _, o := range knownOptions {
		if o.code == code {
			return o.name
		}
	}
	return strconv.Itoa(int(code))
}

// ParseOption reads an option as it is written in a configuration. The name is one of the known names or a code
// from 1 to 254. The value of a known option is of its type; of any other, it is octets in hexadecimal, or text in
// double quotes. Options that the server computes or echoes itself are refused.
func ParseOption(name, value string) (Option, error) {
	known := knownOption{kind: kindHex}
	for _, o := range knownOptions {
		if o.name == name || strconv.Itoa(int(o.code)) == name {
			known = o
		}
	}
	if known.code == 0 {
		n, err := strconv.ParseUint(name, 10, 8)
		if err != nil || n == uint64(OptPad) || n == uint64(OptEnd) {
			return Option{}, &OptionError{name, "neither a known name nor a code from 1 to 254"}
		}
		known.code = uint8(n)
	}
	if serverOwn(known.code) {
		return Option{}, &OptionError{name, "the server sets this option itself"}
	}
	v, err := parseValue(known.kind, strings.TrimSpace(value))
	if err != nil {
		return Option{}, &OptionError{name, err.Error()}
	}
	return Option{known.code, v}, nil
}

// serverOwn tells whether an option is computed or echoed by the server and cannot be configured.
func serverOwn(code uint8) bool {
	switch code {
	case OptRequestedAddress, OptLeaseTime, OptOverload, OptMessageType, OptServerID, OptParameterList, OptMessage,
		OptMaxMessageSize, OptRenewalTime, OptRebindingTime, OptClientID, OptRapidCommit, OptRelayAgentInfo,
		OptSubnetSelection, OptAutoConfigure, OptIPv6OnlyPref, OptSubnetMask, OptPad, OptEnd:
		return true
	}
	return false
}

// parseValue turns text into octets.
func parseValue(kind valueKind, s string) ([]byte, error) {
	switch kind {
	case kindText:
		if s = strings.Trim(s, `"`); s == "" {
			return nil, fmt.Errorf("empty text")
		}
		return []byte(s), nil
	case kindAddress, kindAddresses:
		return parseAddresses(s, kind == kindAddress)
	case kindUint8:
		n, err := strconv.ParseUint(s, 0, 8)
		return []byte{byte(n)}, numberError(err, s)
	case kindUint16:
		n, err := strconv.ParseUint(s, 0, 16)
		return binary.BigEndian.AppendUint16(nil, uint16(n)), numberError(err, s)
	case kindUint32:
		n, err := strconv.ParseUint(s, 0, 32)
		return binary.BigEndian.AppendUint32(nil, uint32(n)), numberError(err, s)
	case kindInt32:
		n, err := strconv.ParseInt(s, 0, 32)
		return binary.BigEndian.AppendUint32(nil, uint32(n)), numberError(err, s)
	case kindBool:
		on, err := strconv.ParseBool(s)
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", s)
		}
		if on {
			return []byte{1}, nil
		}
		return []byte{0}, nil
	case kindRoutes:
		return parseRoutes(s)
	case kindDomains:
		return parseDomains(s)
	default:
		return parseOctets(s)
	}
}

func numberError(err error, s string) error {
	if err != nil {
		return fmt.Errorf("%q is not a number in the option's range", s)
	}
	return nil
}

func parseAddresses(s string, one bool) ([]byte, error) {
	var out []byte
	for part := range strings.SplitSeq(s, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(part))
		if err != nil || !a.Is4() {
			return nil, fmt.Errorf("%q is not an IPv4 address", strings.TrimSpace(part))
		}
		out = append(out, a.AsSlice()...)
	}
	if one && len(out) != 4 {
		return nil, fmt.Errorf("one address is wanted, not %d", len(out)/4)
	}
	return out, nil
}

// parseRoutes writes "prefix router" pairs in the compact form of RFC 3442: the prefix length, its significant
// octets, the router.
func parseRoutes(s string) ([]byte, error) {
	var out []byte
	for part := range strings.SplitSeq(s, ",") {
		f := strings.Fields(part)
		if len(f) == 3 && f[1] == "via" {
			f = []string{f[0], f[2]}
		}
		if len(f) != 2 {
			return nil, fmt.Errorf("%q is not a prefix and a router", strings.TrimSpace(part))
		}
		p, err := netip.ParsePrefix(f[0])
		if err != nil || !p.Addr().Is4() || p.Masked() != p {
			return nil, fmt.Errorf("%q is not an IPv4 prefix", f[0])
		}
		r, err := netip.ParseAddr(f[1])
		if err != nil || !r.Is4() {
			return nil, fmt.Errorf("%q is not an IPv4 address", f[1])
		}
		out = append(out, byte(p.Bits()))
		out = append(out, p.Addr().AsSlice()[:(p.Bits()+7)/8]...)
		out = append(out, r.AsSlice()...)
	}
	return out, nil
}

// parseDomains writes names as length-prefixed labels (RFC 1035 section 3.1).
func parseDomains(s string) ([]byte, error) {
	var out []byte
	for part := range strings.SplitSeq(s, ",") {
		if len(part) > 253 { // 255 octets with the first length and the root (RFC 1035 section 2.3.4)
			return nil, fmt.Errorf("%q is too long for a domain name", strings.TrimSpace(part))
		}
		for label := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(part), "."), ".") {
			if label == "" || len(label) > 63 {
				return nil, fmt.Errorf("%q is not a domain name", strings.TrimSpace(part))
			}
			out = append(append(out, byte(len(label))), label...)
		}
		out = append(out, 0)
	}
	return out, nil
}

func parseOctets(s string) ([]byte, error) {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return []byte(s[1 : len(s)-1]), nil
	}
	digits := strings.NewReplacer(":", "", " ", "", "0x", "").Replace(s)
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("%q is neither hexadecimal octets nor text in double quotes", s)
	}
	return b, nil
}

// secondsValue is a time as options 51, 58, 59 and 108 carry it.
func secondsValue(d time.Duration) uint32 {
	s := int64(d / time.Second)
	if s >= infinite {
		return infinite
	}
	return uint32(max(s, 0))
}
