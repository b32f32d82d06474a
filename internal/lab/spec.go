package lab

import (
	"net/netip"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
	"github.com/kvmlab/kvmlab/macgen"
)

// Spec is a lab file as it was written, checked and free of errors when it
// comes from [Parse].
type Spec struct {
	// File is the name that positions carry.
	File      string
	Version   yamlfile.Field[int]
	Name      yamlfile.Field[string]
	Isolation yamlfile.Field[Isolation]
	HostAllow []yamlfile.Field[Service]
	Bridges   []BridgeSpec
	Guests    []GuestSpec
	// Warnings are what is allowed and yet probably not meant, by position.
	Warnings diag.List
}

// BridgeSpec is an element of `bridges`.
type BridgeSpec struct {
	Pos     diag.Pos
	Name    yamlfile.Field[string]
	Address yamlfile.Field[netip.Prefix]
	// Internet is none unless set.
	Internet yamlfile.Field[Internet]
	Reach    []yamlfile.Field[netip.Prefix]
	// DHCP is nil for `dhcp: off` and when the key is left out.
	DHCP *DHCPSpec
}

// DHCPSpec is the mapping under `dhcp`.
type DHCPSpec struct {
	Pos          diag.Pos
	Ranges       []yamlfile.Field[Range]
	Exclude      []yamlfile.Field[Range]
	Lease        yamlfile.Field[time.Duration]
	MinLease     yamlfile.Field[time.Duration]
	MaxLease     yamlfile.Field[time.Duration]
	DNS          []yamlfile.Field[netip.Addr]
	DNSSet       bool // `dns: []` is a wish for none, unlike leaving it out
	Router       yamlfile.Field[netip.Addr]
	NextServer   yamlfile.Field[netip.Addr]
	Reservations []ReservationSpec
	Options      []OptionSpec
	Faults       []yamlfile.Field[Fault]

	Authoritative yamlfile.Field[bool]
	MatchClientID yamlfile.Field[bool] // true unless set
	Probe         yamlfile.Field[bool] // true unless set
	RapidCommit   yamlfile.Field[bool]
	AutoConfigure yamlfile.Field[bool] // true unless set
	IPv6OnlyWait  yamlfile.Field[time.Duration]
	// broken tells that a mistake was found in reading it, so that what seems to
	// be missing may only be unreadable.
	broken bool
}

// ReservationSpec is an element of `reservations`: for a guest, a MAC, a client
// identifier or a relay's circuit.
type ReservationSpec struct {
	Pos      diag.Pos
	Guest    yamlfile.Field[string]
	MAC      yamlfile.Field[macgen.MAC]
	ClientID yamlfile.Field[string] // as in Reservation
	Circuit  yamlfile.Field[string] // CircuitID in Reservation
	Address  yamlfile.Field[netip.Addr]
	Hostname yamlfile.Field[string]
	Options  []OptionSpec
	broken   bool // as in DHCPSpec
}

// OptionSpec is one key and value of `options`.
type OptionSpec struct {
	Pos    diag.Pos
	Option Option
}

// GuestSpec is an element of `guests`.
type GuestSpec struct {
	Pos    diag.Pos
	Name   yamlfile.Field[string]
	Image  yamlfile.Field[string]
	Memory yamlfile.Field[Size]
	CPUs   yamlfile.Field[int]
	Disk   yamlfile.Field[Size]
	Files  []FileSpec
	NICs   []NICSpec
}

// NICSpec is an element of `nics`.
type NICSpec struct {
	Pos    diag.Pos
	Bridge yamlfile.Field[string]
	// Tap and MAC are not set when left out or written `auto`.
	Tap yamlfile.Field[string]
	MAC yamlfile.Field[macgen.MAC]
}
