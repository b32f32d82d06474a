// Command kvmlab is a networking class in one command: labs of real virtual machines on one Linux host, with an
// embedded DHCP server, a view of every packet, and exercises that are checked.
package main

import (
	"context"
	"io"
	"os"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// run is one run of the program: it returns the exit status. The terminal is restored on every way out of it, a panic
// included.
func run(args []string, in io.Reader, out, errOut io.Writer, env func(string) string) int {
	streams := cliui.NewStreams(in, out, errOut, env)
	defer func() { _ = streams.Restore() }() // nothing is left to tell it to

	a, err := newApp(streams, env, args)
	if err != nil {
		return diag.ExitCode(err)
	}
	ctx, stop := onInterrupt(context.Background(), incomingSignals(), interruptActions{
		Again: func() { a.say("interrupt.again") },
		Force: func() {
			_ = streams.Restore()
			os.Exit(diag.ExitCancelled)
		},
	})
	defer stop()

	root := newRootCmd(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return a.report(cmd.CommandPath(), err)
}
