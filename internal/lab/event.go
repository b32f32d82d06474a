package lab

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/kvmlab/kvmlab/macgen"
)

// EventKind says which part of a lab an Event comes from.
type EventKind uint8

// The kinds of Event. The zero value is invalid.
const (
	_ EventKind = iota
	// EventDHCP is a decision of the embedded DHCP server; Message, Reason and Text are set.
	EventDHCP
	// EventGuest is a step in a guest's life: started, identified, stopped (in Message).
	EventGuest
	// EventService is about the lab's own services: a bridge served, silenced, an alarm.
	EventService
)

var eventKindNames = map[EventKind]string{EventDHCP: "dhcp", EventGuest: "guest", EventService: "service"}

// String returns the stable English name that JSON carries.
func (k EventKind) String() string {
	if name, ok := eventKindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// MarshalText writes the kind by its name.
func (k EventKind) MarshalText() ([]byte, error) {
	if _, ok := eventKindNames[k]; !ok {
		return nil, fmt.Errorf("marshal event kind %d: unknown", uint8(k))
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads a kind by its name.
func (k *EventKind) UnmarshalText(text []byte) error {
	for kind, name := range eventKindNames {
		if name == string(text) {
			*k = kind
			return nil
		}
	}
	return fmt.Errorf("unknown event kind %q", text)
}

// The words that Event.Message carries for EventGuest and EventService. For EventDHCP it carries the message
// type by its RFC 2132 section 9.6 name without the DHCP prefix: DISCOVER, OFFER, REQUEST, ACK, NAK and so on.
const (
	GuestStarted    = "started"    // libvirt reports the domain running
	GuestIdentified = "identified" // user space runs and has taken its name and MACs
	GuestStopped    = "stopped"    // the domain is off
	ServiceServing  = "serving"    // the DHCP server answers on the bridge
	ServiceSilent   = "silent"     // it does not, Text says why
	ServiceAlarm    = "alarm"      // something needs a person: Text says what
)

// Event is one thing that happened in a lab. Fields that do not apply are zero. Events are told, never asked for:
// whoever listens too slowly misses some and is told how many (see supervisor.Hub).
type Event struct {
	Seq     uint64     `json:"seq"` // 1, 2, … within one supervisor's life
	Time    time.Time  `json:"time"`
	Kind    EventKind  `json:"kind"`
	Bridge  string     `json:"bridge,omitempty"`
	Guest   string     `json:"guest,omitempty"`
	NIC     string     `json:"nic,omitempty"`
	MAC     macgen.MAC `json:"mac,omitzero"`
	Message string     `json:"message,omitempty"`
	Address netip.Addr `json:"address,omitzero"`
	Sent    bool       `json:"sent,omitempty"`   // a DHCP message that left; otherwise one that came
	Reason  string     `json:"reason,omitempty"` // stable English code
	Text    string     `json:"text,omitempty"`   // one sentence for people
}

// Station finds the guest and its NIC that use mac.
func (l *Lab) Station(mac macgen.MAC) (guest, nic string, ok bool) {
	for _, g := range l.Guests {
		for _, n := range g.NICs {
			if n.MAC == mac {
				return g.Name, n.Name, true
			}
		}
	}
	return "", "", false
}
