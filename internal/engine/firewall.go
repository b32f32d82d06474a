package engine

import (
	"context"
	"net/netip"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/netsetup"
)

// FirewallState is what was seen of a lab's firewall.
type FirewallState struct {
	There bool // something that carries the lab's mark
	// Of a lab that is to be brought up: what is wrong with it (empty: nothing), and what forbids it.
	Problem string
	Err     error
	// Own are the host's own networks, where a lab with a way out does not get to.
	Own []netip.Prefix
}

// firewallOf says a lab's firewall in netsetup's terms.
func firewallOf(l *lab.Lab, own []netip.Prefix) netsetup.Firewall {
	f := netsetup.Firewall{
		Lab: l.Name, Isolated: l.Isolation == lab.Netns, Own: own, LimitMACs: netsetup.LearnsWithoutLimit(),
	}
	for _, s := range l.HostAllow {
		f.Services = append(f.Services, netsetup.Service{Protocol: s.Protocol, Port: s.Port})
	}
	for _, b := range l.Bridges {
		wall := netsetup.FirewallBridge{
			Name: b.Name, Address: b.Address, DHCP: b.DHCP != nil, Out: b.Internet == lab.NAT, Reach: b.Reach,
		}
		for _, g := range l.Guests {
			for _, nic := range g.NICs {
				if nic.Bridge == b.Name {
					wall.Taps = append(wall.Taps, nic.Tap)
				}
			}
		}
		f.Bridges = append(f.Bridges, wall)
	}
	return f
}

// goesOut reports whether any bridge of a lab has the way out.
func goesOut(l *lab.Lab) bool {
	for _, b := range l.Bridges {
		if b.Internet == lab.NAT {
			return true
		}
	}
	return false
}

// lookFirewall compares the firewall that a lab is to have with what is there.
func (e *Engine) lookFirewall(ctx context.Context, want *lab.Lab, seen *Observed) error {
	state := &seen.Firewall
	if goesOut(want) {
		if err := e.cfg.Network.CheckForwarding(); err != nil {
			state.Err = explainNetwork("forward packets", err)
			return nil
		}
		var err error
		if state.Own, err = e.cfg.Network.Networks(ctx, want.Name); err != nil {
			return explainNetwork("list the host's networks", err)
		}
	}
	var err error
	if state.Problem, err = e.cfg.Network.FirewallDrift(ctx, firewallOf(want, state.Own)); err != nil {
		state.Err = explainNetwork("look at the lab's firewall", err)
	}
	return ctx.Err()
}

// firewall plans what guests may reach beyond their bridges. It is there before any of them runs.
func (p *planner) firewall() {
	f := firewallOf(p.want, p.host.Firewall.Own)
	commands := netsetup.FirewallCommands(f)
	action, reason := Update, p.host.Firewall.Problem
	switch {
	case p.host.Firewall.Err != nil:
		p.conflict(firewallAddress, p.host.Firewall.Err)
		return
	case !p.host.Firewall.There, p.creates(namespaceAddress):
		action, reason = Create, "does not exist"
	case reason == "":
		return
	}
	p.add(action, firewallAddress, netsetup.NamespaceName(p.want.Name), reason, commands, namespaceAddress)
}

func (r *run) ensureFirewall(ctx context.Context) error {
	if _, err := r.e.cfg.Network.EnsureFirewall(ctx, firewallOf(r.lab, r.own)); err != nil {
		return explainNetwork("set up the lab's firewall", err)
	}
	return nil
}

func (r *run) removeFirewall(ctx context.Context) error {
	if _, err := r.e.cfg.Network.RemoveFirewall(ctx, r.name); err != nil {
		return explainNetwork("remove the lab's firewall", err)
	}
	return nil
}
