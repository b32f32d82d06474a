package netsetup

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Watch sends a signal after every change of a link in the namespace: made, removed, renamed, up, down,
// enslaved, set free. Signals that nobody took yet become one: whoever gets one looks again at
// everything of interest. The channel is closed when the context ends, or when the kernel's messages
// can no longer be read.
func (h *Handle) Watch(ctx context.Context) (<-chan struct{}, error) {
	var socket *nl.NetlinkSocket
	err := h.inside(func() (err error) {
		socket, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("watch links: %w", classify(err))
	}
	changes := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, socket.Close) // Wakes Receive.
	go func() {
		defer close(changes)
		defer func() {
			if stop() {
				socket.Close()
			}
		}()
		for {
			_, _, err := socket.Receive()
			// ENOBUFS means that changes came faster than they were read. Something did change.
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
			select {
			case changes <- struct{}{}:
			default: // A signal is waiting already.
			}
		}
	}()
	return changes, nil
}

// ForeignPorts returns the ports of a lab's bridge that do not carry the lab's mark, sorted. While there
// is one, a physical card for instance, whatever the lab sends to the bridge leaves the lab.
// The error is [ErrNotFound] when there is no such bridge and a [*ForeignError] when it is not the lab's.
func (h *Handle) ForeignPorts(ctx context.Context, bridge, lab string) ([]string, error) {
	links, err := h.bareLinks(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the ports of bridge %q: %w", bridge, err)
	}
	var found *Link
	foreign := []string{}
	for i, link := range links {
		if link.Name == bridge {
			found = &links[i]
		}
		if link.Master == bridge && !link.OwnedBy(lab) {
			foreign = append(foreign, link.Name)
		}
	}
	switch {
	case found == nil:
		return nil, fmt.Errorf("look at the ports of bridge %q: %w", bridge, ErrNotFound)
	case found.Kind != KindBridge || !found.OwnedBy(lab):
		return nil, fmt.Errorf("look at the ports of bridge %q: %w", bridge, &ForeignError{Name: bridge, Kind: found.Kind, Owner: found.Owner})
	default:
		return foreign, nil
	}
}
