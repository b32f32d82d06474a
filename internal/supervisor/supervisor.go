// Package supervisor is the process beside a running lab. It runs the DHCP servers of the lab's bridges, tells every
// guest who it is, collects what happens as events, and answers on a UNIX socket.
//
// [Run] is that process's life. [Process] starts and stops it from outside, [Client] asks it.
package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
)

// shutdownGrace is how long open event streams may take to read their last events.
const shutdownGrace = time.Second

// Config is what a supervisor works with.
type Config struct {
	Lab    *lab.Lab
	Files  state.Lab
	Wire   Wire   // the lab's links
	NetNS  string // path of the network namespace of the lab's links; empty: this process's own
	Guests Guests // the lab's domains
	Log    *slog.Logger
	// Ready, when not nil, is called once: with nil as soon as the servers listen, or with the reason why not.
	Ready func(error) error
	// Detach makes the process outlive its parent once it holds the lock (see Process.Start).
	Detach bool
	// ReaderPatience is how long a reader of the control socket may leave unread what is sent to it; 0: a minute.
	ReaderPatience time.Duration
}

// Supervisor is one lab's supervisor while it runs.
type Supervisor struct {
	lab     *lab.Lab
	files   state.Lab
	wire    Wire
	netNS   string
	guests  Guests
	log     *slog.Logger
	hub     *Hub
	dhcp    *dhcp.Server // nil when the lab has no bridge to serve
	started time.Time
	silence *silence
	wiretap *recorder
	readers readers

	ordersMu sync.Mutex // guards orders
	orders   orders
}

// Run is a supervisor's life: it takes the lock, opens its servers and serves until ctx ends, which is a clean end
// (nil). ErrRunning is returned when another one holds the lock. An error while it runs means that it could not go
// on: a bridge vanished under it, a socket broke.
func Run(ctx context.Context, cfg Config) (err error) {
	ready := cfg.Ready
	if ready == nil {
		ready = func(error) error { return nil }
	}
	lock, err := acquire(cfg.Files.SupervisorLock())
	if err != nil {
		return errors.Join(err, ready(err))
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if cfg.Detach {
		if err := detach(); err != nil {
			return errors.Join(err, ready(err))
		}
	}
	s := &Supervisor{
		lab: cfg.Lab, files: cfg.Files, wire: cfg.Wire, netNS: cfg.NetNS, guests: cfg.Guests, log: cfg.Log,
		hub: NewHub(), started: time.Now(), silence: newSilence(),
		readers: newReaders(cmp.Or(cfg.ReaderPatience, readerPatience)),
	}
	control, err := s.open(ctx)
	if err != nil {
		return errors.Join(err, ready(err))
	}
	if err := ready(nil); err != nil {
		s.log.Warn("tell the parent that the supervisor is ready", "lab", s.lab.Name, "err", err)
	}
	return s.serve(ctx, control)
}

// open opens everything that can fail, so that ready means ready.
func (s *Supervisor) open(ctx context.Context) (net.Listener, error) {
	if err := s.checkPorts(ctx); err != nil {
		return nil, err
	}
	cfg, served, err := dhcpConfig(s.lab)
	if err != nil {
		return nil, err
	}
	if cfg.Faults, err = s.loadOrders(); err != nil {
		return nil, err
	}
	if served {
		s.dhcp, err = dhcp.Open(cfg, dhcp.Options{
			LeaseDir: s.files.LeaseDir(), NetNS: s.netNS, Events: s.onDHCP, Guard: s.silence.guard, Log: s.log,
		})
		if err != nil {
			return nil, fmt.Errorf("open DHCP server: %w", err)
		}
	}
	control, err := s.openRest()
	if err != nil && s.dhcp != nil {
		err = errors.Join(err, s.dhcp.Close())
	}
	return control, err
}

// openRest opens the capture, before anything can happen on the wire, and the control socket.
func (s *Supervisor) openRest() (net.Listener, error) {
	var err error
	if s.wiretap, err = openRecorder(s.lab, s.files.CaptureDir(), s.netNS, s.log); err != nil {
		return nil, fmt.Errorf("open capture: %w", err)
	}
	control, err := listen(s.files.SupervisorSocket())
	if err != nil {
		return nil, errors.Join(err, s.wiretap.Close())
	}
	return control, nil
}

// serve runs the parts until ctx ends or one of them cannot go on.
func (s *Supervisor) serve(ctx context.Context, control net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	web := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	group.Go(func() error {
		if err := web.Serve(control); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve control socket: %w", err)
		}
		return nil
	})
	recorded := make(chan struct{})
	group.Go(func() error { defer close(recorded); return s.wiretap.Run(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		s.hub.Close() // ends the event streams, after which Shutdown has nothing to wait for
		<-recorded    // as the end of the capture does to the streams of frames
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		return errors.Join(web.Shutdown(grace), removeSocket(s.files.SupervisorSocket()))
	})
	if s.dhcp != nil {
		group.Go(func() error { return s.runDHCP(ctx) })
	}
	group.Go(func() error { return s.watchPorts(ctx) })
	group.Go(func() error { return s.identifyGuests(ctx) })
	return group.Wait()
}

// runDHCP serves until ctx ends. A lab without its bridges is broken, which is told of; the rest of the supervisor goes
// on, to say so.
func (s *Supervisor) runDHCP(ctx context.Context) error {
	err := s.dhcp.Serve(ctx)
	if errors.Is(err, dhcp.ErrInterfaceGone) {
		<-ctx.Done()
		return nil
	}
	return err
}

// removeSocket removes the control socket, which closing the listener has normally done already.
func removeSocket(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove control socket: %w", err)
	}
	return nil
}

// status describes the supervisor now.
func (s *Supervisor) status() Status {
	st := Status{
		Version: apiVersion, PID: os.Getpid(), Started: s.started, LastSeq: s.hub.Last(), Bridges: []BridgeStatus{},
	}
	for _, bridge := range s.lab.Bridges {
		if bridge.DHCP == nil {
			continue
		}
		st.Bridges = append(st.Bridges, s.bridgeStatus(bridge.Name))
	}
	st.Links = s.wiretap.status()
	st.Floods, st.Unkept = s.wiretap.troubles(time.Now(), s.lab.Station)
	return st
}

// onDHCP turns a decision of the DHCP server into an event of the lab. It runs on the server's goroutine, so it must
// not block.
func (s *Supervisor) onDHCP(e dhcp.Event) {
	ev := lab.Event{
		Time: e.Time, Kind: lab.EventDHCP, Bridge: e.Interface, Address: e.Address,
		Sent: e.Decision == dhcp.DecisionSent, Reason: string(e.Reason), Text: e.Text(),
	}
	if e.Type != 0 {
		ev.Message = e.Type.String()
	}
	if e.Decision == dhcp.DecisionAlarm {
		ev.Kind, ev.Message = lab.EventService, lab.ServiceAlarm
	}
	if mac, ok := e.MAC.MAC(); ok {
		ev.MAC = mac
		if guest, nic, ok := s.lab.Station(ev.MAC); ok {
			ev.Guest, ev.NIC = guest, nic
		}
	}
	s.hub.Publish(ev)
}
