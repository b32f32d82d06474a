package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/vm"
)

// execOptions are what `exec` can be told.
type execOptions struct {
	app     *app
	guest   string
	command []string
	lab     string        // --lab
	wait    time.Duration // --wait
	limit   time.Duration // --timeout
	noInput bool          // --no-stdin
}

// statusError is the exit status of a command in a guest: `exec` ends with the same one and says nothing about it.
type statusError struct{ status int }

// Error implements error.
func (e *statusError) Error() string { return fmt.Sprintf("the command's exit status is %d", e.status) }

func newExecCmd(a *app) *cobra.Command {
	o := &execOptions{app: a}
	cmd := a.command("exec GUEST -- COMMAND...", "exec")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) < 2 {
			return a.usageError(cmd, "usage.missing-argument", "argument", []string{"GUEST COMMAND", "COMMAND"}[len(args)])
		}
		return nil
	}
	cmd.ValidArgsFunction = a.completeGuests
	// What follows GUEST is the command's own, with or without "--" in front.
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringVar(&o.lab, "lab", "", a.T("console.flag.lab"))
	cmd.Flags().DurationVar(&o.wait, "wait", agentWait, a.T("exec.flag.wait"))
	cmd.Flags().DurationVar(&o.limit, "timeout", 0, a.T("exec.flag.timeout"))
	cmd.Flags().BoolVarP(&o.noInput, "no-stdin", "n", false, a.T("exec.flag.no-stdin"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.guest, o.command = args[0], args[1:]
		if strings.HasPrefix(o.command[0], "-") && o.command[0] != "--" {
			return a.usageError(cmd, "exec.flags-first", "flag", o.command[0])
		}
		if o.command[0] == "--" {
			o.command = o.command[1:]
		}
		if len(o.command) == 0 {
			return a.usageError(cmd, "usage.missing-argument", "argument", "COMMAND")
		}
		return o.run(cmd.Context())
	}
	if err := cmd.RegisterFlagCompletionFunc("lab", completeLabs(a)); err != nil {
		a.log.Debug("register completion", "error", err)
	}
	return cmd
}

func (o *execOptions) run(ctx context.Context) (err error) {
	way, err := openWayIn(ctx, o.app, "exec", o.lab, o.guest, o.wait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, way.Close()) }()
	// An interrupt is the command's, which decides what to make of it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	names, stop := passSignals(cancel)
	defer stop()
	if o.limit > 0 {
		var over context.CancelFunc
		ctx, over = context.WithTimeout(ctx, o.limit)
		defer over()
	}
	status, err := way.agent.Exec(ctx, vm.Command{
		Args: o.command, Stdin: o.input(), Stdout: o.app.Out, Stderr: o.app.Err, Signals: names,
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return diag.New(diag.ExecTimeout, diag.Args{"guest": o.guest, "limit": o.limit}).Wrap(err)
	case err != nil:
		return way.explain(err)
	case status != 0:
		return &statusError{status}
	}
	return nil
}

// input is what the command reads: nil for nothing, which spares the guest waiting for it.
func (o *execOptions) input() io.Reader {
	file, ok := o.app.In.(*os.File)
	if o.noInput || !ok {
		return nil
	}
	var null, given syscall.Stat_t
	if syscall.Stat(os.DevNull, &null) == nil && syscall.Fstat(int(file.Fd()), &given) == nil && null.Rdev == given.Rdev &&
		given.Mode&syscall.S_IFMT == syscall.S_IFCHR {
		return nil
	}
	return file
}

// patience is how many signals a command in a guest may get before it is given up.
const patience = 3

// passSignals takes the signals of this process over and gives their names, for the command in the guest. giveUp is
// called when so many came that somebody wants to leave in any case.
func passSignals(giveUp func()) (names <-chan string, stop func()) {
	known := map[os.Signal]string{
		syscall.SIGINT: "INT", syscall.SIGTERM: "TERM", syscall.SIGHUP: "HUP", syscall.SIGQUIT: "QUIT",
		syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2",
	}
	got := make(chan os.Signal, 8)
	for s := range known {
		if !signal.Ignored(s) {
			signal.Reset(s)
			signal.Notify(got, s)
		}
	}
	out, done := make(chan string, 8), make(chan struct{})
	go func() {
		for count := 1; ; count++ {
			select {
			case <-done:
				return
			case s := <-got:
				if count > patience {
					giveUp()
					return
				}
				out <- known[s]
			}
		}
	}()
	return out, func() { signal.Stop(got); close(done) }
}
