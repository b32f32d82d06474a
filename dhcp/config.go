package dhcp

import (
	"net/netip"
	"time"
)

// Config says what a server serves. It is plain data; Validate checks all of it at once.
type Config struct {
	// Interfaces are the links the server listens on.
	Interfaces []Interface
	// Subnets are the networks it hands out addresses of. One that holds an interface's address is served on that
	// interface; the others are reached through relays, by giaddr (RFC 2131 section 4.3.1).
	Subnets []Subnet

	// Authoritative makes the server answer a REQUEST for a binding that it has no record of with a NAK. Without it,
	// it stays silent, as RFC 2131 section 4.3.2 (INIT-REBOOT) demands of servers that may not be the only one.
	Authoritative bool
	// IgnoreClientID tells clients apart by hardware address only (guests cloned from one image share a client
	// identifier). It goes against RFC 2131 section 4.2, so it is off.
	IgnoreClientID bool
	// RapidCommit answers a DISCOVER that carries option 80 with an ACK at once (RFC 4039).
	RapidCommit bool
	// DropRelayInfo leaves the relay agent information (option 82) out of replies. RFC 3046 section 2.2 wants it
	// echoed, which is the default.
	DropRelayInfo bool
	// NoProbe turns off the ARP probe of an address that is about to be offered to a client for the first time.
	NoProbe bool
	// ProbeWait is how long a probe waits for an answer; zero is DefaultProbeWait.
	ProbeWait time.Duration
	// OfferHold is how long an offered address is held for its client; zero is DefaultOfferHold.
	OfferHold time.Duration
	// Quarantine is how long an address stays out of use after a DECLINE or an answered probe; zero is
	// DefaultQuarantine.
	Quarantine time.Duration

	// Faults are the teaching faults that are set from the start. Server.SetFaults changes them.
	Faults []Fault
}

// What a Config means where it is silent.
const (
	DefaultProbeWait  = 60 * time.Millisecond
	DefaultOfferHold  = 45 * time.Second
	DefaultQuarantine = 10 * time.Minute
	DefaultLease      = 10 * time.Minute
	defaultMinLease   = 30 * time.Second // udhcpc takes no shorter one to heart
)

// Interface is a link that the server listens on.
type Interface struct {
	// Name is the link's name in the namespace in which the server is opened: "br1".
	Name string
	// Address is the server's own IPv4 address on it: the server identifier (option 54) and the source of replies.
	Address netip.Addr
}

// Subnet is one network and how its addresses are given out.
type Subnet struct {
	Prefix       netip.Prefix
	Ranges       []Range       // the pool
	Exclude      []Range       // never given out from the pool
	Reservations []Reservation // inside or outside the pool
	Options      []Option      // what clients get when they ask for it; the subnet mask (1) follows from Prefix

	Lease    time.Duration // for clients that do not ask for a time; zero is DefaultLease
	MinLease time.Duration // a shorter request is raised to this; zero is half a minute, or Lease if that is less
	MaxLease time.Duration // a longer request is cut to this; zero is Lease

	// NextServer is siaddr: where a client that boots from the network goes on (RFC 2131 section 2).
	NextServer netip.Addr
	// Authoritative, IgnoreClientID, RapidCommit and NoProbe are those of Config, for this subnet alone. What is set in
	// either place holds.
	Authoritative, IgnoreClientID, RapidCommit, NoProbe bool
	// V6OnlyWait, when not zero, is sent as option 108 to clients that ask for it, so that they can do without IPv4
	// for that long (RFC 8925 section 3.3).
	V6OnlyWait time.Duration
	// NoAutoConfigure answers option 116 with DoNotAutoConfigure when there is no address to offer (RFC 2563).
	NoAutoConfigure bool
}

// Range is an inclusive range of addresses.
type Range struct{ First, Last netip.Addr }

// Reservation keeps an address for one client. Exactly one of MAC, ClientID and CircuitID says which.
type Reservation struct {
	MAC       HWAddr
	ClientID  []byte // option 61 as it is on the wire, the type octet included
	CircuitID []byte // the relay's name for where the client is plugged in (option 82.1, RFC 3046 section 3.1)
	Address   netip.Addr
	Hostname  string   // sent as option 12 when asked for, if not empty
	Options   []Option // before those of the subnet
}

// identities counts by how many names the client is known.
func (r Reservation) identities() (n int) {
	for _, named := range []bool{!r.MAC.IsZero(), len(r.ClientID) > 0, len(r.CircuitID) > 0} {
		if named {
			n++
		}
	}
	return n
}
