package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// An isolated lab's bridges and taps are in a network namespace of its own, and libvirt is not: it opens a tap in the
// host's. So a tap begins there, under a name that no other lab has ("staged"). The guest is started on it without
// being let run, the tap goes to the lab's namespace and to its bridge, and then the guest runs. QEMU has the tap open
// all the while, and the guest never had a moment in which its cable led anywhere else.

// NamespaceState is what is there under the name of a lab's network namespace.
type NamespaceState uint8

// The states of a namespace. The zero value is invalid, and counts as none.
const (
	_                NamespaceState = iota
	NamespaceNone                   // nothing
	NamespaceBare                   // the remains of one whose maker was killed
	NamespaceOurs                   // the lab's
	NamespaceForeign                // a stranger's
)

// lookInside reads the lab's own namespace.
func (e *Engine) lookInside(ctx context.Context, name string, seen *Observed) error {
	inside, err := e.cfg.Namespaces.Open(ctx, name)
	_, foreign := errors.AsType[*netsetup.ForeignNamespaceError](err)
	switch {
	case err == nil:
		seen.Namespace = NamespaceOurs
		var closeErr error
		seen.Inside, err = inside.Links(ctx)
		closeErr = inside.Close()
		return errors.Join(err, closeErr)
	case foreign:
		seen.Namespace = NamespaceForeign
	case errors.Is(err, netsetup.ErrBareNamespace):
		seen.Namespace = NamespaceBare
	case errors.Is(err, netsetup.ErrNoNamespace):
		seen.Namespace = NamespaceNone
	default:
		return err
	}
	return nil
}

// isolated reports whether the lab has a namespace of its own, or the remains of one.
func (o *Observed) isolated() bool {
	return o.Namespace == NamespaceOurs || o.Namespace == NamespaceBare
}

// from returns what was observed with the links that a lab of that isolation lives among.
func (o *Observed) from(isolation lab.Isolation) *Observed {
	if isolation != lab.Netns {
		return o
	}
	view := *o
	view.Links = o.Inside
	return &view
}

// staged reports whether a lab's tap waits in the host's namespace for its guest.
func staged(l netsetup.Link) bool {
	return l.Kind == netsetup.KindTap && l.Name == netsetup.StagingName(l.Owner)
}

// openedTap is the name under which libvirt finds the tap of a card.
func openedTap(l *lab.Lab, nic lab.NIC) string {
	if l.Isolation == lab.Netns {
		return netsetup.StagingName(netsetup.Owner{Lab: l.Name, Object: nic.Tap})
	}
	return nic.Tap
}

// opened finds the tap that libvirt opened under a name.
func (o *Observed) opened(name string) netsetup.Link {
	for _, l := range o.Inside {
		if l.Kind == netsetup.KindTap && netsetup.StagingName(l.Owner) == name {
			return l
		}
	}
	if l, ok := o.linkNamed(name); ok && !staged(l) {
		return l
	}
	return netsetup.Link{Name: name}
}

// isolation notes what is left of the lab from when it was, or was not, isolated.
func (p *planner) isolation() {
	if p.want.Isolation != lab.Netns {
		if p.host.isolated() {
			p.changed(namespaceAddress, "it has a network namespace of its own")
		}
		return
	}
	for _, l := range p.host.Links {
		if ours(l, p.want.Name) && !staged(l) {
			p.changed(linkAddress(l), l.Name+" is in the host's network namespace")
		}
	}
}

// namespace plans the lab's network namespace.
func (p *planner) namespace() {
	if p.want.Isolation != lab.Netns {
		return
	}
	name := netsetup.NamespaceName(p.want.Name)
	switch p.host.Namespace {
	case NamespaceForeign:
		p.conflict(namespaceAddress, explainNetwork("", &netsetup.ForeignNamespaceError{Name: name}))
	case NamespaceOurs:
		if l, ok := p.seen.linkNamed("lo"); ok && !l.Up {
			p.add(Update, namespaceAddress, name, "has its loopback down", p.typed(upCommands("lo")))
		}
	default:
		p.add(Create, namespaceAddress, name, "does not exist",
			append([]string{"ip netns add " + name}, p.typed(upCommands("lo"))...))
	}
}

// waiting are the lab's staged taps.
func (p *planner) waiting() []netsetup.Link {
	if p.want.Isolation != lab.Netns {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.host.Links), func(l netsetup.Link) bool { return !staged(l) })
}

