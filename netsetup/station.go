package netsetup

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// stationName is what the taps of stations are called; the kernel puts the first number that is free.
const stationName = "station%d"

// Card is the open end of a tap that this process itself is plugged into: Read gives a frame from the bridge, Write sends
// one, each whole, from the destination address on and without a checksum of its own. Close takes the tap away. So does
// the end of the process, however it comes, because the tap is not persistent.
type Card struct{ *tapFile }

// OpenStation makes a tap for a station in user space, a port of a lab's bridge, and opens it. The tap carries the lab's
// mark before it comes into the bridge, and its object is its name, see [Owner.Station].
//
// The error is [ErrNotFound] when there is no such bridge, a [*ForeignError] when it is not the lab's, [ErrNoTun], or
// [ErrPermission]. Then the tap is gone again.
func (h *Handle) OpenStation(ctx context.Context, bridge, lab string) (*Card, error) {
	card, err := h.openStation(ctx, bridge, lab)
	if err != nil {
		return nil, fmt.Errorf("plug a station into bridge %q: %w", bridge, err)
	}
	return card, nil
}

func (h *Handle) openStation(ctx context.Context, bridge, lab string) (*Card, error) {
	switched, err := h.labBridge(bridge, lab)
	if err != nil {
		return nil, err
	}
	tap, err := h.openForSelf()
	if err != nil {
		return nil, err
	}
	want := Tap{Name: tap.Name(), Bridge: bridge, Owner: Owner{Lab: lab, Object: tap.Name()}}
	if err := h.plugIn(ctx, want, *switched); err != nil {
		return nil, errors.Join(err, tap.Close())
	}
	return &Card{tap}, nil
}

// openForSelf opens a tap that no program that is started meanwhile inherits.
func (h *Handle) openForSelf() (*tapFile, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return h.openTap(stationName, 0, 0)
}

// plugIn marks a tap that was opened, and brings it into its bridge.
func (h *Handle) plugIn(ctx context.Context, want Tap, bridge Link) error {
	have, err := h.links.do(getLink(unix.IFLA_IFNAME, want.Name))
	if err != nil {
		return err
	}
	link, err := decodeLink(have[0].messages[0])
	if err != nil {
		return err
	}
	return h.mend(ctx, link, want.repairs(link, bridge))
}
