package vm_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/vm"
)

// waysToEnd are how a guest can be asked to switch itself off, by a letter for its name.
var waysToEnd = map[string]func(ctx context.Context, t *testing.T, l *lab, d vm.Domain) error{
	// An agent that nobody has used yet.
	"a": func(_ context.Context, t *testing.T, _ *lab, d vm.Domain) error {
		t.Helper()
		run(t, "virsh", "shutdown", "--mode", "agent", d.Name)
		return nil
	},
	// An agent that runs.
	"u": func(ctx context.Context, t *testing.T, l *lab, d vm.Domain) error {
		t.Helper()
		l.ask(ctx, t, d, "true")
		run(t, "virsh", "shutdown", "--mode", "agent", d.Name)
		return nil
	},
	// The power button, once somebody listens for it.
	"b": func(ctx context.Context, t *testing.T, l *lab, d vm.Domain) error {
		t.Helper()
		l.ask(ctx, t, d, "until pidof acpid; do sleep 0.1; done")
		run(t, "virsh", "shutdown", "--mode", "acpi", d.Name)
		return nil
	},
	// As libvirt likes best.
	"l": func(ctx context.Context, t *testing.T, l *lab, d vm.Domain) error {
		t.Helper()
		return l.conn.Shutdown(ctx, d.Name)
	},
}

// Guests end when they are asked to: on each machine, booted and resumed from a template, in every way.
func TestRealShutdown(t *testing.T) {
	for _, machine := range []vm.Machine{vm.MachineMicrovm, vm.MachineQ35} {
		for _, resumed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v resumed=%v", machine, resumed), func(t *testing.T) {
				l := newLab(t)
				ctx := limit(t)
				templates := l.conn.Templates(filepath.Join(t.TempDir(), "templates"))
				var all errgroup.Group
				for way := range waysToEnd {
					d := l.guest(t, "pc"+way)
					d.GuestAgent, d.Machine = true, machine
					if resumed {
						l.resume(ctx, t, templates, d)
					} else {
						l.start(t, d)
					}
					all.Go(func() error { return l.endsWhenAsked(ctx, t, d, way, resumed) })
				}
				if err := all.Wait(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// endsWhenAsked asks a guest in one way, and waits for its end.
func (l *lab) endsWhenAsked(ctx context.Context, t *testing.T, d vm.Domain, way string, identified bool) error {
	t.Helper()
	if !identified {
		id := vm.Identity{Hostname: d.Owner.Guest, MACs: []macgen.MAC{d.NICs[0].MAC}}
		if err := l.conn.Identify(ctx, d.Name, id); err != nil {
			return fmt.Errorf("%s: %w", d.Name, err)
		}
	}
	events, err := l.conn.Events(ctx)
	if err != nil {
		return err
	}
	for open := false; !open; { // the port for the agent, which it opens early
		s, err := l.conn.Domain(ctx, d.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name, err)
		}
		open = s.AgentOpen
		time.Sleep(20 * time.Millisecond)
	}
	begin := time.Now()
	if err := waysToEnd[way](ctx, t, l, d); err != nil {
		return fmt.Errorf("%s: %w", d.Name, err)
	}
	for e := range events {
		if e.Name != d.Name || e.Kind != vm.EventStopped {
			continue
		}
		t.Logf("%s: off after %v", d.Name, time.Since(begin).Round(10*time.Millisecond))
		if e.Stop != vm.StopPoweroff {
			return fmt.Errorf("%s: it ended because it was %v", d.Name, e.Stop)
		}
		return nil
	}
	return fmt.Errorf("%s is still on: %w", d.Name, context.Cause(ctx))
}

// Whoever waits for a guest that takes no notice, or cannot, is told; one that is off or gone is what was wanted.
func TestRealShutdownInVain(t *testing.T) {
	l := newLab(t)
	ctx := limit(t)
	d := l.guest(t, "pc1")
	if err := l.conn.Shutdown(ctx, d.Name); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	l.define(t, d)
	if err := l.conn.Shutdown(ctx, d.Name); err != nil {
		t.Errorf("of a guest that is off: %v", err)
	}
	if err := l.conn.StartPaused(ctx, d.Name); err != nil {
		t.Fatal(err)
	}
	if err := l.conn.Shutdown(ctx, d.Name); !errors.Is(err, vm.ErrNotRunning) {
		t.Errorf("of a paused guest: %v, want ErrNotRunning", err)
	}
	if err := l.conn.Start(ctx, d.Name); err != nil {
		t.Fatal(err)
	}
	// Its kernel has not come as far as the button.
	hasty, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := l.conn.Shutdown(hasty, d.Name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of a guest that boots: %v, want the deadline", err)
	}
	if got := l.state(t, d.Name).Run; got != vm.RunRunning && got != vm.RunShutdown {
		t.Errorf("then it is %v", got)
	}
}
