package supervisor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// NIC names one network card of a lab: "pc1", "eth0".
type NIC struct{ Guest, Name string }

// String returns "pc1 eth0".
func (n NIC) String() string { return n.Guest + " " + n.Name }

// Wanted is a network card that should get an address.
type Wanted struct {
	NIC

	// Restarted means that the caller has switched the guest off and on: what it did before counts for nothing.
	Restarted bool
}

// MissingLease is a network card that got no address in time.
type MissingLease struct {
	NIC NIC
	// Last is the last thing that was seen of it (an Event's Message: started, identified, DISCOVER, OFFER …), empty
	// when nothing was.
	Last string
}

// NextStep names the step that never came after Last: "DISCOVER" after the guest had booted, and so on.
func (m MissingLease) NextStep() string {
	switch m.Last {
	case "", lab.GuestStarted:
		return "boot"
	case lab.GuestIdentified:
		return dhcp.Discover.String()
	case dhcp.Discover.String():
		return dhcp.Offer.String()
	case dhcp.Offer.String():
		return dhcp.Request.String()
	default:
		return dhcp.Ack.String()
	}
}

// LeaseTimeoutError is returned by AwaitLeases when its time ends first.
type LeaseTimeoutError struct {
	Missing []MissingLease
	Cause   error // the context's error
}

// Error names every card and the step that never came.
func (e *LeaseTimeoutError) Error() string {
	parts := make([]string, len(e.Missing))
	for i, m := range e.Missing {
		parts[i] = fmt.Sprintf("%s: no %s", m.NIC, m.NextStep())
	}
	return "wait for leases: " + strings.Join(parts, ", ")
}

// Unwrap returns the context's error.
func (e *LeaseTimeoutError) Unwrap() error { return e.Cause }

// GuestStoppedError is returned by AwaitLeases when a guest that is waited for goes off.
type GuestStoppedError struct{ Guest string }

// Error names the guest.
func (e *GuestStoppedError) Error() string { return fmt.Sprintf("guest %q stopped by itself", e.Guest) }

// AwaitLeases follows the events after sequence number after until every card in want was sent an ACK, and returns
// the addresses. each, when not nil, sees every event on the way. When ctx ends first, a *LeaseTimeoutError says who
// is missing; a guest that stops by itself (*GuestStoppedError) or a supervisor that ends is an error at once.
func (c *Client) AwaitLeases(ctx context.Context, after uint64, want []Wanted, each func(lab.Event)) (map[NIC]netip.Addr, error) {
	leased := map[NIC]netip.Addr{}
	if len(want) == 0 {
		return leased, nil
	}
	w := leaseWatch{want: want, leased: leased, last: map[NIC]string{}, started: map[string]bool{}}
	err := c.Events(ctx, after, func(ev lab.Event) bool {
		if each != nil {
			each(ev)
		}
		w.see(ev)
		return w.stopped == nil && len(leased) < len(want)
	})
	if w.stopped != nil {
		return leased, w.stopped
	}
	if len(leased) == len(want) {
		return leased, nil
	}
	if err == nil {
		return leased, fmt.Errorf("wait for leases: the supervisor has ended")
	}
	if ctx.Err() == nil {
		return leased, err
	}
	timeout := &LeaseTimeoutError{Cause: ctx.Err()}
	for _, nic := range want {
		if _, ok := leased[nic.NIC]; !ok {
			timeout.Missing = append(timeout.Missing, MissingLease{NIC: nic.NIC, Last: w.last[nic.NIC]})
		}
	}
	slices.SortFunc(timeout.Missing, func(a, b MissingLease) int { return cmp.Compare(a.NIC.String(), b.NIC.String()) })
	return leased, timeout
}

// leaseWatch is what AwaitLeases knows while it waits.
type leaseWatch struct {
	want    []Wanted
	leased  map[NIC]netip.Addr
	last    map[NIC]string  // the last thing that was seen of a card
	started map[string]bool // guests that were seen to start
	stopped error           // a guest stopped by itself
}

// see takes one event into account.
func (w *leaseWatch) see(ev lab.Event) {
	for _, nic := range w.want {
		if nic.Guest != ev.Guest || (ev.NIC != "" && ev.NIC != nic.Name) {
			continue
		}
		w.last[nic.NIC] = ev.Message
		switch {
		case ev.Kind == lab.EventGuest && ev.Message == lab.GuestStarted:
			w.started[ev.Guest] = true
			delete(w.leased, nic.NIC)
		case ev.Kind == lab.EventGuest && ev.Message == lab.GuestStopped:
			if w.started[ev.Guest] || !nic.Restarted {
				w.stopped = &GuestStoppedError{Guest: ev.Guest}
			}
		case ev.Sent && ev.Message == dhcp.Ack.String():
			w.leased[nic.NIC] = ev.Address
		}
	}
}
