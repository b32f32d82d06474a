// Package lab turns a lab file into the description of a lab that the rest of
// kvmlab works from. [Parse] reads YAML into a [Spec], in which every value
// knows its line and column, and reports all mistakes at once; [Resolve] fixes
// every name, MAC address and default and gives the [Lab], which is stored as
// lab.json and never changes while the lab is up.
//
// The package is pure: no files, no clock, no network; randomness is passed in.
package lab

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kvmlab/kvmlab/macgen"
)

// Version is the format version of lab files and of lab.json.
const Version = 1

// Lab is a resolved lab: nothing in it is left to be decided.
type Lab struct {
	Version   int       `json:"version"`
	Name      string    `json:"name"`
	Isolation Isolation `json:"isolation"`
	// HostAllow are the services of the host that guests may use, beside DHCP, ARP and ping.
	HostAllow []Service `json:"host_allow,omitempty"`
	Bridges   []Bridge  `json:"bridges"`
	Guests    []Guest   `json:"guests"`
}

// Bridge is one Ethernet segment.
type Bridge struct {
	// Name is the link's name, at most 15 bytes (IFNAMSIZ less its NUL).
	Name string `json:"name"`
	// Address is the host's address on the bridge with the subnet's length. The
	// zero Prefix makes a bare switch: the host has no address on it.
	Address  netip.Prefix `json:"address,omitzero"`
	Internet Internet     `json:"internet"`
	// Reach are networks that guests get to beside the internet, with NAT.
	Reach []netip.Prefix `json:"reach,omitempty"`
	// DHCP is nil when kvmlab serves no DHCP here.
	DHCP *DHCP `json:"dhcp,omitempty"`
}

// DHCP is what the embedded server hands out on a bridge.
type DHCP struct {
	// Ranges are the pools, in the order written; they never overlap and never
	// hold the bridge's own, the network's or the broadcast address.
	Ranges []Range
	// Exclude are addresses of Ranges that are not lent.
	Exclude []Range
	// Lease is how long an address is lent, in whole seconds (option 51).
	Lease time.Duration
	// MinLease and MaxLease bound what a client may ask for; zero is no bound for
	// the first and Lease for the second.
	MinLease, MaxLease time.Duration
	// DNS are the resolvers (option 6); by default the bridge's address.
	DNS []netip.Addr
	// Router is the default gateway (option 3); by default the bridge's address,
	// and the zero Addr when the file says `router: none`.
	Router netip.Addr
	// NextServer is the server that a client boots from (siaddr), or the zero Addr.
	NextServer   netip.Addr
	Reservations []Reservation
	Options      []Option
	// Faults are the teaching faults that are set from the start.
	Faults []Fault

	// Policy is what the server does where the standards leave a choice.
	Policy Policy
}

// Policy holds the choices of a DHCP server. The zero value is the default.
type Policy struct {
	// Authoritative answers a REQUEST for an unknown lease with a NAK, where a
	// server that may not be the only one stays silent.
	Authoritative bool `json:"authoritative,omitempty"`
	// IgnoreClientID tells clients apart by MAC alone.
	IgnoreClientID bool `json:"ignore_client_id,omitempty"`
	// NoProbe lends an address without asking by ARP whether somebody has it.
	NoProbe bool `json:"no_probe,omitempty"`
	// RapidCommit answers a DISCOVER that asks for it with an ACK (RFC 4039).
	RapidCommit bool `json:"rapid_commit,omitempty"`
	// NoAutoConfigure tells clients that get no address not to make one up (RFC 2563).
	NoAutoConfigure bool `json:"no_auto_configure,omitempty"`
	// IPv6OnlyWait is option 108 for the clients that list it (RFC 8925), in
	// seconds; zero for none.
	IPv6OnlyWait uint32 `json:"ipv6_only_wait,omitempty"`
}

// Range is a closed interval of addresses.
type Range struct {
	First netip.Addr `json:"first"`
	Last  netip.Addr `json:"last"`
}

