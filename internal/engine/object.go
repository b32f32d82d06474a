package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// bridgeOf says a lab's bridge in netsetup's terms.
func bridgeOf(l *lab.Lab, b lab.Bridge) netsetup.Bridge {
	return netsetup.Bridge{Name: b.Name, Address: b.Address, Owner: netsetup.Owner{Lab: l.Name, Object: b.Name}}
}

// tapOf says the tap behind a lab's NIC in netsetup's terms.
func tapOf(l *lab.Lab, nic lab.NIC, o TapOwner) netsetup.Tap {
	return netsetup.Tap{
		Name: nic.Tap, Bridge: nic.Bridge, UID: o.UID, GID: o.GID, User: o.User, Group: o.Group,
		Owner: netsetup.Owner{Lab: l.Name, Object: nic.Tap},
	}
}

// domainOf says a lab's guest in vm's terms.
func domainOf(l *lab.Lab, g lab.Guest, image Image, on Platform, files state.Lab) vm.Domain {
	d := vm.Domain{
		Name: l.DomainName(g.Name), UUID: g.UUID, Owner: vm.Owner{Lab: l.Name, Guest: g.Name},
		Title:   fmt.Sprintf("%s of the kvmlab lab %s", g.Name, l.Name),
		Machine: on.Machine, Accel: on.Accel, TSCkHz: on.TSCkHz, Merging: on.Merging, Emulator: on.Emulator,
		MemoryKiB: g.Memory.KiB(), CPUs: g.CPUs,
		Kernel: image.Kernel, Initrd: image.Initrd, Cmdline: image.Cmdline, GuestAgent: image.GuestAgent,
		ConsoleLog: files.ConsoleLog(g.Name),
	}
	if image.Kernel == "" {
		// Of the machines that there are, this one has a BIOS.
		d.Machine, d.Seed = vm.MachineQ35, files.Seed(g.Name)
	}
	for _, nic := range g.NICs {
		d.NICs = append(d.NICs, vm.NIC{Name: nic.Name, Tap: openedTap(l, nic), MAC: nic.MAC})
	}
	return d
}

// domainAddress is the address of a domain that carries a lab's mark: by its guest, unless somebody renamed it.
func domainAddress(d vm.State) Address {
	if d.Name == (&lab.Lab{Name: d.Owner.Lab}).DomainName(d.Owner.Guest) {
		return Address{KindDomain, d.Owner.Guest}
	}
	return Address{KindDomain, d.Name}
}

// linkAddress is the address of a link that carries a lab's mark, by the name that it has now.
func linkAddress(l netsetup.Link) Address {
	switch {
	case l.Kind == netsetup.KindBridge:
		return Address{KindBridge, l.Name}
	case staged(l):
		return Address{KindTap, l.Owner.Object}
	}
	return Address{KindTap, l.Name}
}

// ensure carries out a Create or an Update.
func (r *run) ensure(ctx context.Context, c Change) error {
	switch c.Address.Kind {
	case KindNamespace:
		return r.ensureNamespace(ctx)
	case KindBridge:
		return r.ensureBridge(ctx, c.Address.Name)
	case KindTap:
		return r.ensureTap(ctx, c)
	case KindFirewall:
		return r.ensureFirewall(ctx)
	case KindSupervisor:
		return r.ensureSupervisor(ctx, c.Action)
	case KindDomain:
		return r.ensureDomain(ctx, c)
	}
	return errNotInLab
}

// errNotInLab is for a change of something that the lab does not have: a mistake in the planner.
var errNotInLab = errors.New("the lab has no such object")

func (r *run) ensureBridge(ctx context.Context, name string) error {
	b, ok := r.lab.Bridge(name)
	if !ok {
		return errNotInLab
	}
	n, err := r.network(ctx)
	if err == nil {
		_, err = n.EnsureBridge(ctx, bridgeOf(r.lab, *b))
	}
	if err != nil {
		return explainNetwork(fmt.Sprintf("set up bridge %q", b.Name), err)
	}
	return nil
}

func (r *run) ensureTap(ctx context.Context, c Change) error {
	for _, g := range r.lab.Guests {
		for _, nic := range g.NICs {
			if nic.Tap != c.Address.Name {
				continue
			}
			if err := r.placeTap(ctx, c.Action, tapOf(r.lab, nic, r.e.cfg.TapOwner)); err != nil {
				return explainNetwork(fmt.Sprintf("set up tap %q", nic.Tap), err)
			}
			return nil
		}
	}
	return errNotInLab
}

