package dhcp

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"time"
)

// LeaseState is what has become of an address.
type LeaseState uint8

// The states. StateOffered lives in memory only; the others survive a restart.
const (
	StateOffered  LeaseState = iota + 1 // held for a client that has not asked for it yet
	StateBound                          // leased
	StateExpired                        // was leased; kept for its last client as long as nobody else needs it
	StateReleased                       // given back by its client; kept likewise
	StateDeclined                       // in quarantine: somebody else uses it
)

var leaseStateNames = [...]string{"invalid", "offered", "bound", "expired", "released", "declined"}

// String returns the stable name: "bound".
func (s LeaseState) String() string { return leaseStateNames[min(int(s), len(leaseStateNames)-1)] }

// MarshalText writes what String writes.
func (s LeaseState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Lease is one address as the server remembers it.
type Lease struct {
	Address  netip.Addr
	State    LeaseState
	MAC      HWAddr
	ClientID string // option 61 as it is on the wire; empty when the client sent none
	Hostname string // option 12; empty when the client sent none
	Server   netip.Addr
	Start    time.Time // when the client first got it, or when it was declined
	Expires  time.Time // end of the lease, of the offer or of the quarantine
}

// MarshalJSON writes the lease with English, stable keys; what is absent is left out.
func (l Lease) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Address  netip.Addr `json:"address"`
		State    LeaseState `json:"state"`
		MAC      string     `json:"mac,omitempty"`
		ClientID string     `json:"client_id,omitempty"`
		Hostname string     `json:"hostname,omitempty"`
		Server   netip.Addr `json:"server,omitzero"`
		Start    time.Time  `json:"start"`
		Expires  time.Time  `json:"expires"`
	}{
		l.Address, l.State, l.MAC.String(), hex.EncodeToString([]byte(l.ClientID)), l.Hostname, l.Server,
		l.Start.UTC(), l.Expires.UTC(),
	})
}
