package dhcp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// FaultKind is a way in which a server can be made to misbehave, for a class to find out.
type FaultKind uint8

// The kinds of faults.
const (
	FaultDrop      FaultKind = iota + 1 // messages of a type are lost
	FaultDelay                          // messages of a type are late
	FaultDuplicate                      // messages of a type come twice
	FaultNak                            // REQUESTs that deserve an ACK get a NAK
	FaultRouter                         // option 3 is wrong
	FaultMask                           // option 1 is wrong
	FaultDNS                            // option 6 is wrong
	FaultPoolFull                       // whoever has no address gets none
	FaultLease                          // leases of seconds, whatever is configured or asked for
	FaultSilent                         // nothing is answered
)

var faultNames = [...]string{
	"invalid", "drop", "delay", "duplicate", "nak", "router", "mask", "dns", "pool-full", "lease", "silent",
}

// String returns the stable name: "pool-full".
func (k FaultKind) String() string { return faultNames[min(int(k), len(faultNames)-1)] }

// Fault is one teaching fault. Which fields count depends on its kind.
type Fault struct {
	Kind      FaultKind
	Interface string        // where it shows; empty is everywhere
	Message   MessageType   // drop, delay, duplicate: of this type, received or sent
	Nth       int           // drop, delay, duplicate, nak: only the n-th since the fault was set; 0 is every one
	Delay     time.Duration // delay
	Address   netip.Addr    // router, mask, dns
	Lease     time.Duration // lease
}

// String writes the fault as ParseFault reads it; where it shows comes last: "delay=ACK#2:3s@br1".
func (f Fault) String() string {
	s := f.Kind.String()
	switch f.Kind {
	case FaultDrop, FaultDelay, FaultDuplicate:
		s += "=" + f.Message.String()
	case FaultRouter, FaultMask, FaultDNS:
		s += "=" + f.Address.String()
	case FaultLease:
		s += "=" + f.Lease.String()
	case FaultNak, FaultPoolFull, FaultSilent:
	}
	if f.Nth > 0 {
		s += "#" + strconv.Itoa(f.Nth)
	}
	if f.Kind == FaultDelay {
		s += ":" + f.Delay.String()
	}
	if f.Interface != "" {
		s += "@" + f.Interface
	}
	return s
}

// MarshalText writes what String writes.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what ParseFault reads.
func (f *Fault) UnmarshalText(text []byte) (err error) {
	*f, err = ParseFault(string(text))
	return err
}

// FaultError says why a fault is not one.
type FaultError struct {
	Fault   string // as it was written
	Problem string
}

// Error says which fault, and what is wrong with it.
func (e *FaultError) Error() string { return fmt.Sprintf("fault %q: %s", e.Fault, e.Problem) }

// ParseFault reads a fault as a person writes it; the errors are *FaultErrors:
//
//	drop=OFFER          every OFFER is lost          drop=OFFER#2      only the second
//	delay=ACK:3s        every ACK is 3 s late        delay=ACK#1:3s    only the first
//	duplicate=REQUEST   every REQUEST comes twice    nak, nak#1        every (the first) REQUEST is refused
//	router=ADDRESS  mask=ADDRESS  dns=ADDRESS        a wrong value
//	pool-full           no address for newcomers     lease=10s         leases of ten seconds
//	silent              no answer at all
//
// "@br1" behind any of them limits it to one interface.
func ParseFault(s string) (Fault, error) {
	var f Fault
	rest, iface, _ := strings.Cut(s, "@")
	f.Interface = iface
	name, value, _ := strings.Cut(rest, "=")
	if value == "" {
		var nth string
		if name, nth, _ = strings.Cut(name, "#"); nth != "" {
			value = "#" + nth
		}
	}
	for k := FaultDrop; int(k) < len(faultNames); k++ {
		if strings.EqualFold(name, faultNames[k]) {
			f.Kind = k
		}
	}
	problem := f.parseValue(value)
	if problem == "" {
		problem = f.problem()
	}
	if problem != "" {
		return Fault{}, &FaultError{s, problem}
	}
	return f, nil
}

// parseValue reads what stands behind the kind, and returns what is wrong with it.
func (f *Fault) parseValue(value string) (problem string) {
	var err error
	switch f.Kind {
	case FaultDrop, FaultDelay, FaultDuplicate:
		if f.Kind == FaultDelay {
			var delay string
			value, delay, _ = strings.Cut(value, ":")
			if f.Delay, err = time.ParseDuration(delay); err != nil {
				return "a delay is wanted: delay=ACK:3s"
			}
		}
		kind, nth, counted := strings.Cut(value, "#")
		for t := Discover; t <= Inform; t++ {
			if strings.EqualFold(kind, t.String()) {
				f.Message = t
			}
		}
		return f.parseNth(nth, counted)
	case FaultNak:
		kind, nth, counted := strings.Cut(value, "#")
		if kind != "" {
			return "it takes no value but a number: nak#1"
		}
		return f.parseNth(nth, counted)
	case FaultRouter, FaultMask, FaultDNS:
		if f.Address, err = netip.ParseAddr(value); err != nil {
			return "an address is wanted"
		}
	case FaultLease:
		if f.Lease, err = time.ParseDuration(value); err != nil {
			return "a time is wanted: lease=10s"
		}
	default:
		if value != "" {
			return "it takes no value"
		}
	}
	return ""
}

func (f *Fault) parseNth(nth string, counted bool) (problem string) {
	if !counted {
		return ""
	}
	var err error
	if f.Nth, err = strconv.Atoi(nth); err != nil || f.Nth < 1 {
		return "a number from 1 is wanted behind #"
	}
	return ""
}

// problem says what is wrong with a fault; nothing when it is sound.
func (f Fault) problem() string {
	switch f.Kind {
	case FaultDrop, FaultDelay, FaultDuplicate:
		if f.Message < Discover || f.Message > Inform {
			return "a message type is wanted: DISCOVER, OFFER, REQUEST, ACK, NAK, DECLINE, RELEASE or INFORM"
		}
		if f.Nth < 0 || f.Kind == FaultDelay && (f.Delay <= 0 || f.Delay > time.Hour) {
			return "the number or the delay is out of range"
		}
	case FaultNak:
		if f.Nth < 0 {
			return "the number is negative"
		}
	case FaultRouter, FaultMask, FaultDNS:
		if !f.Address.Is4() {
			return "an IPv4 address is wanted"
		}
	case FaultLease:
		if f.Lease < time.Second {
			return "a lease time is at least one second"
		}
	case FaultPoolFull, FaultSilent:
	default:
		return "it is none of " + strings.Join(faultNames[1:], ", ")
	}
	return ""
}
