package lab

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
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

func parseLabName(s yamlfile.Scalar) (string, *diag.Diagnostic) {
	if d := yamlfile.RequireText(s, "a name"); d != nil {
		return "", d
	}
	return s.Value, badLabName(s.Value)
}

// parseLinkName reads the name of a bridge or a tap. It returns the name along
// with a problem, so that references to it are not reported too.
func parseLinkName(kind string) func(yamlfile.Scalar) (string, *diag.Diagnostic) {
	return func(s yamlfile.Scalar) (string, *diag.Diagnostic) {
		if d := yamlfile.RequireText(s, "a name"); d != nil {
			return "", d
		}
		bad := func(reason string) *diag.Diagnostic {
			return diag.New(diag.BadLinkName, diag.Args{"name": s.Value, "kind": kind, "reason": reason})
		}
		switch {
		case s.Value == "":
			return "", bad("it is empty")
		case len(s.Value) > maxLinkName:
			return s.Value, diag.New(diag.LinkNameLong, diag.Args{"name": s.Value, "length": len(s.Value), "kind": kind})
		case s.Value == "lo" || s.Value == "all" || s.Value == "default":
			return s.Value, bad("the kernel uses that word itself")
		case kind == "tap" && s.Value == "none":
			return s.Value, bad("a NIC is always on a tap")
		case !linkNameForm.MatchString(s.Value):
			return s.Value, bad("a letter must come first, and then letters, digits, dashes, dots and underscores")
		}
		return s.Value, nil
	}
}

func parseGuestName(s yamlfile.Scalar) (string, *diag.Diagnostic) {
	if d := yamlfile.RequireText(s, "a hostname"); d != nil {
		return "", d
	}
	bad := func(reason string) *diag.Diagnostic {
		return diag.New(diag.BadGuestName, diag.Args{"name": s.Value, "reason": reason})
	}
	switch {
	case s.Value == "":
		return "", bad("it is empty")
	case len(s.Value) > 63:
		return s.Value, bad(fmt.Sprintf("it has %d characters, and a hostname can have 63", len(s.Value)))
	case s.Value == "localhost":
		return s.Value, bad("every machine calls itself that")
	case !hostnameForm.MatchString(s.Value):
		return s.Value, bad("only small letters, digits and dashes are allowed, no dash first or last")
	}
	return s.Value, nil
}

// parseReference reads a name that is defined elsewhere in the file, where its
// form is checked.
func parseReference(s yamlfile.Scalar) (string, *diag.Diagnostic) {
	return s.Value, yamlfile.RequireText(s, "a name")
}

func parseImageName(s yamlfile.Scalar) (string, *diag.Diagnostic) {
	if d := yamlfile.RequireText(s, "the name of an image"); d != nil {
		return "", d
	}
	if !imageNameForm.MatchString(s.Value) {
		return "", diag.New(diag.BadImageName, diag.Args{"name": s.Value})
	}
	return s.Value, nil
}

// parseService reads the address of a machine that offers a service.
func parseService(s yamlfile.Scalar) (netip.Addr, *diag.Diagnostic) {
	a, d := yamlfile.ParseAddr(s)
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
	return netip.Addr{}, diag.New(diag.UnusableAddress, diag.Args{"key": s.Key, "address": a, "reason": reason})
}

// ParseRange reads FIRST-LAST, or one address.
func ParseRange(s yamlfile.Scalar) (Range, *diag.Diagnostic) {
	first, last, two := strings.Cut(s.Value, "-")
	if !two {
		last = first
	}
	a, errA := netip.ParseAddr(strings.TrimSpace(first))
	b, errB := netip.ParseAddr(strings.TrimSpace(last))
	if errA != nil || errB != nil || !a.Is4() || !b.Is4() {
		return Range{}, diag.New(diag.BadRange, diag.Args{"value": s.Value})
	}
	if b.Less(a) {
		return Range{}, diag.New(diag.RangeReversed, diag.Args{"range": a.String() + "-" + b.String(), "first": a, "last": b})
	}
	return Range{First: a, Last: b}, nil
}

func parseLease(s yamlfile.Scalar) (time.Duration, *diag.Diagnostic) { return parseTime(s, minLease) }

// parseQuarantine reads how long an address stays out of use, which a lesson may want to be short.
func parseQuarantine(s yamlfile.Scalar) (time.Duration, *diag.Diagnostic) {
	return parseTime(s, time.Second)
}

func parseTime(s yamlfile.Scalar, least time.Duration) (time.Duration, *diag.Diagnostic) {
	lease, err := time.ParseDuration(s.Value)
	switch {
	case durationForm.MatchString(s.Value) && (err != nil || lease > maxLease):
		return 0, diag.New(diag.LeaseTooLong, diag.Args{"lease": s.Value, "maximum": "8760h (a year)"})
	case err != nil || !durationForm.MatchString(s.Value):
		return 0, diag.New(diag.BadDuration, diag.Args{"key": s.Key, "value": s.Value})
	case lease < least:
		return 0, diag.New(diag.LeaseTooShort, diag.Args{"lease": s.Value, "minimum": least})
	}
	return lease, nil
}

func parseSize(s yamlfile.Scalar) (Size, *diag.Diagnostic) {
	size, err := ParseSize(s.Value)
	if err != nil || size == 0 || size > math.MaxInt64 {
		return 0, diag.New(diag.BadSize, diag.Args{"key": s.Key, "value": s.Value})
	}
	return size, nil
}

// parseMAC reads an address written with colons. macgen.Parse takes dashes and
// dots too, but one spelling in lab files keeps them searchable.
func parseMAC(s yamlfile.Scalar) (macgen.MAC, *diag.Diagnostic) {
	mac, err := macgen.Parse(s.Value)
	if err != nil || strings.Count(s.Value, ":") != 5 {
		return macgen.MAC{}, diag.New(diag.BadMAC, diag.Args{"value": s.Value})
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
