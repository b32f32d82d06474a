package vm

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	if off, err := c.askToShutDown(ctx, name); err != nil || off {
		return err
	}

	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		select {
		case e, open := <-events:
			switch {
			case open && e.Name == name && e.Kind == EventStopped:
				return nil
			case !open && ctx.Err() != nil:
				return context.Cause(ctx)
			case !open:
				return fmt.Errorf("wait for its end: %w", ErrUnreachable)
			}
		case <-again.C:
			// An agent that is being ended answers with errors; what was asked first still holds.
			if off, err := c.askToShutDown(ctx, name); off || errors.Is(err, ErrNotFound) {
				return nil
			}
		}
	}
}

// askAgain is how often a guest is asked. One that is still booting has nobody yet who hears the power button, and one that is
// shutting down already takes no notice.
const askAgain = 5 * time.Second

// askToShutDown asks once, and reports whether the guest is off already.
func (c *Conn) askToShutDown(ctx context.Context, name string) (off bool, err error) {
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
	return off, err
}
