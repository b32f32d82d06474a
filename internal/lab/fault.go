package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// FaultKind says what a teaching fault does.
type FaultKind uint8

// The kinds of teaching faults. The zero value is invalid.
const (
	_ FaultKind = iota
	FaultDrop
	FaultDelay
	FaultDuplicate
	FaultNak
	FaultRouter
	FaultMask
	FaultDNS
	FaultPoolExhausted
	FaultLease
	FaultSilent
)

// faultForm is the word of a kind and what stands behind it.
type faultForm struct {
	kind  FaultKind
	word  string
	after []faultPart
}

// faultPart is one word behind a fault's own.
type faultPart uint8

const (
	partMessage faultPart = iota + 1 // OFFER, or OFFER#2 for the second alone
	partTime
	partAddress
	partMask
)

// faultForms are all faults as they are written.
func faultForms() []faultForm {
	return []faultForm{
		{FaultDrop, "drop", []faultPart{partMessage}},
		{FaultDelay, "delay", []faultPart{partMessage, partTime}},
		{FaultDuplicate, "duplicate", []faultPart{partMessage}},
		{FaultNak, "nak", nil},
		{FaultRouter, "router", []faultPart{partAddress}},
		{FaultMask, "mask", []faultPart{partMask}},
		{FaultDNS, "dns", []faultPart{partAddress}},
		{FaultPoolExhausted, "pool-exhausted", nil},
		{FaultLease, "lease", []faultPart{partTime}},
		{FaultSilent, "silent", nil},
	}
}

// messageTypes are the DHCP messages by their names (RFC 2132, section 9.6).
func messageTypes() []string {
	return []string{"DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"}
}

// maxFaultTime bounds delays and lease clocks: longer ones teach nothing more.
const maxFaultTime = time.Hour

// Fault is a teaching fault: something that the DHCP server is to do wrong. Its
// text is how a lab file and `kvmlab dhcp fault` write it: "drop OFFER#2".
type Fault struct {
	Kind FaultKind
	// Message is the type of message that is dropped, delayed or duplicated.
	Message string
	// Nth is which of them, counted from when the fault is set; 0 is every one.
	Nth int
	// Time is the delay or the lease time.
	Time time.Duration
	// Address is the router, DNS server or mask that clients are told.
	Address netip.Addr
}

// String writes the fault as ParseFault reads it.
func (f Fault) String() string {
	for _, form := range faultForms() {
		if form.kind != f.Kind {
			continue
		}
		words := []string{form.word}
		for _, part := range form.after {
			words = append(words, f.part(part))
		}
		return strings.Join(words, " ")
	}
	return fmt.Sprintf("fault(%d)", uint8(f.Kind))
}

func (f Fault) part(p faultPart) string {
	switch p {
	case partMessage:
		if f.Nth > 0 {
			return fmt.Sprintf("%s#%d", f.Message, f.Nth)
		}
		return f.Message
	case partTime:
		return strings.TrimSuffix(strings.TrimSuffix(f.Time.String(), "0s"), "0m") + zeroTime(f.Time)
	case partAddress, partMask:
		return f.Address.String()
	}
	return ""
}

// zeroTime is what is left of a time whose zeros were all trimmed.
func zeroTime(t time.Duration) string {
	if t == 0 {
		return "0s"
	}
	return ""
}

// MarshalText writes what String writes.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText is ParseFault.
func (f *Fault) UnmarshalText(text []byte) error {
	parsed, err := ParseFault(string(text))
	*f = parsed
	return err
}

// ParseFault reads a fault. The error is a [diag.Diagnostic].
func ParseFault(text string) (Fault, error) {
	f, problem := parseFault(scalar{key: "faults", value: text, tag: "!!str"})
	if problem != nil {
		return Fault{}, problem
	}
	return f, nil
}

func parseFault(s scalar) (Fault, *diag.Diagnostic) {
	bad := func(why string) (Fault, *diag.Diagnostic) {
		return Fault{}, diag.New(diag.BadFault, diag.Args{"fault": s.value, "reason": why})
	}
	words := strings.Fields(s.value)
	if len(words) == 0 {
		return bad("it is empty")
	}
	forms := faultForms()
	i := slices.IndexFunc(forms, func(f faultForm) bool { return f.word == strings.ToLower(words[0]) })
	if i < 0 {
		names := make([]string, len(forms))
		for i, f := range forms {
			names[i] = f.word
		}
		if near := suggest(words[0], names); near != "" {
			return bad(fmt.Sprintf("there is none called %q; did you mean %q?", words[0], near))
		}
		return bad("the faults are " + strings.Join(names, ", "))
	}
	form := forms[i]
	if len(words)-1 != len(form.after) {
		return bad(fmt.Sprintf("%q takes %s", form.word, wanted(form.after)))
	}
	f := Fault{Kind: form.kind}
	for i, part := range form.after {
		if why := f.read(part, words[i+1]); why != "" {
			return bad(why)
		}
	}
	return f, nil
}

// wanted says what stands behind a fault's word.
func wanted(after []faultPart) string {
	names := map[faultPart]string{
		partMessage: "a message such as OFFER, or OFFER#2 for the second alone", partTime: "a time such as 3s",
		partAddress: "an address", partMask: "a mask such as 255.255.0.0",
	}
	if len(after) == 0 {
		return "nothing behind it"
	}
	words := make([]string, len(after))
	for i, part := range after {
		words[i] = names[part]
	}
	return strings.Join(words, ", then ")
}

// read takes one word; it returns what is wrong with it, or "".
func (f *Fault) read(part faultPart, word string) string {
	switch part {
	case partMessage:
		return f.readMessage(word)
	case partTime:
		t, err := time.ParseDuration(word)
		if err != nil || t <= 0 || t > maxFaultTime || t%time.Second != 0 && f.Kind == FaultLease {
			return fmt.Sprintf("%q is not a time such as 3s, of an hour at most", word)
		}
		f.Time = t
	case partAddress, partMask:
		a, err := netip.ParseAddr(word)
		if err != nil || !a.Is4() || part == partMask && !isMask(a) {
			return fmt.Sprintf("%q is not %s", word, wanted([]faultPart{part}))
		}
		f.Address = a
	}
	return ""
}

func (f *Fault) readMessage(word string) string {
	name, nth, one := strings.Cut(word, "#")
	f.Message = strings.ToUpper(name)
	if !slices.Contains(messageTypes(), f.Message) {
		return fmt.Sprintf("%q is not one of %s", name, strings.Join(messageTypes(), ", "))
	}
	if !one {
		return ""
	}
	n, err := strconv.ParseUint(nth, 10, 16)
	if err != nil || n == 0 {
		return fmt.Sprintf("%q does not count messages: the first is #1", "#"+nth)
	}
	f.Nth = int(n)
	return ""
}

// isMask tells whether the one bits of an address come before the zero bits.
func isMask(a netip.Addr) bool {
	inverse := ^addrNumber(a)
	return inverse&(inverse+1) == 0
}

// Replaces reports whether setting f takes the place of other: there is one
// fault of each kind, and one drop, delay or duplicate of each message.
func (f Fault) Replaces(other Fault) bool {
	return f.Kind == other.Kind && f.Message == other.Message && f.Nth == other.Nth
}
