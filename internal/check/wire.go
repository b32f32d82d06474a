package check

import (
	"bytes"
	"context"
	"slices"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// exchange is what a client and its servers said under one xid.
type exchange struct {
	records []*watch.Record
}

// of lists the messages of a type.
func (x *exchange) of(t capture.MessageType) []*watch.Record {
	var found []*watch.Record
	for _, r := range x.records {
		if r.DHCP.Type == t {
			found = append(found, r)
		}
	}
	return found
}

// last is the number of the newest packet.
func (x *exchange) last() int { return x.records[len(x.records)-1].Number }

// offering names the servers that sent an OFFER, each once: by the stations that have the address of option 54 (RFC 2132
// section 9.7), for behind a relay the frame comes from the relay.
func (x *exchange) offering() []string {
	var names []string
	for _, r := range x.of(capture.Offer) {
		names = append(names, x.serverOf(r))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (x *exchange) serverOf(r *watch.Record) string {
	id, ok := r.DHCP.Addr(54)
	if !ok || r.IP != nil && r.IP.Source == id {
		return guestOf(r.Stations.Source)
	}
	for _, other := range x.records {
		if other.DHCP.Op == 2 && other.IP != nil && other.IP.Source == id {
			return guestOf(other.Stations.Source)
		}
	}
	return id.String()
}

// dhcpOf lists the DHCP messages from and to a card.
func dhcpOf(records []*watch.Record, nic lab.NIC) []*watch.Record {
	var found []*watch.Record
	for _, r := range records {
		if r.DHCP != nil && bytes.Equal(r.DHCP.CHAddr, nic.MAC[:]) && r.Stations != nil {
			found = append(found, r)
		}
	}
	return found
}

// exchanges groups the DHCP messages of a card by their xid, in the order in which they began, since
// it was asked to begin anew.
func (e *scene) exchanges(ctx context.Context, nic lab.NIC) ([]*exchange, error) {
	records, err := e.wireSince(ctx, e.since)
	if err != nil {
		return nil, err
	}
	var all []*exchange
	byNumber := map[int]*exchange{}
	for _, r := range dhcpOf(records, nic) {
		x := byNumber[r.Exchange]
		if x == nil {
			x = &exchange{}
			byNumber[r.Exchange] = x
			all = append(all, x)
		}
		x.records = append(x.records, r)
	}
	return all, nil
}

// discovered is the newest exchange of a card that begins with a DISCOVER; nil when there is none.
func (e *scene) discovered(ctx context.Context, nic lab.NIC) (*exchange, error) {
	all, err := e.exchanges(ctx, nic)
	for _, x := range slices.Backward(all) {
		if len(x.of(capture.Discover)) > 0 {
			return x, err
		}
	}
	return nil, err
}

// lastAck is the newest ACK for a card.
func (e *scene) lastAck(ctx context.Context, nic lab.NIC) (*watch.Record, error) {
	records, err := e.wireSince(ctx, e.since)
	for _, r := range slices.Backward(dhcpOf(records, nic)) {
		if r.DHCP.Type == capture.Ack {
			return r, err
		}
	}
	return nil, err
}

// messageTypes are the names of the DHCP messages (RFC 2132 section 9.6).
func messageTypes() []string {
	return []string{"DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"}
}

func messageType(name string) capture.MessageType {
	var t capture.MessageType
	_ = t.UnmarshalText([]byte(name)) // one of messageTypes
	return t
}