func (r *run) ensureSupervisor(ctx context.Context, action Action) error {
	s := r.e.cfg.Supervisor(r.files)
	var err error
	if action == Update {
		err = s.Stop(ctx)
	}
	if err == nil {
		err = s.Start(ctx)
	}
	if err != nil && !ended(err) {
		return diag.New(diag.SupervisorStart, diag.Args{"lab": r.lab.Name}).Wrap(err)
	}
	return err
}

// ensureDomain defines and starts a guest. One that is there already is switched off first: this Update is planned
// for a guest that is off, or that has to be started again.
func (r *run) ensureDomain(ctx context.Context, c Change) error {
	d, ok := r.domains[c.Address.Name]
	if !ok {
		return errNotInLab
	}
	if c.Action == Update {
		if err := r.e.cfg.Hypervisor.Destroy(ctx, d.Name); err != nil {
			return explainGuest(diag.GuestStopFailed, d.Owner.Guest, err)
		}
	}
	err := r.ensureDisk(ctx, d)
	if err == nil {
		err = r.writeSeed(d)
	}
	if err != nil {
		return explainGuest(diag.GuestDefineFailed, d.Owner.Guest, err)
	}
	if r.lab.Isolation == lab.Netns {
		return r.startIsolated(ctx, d)
	}
	return r.switchOn(ctx, d, r.e.cfg.Hypervisor.Start)
}

// switchOn defines a guest and starts it: from its template, where it has one, else by a boot. start is what makes it
// run, or leaves it paused; a guest that has come from its template is paused already.
func (r *run) switchOn(ctx context.Context, d vm.Domain, start func(context.Context, string) error) error {
	if err := r.e.cfg.Hypervisor.Define(ctx, d); err != nil {
		return explainGuest(diag.GuestDefineFailed, d.Owner.Guest, err)
	}
	failed := false
	if r.prepared[d.Owner.Guest] {
		err := r.e.cfg.Templates.Resume(ctx, d)
		if failed = err != nil && ctx.Err() == nil; failed {
			r.e.cold(d.Owner.Guest, err)
		}
		r.e.passed("resumed from the template, not run")
	}
	err := start(ctx, d.Name)
	if err != nil && failed && ctx.Err() == nil {
		// libvirt may notice late that the QEMU which failed to resume is gone, and then takes the new one for it.
		err = start(ctx, d.Name)
	}
	if err != nil {
		return explainGuest(diag.GuestStartFailed, d.Owner.Guest, err)
	}
	return nil
}

// remove takes an object away, whatever state it is in. What is not there, or does not carry the lab's mark, is what
// was wanted: the lab has none.
func (r *run) remove(ctx context.Context, c Change) error {
	switch c.Address.Kind {
	case KindBridge, KindTap:
		owner, ok := r.owners[c.Address]
		if !ok {
			owner = netsetup.Owner{Lab: r.name, Object: c.Object}
		}
		if err := r.removeLink(ctx, c.Object, owner); err != nil {
			return explainNetwork(fmt.Sprintf("remove %s %q", c.Address.Kind, c.Object), err)
		}
		return nil
	case KindNamespace:
		return r.removeNamespace(ctx)
	case KindFirewall:
		return r.removeFirewall(ctx)
	case KindSupervisor:
		if err := r.e.cfg.Supervisor(r.files).Stop(ctx); err != nil {
			return fmt.Errorf("stop supervisor: %w", err)
		}
		return nil
	case KindDomain:
		return r.removeDomain(ctx, c, true)
	}
	return errNotInLab
}

// removeDomain switches a guest off, and forgets it as well if undefine is set. The name alone is not trusted:
// somebody may have renamed another domain since, so the mark is read again.
func (r *run) removeDomain(ctx context.Context, c Change, undefine bool) error {
	h := r.e.cfg.Hypervisor
	d, err := h.Domain(ctx, c.Object)
	if errors.Is(err, vm.ErrNotFound) || err == nil && (!d.Owned || d.Owner.Lab != r.name) {
		return nil
	}
	if err == nil {
		err = h.Destroy(ctx, c.Object)
	}
	if err == nil && undefine {
		err = h.Undefine(ctx, c.Object)
	}
	if err != nil {
		return explainGuest(diag.GuestStopFailed, c.Address.Name, err)
	}
	return nil
}
