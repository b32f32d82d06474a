package lab

import (
	"net/netip"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/macgen"
)

// Field is a value of the lab file and the place where it was written. Set is
// false, and Value zero, when the file leaves it out.
type Field[T any] struct {
	Value T
	Pos   diag.Pos
	Set   bool
}

// Or returns the value, or fallback when the file leaves it out.
func (f Field[T]) Or(fallback T) T {
	if f.Set {
		return f.Value
	}
	return fallback
}

// Spec is a lab file as it was written, checked and free of errors when it
// comes from [Parse].
type Spec struct {
	// File is the name that positions carry.
	File      string
	Version   Field[int]
	Name      Field[string]
	Isolation Field[Isolation]
	Bridges   []BridgeSpec
	Guests    []GuestSpec
	// Warnings are what is allowed and yet probably not meant, by position.
	Warnings diag.List
}

// BridgeSpec is an element of `bridges`.
type BridgeSpec struct {
	Pos     diag.Pos
	Name    Field[string]
	Address Field[netip.Prefix]
	// Internet is none unless set.
	Internet Field[Internet]
	// DHCP is nil for `dhcp: off` and when the key is left out.
	DHCP *DHCPSpec
}

// DHCPSpec is the mapping under `dhcp`.
type DHCPSpec struct {
	Pos          diag.Pos
	Ranges       []Field[Range]
	Exclude      []Field[Range]
	Lease        Field[time.Duration]
	MinLease     Field[time.Duration]
	MaxLease     Field[time.Duration]
	DNS          []Field[netip.Addr]
	DNSSet       bool // `dns: []` is a wish for none, unlike leaving it out
	Router       Field[netip.Addr]
	NextServer   Field[netip.Addr]
	Reservations []ReservationSpec
	Options      []OptionSpec
	Faults       []Field[Fault]

	Authoritative Field[bool]
	MatchClientID Field[bool] // true unless set
	Probe         Field[bool] // true unless set
	RapidCommit   Field[bool]
	AutoConfigure Field[bool] // true unless set
	IPv6OnlyWait  Field[time.Duration]
	// broken tells that a mistake was found in reading it, so that what seems to
	// be missing may only be unreadable.
	broken bool
}

// ReservationSpec is an element of `reservations`: for a guest, for a MAC or for
// a client identifier.
type ReservationSpec struct {
	Pos      diag.Pos
	Guest    Field[string]
	MAC      Field[macgen.MAC]
	ClientID Field[string] // as in Reservation
	Address  Field[netip.Addr]
	Hostname Field[string]
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
	Name   Field[string]
	Image  Field[string]
	Memory Field[Size]
	CPUs   Field[int]
	Disk   Field[Size]
	Files  []FileSpec
	NICs   []NICSpec
}

// NICSpec is an element of `nics`.
type NICSpec struct {
	Pos    diag.Pos
	Bridge Field[string]
	// Tap and MAC are not set when left out or written `auto`.
	Tap Field[string]
	MAC Field[macgen.MAC]
}
