package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// Fault is a teaching fault as it is written: something that the DHCP server is
// to do wrong, such as drop=OFFER#2. The language is that of package dhcp, which
// lab does not import; a test compares the two.
type Fault string

// faultForm is what stands behind the name of a fault.
type faultForm uint8

// The forms. The zero value is invalid.
const (
	_            faultForm = iota
	faultMessage           // =OFFER or =OFFER#2
	faultDelayed           // =OFFER:3s or =OFFER#2:3s
	faultCounted           // nothing, or #2
	faultAddress
	faultMask
	faultTime
	faultBare
)

type faultKind struct {
	name    string
	form    faultForm
	example string
}

func faultKinds() []faultKind {
	return []faultKind{
		{"drop", faultMessage, "drop=OFFER, or drop=OFFER#2 for the second alone"},
		{"delay", faultDelayed, "delay=ACK:3s, or delay=ACK#2:3s for the second alone"},
		{"duplicate", faultMessage, "duplicate=REQUEST, or duplicate=REQUEST#2 for the second alone"},
		{"nak", faultCounted, "nak, or nak#1 for the first REQUEST alone"},
		{"router", faultAddress, "router=192.168.1.254"},
		{"mask", faultMask, "mask=255.255.0.0"},
		{"dns", faultAddress, "dns=192.168.1.254"},
		{"pool-full", faultBare, "pool-full alone"},
		{"lease", faultTime, "lease=10s"},
		{"silent", faultBare, "silent alone"},
	}
}

// messageTypes are the DHCP messages by their names (RFC 2132, section 9.6).
func messageTypes() []string {
	return []string{"DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"}
}

// maxFaultTime bounds delays and lease clocks: longer ones teach nothing more.
const maxFaultTime = time.Hour

// ParseFault reads a fault. The error is a [diag.Diagnostic].
func ParseFault(text string) (Fault, error) {
	f, problem := parseFault(yamlfile.Scalar{Key: "faults", Value: text, Tag: "!!str"})
	if problem != nil {
		return "", problem
	}
	return f, nil
}

func parseFault(s yamlfile.Scalar) (Fault, *diag.Diagnostic) {
	name := s.Value
	if i := strings.IndexAny(name, "=#"); i >= 0 {
		name = name[:i]
	}
	rest := s.Value[len(name):]
	bad := func(reason string) (Fault, *diag.Diagnostic) {
		return "", diag.New(diag.BadFault, diag.Args{"fault": s.Value, "reason": reason})
	}
	kinds := faultKinds()
	i := slices.IndexFunc(kinds, func(k faultKind) bool { return k.name == name })
	if i < 0 {
		names := make([]string, len(kinds))
		for i, k := range kinds {
			names[i] = k.name
		}
		if near := yamlfile.Suggest(name, names); near != "" {
			return bad(fmt.Sprintf("there is no %q; did you mean %q?", name, near))
		}
		return bad("the faults are " + strings.Join(names, ", "))
	}
	if !kinds[i].accepts(rest) {
		return bad("it is written " + kinds[i].example)
	}
	return Fault(s.Value), nil
}

// accepts checks what stands behind the name.
func (k faultKind) accepts(rest string) bool {
	switch k.form {
	case faultBare:
		return rest == ""
	case faultCounted:
		return rest == "" || strings.HasPrefix(rest, "#") && counts(rest[1:])
	default: // the others have a value
	}
	value, ok := strings.CutPrefix(rest, "=")
	if !ok {
		return false
	}
	switch k.form {
	case faultMessage:
		return message(value)
	case faultDelayed:
		which, delay, ok := strings.Cut(value, ":")
		return ok && message(which) && faultSpan(delay, time.Millisecond)
	case faultTime:
		return faultSpan(value, time.Second)
	case faultAddress, faultMask:
		a, err := netip.ParseAddr(value)
		return err == nil && a.Is4() && (k.form == faultAddress || isMask(a))
	default:
		return false
	}
}

// message is a message's name, and which of them.
func message(value string) bool {
	name, nth, counted := strings.Cut(value, "#")
	return slices.Contains(messageTypes(), name) && (!counted || counts(nth))
}

// counts tells whether digits are a number from 1.
func counts(digits string) bool {
	n, err := strconv.ParseUint(digits, 10, 16)
	return err == nil && n > 0 && digits[0] != '0'
}

// faultSpan is a time of whole units, up to maxFaultTime.
func faultSpan(text string, unit time.Duration) bool {
	t, err := time.ParseDuration(text)
	return err == nil && t > 0 && t <= maxFaultTime && t%unit == 0
}

// isMask tells whether the one bits of an address come before the zero bits.
func isMask(a netip.Addr) bool {
	inverse := ^addrNumber(a)
	return inverse&(inverse+1) == 0
}
