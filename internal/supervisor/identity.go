package supervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/vm"
)

// How long to wait before libvirt is asked again after it could not be reached.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// seedBytes of fresh entropy go to every guest at every boot: guests of one image would otherwise share theirs.
const seedBytes = 32

// Guests is what the supervisor needs of libvirt.
type Guests interface {
	Domain(ctx context.Context, name string) (vm.State, error)
	// Events tells of domains that start and stop, until ctx ends or the connection is lost (the channel is closed).
	Events(ctx context.Context) (<-chan vm.DomainEvent, error)
	// Identify gives a running guest its identity and returns after the guest has taken it.
	Identify(ctx context.Context, domain string, id vm.Identity) error
	// AwaitClosed returns when the guest is ready to be given an identity anew, at its next boot.
	AwaitClosed(ctx context.Context, domain string)
}

// identifyGuests tells every guest that runs, or starts, who it is, for as long as ctx lives. A libvirtd that goes
// away is waited for.
func (s *Supervisor) identifyGuests(ctx context.Context) error {
	wait := firstRetry
	for ctx.Err() == nil {
		began := time.Now()
		err := s.followGuests(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.log.Warn("lost libvirt, asking again", "lab", s.lab.Name, "err", err)
		if time.Since(began) > lastRetry {
			wait = firstRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRetry)
	}
	return nil
}

// followGuests serves identities over one connection to libvirt, and returns when that is lost or ctx ends.
func (s *Supervisor) followGuests(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()

	// Events first, then a look: a guest that starts in between is seen twice rather than never.
	events, err := s.guests.Events(ctx)
	if err != nil {
		return fmt.Errorf("follow guests: %w", err)
	}
	stops := map[string]context.CancelFunc{} // by domain: ends the goroutine that identifies it
	start := func(domain string) {
		guest, mine := s.guestOf(domain)
		if _, known := stops[domain]; known || !mine {
			return
		}
		var guestCtx context.Context
		guestCtx, stops[domain] = context.WithCancel(ctx)
		serving.Go(func() { s.identify(guestCtx, domain, guest) })
	}
	running, err := s.runningGuests(ctx)
	if err != nil {
		return fmt.Errorf("follow guests: %w", err)
	}
	for _, domain := range running {
		start(domain)
	}
	for ev := range events {
		guest, mine := s.guestOf(ev.Name)
		if !mine {
			continue
		}
		switch ev.Kind {
		case vm.EventStarted, vm.EventResumed:
			if _, known := stops[ev.Name]; !known {
				s.tellGuest(guest, lab.GuestStarted, guest.Name+" is powered on")
			}
			start(ev.Name)
		case vm.EventStopped, vm.EventCrashed, vm.EventUndefined:
			if stop, known := stops[ev.Name]; known {
				stop()
				delete(stops, ev.Name)
				s.tellGuest(guest, lab.GuestStopped, guest.Name+" is off")
			}
		default: // defined, suspended …: nothing to do with its identity
		}
	}
	return errors.New("follow guests: libvirt's events ended")
}

// runningGuests are the domains of the lab's guests that run.
func (s *Supervisor) runningGuests(ctx context.Context) (domains []string, err error) {
	for _, g := range s.lab.Guests {
		d, err := s.guests.Domain(ctx, s.lab.DomainName(g.Name))
		if err != nil && !errors.Is(err, vm.ErrNotFound) {
			return nil, err
		}
		if d.Owned && d.Owner.Lab == s.lab.Name && d.Run == vm.RunRunning {
			domains = append(domains, d.Name)
		}
	}
	return domains, nil
}

// guestOf finds the lab's guest behind a domain's name.
func (s *Supervisor) guestOf(domain string) (*lab.Guest, bool) {
	for i := range s.lab.Guests {
		if g := &s.lab.Guests[i]; s.lab.DomainName(g.Name) == domain {
			return g, true
		}
	}
	return nil, false
}

// identify serves one guest for as long as it runs: a guest asks at every boot, and reboots without libvirt's
// stopping it. Each boot gets a new seed.
func (s *Supervisor) identify(ctx context.Context, domain string, guest *lab.Guest) {
	id := vm.Identity{Hostname: guest.Name, Seed: make([]byte, seedBytes), MACs: make([]macgen.MAC, len(guest.NICs))}
	for i, nic := range guest.NICs {
		id.MACs[i] = nic.MAC
	}
	for _, f := range guest.Files {
		id.Files = append(id.Files, vm.File{Path: f.Path, Mode: f.Mode, Content: []byte(f.Content)})
	}
	wait := firstRetry
	for ctx.Err() == nil {
		id.Time = time.Now()
		rand.Read(id.Seed) // never fails since Go 1.24
		err := s.guests.Identify(ctx, domain, id)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			wait = firstRetry
			s.tellGuest(guest, lab.GuestIdentified, guest.Name+" has booted and knows its name")
			s.guests.AwaitClosed(ctx, domain)
			continue
		}
		s.log.Debug("identify guest", "lab", s.lab.Name, "guest", guest.Name, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRetry)
	}
}

func (s *Supervisor) tellGuest(guest *lab.Guest, what, text string) {
	s.hub.Publish(lab.Event{Time: time.Now(), Kind: lab.EventGuest, Guest: guest.Name, Message: what, Text: text})
}
