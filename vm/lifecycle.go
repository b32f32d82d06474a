package vm

import (
	"context"
	"errors"
	"fmt"

	"github.com/digitalocean/go-libvirt"
)

// Define makes the domain known to libvirt, or changes its definition; a guest
// that runs keeps what it was started with. Errors: ErrIncomplete, ErrForeign
// when the name is taken by a domain without the mark or by another guest's.
func (c *Conn) Define(ctx context.Context, d Domain) error {
	text, err := d.XML()
	if err != nil {
		return err
	}
	err = c.call(ctx, func(rpc *libvirt.Libvirt) error {
		_, s, err := owned(rpc, d.Name)
		switch {
		case hasCode(err, libvirt.ErrNoDomain):
		case err != nil:
			return err
		case s.Owner != d.Owner:
			return &ForeignError{Domain: d.Name, Owner: s.Owner}
		}
		// Should somebody define that name just now, its other UUID makes libvirt refuse ours.
		_, err = rpc.DomainDefineXMLFlags(string(text), 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("define domain %q: %w", d.Name, err)
	}
	return nil
}

// Start starts a defined domain; a paused one resumes, one that runs is left
// alone. When ctx ends first, libvirt may still finish the start: look again.
// Errors: ErrNotFound, ErrForeign, *StartError.
func (c *Conn) Start(ctx context.Context, name string) error { return c.start(ctx, name, false) }

// StartPaused starts a defined domain without letting it run: QEMU has opened
// its taps, the guest has not had a moment yet. Start lets it run. One that is
// active already is left alone. Errors: as Start.
func (c *Conn) StartPaused(ctx context.Context, name string) error { return c.start(ctx, name, true) }

func (c *Conn) start(ctx context.Context, name string, paused bool) error {
	var flags uint32
	if paused {
		flags = uint32(libvirt.DomainStartPaused)
	}
	var s State
	err := c.call(ctx, func(rpc *libvirt.Libvirt) error {
		d, state, err := owned(rpc, name)
		s = state
		switch {
		case err != nil:
			return err
		case s.Run == RunPaused && !paused:
			return rpc.DomainResume(d)
		case s.Run.Active():
			return nil
		case s.Kernel != "" && s.MemoryKiB < imageKiB(s):
			// QEMU starts such a guest, which then never says a word.
			return tooSmall(s)
		}
		_, err = rpc.DomainCreateWithFlags(d, flags)
		if hasCode(err, libvirt.ErrOperationInvalid) {
			// It says that the domain runs already: another process was faster.
			if run, _, e := rpc.DomainGetState(d, 0); e == nil && (runOf(run) == RunRunning || paused && runOf(run).Active()) {
				return nil
			}
		}
		return err
	})
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*StartError](err); ok {
		return refused
	}
	if isAnswer(err) && s.Name != "" {
		return c.startError(ctx, s, err)
	}
	return fmt.Errorf("start domain %q: %w", name, err)
}

// Destroy takes the guest's power away. A domain that is off, or gone, is what
// was wanted. Errors: ErrForeign.
func (c *Conn) Destroy(ctx context.Context, name string) error {
	err := c.call(ctx, func(rpc *libvirt.Libvirt) error {
		d, s, err := owned(rpc, name)
		if err != nil {
			return err
		}
		if !s.Run.Active() {
			return nil
		}
		err = rpc.DomainDestroyFlags(d, libvirt.DomainDestroyDefault)
		if hasCode(err, libvirt.ErrOperationInvalid) {
			// It stopped by itself in between.
			return nil
		}
		return err
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("destroy domain %q: %w", name, err)
	}
	return nil
}

// Undefine makes libvirt forget the domain and any saved state of it. One that
// runs stays, without a definition, until it is destroyed; one that is gone is
// what was wanted. Errors: ErrForeign.
func (c *Conn) Undefine(ctx context.Context, name string) error {
	err := c.call(ctx, func(rpc *libvirt.Libvirt) error {
		d, _, err := owned(rpc, name)
		if err != nil {
			return err
		}
		err = rpc.DomainUndefineFlags(d, libvirt.DomainUndefineManagedSave|
			libvirt.DomainUndefineSnapshotsMetadata|libvirt.DomainUndefineCheckpointsMetadata)
		if hasCode(err, libvirt.ErrOperationInvalid) {
			// A running domain without a definition has nothing to be forgotten.
			if persistent, e := rpc.DomainIsPersistent(d); e == nil && persistent == 0 {
				return nil
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("undefine domain %q: %w", name, err)
	}
	return nil
}
