package main

import (
	"context"
	"errors"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/vm"
)

// agentWait is how long `exec` and `cp` wait for a guest's agent by default: a guest that was started just now still
// boots, for half a minute without hardware virtualisation.
const agentWait = time.Minute

// wayIn is a guest that commands can be run in, through libvirt and the guest's agent: no network is needed.
type wayIn struct {
	app   *app
	conn  *vm.Conn
	agent *vm.Agent
	guest string // as the user calls it
	wait  time.Duration
}

// openWayIn finds a guest and waits until its agent answers.
func openWayIn(ctx context.Context, a *app, command, labName, guest string, wait time.Duration) (_ *wayIn, err error) {
	w := &wayIn{app: a, guest: guest, wait: wait}
	if w.conn, err = vm.Dial(ctx, a.global.connect); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.conn.Close())
		}
	}()
	domains, err := w.conn.Domains(ctx)
	if err != nil {
		return nil, err
	}
	domain, err := findGuest(domains, labName, guest, command)
	if err != nil {
		return nil, err
	}
	if !domain.Run.Active() {
		return nil, diag.New(diag.GuestNotRunning, diag.Args{"guest": guest, "state": a.T("state." + domain.Run.String())})
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if w.agent, err = w.conn.Agent(limited, domain.Name); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, w.explain(err)
	}
	return w, nil
}

// Close drops the connection.
func (w *wayIn) Close() error { return w.conn.Close() }

// explain gives an error of the agent its code, in terms of the guest.
func (w *wayIn) explain(err error) error {
	var (
		silent  *vm.AgentSilentError
		refused *vm.AgentError
	)
	switch {
	case errors.As(err, &silent):
		opened := "no"
		if silent.Opened {
			opened = "yes"
		}
		return diag.New(diag.AgentSilent, diag.Args{
			"guest": w.guest, "state": w.app.T("state." + silent.Run.String()), "wait": w.wait, "opened": opened,
		}).Wrap(err)
	case errors.Is(err, vm.ErrNotRunning), errors.Is(err, vm.ErrNotFound):
		return diag.New(diag.GuestNotRunning, diag.Args{"guest": w.guest, "state": w.app.T("state.shutoff")}).Wrap(err)
	case errors.Is(err, vm.ErrNonsense):
		return diag.New(diag.AgentNonsense, diag.Args{"guest": w.guest}).Wrap(err)
	case errors.Is(err, vm.ErrSlow):
		return diag.New(diag.GuestSlow, diag.Args{"guest": w.guest}).Wrap(err)
	case errors.As(err, &refused):
		return diag.New(diag.AgentRefused, diag.Args{"guest": w.guest, "message": refused.Message}).Wrap(err)
	}
	return err
}
