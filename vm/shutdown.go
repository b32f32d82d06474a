package vm

import (
	"context"
	"errors"
	"fmt"

	"github.com/digitalocean/go-libvirt"
)

// Shutdown asks a guest to switch itself off, over its agent or else by its power button, as "virsh shutdown" does, and
// returns when it is off. A guest may take no notice: ctx says how long it is waited for. One that is off, or gone, is what
// was wanted. Errors: ErrForeign; ErrNotRunning for a paused guest, which hears nothing; the cause of ctx.
func (c *Conn) Shutdown(ctx context.Context, name string) error {
	if err := c.shutdown(ctx, name); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("shut down domain %q: %w", name, err)
	}
	return nil
}

func (c *Conn) shutdown(ctx context.Context, name string) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	// Before it is asked, so that its end is not missed.
	events, err := c.Events(watching)
	if err != nil {
		return err
	}
	off := false
	err = c.call(ctx, func(rpc *libvirt.Libvirt) error {
		d, s, err := owned(rpc, name)
		switch {
		case err != nil:
			return err
		case !s.Run.Active():
			off = true
			return nil
		case s.Run == RunPaused:
			return ErrNotRunning
		}
		err = rpc.DomainShutdownFlags(d, libvirt.DomainShutdownDefault)
		if hasCode(err, libvirt.ErrOperationInvalid) {
			off = true // it stopped by itself in between
			return nil
		}
		return err
	})
	if err != nil || off {
		return err
	}
	for e := range events {
		if e.Name == name && e.Kind == EventStopped {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("wait for its end: %w", ErrUnreachable)
}
