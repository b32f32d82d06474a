package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/station"
	"github.com/kvmlab/kvmlab/netsetup"
)

// Station plays a part in this process, on a tap that goes with it. It carries the lab's mark, so that the lab's DHCP
// server goes on answering on the bridge.
func (e *labEvidence) Station(ctx context.Context, part station.Part) (stop func() error, err error) {
	card, err := e.plug(ctx, part.Bridge)
	foreign := new(netsetup.ForeignError)
	switch {
	case errors.Is(err, netsetup.ErrNotFound), errors.As(err, &foreign):
		return nil, fmt.Errorf("%w: %w", check.ErrNoBridge, err)
	case err != nil:
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	played := make(chan error, 1)
	go func() { played <- station.Play(ctx, card, part) }()
	return func() error { cancel(); return <-played }, nil
}

// plug opens a tap in the bridge, in the network namespace that the lab is in.
func (e *labEvidence) plug(ctx context.Context, bridge string) (_ *netsetup.Card, err error) {
	if e.lab.Isolation != lab.Netns {
		return e.host.net.OpenStation(ctx, bridge, e.lab.Name)
	}
	inside, err := netsetup.OpenNamespace(e.lab.Name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, inside.Close()) }()
	return inside.OpenStation(ctx, bridge, e.lab.Name)
}
