// Command attack is what a hostile student would run in a guest: everything that root in a guest can send, print,
// write or answer in order to harm the host, the teacher's screen, a neighbour's lab, or the evidence of an exercise. It
// is built by the tests of cmd/kvmlab, which copy it into guests and look at the host before and after; it is no part
// of kvmlab itself.
//
//	attack list                              every attack, one a line, with what it is after
//	attack run GROUP/NAME [KEY=VALUE ...]    one of them
//	attack undo                              take back what attacks have done to the guest's files
//	attack listen [KEY=VALUE ...]            the other end of a scan: says what reaches it
//	attack print WHAT                        what a program that an attack has replaced prints
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// attack is one thing that a hostile guest does.
type attack struct {
	name string // group/name
	does string // what it does, and what it is after
	run  func(ctx context.Context, g *guest) error
}

// attacks is the table: to add an attack, add a row to its group.
func attacks() []attack {
	return slices.Concat(
		ipv6Frames,
		bridgeFrames,
		arpFrames,
		ipFrames,
		dhcpFrames,
		evidenceFloods,
		scans,
		consoleWords,
		fileTraps,
		agentLies,
		portNoise,
		resourceHogs,
	)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New(
	"usage: attack list | run GROUP/NAME [KEY=VALUE ...] | undo | listen [KEY=VALUE ...] | print WHAT",
)

func run(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "list":
		return list(out)
	case len(args) == 1 && args[0] == "undo":
		return undo(ctx)
	case len(args) > 0 && args[0] == "listen":
		return listen(ctx, args[1:], out)
	case len(args) == 2 && args[0] == "print":
		return printFake(args[1], out)
	case len(args) < 2 || args[0] != "run":
		return errUsage
	}
	all := attacks()
	i := slices.IndexFunc(all, func(a attack) bool { return a.name == args[1] })
	if i < 0 {
		return fmt.Errorf("no attack %q: see attack list", args[1])
	}
	g, err := newGuest(args[2:], out)
	if err != nil {
		return err
	}
	if err := all[i].run(ctx, g); err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	return nil
}

func list(out io.Writer) error {
	for _, a := range attacks() {
		if _, err := fmt.Fprintf(out, "%s\t%s\n", a.name, a.does); err != nil {
			return err
		}
	}
	return nil
}
