package engine

import (
	"context"
	"slices"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/netsetup"
)

// NATState is what was seen of a lab's way out.
type NATState struct {
	There bool // something that carries the lab's mark
	// Of a lab that is to have one: what is wrong with it (empty: nothing), and what forbids it.
	Problem string
	Err     error
}

// natOf says a lab's way out in netsetup's terms; ok is false for a lab that is to have none.
func natOf(l *lab.Lab) (n netsetup.NAT, ok bool) {
	n = netsetup.NAT{Lab: l.Name, Isolated: l.Isolation == lab.Netns}
	for _, b := range l.Bridges {
		out := b.Internet == lab.NAT
		ok = ok || out
		n.Bridges = append(n.Bridges, netsetup.NATBridge{Name: b.Name, Subnet: b.Address.Masked(), Out: out})
	}
	return n, ok
}

// lookOut compares the way out that a lab is to have with what is there.
func (e *Engine) lookOut(ctx context.Context, want *lab.Lab, seen *Observed) error {
	nat, wanted := natOf(want)
	if !wanted {
		return nil
	}
	var err error
	if seen.NAT.Problem, err = e.cfg.Network.NATDrift(ctx, nat); err != nil {
		seen.NAT.Err = explainNetwork("look for the lab's way out", err)
	} else if err := e.cfg.Network.CheckForwarding(); err != nil {
		seen.NAT.Err = explainNetwork("forward packets", err)
	}
	return ctx.Err()
}

// nat plans the way out.
func (p *planner) nat() {
	nat, wanted := natOf(p.want)
	var after []Address
	for _, b := range p.want.Bridges {
		after = append(after, Address{KindBridge, b.Name})
	}
	var action Action
	reason := p.seen.NAT.Problem
	switch {
	case !wanted && p.seen.NAT.There:
		p.add(Delete, natAddress, natAddress.String(), "is not in the lab",
			[]string{"nft delete table ip " + netsetup.NamespaceName(p.want.Name)})
		return
	case !wanted:
		return
	case p.seen.NAT.Err != nil:
		p.conflict(natAddress, p.seen.NAT.Err)
		return
	case !p.seen.NAT.There:
		action, reason = Create, "does not exist"
	case p.creates(namespaceAddress):
		action, reason = Update, "has no cable to the host"
	case reason != "":
		action = Update
	default:
		return
	}
	p.add(action, natAddress, natAddress.String(), reason, netsetup.NATCommands(nat), append(slices.Clip(after), namespaceAddress)...)
}

func (r *run) ensureNAT(ctx context.Context) error {
	nat, wanted := natOf(r.lab)
	if !wanted {
		return errNotInLab
	}
	if _, err := r.e.cfg.Network.EnsureNAT(ctx, nat); err != nil {
		return explainNetwork("set up the lab's way out", err)
	}
	return nil
}

func (r *run) removeNAT(ctx context.Context) error {
	if _, err := r.e.cfg.Network.RemoveNAT(ctx, r.name); err != nil {
		return explainNetwork("remove the lab's way out", err)
	}
	return nil
}