// stagedTap plans a tap that is not in the lab's namespace. One that is staged needs no change of its own: the guest
// that it waits for has one.
func (p *planner) stagedTap(a Address, nic lab.NIC) {
	isIt := func(l netsetup.Link) bool { return l.OwnedBy(p.want.Name) && l.Owner.Object == nic.Tap }
	if !slices.ContainsFunc(p.waiting(), isIt) {
		tap := tapOf(p.want, nic, p.tapOwner)
		p.add(Create, a, nic.Tap, "does not exist", netsetup.TapCommands(stagedOf(tap)), namespaceAddress)
	}
}

// halfStarted reports whether a guest was started, and whoever did it was gone before it ran. One that somebody paused
// has a record of its start.
func (p *planner) halfStarted(a Address, d vm.State) bool {
	_, recorded := p.seen.Applied[a]
	return d.Run == vm.RunPaused && !recorded
}

// typed turns commands into those that do the same in the namespace that the lab lives in.
func (p *planner) typed(commands []string) []string {
	if p.want.Isolation != lab.Netns {
		return commands
	}
	return typedIn(p.want.Name, commands)
}

// typedIn turns commands into those that do the same in a lab's own namespace.
func typedIn(labName string, commands []string) []string {
	in := make([]string, len(commands))
	for i, command := range commands {
		if rest, ok := strings.CutPrefix(command, "ip "); ok {
			in[i] = "ip -n " + netsetup.NamespaceName(labName) + " " + rest
		} else {
			in[i] = "ip netns exec " + netsetup.NamespaceName(labName) + " " + command
		}
	}
	return in
}

// startCommands start a guest by hand.
func (p *planner) startCommands(g lab.Guest) []string {
	name := p.want.DomainName(g.Name)
	if p.want.Isolation != lab.Netns {
		return startDomainCommands(name)
	}
	var commands []string
	for _, nic := range g.NICs {
		// Where an earlier run of the guest left its tap.
		if l, ok := p.seen.link(p.want.Name, nic.Tap); ok {
			commands = append(commands, p.typed([]string{
				fmt.Sprintf("ip link set %s netns 1 name %s", l.Name, openedTap(p.want, nic)),
			})...)
		}
	}
	commands = append(commands, fmt.Sprintf("virsh define %s.xml", name), "virsh start --paused "+name)
	for _, nic := range g.NICs {
		commands = append(commands, fmt.Sprintf("ip link set %s netns %s name %s",
			openedTap(p.want, nic), netsetup.NamespaceName(p.want.Name), nic.Tap))
		commands = append(commands, p.typed(plugCommands(nic))...)
		commands = append(commands, p.typed(upCommands(nic.Tap))...)
	}
	return append(commands, "virsh resume "+name)
}

// network is where the lab's links are.
func (r *run) network(ctx context.Context) (Network, error) {
	if r.lab.Isolation != lab.Netns {
		return r.e.cfg.Network, nil
	}
	return r.inside(ctx)
}

// inside opens the lab's own namespace, once.
func (r *run) inside(ctx context.Context) (Inside, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ns != nil {
		return r.ns, nil
	}
	ns, err := r.e.cfg.Namespaces.Open(ctx, r.name)
	if err == nil {
		r.ns = ns
	}
	return ns, err
}

// leave closes the lab's own namespace. It may be opened again.
func (r *run) leave() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ns == nil {
		return nil
	}
	err := r.ns.Close()
	r.ns = nil
	if err != nil {
		return fmt.Errorf("close the network namespace of %q: %w", r.name, err)
	}
	return nil
}

func (r *run) ensureNamespace(ctx context.Context) error {
	if _, err := r.e.cfg.Namespaces.Ensure(ctx, r.name); err != nil {
		return explainNetwork(fmt.Sprintf("set up network namespace %q", netsetup.NamespaceName(r.name)), err)
	}
	return nil
}

// removeNamespace removes the lab's namespace; a stranger's of that name stays.
func (r *run) removeNamespace(ctx context.Context) error {
	if err := r.leave(); err != nil {
		return err
	}
	_, err := r.e.cfg.Namespaces.Remove(ctx, r.name)
	if _, foreign := errors.AsType[*netsetup.ForeignNamespaceError](err); err == nil || foreign {
		return nil
	}
	return explainNetwork(fmt.Sprintf("remove network namespace %q", netsetup.NamespaceName(r.name)), err)
}

