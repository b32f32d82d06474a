package dhcp

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// MessageType is the DHCP message type, option 53 (RFC 2132 section 9.6).
type MessageType uint8

// The message types.
const (
	Discover MessageType = iota + 1
	Offer
	Request
	Decline
	Ack
	Nak
	Release
	Inform
)

var messageTypeNames = [...]string{
	"", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM",
}

// String returns the name without its prefix: "DISCOVER".
func (t MessageType) String() string {
	if t == 0 || int(t) >= len(messageTypeNames) {
		return fmt.Sprintf("type %d", uint8(t))
	}
	return messageTypeNames[t]
}

// MarshalText writes the name; an absent type is empty.
func (t MessageType) MarshalText() ([]byte, error) {
	if t == 0 {
		return nil, nil
	}
	return []byte(t.String()), nil
}

// Direction says where a message of an event was going.
type Direction uint8

// The directions. Internal is for what happens without a message: a lost disk, a deleted interface.
const (
	In Direction = iota + 1
	Out
	Internal
)

var directionNames = [...]string{"invalid", "in", "out", "internal"}

// String returns "in", "out" or "internal".
func (d Direction) String() string { return directionNames[min(int(d), len(directionNames)-1)] }

// MarshalText writes what String writes.
func (d Direction) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Decision is what the server did about a message.
type Decision uint8

// The decisions. Every received message has exactly one event with direction In, which carries the decision; every
// reply that left has one event with direction Out and DecisionSent.
const (
	DecisionOffer   Decision = iota + 1 // an OFFER follows
	DecisionAck                         // an ACK follows, once its lease is durable
	DecisionNak                         // a NAK follows
	DecisionIgnore                      // nothing follows
	DecisionAccept                      // taken note of; the protocol has no reply (RELEASE, DECLINE)
	DecisionSent                        // a reply left
	DecisionNotSent                     // a reply could not be sent, or was held back by a fault
	DecisionNote                        // something worth knowing, beside the decision about the message
	DecisionAlarm                       // the server cannot do its work; somebody must look
)

var decisionNames = [...]string{
	"invalid", "offer", "ack", "nak", "ignore", "accept", "sent", "not-sent", "note", "alarm",
}

// String returns the stable name: "offer".
func (d Decision) String() string { return decisionNames[min(int(d), len(decisionNames)-1)] }

// MarshalText writes what String writes.
func (d Decision) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Event is one thing that the server saw, decided or did. It is a value without pointers into the server.
type Event struct {
	Time      time.Time
	Interface string
	Direction Direction
	Type      MessageType // zero when there is no message, or one without a type
	XID       uint32
	MAC       HWAddr
	ClientID  string     // option 61 as it is on the wire; empty when absent
	Hostname  string     // option 12; empty when absent
	Address   netip.Addr // the address it is about: offered, bound, refused, declined
	Decision  Decision
	Reason    Reason

	// What the reason's sentence needs beside the above.
	Other    netip.Addr    // another address: the one offered before, the other server
	OtherMAC HWAddr        // another station: the owner, the squatter
	Lease    time.Duration // the lease time of an OFFER or ACK
	Detail   string        // an error's text, a fault's name
}

// MarshalJSON writes the event with English, stable keys; what is absent is left out.
func (e Event) MarshalJSON() ([]byte, error) {
	out := struct {
		Time      time.Time   `json:"time"`
		Interface string      `json:"interface,omitempty"`
		Direction Direction   `json:"direction"`
		Type      MessageType `json:"type,omitempty"`
		XID       string      `json:"xid,omitempty"`
		MAC       string      `json:"mac,omitempty"`
		ClientID  string      `json:"client_id,omitempty"`
		Hostname  string      `json:"hostname,omitempty"`
		Address   netip.Addr  `json:"address,omitzero"`
		Decision  Decision    `json:"decision"`
		Reason    Reason      `json:"reason"`
		Text      string      `json:"text"`
	}{
		Time: e.Time, Interface: e.Interface, Direction: e.Direction, Type: e.Type, MAC: e.MAC.String(),
		ClientID: hex.EncodeToString([]byte(e.ClientID)), Hostname: e.Hostname, Address: e.Address,
		Decision: e.Decision, Reason: e.Reason, Text: e.Text(),
	}
	if e.Direction != Internal {
		out.XID = fmt.Sprintf("0x%08x", e.XID)
	}
	return json.Marshal(out)
}

// LogValue is what a log says of the event. It is not worked out unless the log wants it.
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("iface", e.Interface), slog.String("type", e.Type.String()), slog.String("mac", e.MAC.String()),
		slog.String("decision", e.Decision.String()), slog.String("reason", string(e.Reason)),
		slog.String("text", e.Text()))
}