// Reservation keeps an address for one client.
type Reservation struct {
	// Guest is the guest it is for, or "" when the file named only a MAC.
	Guest string `json:"guest,omitempty"`
	// MAC is the client's hardware address: that of the guest's first NIC on the
	// bridge, or the one that the file named. It is zero with a ClientID or a
	// CircuitID.
	MAC macgen.MAC `json:"mac,omitzero"`
	// ClientID is the client identifier in its place: option 61 in hexadecimal,
	// its type byte first.
	ClientID string `json:"client_id,omitempty"`
	// CircuitID is a relay's name for where the client is plugged in, in its
	// place: option 82.1 in hexadecimal.
	CircuitID string     `json:"circuit_id,omitempty"`
	Address   netip.Addr `json:"address"`
	// Hostname is sent as option 12; "" for the guest's name, or none.
	Hostname string `json:"hostname,omitempty"`
	// Options go before those of the bridge.
	Options []Option `json:"options,omitempty"`
}

// Option is a DHCP option that every client of the bridge gets when it asks.
type Option struct {
	// Name is the option's name as in the lab file; "" when written by number.
	Name string `json:"name,omitempty"`
	// Code is the option's number (RFC 2132 and later), always set.
	Code uint8 `json:"code"`
	// Value is the text from the file; the values of a list are joined by ",".
	// An option written by number has its bytes in hexadecimal, two digits each.
	Value string `json:"value"`
}

// Guest is one virtual machine.
type Guest struct {
	// Name is the hostname, unique in the lab.
	Name   string `json:"name"`
	Image  string `json:"image"`
	Memory Size   `json:"memory"`
	CPUs   int    `json:"cpus"`
	// Disk is the size of the guest's disk in bytes; 0 is the image's own.
	Disk Size `json:"disk,omitempty"`
	// Files are put into the guest at its first start.
	Files []File `json:"files,omitempty"`
	// UUID is derived from the names of lab and guest ([GuestUUID]).
	UUID uuid.UUID `json:"uuid"`
	// NICs are eth0, eth1 … in order.
	NICs []NIC `json:"nics"`
}

// NIC is one network card of a guest and the tap behind it.
type NIC struct {
	// Name is the interface's name inside the guest.
	Name   string     `json:"name"`
	Bridge string     `json:"bridge"`
	Tap    string     `json:"tap"`
	MAC    macgen.MAC `json:"mac"`
}

// Guest finds a guest by name.
func (l *Lab) Guest(name string) (*Guest, bool) {
	for i := range l.Guests {
		if l.Guests[i].Name == name {
			return &l.Guests[i], true
		}
	}
	return nil, false
}

// Bridge finds a bridge by name.
func (l *Lab) Bridge(name string) (*Bridge, bool) {
	for i := range l.Bridges {
		if l.Bridges[i].Name == name {
			return &l.Bridges[i], true
		}
	}
	return nil, false
}

// DomainName is the libvirt domain's name of a guest: "<lab>-<guest>", or "<lab>_<guest>" when the guest's name has a
// dash itself. So no two guests share one: c of the lab a-b is a-b-c, and b-c of the lab a is a_b-c. Neither name can
// have an underscore.
func (l *Lab) DomainName(guest string) string {
	if strings.Contains(guest, "-") {
		return l.Name + "_" + guest
	}
	return l.Name + "-" + guest
}

// GuestUUID is the domain's UUID: version 5 (RFC 9562) in kvmlab's namespace
// over "<lab>/<guest>". The same names give the same UUID on every host, so a
// lab's domains are recognised after its state is lost.
func GuestUUID(lab, guest string) uuid.UUID {
	namespace := uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://kvmlab.org/lab"))
	return uuid.NewSHA1(namespace, []byte(lab+"/"+guest))
}

