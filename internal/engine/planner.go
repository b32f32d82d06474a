package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// NewPlan compares what a lab asks for with what exists. It is pure: the same arguments give the same plan.
func NewPlan(want *lab.Lab, seen *Observed, tapOwner TapOwner) *Plan {
	p := &planner{want: want, seen: seen.from(want.Isolation), host: seen, tapOwner: tapOwner, plan: &Plan{Lab: want.Name}}
	p.isolation()
	p.strays()
	p.namespace()
	for _, b := range want.Bridges {
		p.bridge(b)
	}
	p.supervisor()
	for _, g := range want.Guests {
		for _, nic := range g.NICs {
			p.tap(nic)
		}
	}
	p.firewall()
	for _, g := range want.Guests {
		p.domain(g)
	}
	return p.plan
}

type planner struct {
	want     *lab.Lab
	seen     *Observed // Links are those of the namespace that the lab lives in
	host     *Observed // Links are the host's
	tapOwner TapOwner
	plan     *Plan
	removals []Address // what is planned to be deleted: everything else waits for it
}

func (p *planner) conflict(a Address, err error) {
	p.plan.Conflicts = append(p.plan.Conflicts, Conflict{Address: a, Err: err})
}

// add plans a change; after are the objects that it waits for.
func (p *planner) add(action Action, a Address, object, reason string, commands []string, after ...Address) {
	p.plan.Changes = append(p.plan.Changes, Change{
		Action: action, Address: a, Object: object, Reason: reason, Equivalent: commands,
		After: append(slices.Clone(p.removals), after...),
	})
}

// strays plans to remove what carries the lab's mark and is not in the lab (any more). It goes first, because a new
// object may need a name, a tap or a subnet that a stray still has. A guest that runs is not stopped for it: somebody
// may be working in it.
func (p *planner) strays() {
	var domains, taps []Address
	remove := func(a Address, object string, commands []string, after []Address) {
		p.add(Delete, a, object, "is not in the lab", commands, after...)
	}
	for _, d := range p.seen.Domains {
		_, wanted := p.want.Guest(d.Owner.Guest)
		switch {
		case !d.Owned || d.Owner.Lab != p.want.Name || wanted && d.Name == p.want.DomainName(d.Owner.Guest):
		case d.Run.Active():
			p.changed(domainAddress(d), d.Name+" runs and is not in it")
		default:
			a := domainAddress(d)
			domains = append(domains, a)
			remove(a, d.Name, removeDomainCommands(d.Name), nil)
		}
	}
	for _, kind := range []netsetup.Kind{netsetup.KindTap, netsetup.KindBridge} {
		for _, l := range slices.Concat(p.seen.Links, p.waiting()) {
			if l.Kind != kind || !ours(l, p.want.Name) || p.wants(l) {
				continue
			}
			a, after := linkAddress(l), domains
			if kind == netsetup.KindTap {
				taps = append(taps, a)
			} else {
				after = append(slices.Clone(domains), taps...)
			}
			remove(a, l.Name, p.typed(netsetup.RemoveCommands(l.Name, l.Kind)), after)
		}
	}
	for _, c := range p.plan.Changes {
		p.removals = append(p.removals, c.Address)
	}
}

// wants reports whether l, marked as the lab's, stands for one of its bridges or taps.
func (p *planner) wants(l netsetup.Link) bool {
	if _, ok := p.want.Bridge(l.Owner.Object); ok || l.Owner.Station() { // a check's station goes with the check
		return true
	}
	return slices.ContainsFunc(p.want.Guests, func(g lab.Guest) bool {
		return slices.ContainsFunc(g.NICs, func(n lab.NIC) bool { return n.Tap == l.Owner.Object })
	})
}

// changed notes that the lab file asks for what cannot be had without stopping a guest that runs.
func (p *planner) changed(a Address, what string) {
	p.conflict(a, diag.New(diag.LabChanged, diag.Args{"lab": p.want.Name, "what": what}))
}

