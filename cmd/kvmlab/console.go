package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/vm"
)

// quietAfterInput is how long a console must have printed nothing, after piped input has ended, to count as done.
const quietAfterInput = 2 * time.Second

// consoleOptions are what `console` can be told.
type consoleOptions struct {
	app   *app
	guest string
	lab   string // --lab
	force bool   // --force
}

func newConsoleCmd(a *app) *cobra.Command {
	opts := &consoleOptions{app: a}
	cmd := a.command("console GUEST", "console")
	cmd.Args = a.exactArgs("GUEST")
	cmd.ValidArgsFunction = a.completeGuests
	cmd.Flags().StringVar(&opts.lab, "lab", "", a.T("console.flag.lab"))
	cmd.Flags().BoolVar(&opts.force, "force", false, a.T("console.flag.force"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.guest = args[0]
		return opts.run(cmd.Context())
	}
	if err := cmd.RegisterFlagCompletionFunc("lab", completeLabs(a)); err != nil {
		a.log.Debug("register completion", "error", err)
	}
	return cmd
}

func (o *consoleOptions) run(ctx context.Context) (err error) {
	conn, err := vm.Dial(ctx, o.app.global.connect)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	domains, err := conn.Domains(ctx)
	if err != nil {
		return err
	}
	domain, err := findGuest(domains, o.lab, o.guest, "console")
	if err != nil {
		return err
	}
	if !domain.Run.Active() {
		return diag.New(diag.GuestNotRunning, diag.Args{"guest": o.guest, "state": o.app.T("state." + domain.Run.String())})
	}
	stream, err := o.open(ctx, conn, domain.Name)
	if err != nil {
		return err
	}
	if o.app.InIsTerminal() && o.app.OutIsTerminal() {
		if window, err := conn.Window(ctx, domain.Name); err == nil {
			defer o.follow(window)()
		} // else the guest takes its console for 80 by 24, as any serial line
	}
	return o.talk(ctx, stream)
}

// open opens the console, and names the guest as the user did in the errors that carry a hint.
func (o *consoleOptions) open(ctx context.Context, conn *vm.Conn, domain string) (io.ReadWriteCloser, error) {
	open := conn.Console
	if o.force {
		open = conn.TakeConsole
	}
	stream, err := open(ctx, domain)
	switch {
	case errors.Is(err, vm.ErrConsoleBusy):
		return nil, diag.New(diag.ConsoleBusy, diag.Args{"guest": o.guest}).Wrap(err)
	case errors.Is(err, vm.ErrNotRunning):
		return nil, diag.New(diag.GuestNotRunning, diag.Args{"guest": o.guest, "state": o.app.T("state.shutoff")}).Wrap(err)
	}
	return stream, err
}

// whyEnded says of a console that was lost how that came about.
func (o *consoleOptions) whyEnded(err error) error {
	args := diag.Args{"guest": o.guest}
	switch {
	case errors.Is(err, vm.ErrConsoleTaken):
		return diag.New(diag.ConsoleTaken, args).Wrap(err)
	case errors.Is(err, vm.ErrConsoleStalled):
		return diag.New(diag.ConsoleStalled, args).Wrap(err)
	}
	return err
}

// follow tells the guest the terminal's size, now and whenever it changes, until stop is called.
func (o *consoleOptions) follow(window *vm.Window) (stop func()) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	changed <- syscall.SIGWINCH
	done := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-changed:
				width, height := o.app.Size()
				if err := window.Resize(height, width); err != nil {
					o.app.log.Debug("window size", "guest", o.guest, "err", err)
				}
			}
		}
	})
	return func() {
		signal.Stop(changed)
		close(done)
		following.Wait()
		_ = window.Close() // the size was of interest to the guest only
	}
}

// talk connects the terminal with the console until one of them ends it.
func (o *consoleOptions) talk(ctx context.Context, stream io.ReadWriteCloser) error {
	a := o.app
	quiet := quietAfterInput
	if a.InIsTerminal() {
		quiet = 0
		a.say("console.hello", "guest", o.guest)
		if err := a.MakeRaw(); err != nil {
			return errors.Join(err, stream.Close())
		}
	}
	how, err := attach(ctx, a.In, a.Out, stream, quiet)
	err = errors.Join(o.whyEnded(err), a.Restore())
	if a.InIsTerminal() {
		a.Errf("\n")
	}
	switch how {
	case leftByUser:
		a.say("console.left", "guest", o.guest)
	case leftByGuest:
		a.say("console.stopped", "guest", o.guest)
	case leftByContext:
		return errors.Join(ctx.Err(), err)
	case leftByInputEnd, leftByError:
	}
	return err
}