// Contains reports whether a lies in r, ends included.
func (r Range) Contains(a netip.Addr) bool {
	return r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// Assigns reports whether the server has an address for any client beside its own: a reserved one, or one of the ranges
// that is neither excluded nor among own.
func (d *DHCP) Assigns(own ...netip.Addr) bool {
	return len(d.Reservations) > 0 || anyLeft(d.Ranges, d.Exclude, own)
}

// anyLeft reports whether an address of ranges is in no range of exclude and none of own. It steps over what is excluded,
// so it takes no longer with a large range.
func anyLeft(ranges, exclude []Range, own []netip.Addr) bool {
	holes := slices.Clone(exclude)
	for _, a := range own {
		holes = append(holes, Range{a, a})
	}
	for _, r := range ranges {
		at := r.First
		for stepped := true; stepped; {
			stepped = false
			for _, hole := range holes {
				if hole.Contains(at) {
					at, stepped = hole.Last.Next(), true
				}
			}
		}
		if at.IsValid() && r.Contains(at) {
			return true
		}
	}
	return false
}

// Count is how many addresses r holds.
func (r Range) Count() int {
	return int(addrNumber(r.Last)) - int(addrNumber(r.First)) + 1
}

// shared is how many addresses r and other have in common.
func (r Range) shared(other Range) int {
	first, last := max(addrNumber(r.First), addrNumber(other.First)), min(addrNumber(r.Last), addrNumber(other.Last))
	return max(int(last)-int(first)+1, 0)
}

// String writes r as a lab file does: "192.168.1.2-192.168.1.10".
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// dhcpJSON is DHCP as stored: the lease as text ("10m0s"), because a number of
// nanoseconds is nothing that a person can check.
type dhcpJSON struct {
	Ranges       []Range       `json:"ranges"`
	Exclude      []Range       `json:"exclude,omitempty"`
	Lease        string        `json:"lease"`
	MinLease     string        `json:"min_lease,omitempty"`
	MaxLease     string        `json:"max_lease,omitempty"`
	DNS          []netip.Addr  `json:"dns"`
	Router       netip.Addr    `json:"router"`
	NextServer   netip.Addr    `json:"next_server,omitzero"`
	Reservations []Reservation `json:"reservations"`
	Options      []Option      `json:"options"`
	Faults       []Fault       `json:"faults,omitempty"`
	Policy       Policy        `json:"policy,omitzero"`
}

// MarshalJSON writes the lease as text and no list as null.
func (d DHCP) MarshalJSON() ([]byte, error) {
	bound := func(t time.Duration) string {
		if t == 0 {
			return ""
		}
		return t.String()
	}
	return json.Marshal(dhcpJSON{
		Ranges: notNil(d.Ranges), Exclude: d.Exclude, Lease: d.Lease.String(), MinLease: bound(d.MinLease),
		MaxLease: bound(d.MaxLease), DNS: notNil(d.DNS), Router: d.Router, NextServer: d.NextServer,
		Reservations: notNil(d.Reservations), Options: notNil(d.Options), Faults: d.Faults, Policy: d.Policy,
	})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (d *DHCP) UnmarshalJSON(data []byte) error {
	var in dhcpJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*d = DHCP{
		Ranges: in.Ranges, Exclude: in.Exclude, DNS: in.DNS, Router: in.Router, NextServer: in.NextServer,
		Reservations: in.Reservations, Options: in.Options, Faults: in.Faults, Policy: in.Policy,
	}
	for _, t := range []struct {
		text string
		into *time.Duration
	}{{in.Lease, &d.Lease}, {in.MinLease, &d.MinLease}, {in.MaxLease, &d.MaxLease}} {
		if t.text == "" {
			continue
		}
		var err error
		if *t.into, err = time.ParseDuration(t.text); err != nil {
			return fmt.Errorf("read lease time: %w", err)
		}
	}
	return nil
}

// notNil makes an absent list an empty one: [] in JSON, never null.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// addrNumber is an IPv4 address as a number, for distances.
func addrFrom(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func addrNumber(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
