package lab

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/macgen"
)

// The limits of single values.
const (
	maxLabName  = 40 // fits into an altname (127 bytes) with the object's name behind it
	maxLinkName = 15 // IFNAMSIZ, 16, with its final zero
	minLease    = 30 * time.Second
	maxLease    = 365 * 24 * time.Hour
)

var (
	labNameForm   = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	linkNameForm  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*$`)
	hostnameForm  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	imageNameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	decimalForm   = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})$`)
	durationForm  = regexp.MustCompile(`^([0-9]{1,9}[smh])+$`)
)

// CheckName checks a lab's name, from a file or a --name flag. The error is a
// [diag.Diagnostic].
func CheckName(name string) error {
	if d := badLabName(name); d != nil {
		return d
	}
	return nil
}

func badLabName(name string) *diag.Diagnostic {
	bad := func(reason string) *diag.Diagnostic {
		return diag.New(diag.BadLabName, diag.Args{"name": name, "reason": reason})
	}
	switch {
	case name == "":
		return bad("it is empty")
	case len(name) > maxLabName:
		return bad(fmt.Sprintf("it has %d characters, and %d is the most", len(name), maxLabName))
	case !labNameForm.MatchString(name):
		return bad("only small letters, digits and dashes are allowed, a letter first and no dash last")
	}
	return nil
}

func parseLabName(s scalar) (string, *diag.Diagnostic) {
	if d := text(s, "a name"); d != nil {
		return "", d
	}
	return s.value, badLabName(s.value)
}

// text refuses what YAML takes for a number, a date or a truth value, where a
// name is wanted: 007 and true could come out differently than they look.
func text(s scalar, want string) *diag.Diagnostic {
	if s.tag == "!!str" {
		return nil
	}
	return diag.New(diag.ScalarNotPlain, diag.Args{"key": s.key, "value": s.value, "want": want})
}

// parseLinkName reads the name of a bridge or a tap. It returns the name along
// with a problem, so that references to it are not reported too.
func parseLinkName(kind string) func(scalar) (string, *diag.Diagnostic) {
	return func(s scalar) (string, *diag.Diagnostic) {
		if d := text(s, "a name"); d != nil {
			return "", d
		}
		bad := func(reason string) *diag.Diagnostic {
			return diag.New(diag.BadLinkName, diag.Args{"name": s.value, "kind": kind, "reason": reason})
		}
		switch {
		case s.value == "":
			return "", bad("it is empty")
		case len(s.value) > maxLinkName:
			return s.value, diag.New(diag.LinkNameLong, diag.Args{"name": s.value, "length": len(s.value), "kind": kind})
		case s.value == "lo" || s.value == "all" || s.value == "default":
			return s.value, bad("the kernel uses that word itself")
		case kind == "tap" && s.value == "none":
			return s.value, bad("a NIC is always on a tap")
		case !linkNameForm.MatchString(s.value):
			return s.value, bad("a letter must come first, and then letters, digits, dashes, dots and underscores")
		}
		return s.value, nil
	}
}

func parseGuestName(s scalar) (string, *diag.Diagnostic) {
	if d := text(s, "a hostname"); d != nil {
		return "", d
	}
	bad := func(reason string) *diag.Diagnostic {
		return diag.New(diag.BadGuestName, diag.Args{"name": s.value, "reason": reason})
	}
	switch {
	case s.value == "":
		return "", bad("it is empty")
	case len(s.value) > 63:
		return s.value, bad(fmt.Sprintf("it has %d characters, and a hostname can have 63", len(s.value)))
	case s.value == "localhost":
		return s.value, bad("every machine calls itself that")
	case !hostnameForm.MatchString(s.value):
		return s.value, bad("only small letters, digits and dashes are allowed, no dash first or last")
	}
	return s.value, nil
}

// parseReference reads a name that is defined elsewhere in the file, where its
// form is checked.
func parseReference(s scalar) (string, *diag.Diagnostic) {
	return s.value, text(s, "a name")
}

func parseImageName(s scalar) (string, *diag.Diagnostic) {
	if d := text(s, "the name of an image"); d != nil {
		return "", d
	}
	if !imageNameForm.MatchString(s.value) {
		return "", diag.New(diag.BadImageName, diag.Args{"name": s.value})
	}
	return s.value, nil
}

// parseInt reads a whole number without sign or leading zeros.
func parseInt(s scalar) (int, *diag.Diagnostic) {
	n, err := strconv.Atoi(s.value)
	if err != nil || s.tag != "!!int" || !decimalForm.MatchString(s.value) {
		return 0, diag.New(diag.ScalarNotPlain, diag.Args{"key": s.key, "value": s.value, "want": "a whole number"})
	}
	return n, nil
}

