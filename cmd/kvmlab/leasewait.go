package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/internal/supervisor"
	"github.com/kvmlab/kvmlab/untrusted"
)

// consoleTail is how many lines of a guest's console explain why it got no lease.
const consoleTail = 12

// leaseWaiter waits until every guest that should have a lease has one. It listens from before the first change, so
// that nothing is missed, and needs a new ACK only of guests that this run has started.
type leaseWaiter struct {
	app    *app
	files  state.Lab
	client *supervisor.Client
	limit  time.Duration
	began  time.Time
	after  uint64 // the newest event before this run

	mu      sync.Mutex
	started map[string]engine.Action // guests that this run has started, for the first time or again
	watch   func(lab.Event)          // sees what becomes of the guests while waiting, from any goroutine
}

func newLeaseWaiter(ctx context.Context, a *app, name string, limit time.Duration) (*leaseWaiter, error) {
	files, err := a.dirs.Lab(name)
	if err != nil {
		return nil, err
	}
	w := &leaseWaiter{
		app: a, files: files, client: supervisor.NewClient(files.SupervisorSocket()), limit: limit,
		began: a.now(), started: map[string]engine.Action{},
	}
	if running, _, err := superviseProcess(a, files).Observe(ctx); err == nil && running {
		// An old supervisor still knows the ACKs of before this run. One that does not answer has none to tell.
		if st, err := w.client.Status(ctx); err == nil {
			w.after = st.LastSeq
		}
	}
	return w, nil
}

// Close ends the connection to the supervisor.
func (w *leaseWaiter) Close() { w.client.Close() }

// Change notes which guests this run starts.
func (w *leaseWaiter) Change(ev engine.Event) {
	if ev.Kind == engine.Started && ev.Change.Address.Kind == engine.KindDomain {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.started[ev.Change.Address.Name] = ev.Change.Action
	}
}

// Wait is the engine's Ready: it returns when all leases are there, or says which guest is missing which step.
func (w *leaseWaiter) Wait(ctx context.Context, l *lab.Lab) error {
	want, err := w.wanted(ctx, l)
	if err != nil {
		return err
	}
	if w.limit == 0 {
		w.limit = microWait
		if slices.ContainsFunc(l.Guests, func(g lab.Guest) bool { return g.Image != lab.DefaultImage }) {
			w.limit = fullWait
		}
	}
	limited, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()
	end := w.followWire(ctx, l)
	_, err = w.client.AwaitLeases(limited, w.after, want, w.guestEvent)
	end()
	var (
		timeout *supervisor.LeaseTimeoutError
		stopped *supervisor.GuestStoppedError
	)
	switch {
	case errors.As(err, &stopped):
		return diag.New(diag.GuestDied, diag.Args{"guest": stopped.Guest, "reason": w.console(stopped.Guest)}).Wrap(err)
	case errors.As(err, &timeout) && ctx.Err() == nil:
		return w.explain(timeout)
	default:
		return err
	}
}

// guestEvent shows what the supervisor says of guests themselves. What the DHCP server says is on the wire too.
func (w *leaseWaiter) guestEvent(ev lab.Event) {
	if w.watch != nil && ev.Kind != lab.EventDHCP {
		w.watch(ev)
	}
}

// handedOver names the bridges on which kvmlab's server is off: there a guest serves, or nobody yet, and nothing can be
// promised.
func (w *leaseWaiter) handedOver(ctx context.Context) []string {
	st, err := w.client.Status(ctx)
	if err != nil {
		return nil // waiting for the leases will say what is wrong
	}
	var off []string
	for _, bridge := range st.Bridges {
		if bridge.Off {
			off = append(off, bridge.Name)
		}
	}
	return off
}

// wanted lists the cards that should get an address and do not hold one yet: those on a bridge that kvmlab serves, of
// guests started now or without a lease in the store.
func (w *leaseWaiter) wanted(ctx context.Context, l *lab.Lab) ([]supervisor.Wanted, error) {
	leases, err := dhcp.ReadLeases(w.files.LeaseDir())
	if err != nil {
		return nil, err
	}
	off := w.handedOver(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	var want []supervisor.Wanted
	for _, guest := range l.Guests {
		for i, nic := range guest.NICs {
			if i > 0 && guest.Image != lab.DefaultImage {
				break // a full system asks on its first card; the others are the student's
			}
			bridge, ok := l.Bridge(nic.Bridge)
			if !ok || bridge.DHCP == nil || slices.Contains(off, bridge.Name) {
				continue
			}
			held := slices.ContainsFunc(leases, func(lease dhcp.Lease) bool {
				return lease.State == dhcp.StateBound && lease.MAC == dhcp.Ethernet(nic.MAC)
			})
			if action, ok := w.started[guest.Name]; ok || !held {
				want = append(want, supervisor.Wanted{
					NIC:       supervisor.NIC{Guest: guest.Name, Name: nic.Name},
					Restarted: action == engine.Update,
				})
			}
		}
	}
	return want, nil
}

// explain makes a diagnostic of every card that is missing its lease, with the end of the guest's console.
func (w *leaseWaiter) explain(timeout *supervisor.LeaseTimeoutError) error {
	var all []error
	for _, missing := range timeout.Missing {
		all = append(all, diag.New(diag.GuestNoLease, diag.Args{
			"guest": missing.NIC.String(), "step": missing.NextStep(), "wait": w.limit.String(),
		}).Wrap(&consoleTailError{text: w.console(missing.NIC.Guest), why: timeout}))
	}
	return errors.Join(all...)
}

// consoleTailError shows the end of a guest's console as the cause of what became of it: when the run is taken back, the log
// goes with the guest.
type consoleTailError struct {
	text string
	why  error
}

// Error quotes the console.
func (e *consoleTailError) Error() string { return "its console ends:\n" + e.text }

// Unwrap gives what was found without the console.
func (e *consoleTailError) Unwrap() error { return e.why }

// console is the end of what the guest printed on its console.
func (w *leaseWaiter) console(guest string) string {
	text, err := tail(w.files.ConsoleLog(guest), consoleTail)
	if err != nil || text == "" {
		return w.app.T("up.console-empty")
	}
	return text
}

// tail reads the last lines of a guest's console and makes them visible.
func tail(path string, lines int) (_ string, err error) {
	const most = 16 << 10 // bytes; far more than the lines wanted
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read console log: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return "", fmt.Errorf("read console log: %w", err)
		}
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return "", fmt.Errorf("read console log: %w", err)
	}
	all := bytes.Split(bytes.TrimSpace(bytes.ReplaceAll(data, []byte("\r"), nil)), []byte("\n"))
	return untrusted.VisibleLines(string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))), nil
}