// own finds the lab's link for an object, and notes what is in its way.
func (p *planner) own(a Address, kind netsetup.Kind) (netsetup.Link, bool) {
	name := a.Name
	if l, ok := p.seen.linkNamed(name); ok && !l.OwnedBy(p.want.Name) {
		p.conflict(a, explainForeignLink(&netsetup.ForeignError{Name: name, Kind: l.Kind, Owner: l.Owner}))
	}
	l, ok := p.seen.link(p.want.Name, name)
	if ok && l.Kind != kind {
		p.conflict(a, diag.New(diag.LinkWrongKind, diag.Args{"name": name, "want": kind.String(), "got": l.Kind.String()}))
	}
	return l, ok
}

func (p *planner) bridge(b lab.Bridge) {
	a := Address{KindBridge, b.Name}
	if found := p.seen.Overlaps[b.Name]; len(found) > 0 {
		o := found[0] // an address brings its routes along: one of them tells enough
		p.conflict(a, explainOverlap(&OverlapError{Bridge: b.Name, Subnet: b.Address.Masked(), Overlap: o}))
	}
	l, ok := p.own(a, netsetup.KindBridge)
	if !ok {
		p.add(Create, a, b.Name, "does not exist", p.typed(netsetup.BridgeCommands(bridgeOf(p.want, b))), namespaceAddress)
		return
	}
	for _, port := range p.seen.Links {
		if port.Master == l.Name && !port.OwnedBy(p.want.Name) {
			p.conflict(a, diag.New(diag.ForeignPort, diag.Args{"bridge": b.Name, "port": port.Name}))
		}
	}
	switch {
	case l.Name != b.Name:
		p.add(Update, a, b.Name, "is called "+l.Name, p.typed(renameCommands(l.Name, b.Name)))
	case b.Address.IsValid() && !slices.Contains(l.Addresses, b.Address):
		p.add(Update, a, b.Name, "has lost its address "+b.Address.String(), p.typed(addressCommands(b)))
	case !l.Up:
		p.add(Update, a, b.Name, "is down", p.typed(upCommands(b.Name)))
	default:
		want := bridgeOf(p.want, b)
		if drift := netsetup.BridgeDrift(l, want); len(drift) > 0 {
			p.add(Update, a, b.Name, drift[0], p.typed(netsetup.BridgeDriftCommands(l, want)))
		}
	}
}

func (p *planner) tap(nic lab.NIC) {
	a, bridge := Address{KindTap, nic.Tap}, Address{KindBridge, nic.Bridge}
	l, ok := p.own(a, netsetup.KindTap)
	switch {
	case !ok && p.want.Isolation == lab.Netns:
		p.stagedTap(a, nic)
	case !ok:
		p.add(Create, a, nic.Tap, "does not exist", netsetup.TapCommands(tapOf(p.want, nic, p.tapOwner)), bridge)
	case l.Name != nic.Tap:
		p.add(Update, a, nic.Tap, "is called "+l.Name, p.typed(renameCommands(l.Name, nic.Tap)), bridge)
	case p.creates(bridge) || l.Master != nic.Bridge:
		// A bridge that was deleted has let go of its taps.
		p.add(Update, a, nic.Tap, "is not on "+nic.Bridge, p.typed(plugCommands(nic)), bridge)
	case !l.Up:
		p.add(Update, a, nic.Tap, "is down", p.typed(upCommands(nic.Tap)), bridge)
	default:
		want := tapOf(p.want, nic, p.tapOwner)
		if drift := netsetup.TapDrift(l, want); len(drift) > 0 {
			p.add(Update, a, nic.Tap, drift[0], p.typed(netsetup.TapDriftCommands(l, want)), bridge)
		}
	}
}

// creates reports whether the plan makes the object.
func (p *planner) creates(a Address) bool {
	c, ok := p.plan.Change(a)
	return ok && c.Action == Create
}

