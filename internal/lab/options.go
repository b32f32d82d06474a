package lab

import (
	"encoding/hex"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// valueForm is how the value of a DHCP option is written.
type valueForm uint8

// The forms of values. The zero value is invalid.
const (
	_ valueForm = iota
	formHex
	formText
	formAddress
	formAddresses
	formUint8
	formUint16
	formUint32
	formInt32
	formBool
	formRoutes
	formDomains
)

// optionKind is a DHCP option: its number, name and form.
type optionKind struct {
	code uint8
	name string
	form valueForm
}

// optionKinds are the options with a name, by number. They are those of package
// dhcp, which lab does not import; a test compares the two.
func optionKinds() []optionKind {
	return []optionKind{
		{2, "time-offset", formInt32},
		{4, "time-server", formAddresses},
		{7, "log-server", formAddresses},
		{9, "lpr-server", formAddresses},
		{12, "hostname", formText},
		{13, "boot-file-size", formUint16},
		{15, "domain-name", formText},
		{17, "root-path", formText},
		{19, "ip-forwarding", formBool},
		{23, "default-ttl", formUint8},
		{26, "interface-mtu", formUint16},
		{28, "broadcast-address", formAddress},
		{33, "static-routes", formAddresses},
		{35, "arp-cache-timeout", formUint32},
		{40, "nis-domain", formText},
		{41, "nis-servers", formAddresses},
		{42, "ntp-servers", formAddresses},
		{43, "vendor-specific", formHex},
		{44, "netbios-name-servers", formAddresses},
		{46, "netbios-node-type", formUint8},
		{60, "vendor-class", formText},
		{66, "tftp-server-name", formText},
		{67, "bootfile-name", formText},
		{69, "smtp-server", formAddresses},
		{70, "pop3-server", formAddresses},
		{100, "posix-timezone", formText},
		{101, "tzdb-timezone", formText},
		{114, "captive-portal", formText},
		{119, "domain-search", formDomains},
		{121, "classless-routes", formRoutes},
		{150, "tftp-servers", formAddresses},
		{252, "wpad-url", formText},
	}
}

// ownedOption is an option that cannot be set by name or number, and who sets it.
type ownedOption struct {
	code    uint8
	name    string
	instead string
}

const serverDecides = "the server sets it itself in each message"

func ownedOptions() []ownedOption {
	return []ownedOption{
		{1, "subnet-mask", "it follows from the prefix length of the bridge's address"},
		{3, "router", "the key router of dhcp decides it"},
		{3, "routers", "the key router of dhcp decides it"}, // as dhcpd.conf has it
		{6, "dns", "the key dns of dhcp decides it"},
		{6, "domain-name-servers", "the key dns of dhcp decides it"},
		{50, "requested-address", serverDecides},
		{51, "lease-time", "the key lease of dhcp decides it"},
		{52, "overload", serverDecides},
		{53, "message-type", serverDecides},
		{54, "server-identifier", "it is the bridge's address"},
		{55, "parameter-list", serverDecides},
		{56, "message", serverDecides},
		{57, "max-message-size", serverDecides},
		{58, "renewal-time", "it is half of lease"},
		{59, "rebinding-time", "it is seven eighths of lease"},
		{61, "client-identifier", serverDecides},
		{80, "rapid-commit", serverDecides},
		{82, "relay-agent-information", serverDecides},
		{108, "ipv6-only-preferred", "the key ipv6-only-wait of dhcp decides it"},
		{116, "auto-configure", serverDecides},
		{118, "subnet-selection", serverDecides},
	}
}

// findOption finds an option by its name or number. An option without a name
// here is known by its number, with its bytes in hexadecimal.
func findOption(written string) (optionKind, *diag.Diagnostic) {
	code, err := strconv.ParseUint(written, 10, 8)
	numeric := err == nil && strconv.FormatUint(code, 10) == written
	for _, o := range ownedOptions() {
		if o.name == written || numeric && uint64(o.code) == code {
			return optionKind{}, diag.New(diag.OptionOwned, diag.Args{"option": written, "instead": o.instead})
		}
	}
	kinds := optionKinds()
	for _, k := range kinds {
		if k.name == written || numeric && uint64(k.code) == code {
			return k, nil
		}
	}
	// 0 is padding and 255 the end of all options (RFC 2132, section 3).
	if numeric && code > 0 && code < 255 {
		return optionKind{code: uint8(code), form: formHex}, nil
	}
	return optionKind{}, diag.New(diag.UnknownOption, diag.Args{"option": written, "suggestion": yamlfile.Suggest(written, optionNames())})
}

func optionNames() []string {
	var names []string
	for _, k := range optionKinds() {
		names = append(names, k.name)
	}
	return names
}

// many reports whether an option takes a list.
func (k optionKind) many() bool {
	return slices.Contains([]valueForm{formAddresses, formRoutes, formDomains}, k.form)
}

// want says in words what a value of the option looks like.
func (k optionKind) want() string {
	switch k.form {
	case formText:
		return "a text of up to 255 printable ASCII characters without quotation marks"
	case formAddress:
		return "an IPv4 address"
	case formAddresses:
		return "IPv4 addresses"
	case formUint8:
		return "a number from 0 to 255"
	case formUint16:
		return "a number from 0 to 65535"
	case formUint32:
		return "a number from 0 to 4294967295"
	case formInt32:
		return "a number from -2147483648 to 2147483647"
	case formBool:
		return "true or false"
	case formRoutes:
		return "routes such as \"10.0.0.0/8 via 192.168.1.1\""
	case formDomains:
		return "domain names such as aula.lan"
	case formHex:
	}
	return "bytes in hexadecimal, such as c0a80101, in quotes if they are all digits"
}

// numberForm is a number that nobody reads as octal.
var numberForm = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// accepts checks one value against the option's form.
func (k optionKind) accepts(value string) bool {
	number := func(bits int) bool {
		_, err := strconv.ParseUint(value, 10, bits)
		return err == nil && numberForm.MatchString(value)
	}
	switch k.form {
	case formText:
		return plainText(value)
	case formAddress, formAddresses:
		a, err := netip.ParseAddr(value)
		return err == nil && a.Is4()
	case formUint8:
		return number(8)
	case formUint16:
		return number(16)
	case formUint32:
		return number(32)
	case formInt32:
		_, err := strconv.ParseInt(value, 10, 32)
		return err == nil && numberForm.MatchString(value)
	case formBool:
		return value == "true" || value == "false"
	case formRoutes:
		return route(value)
	case formDomains:
		return domain(value)
	case formHex:
		b, err := hex.DecodeString(value)
		return err == nil && len(b) > 0 && len(b) <= 255
	}
	return false
}

// plainText is what can travel as an NVT ASCII option (RFC 2132, section 2).
func plainText(value string) bool {
	bad := func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' }
	return value != "" && len(value) <= 255 && strings.TrimSpace(value) == value && !strings.ContainsFunc(value, bad)
}

// route is "prefix via router" or "prefix router" (RFC 3442).
func route(value string) bool {
	f := strings.Fields(value)
	if len(f) == 3 && f[1] == "via" {
		f = []string{f[0], f[2]}
	}
	if len(f) != 2 {
		return false
	}
	p, errP := netip.ParsePrefix(f[0])
	a, errA := netip.ParseAddr(f[1])
	return errP == nil && errA == nil && p.Addr().Is4() && a.Is4() && p.Masked() == p
}

// domain is a name of dot-separated labels (RFC 1035, section 2.3.1).
func domain(value string) bool {
	if len(value) == 0 || len(value) > 253 {
		return false
	}
	for label := range strings.SplitSeq(value, ".") {
		if len(label) > 63 || !hostnameForm.MatchString(strings.ToLower(label)) {
			return false
		}
	}
	return true
}