// stagedOf is the tap while it waits for its guest in the host's namespace.
func stagedOf(tap netsetup.Tap) netsetup.Tap {
	tap.Name, tap.Bridge, tap.Staged = netsetup.StagingName(tap.Owner), "", true
	return tap
}

// placeTap sets a tap up where it is to be: that of an isolated lab is made in the host's namespace, and mended in the
// lab's own.
func (r *run) placeTap(ctx context.Context, action Action, tap netsetup.Tap) error {
	n := r.e.cfg.Network
	switch {
	case r.lab.Isolation != lab.Netns:
	case action == Create:
		tap = stagedOf(tap)
	default:
		inside, err := r.inside(ctx)
		if err != nil {
			return err
		}
		n = inside
	}
	_, err := n.EnsureTap(ctx, tap)
	return err
}

// startIsolated starts a guest that is off, on taps of the host's namespace, and moves those to the lab's before the
// guest runs.
func (r *run) startIsolated(ctx context.Context, d vm.Domain) error {
	g, ok := r.lab.Guest(d.Owner.Guest)
	if !ok {
		return errNotInLab
	}
	inside, err := r.inside(ctx)
	if err != nil {
		return explainNetwork("open the lab's network namespace", err)
	}
	for _, nic := range g.NICs {
		if err := r.stage(ctx, inside, tapOf(r.lab, nic, r.e.cfg.TapOwner)); err != nil {
			return explainNetwork(fmt.Sprintf("set up tap %q", nic.Tap), err)
		}
	}
	if err := r.switchOn(ctx, d, r.e.cfg.Hypervisor.StartPaused); err != nil {
		return err
	}
	r.e.passed("started, taps not moved")
	for _, nic := range g.NICs {
		tap := tapOf(r.lab, nic, r.e.cfg.TapOwner)
		err := r.e.cfg.Network.MoveTap(ctx, tap.Owner, r.name, tap.Name)
		if err == nil {
			_, err = inside.EnsureTap(ctx, tap)
		}
		if err != nil {
			return explainNetwork(fmt.Sprintf("move tap %q into the lab's network namespace", nic.Tap), err)
		}
	}
	r.e.passed("taps moved, not resumed")
	if err := r.e.cfg.Hypervisor.Start(ctx, d.Name); err != nil {
		return explainGuest(diag.GuestStartFailed, g.Name, err)
	}
	return nil
}

// stage makes sure that a tap is in the host's namespace and not in the lab's. One that an earlier guest had there is
// made anew: nobody has it open, and that costs no more than to move it. The new one comes first, so that a failure
// leaves the lab as many taps as it had.
func (r *run) stage(ctx context.Context, inside Inside, tap netsetup.Tap) error {
	if _, err := r.e.cfg.Network.EnsureTap(ctx, stagedOf(tap)); err != nil {
		return err
	}
	_, err := inside.RemoveLink(ctx, tap.Name, tap.Owner)
	return err
}

// removeLink removes a lab's link wherever it is: in the lab's own namespace or in the host's, there also as a staged
// tap. What does not carry the lab's mark stays.
func (r *run) removeLink(ctx context.Context, name string, owner netsetup.Owner) error {
	remove := func(n Network, name string) error {
		_, err := n.RemoveLink(ctx, name, owner)
		if _, foreign := errors.AsType[*netsetup.ForeignError](err); foreign {
			return nil
		}
		return err
	}
	err := remove(r.e.cfg.Network, name)
	inside, openErr := r.inside(ctx)
	_, foreign := errors.AsType[*netsetup.ForeignNamespaceError](openErr)
	switch {
	case openErr == nil:
		return errors.Join(err, remove(r.e.cfg.Network, netsetup.StagingName(owner)), remove(inside, name))
	case foreign || errors.Is(openErr, netsetup.ErrNoNamespace) || errors.Is(openErr, netsetup.ErrBareNamespace):
		return err
	}
	return errors.Join(err, openErr)
}

// cold tells that a guest has to boot.
func (e *Engine) cold(guest string, reason error) {
	if e.cfg.Cold != nil {
		e.cfg.Cold(guest, reason)
	}
}

// passed tells a test that the engine has come to a point.
func (e *Engine) passed(point string) {
	if e.cfg.Passed != nil {
		e.cfg.Passed(point)
	}
}