// parseWord reads one of the words of an enum.
func parseWord[E enum](valid ...E) func(scalar) (E, *diag.Diagnostic) {
	return func(s scalar) (E, *diag.Diagnostic) {
		var none E
		words := make([]string, len(valid))
		for i, v := range valid {
			if words[i] = v.String(); words[i] == s.value {
				return v, nil
			}
		}
		return none, diag.New(diag.NotOneOf, diag.Args{
			"key": s.key, "value": s.value, "allowed": words, "suggestion": suggest(s.value, words),
		})
	}
}

func parsePrefix(s scalar) (netip.Prefix, *diag.Diagnostic) {
	if a, err := netip.ParseAddr(s.value); err == nil && a.Is4() {
		return netip.Prefix{}, diag.New(diag.NoPrefixLength, diag.Args{"address": a})
	}
	p, err := netip.ParsePrefix(s.value)
	if err != nil || !p.Addr().Is4() {
		return netip.Prefix{}, diag.New(diag.BadAddress, diag.Args{
			"key": s.key, "value": s.value, "want": "an IPv4 address with its prefix length, such as 192.168.1.1/24",
		})
	}
	return p, nil
}

func parseAddr(s scalar) (netip.Addr, *diag.Diagnostic) {
	a, err := netip.ParseAddr(s.value)
	if err != nil || !a.Is4() {
		return netip.Addr{}, diag.New(diag.BadAddress, diag.Args{
			"key": s.key, "value": s.value, "want": "an IPv4 address, such as 192.168.1.1",
		})
	}
	return a, nil
}

// parseService reads the address of a machine that offers a service.
func parseService(s scalar) (netip.Addr, *diag.Diagnostic) {
	a, d := parseAddr(s)
	if d != nil {
		return a, d
	}
	reason := ""
	switch {
	case a.IsUnspecified():
		reason = "the address that means none"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		reason = "the broadcast address"
	case a.IsMulticast():
		reason = "a multicast group"
	case a.IsLoopback():
		reason = "each machine's own inside"
	default:
		return a, nil
	}
	return netip.Addr{}, diag.New(diag.UnusableAddress, diag.Args{"key": s.key, "address": a, "reason": reason})
}

func parseRange(s scalar) (Range, *diag.Diagnostic) {
	first, last, two := strings.Cut(s.value, "-")
	if !two {
		last = first
	}
	a, errA := netip.ParseAddr(strings.TrimSpace(first))
	b, errB := netip.ParseAddr(strings.TrimSpace(last))
	if errA != nil || errB != nil || !a.Is4() || !b.Is4() {
		return Range{}, diag.New(diag.BadRange, diag.Args{"value": s.value})
	}
	if b.Less(a) {
		return Range{}, diag.New(diag.RangeReversed, diag.Args{"range": a.String() + "-" + b.String(), "first": a, "last": b})
	}
	return Range{First: a, Last: b}, nil
}

func parseLease(s scalar) (time.Duration, *diag.Diagnostic) {
	lease, err := time.ParseDuration(s.value)
	switch {
	case durationForm.MatchString(s.value) && (err != nil || lease > maxLease):
		return 0, diag.New(diag.LeaseTooLong, diag.Args{"lease": s.value, "maximum": "8760h (a year)"})
	case err != nil || !durationForm.MatchString(s.value):
		return 0, diag.New(diag.BadDuration, diag.Args{"key": s.key, "value": s.value})
	case lease < minLease:
		return 0, diag.New(diag.LeaseTooShort, diag.Args{"lease": s.value, "minimum": minLease})
	}
	return lease, nil
}

func parseSize(s scalar) (Size, *diag.Diagnostic) {
	size, err := ParseSize(s.value)
	if err != nil || size == 0 || size > math.MaxInt64 {
		return 0, diag.New(diag.BadSize, diag.Args{"key": s.key, "value": s.value})
	}
	return size, nil
}

// parseMAC reads an address written with colons. macgen.Parse takes dashes and
// dots too, but one spelling in lab files keeps them searchable.
func parseMAC(s scalar) (macgen.MAC, *diag.Diagnostic) {
	mac, err := macgen.Parse(s.value)
	if err != nil || strings.Count(s.value, ":") != 5 {
		return macgen.MAC{}, diag.New(diag.BadMAC, diag.Args{"value": s.value})
	}
	switch {
	case mac.IsZero():
		return macgen.MAC{}, diag.New(diag.ZeroMAC, nil)
	case mac.IsMulticast():
		return macgen.MAC{}, diag.New(diag.MulticastMAC, diag.Args{"mac": mac, "suggestion": stationLike(mac)})
	}
	return mac, nil
}

// stationLike clears the group bit and sets the local bit of the first byte.
func stationLike(mac macgen.MAC) macgen.MAC {
	mac[0] = mac[0]&^0x01 | 0x02
	return mac
}
