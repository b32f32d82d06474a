package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Options are what a Server needs beside its Config.
type Options struct {
	// LeaseDir is where leases are kept. It is created when missing and locked while the server is open.
	LeaseDir string
	// NetNS is the path of the network namespace in which the sockets are opened ("/run/netns/x"); empty is the
	// calling thread's own.
	NetNS string
	// Events receives every event. It is called from several goroutines, one at a time, and must not block:
	// EventRing.Add is made for it. Nil means nobody is interested.
	Events func(Event)
	// Guard, when not nil, is asked before each batch of messages from an interface is handled. While it returns an
	// error, the interface is silent, and the error's text is the reason in the events. It must be quick, and must
	// not call the server.
	Guard func(iface string) error
	// Log receives what an operator must know, and every event at level Debug. Nil discards it.
	Log *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	disk disk // in place of LeaseDir, in tests
}

// ErrLocked is returned by Open when another server has the lease directory.
var ErrLocked = errors.New("lease directory is in use by another server")

// ErrNoInterface is for an interface that the server does not have.
var ErrNoInterface = errors.New("interface is not served")

// ErrInterfaceGone is returned by Serve when the last of its interfaces was deleted.
var ErrInterfaceGone = errors.New("interface is gone")

// Server serves DHCP on one or more interfaces.
type Server struct {
	opts  Options
	logs  bool // whether anybody gave a log
	ports []*port
	lock  *os.File
	store *store

	mu      sync.Mutex // guards what follows; held while a batch is decided, never while something is waited for
	table   *Table
	silent  []string // why, by port; empty is not silent
	probes  map[ip4]*probe
	pending batch
	kick    chan struct{}   // tells the committer that there is something for it
	probing []chan struct{} // tells, by port, that a probe was started

	committing sync.Mutex // guards what follows and the store's state; held while the disk is waited for; before mu
	taken      batch      // what is being committed
	acks       *transmitter

	eventMu sync.Mutex // orders the calls of Options.Events, and is held while replies leave; nothing else is taken in it
	group   sync.WaitGroup
	left    atomic.Int32    // how many interfaces are not gone
	late    sync.WaitGroup  // what a fault delays
	ending  <-chan struct{} // closed when the server ends
}

// Open checks the configuration, loads the leases and opens the sockets. When it returns, the server listens: what
// arrives from now on is answered as soon as Serve runs. The caller must call Serve or Close. Mistakes in the
// configuration are ConfigErrors, joined.
func Open(cfg Config, opts Options) (s *Server, err error) {
	logs := opts.Log != nil
	if !logs {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s = &Server{opts: opts, logs: logs, probes: map[ip4]*probe{}, kick: make(chan struct{}, 1)}
	s.acks = newTransmitter(s)
	if s.table, err = NewTable(cfg); err != nil {
		return nil, fmt.Errorf("check DHCP configuration: %w", err)
	}
	s.silent = make([]string, len(cfg.Interfaces))
	for range cfg.Interfaces {
		s.probing = append(s.probing, make(chan struct{}, 1))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
			s = nil
		}
	}()
	if s.opts.disk == nil {
		if s.lock, err = lockDirectory(opts.LeaseDir); err != nil {
			return s, err
		}
		s.opts.disk = directory(opts.LeaseDir)
	}
	var damage string
	if s.store, damage, err = openStore(s.opts.disk, s.table); err != nil {
		return s, err
	}
	if damage != "" {
		s.alarm(DecisionNote, ReasonStoreDamaged, damage)
	}
	s.ports, err = openPorts(cfg.Interfaces, opts.NetNS, !cfg.NoProbe)
	return s, err
}

// Serve answers until ctx is done, which is a clean end (nil), or until it cannot go on. It closes the server.
func (s *Server) Serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.ending = ctx.Done()
	s.left.Store(int32(len(s.ports)))
	errs := make(chan error, 2*len(s.ports))
	for i, p := range s.ports {
		s.group.Go(func() { errs <- s.listen(i, p) })
		if p.arp != nil {
			s.group.Go(func() { errs <- s.listenARP(i, p) })
			s.group.Go(func() { s.watchProbes(i, p, ctx.Done()) })
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.committer(ctx)
	}()
	var err error
	select {
	case <-ctx.Done():
	case err = <-errs:
		stop()
	}
	// Deadlines wake the listeners; the sockets stay open until nobody uses them.
	for _, p := range s.ports {
		err = errors.Join(err, p.wake())
	}
	s.group.Wait()
	s.dropProbes()
	<-done
	s.late.Wait()
	return errors.Join(err, s.Close())
}

