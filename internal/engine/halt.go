package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/vm"
)

const (
	// lockPatience is how long Halt waits for a command that is changing the lab: an Up that has been told to end takes
	// back what it has made.
	lockPatience = 30 * time.Second
	lockPoll     = 100 * time.Millisecond
)

// Halted is what Halt did with a lab's guests, by their names, sorted.
type Halted struct {
	Off []string // have switched themselves off
	Cut []string // were switched off, because they did not in time
}

// Halt switches a lab's guests off as its users would, so that their disks are clean, and ends its supervisor. All else
// stays for the next Up: links, leases, disks, how far an exercise is. A guest that is still on after patience loses its
// power. Of a lab that is not there, or off, it finds nothing to do.
func (e *Engine) Halt(ctx context.Context, name string, patience time.Duration) (_ *Halted, err error) {
	files, err := e.cfg.Dirs.Lab(name)
	if err != nil {
		return nil, err
	}
	lock, err := patientLock(ctx, files)
	if err != nil {
		return nil, explainState(files.LockFile(), err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()

	// A guest that goes down gives its lease back. That nobody hears it keeps the address for its return.
	stopErr := e.cfg.Supervisor(files).Stop(ctx)
	domains, err := e.cfg.Hypervisor.Domains(ctx)
	if err != nil {
		return nil, errors.Join(stopErr, explainHypervisor(err))
	}
	done := &Halted{}
	var (
		mu   sync.Mutex
		errs = []error{stopErr}
		all  sync.WaitGroup
	)
	for _, d := range domains {
		if !d.Owned || d.Owner.Lab != name || !d.Run.Active() {
			continue
		}
		all.Go(func() {
			off, err := e.haltGuest(ctx, d, patience)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				errs = append(errs, err)
			case off:
				done.Off = append(done.Off, d.Owner.Guest)
			default:
				done.Cut = append(done.Cut, d.Owner.Guest)
			}
		})
	}
	all.Wait()
	slices.Sort(done.Off)
	slices.Sort(done.Cut)
	return done, errors.Join(errs...)
}

// haltGuest reports whether the guest has switched itself off.
func (e *Engine) haltGuest(ctx context.Context, d vm.State, patience time.Duration) (off bool, err error) {
	asking, cancel := context.WithTimeout(ctx, patience)
	err = e.cfg.Hypervisor.Shutdown(asking, d.Name)
	cancel()
	if err == nil {
		return true, nil
	}
	// Whoever gave up waiting wants the guest off all the more.
	cutting, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.ChangeTimeout)
	defer cancel()
	if cutErr := e.cfg.Hypervisor.Destroy(cutting, d.Name); cutErr != nil {
		return false, fmt.Errorf("switch %s off: %w", d.Owner.Guest, errors.Join(err, cutErr))
	}
	return false, nil
}

// patientLock takes a lab's lock, for which it waits a while.
func patientLock(ctx context.Context, files state.Lab) (*state.Lock, error) {
	limit := time.NewTimer(lockPatience)
	defer limit.Stop()
	for {
		lock, err := files.Lock()
		if _, busy := errors.AsType[*state.LockedError](err); !busy {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-limit.C:
			return nil, err
		case <-time.After(lockPoll):
		}
	}
}
