package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/internal/supervisor"
)

func newRunCmd(a *app) *cobra.Command {
	opts := &upOptions{app: a, accel: accelAuto}
	cmd := a.command("run [LAB|FILE]", "run")
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgsFunction = completeUpArgs(a)
	opts.addFlags(cmd)
	halt := cmd.Flags().Bool("halt", false, a.T("run.flag.halt"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.setArgs(args)
		return runForeground(cmd.Context(), opts, *halt)
	}
	return cmd
}

// runForeground brings a lab up with the supervisor inside this process, says when every guest has its lease, and
// takes the lab down, or with halt only switches its guests off, when it is asked to end: what an init system or a container
// engine expects of a service.
func runForeground(ctx context.Context, o *upOptions, halt bool) (err error) {
	a, began := o.app, o.app.now()
	draft, resolve, err := o.lab()
	if err != nil {
		return err
	}
	if err := o.haveImages(ctx, draft); err != nil {
		return err
	}
	name := draft.Name
	show := newUpScreen(a, o.explain)
	defer show.Close()
	inside := &insideSupervisor{app: a}
	h, err := openHost(ctx, a, hostOptions{accel: o.accel, cold: o.cold, oldImages: o.old, sink: show.Change, supervisor: inside.of})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	inside.host = h
	result, err := o.bringUp(ctx, h, name, resolve, show)
	show.Close()
	if err != nil {
		return errors.Join(err, inside.Stop(context.WithoutCancel(ctx)))
	}
	if err := o.showResult(ctx, h, result, a.now().Sub(began), nil); err != nil {
		a.log.Warn("show the lab", "lab", name, "err", err)
	}
	a.say("run.ready", "lab", name)
	a.tellInit(daemon.SdNotifyReady)

	served := inside.wait(ctx)
	a.tellInit(daemon.SdNotifyStopping)
	a.say("run.ending", "lab", name)
	if halt {
		_, err = (&downOptions{app: a}).halt(context.WithoutCancel(ctx), h, name)
	} else {
		_, err = h.Down(context.WithoutCancel(ctx), name)
	}
	return errors.Join(served, err)
}

// tellInit tells systemd how far this is, when it has started it and waits for that (sd_notify(3)).
func (a *app) tellInit(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		a.log.Warn("tell the init system", "state", state, "err", err)
	}
}

// insideSupervisor is the engine's Supervisor when it runs in this process instead of one of its own.
type insideSupervisor struct {
	app   *app
	host  *host
	files state.Lab

	mu     sync.Mutex
	cancel context.CancelFunc // nil while it does not run
	done   chan struct{}      // closed when it has ended
	err    error              // why; set before done is closed
}

// of is engine.Config.Supervisor: one process runs one lab.
func (s *insideSupervisor) of(files state.Lab) engine.Supervisor {
	s.files = files
	return s
}

// Observe reports whether the supervisor runs, here or (started by an earlier `up`) elsewhere.
func (s *insideSupervisor) Observe(ctx context.Context) (bool, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		select {
		case <-s.done:
		default:
			return true, os.Getpid(), nil
		}
	}
	return superviseProcess(s.app, s.files).Observe(ctx)
}

// Start starts the supervisor here and returns when it listens.
func (s *insideSupervisor) Start(ctx context.Context) error {
	l, err := readLab(s.files)
	if err != nil {
		return err
	}
	wire, netns, err := openWire(l)
	if err != nil {
		return err
	}
	ready := make(chan error, 1)
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	s.mu.Lock()
	s.cancel, s.done = cancel, done
	s.mu.Unlock()
	log := slog.New(slog.NewTextHandler(s.app.Err, &slog.HandlerOptions{Level: slog.LevelInfo}))
	go func() {
		err := supervisor.Run(own, supervisor.Config{
			Lab: l, Files: s.files, Wire: wire, NetNS: netns, Guests: s.host.virt, Log: log,
			Ready: func(err error) error { ready <- err; return nil },
		})
		err = errors.Join(err, wire.Close())
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		close(done)
	}()
	return <-ready
}

// Stop ends it, wherever it runs.
func (s *insideSupervisor) Stop(ctx context.Context) error {
	s.mu.Lock()
	cancel, done := s.cancel, s.done
	s.mu.Unlock()
	if cancel == nil {
		return superviseProcess(s.app, s.files).Stop(ctx)
	}
	cancel()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = nil
	return nil
}

// wait returns when ctx ends (nil) or the supervisor has ended by itself, which is an error.
func (s *insideSupervisor) wait(ctx context.Context) error {
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	if done == nil { // the lab was up already, with a supervisor of its own
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-done:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