func (p *planner) supervisor() {
	var after []Address
	anew := ""
	for _, b := range p.want.Bridges {
		a := Address{KindBridge, b.Name}
		after = append(after, a)
		if p.creates(a) {
			anew = b.Name
		}
	}
	commands := p.typed(serveCommands(p.want))
	served, known := p.seen.Applied[supervisorAddress]
	update := func(reason string) {
		p.add(Update, supervisorAddress, supervisorAddress.String(), reason, commands, after...)
	}
	switch {
	case !p.seen.Supervisor.Running:
		p.add(Create, supervisorAddress, supervisorAddress.String(), "does not run", commands, after...)
	case anew != "":
		update(anew + " is made anew, and its sockets are on the old one")
	case !known:
		update("has no record of the lab that it serves")
	case served != labDigest(p.want):
		update("serves the lab as it was before")
	}
}

func (p *planner) domain(g lab.Guest) {
	a, name := Address{KindDomain, g.Name}, p.want.DomainName(g.Name)
	after := []Address{supervisorAddress, firewallAddress}
	for _, nic := range g.NICs {
		after = append(after, Address{KindTap, nic.Tap}, Address{KindBridge, nic.Bridge})
	}
	start := p.startCommands(g)
	d, ok := p.seen.domainNamed(name)
	switch {
	case !ok:
		p.add(Create, a, name, "does not exist", start, after...)
	case !d.Owned || d.Owner != (vm.Owner{Lab: p.want.Name, Guest: g.Name}):
		p.conflict(a, explainForeignDomain(&vm.ForeignError{Domain: name, Owner: d.Owner}))
	case d.Run == vm.RunCrashed:
		p.add(Update, a, name, "has crashed", start, after...)
	case !d.Run.Active():
		p.add(Update, a, name, "is off", start, after...)
	case p.halfStarted(a, d):
		p.add(Update, a, name, "was started and never let run", append([]string{"virsh destroy " + name}, start...), after...)
	case p.differs(g, d) != "":
		p.changed(a, p.differs(g, d))
	default:
		if tap := p.unplugged(g); tap != "" {
			// QEMU holds the tap by a file, which died with the tap; the new one of that name means nothing to it.
			again := append([]string{"virsh destroy " + name}, start...)
			p.add(Update, a, name, "has lost its connection to "+tap, again, after...)
		}
	}
}

// differs says in which setting a guest that runs is not what the lab asks for; "" when in none.
func (p *planner) differs(g lab.Guest, d vm.State) string {
	image, known := p.seen.Applied[Address{KindDomain, g.Name}]
	switch {
	case d.MemoryKiB != g.Memory.KiB():
		return fmt.Sprintf("%s runs with %d KiB of memory, not %s", g.Name, d.MemoryKiB, g.Memory)
	case d.CPUs != max(g.CPUs, 1):
		return fmt.Sprintf("%s runs with %d CPUs, not %d", g.Name, d.CPUs, max(g.CPUs, 1))
	case known && image != g.Image:
		return fmt.Sprintf("%s runs the image %s, not %s", g.Name, image, g.Image)
	case len(d.NICs) != len(g.NICs):
		return fmt.Sprintf("%s runs with %d NICs, not %d", g.Name, len(d.NICs), len(g.NICs))
	}
	for i, nic := range g.NICs {
		if tap := openedTap(p.want, nic); d.NICs[i].Tap != tap || d.NICs[i].MAC != nic.MAC {
			return fmt.Sprintf("%s of %s is %s on %s, not %s on %s",
				nic.Name, g.Name, d.NICs[i].MAC, d.NICs[i].Tap, nic.MAC, tap)
		}
	}
	return ""
}

// unplugged returns a tap of a running guest that is gone, or that no process has open; "" when there is none. The
// kernel tells the latter by the tap's carrier; a tap that is down has none either, but is still open.
func (p *planner) unplugged(g lab.Guest) string {
	for _, nic := range g.NICs {
		l, ok := p.seen.link(p.want.Name, nic.Tap)
		if !ok || l.Up && !l.Carrier {
			return nic.Tap
		}
	}
	return ""
}

// labDigest identifies a lab by its content.
func labDigest(l *lab.Lab) string {
	data, err := l.Encode()
	if err != nil {
		return "" // a lab that cannot be encoded cannot be stored either, which Up reports
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