// dropProbes tells of the messages that will not be answered any more, because the server ends before their probes do.
func (s *Server) dropProbes() {
	for _, p := range s.probes {
		w := newWorker(s, p.link, s.ports[p.link])
		if err := w.m.Parse(p.payload); err != nil {
			continue // it parsed before
		}
		w.ignore(ReasonStopping, "")
		s.emit(w.evs...)
	}
}

// Close releases the sockets and the lease directory. It is for a server that Serve was never called on.
func (s *Server) Close() error {
	var errs []error
	for _, p := range s.ports {
		errs = append(errs, p.close())
	}
	if s.store != nil {
		errs = append(errs, s.store.close())
	}
	if s.lock != nil {
		// Unlocked by name: a process that is being started at this moment has the file open until its exec.
		errs = append(errs, unix.Flock(int(s.lock.Fd()), unix.LOCK_UN), s.lock.Close())
	}
	s.ports, s.store, s.lock = nil, nil, nil
	return errors.Join(errs...)
}

// Leases returns what the server knows of every address now, ordered by address.
func (s *Server) Leases() []Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.Leases(s.opts.Now())
}

// Silence stops answering on an interface at once; the messages that still come are events with ReasonSilenced. An
// unknown interface is an error.
func (s *Server) Silence(iface, why string) error {
	if why == "" {
		why = "by order"
	}
	return s.setSilent(iface, why, ReasonSilenced)
}

// Unsilence serves the interface again.
func (s *Server) Unsilence(iface string) error { return s.setSilent(iface, "", ReasonUnsilenced) }

func (s *Server) setSilent(iface, why string, reason Reason) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.table.links {
		if s.table.links[i].name != iface {
			continue
		}
		if s.silent[i] != why {
			s.silent[i] = why
			s.emit(Event{
				Time: s.opts.Now(), Interface: iface, Direction: Internal, Decision: DecisionNote, Reason: reason,
				Detail: why,
			})
		}
		return nil
	}
	return fmt.Errorf("%w: %q", ErrNoInterface, iface)
}

// listen handles what arrives on one interface until the socket is closed or its deadline passes.
func (s *Server) listen(i int, p *port) error {
	in, w := newInbox(), newWorker(s, i, p)
	for {
		n, err := in.receive(p.rawIO)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
			return nil
		case errors.Is(err, unix.ENETDOWN):
			s.emit(Event{Interface: p.name, Direction: Internal, Decision: DecisionNote, Reason: ReasonInterfaceDown})
			if err := s.awaitLink(p); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("receive DHCP on %q: %w", p.name, err)
		}
		w.batch(in, n)
	}
}

// linkPoll is how often an interface that is down is looked at.
const linkPoll = 200 * time.Millisecond

// awaitLink waits for an interface that was set down: the kernel tells of that once, delivers again when it is up, and does
// not tell when it is deleted afterwards. The last one to go ends the server.
func (s *Server) awaitLink(p *port) error {
	tick := time.NewTicker(linkPoll)
	defer tick.Stop()
	for {
		up, err := p.isUp()
		switch {
		case errors.Is(err, unix.ENODEV):
			s.emit(Event{Interface: p.name, Direction: Internal, Decision: DecisionAlarm, Reason: ReasonInterfaceGone})
			if s.left.Add(-1) == 0 {
				return fmt.Errorf("serve DHCP on %q: %w", p.name, ErrInterfaceGone)
			}
			<-s.ending
			return nil
		case err != nil:
			return fmt.Errorf("look at interface %q: %w", p.name, err)
		case up:
			s.emit(Event{Interface: p.name, Direction: Internal, Decision: DecisionNote, Reason: ReasonInterfaceUp})
			return nil
		}
		select {
		case <-s.ending:
			return nil
		case <-tick.C:
		}
	}
}

// emit hands events on.
func (s *Server) emit(events ...Event) {
	s.eventMu.Lock()
	defer s.eventMu.Unlock()
	s.tell(events)
}

// tell hands events on. The time is set of those that have none. The caller holds eventMu.
func (s *Server) tell(events []Event) {
	for _, e := range events {
		if e.Time.IsZero() {
			e.Time = s.opts.Now()
		}
		if s.logs {
			s.opts.Log.Debug("dhcp event", "event", e)
		}
		if s.opts.Events != nil {
			s.opts.Events(e)
		}
	}
}

// alarm tells of something that is not about one message.
func (s *Server) alarm(d Decision, why Reason, detail string) {
	e := Event{Direction: Internal, Decision: d, Reason: why, Detail: detail}
	s.opts.Log.Warn("dhcp lease store", "reason", string(why), "detail", detail)
	s.emit(e)
}
