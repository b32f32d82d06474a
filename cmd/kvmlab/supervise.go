package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/internal/supervisor"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// newSuperviseCmd is the program of the supervisor's process. It is started by `up` and hidden from people.
func newSuperviseCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "supervise LAB",
		Hidden: true,
		Args:   a.exactArgs("LAB"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSupervise(cmd.Context(), a, args[0])
		},
	}
}

func runSupervise(ctx context.Context, a *app, name string) error {
	// It was started as /proc/self/exe, and would be "exe" in the eyes of ss and ps (proc(5), comm).
	if err := os.WriteFile("/proc/self/comm", []byte("kvmlab"), 0); err != nil {
		a.log.Debug("name the process", "err", err)
	}
	ready := supervisor.InheritedReady()
	fail := func(err error) error {
		_ = ready.Tell(err) // the parent may be gone; the error is logged as well
		return err
	}
	// The log outlives the terminal, so it says what happens at every level that is not for debugging.
	logger := slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: slog.LevelInfo}))
	files, err := a.dirs.Lab(name)
	if err != nil {
		return fail(err)
	}
	l, err := readLab(files)
	if err != nil {
		return fail(err)
	}
	net, netns, err := openWire(l)
	if err != nil {
		return fail(err)
	}
	defer net.Close() //nolint:errcheck // the process ends
	virt, err := vm.Dial(ctx, a.global.connect)
	if err != nil {
		return fail(err)
	}
	defer virt.Close() //nolint:errcheck // the process ends
	giveBack := func() {
		if err := settle(); err != nil {
			logger.Warn("give memory back", "lab", name, "err", err)
		}
	}
	// Once what only the start needs is not needed any more, and once more when the guests are up.
	defer time.AfterFunc(restAfter, giveBack).Stop()
	err = supervisor.Run(ctx, supervisor.Config{
		Lab: l, Files: files, Wire: net, NetNS: netns, Guests: virt, Log: logger, Detach: true,
		Ready: func(err error) error {
			told := ready.Tell(err)
			giveBack()
			return told
		},
	})
	if err != nil {
		logger.Error("supervisor ends", "lab", name, "err", err)
	}
	return err
}

// openWire opens the network namespace that a lab's links are in, and tells its path; empty for the host's.
func openWire(l *lab.Lab) (net *netsetup.Handle, path string, err error) {
	if l.Isolation != lab.Netns {
		net, err = netsetup.OpenHost()
		return net, "", err
	}
	net, err = netsetup.OpenNamespace(l.Name)
	return net, netsetup.NamespacePath(l.Name), err
}

// errNoLabFile is returned for a lab whose description is not there.
var errNoLabFile = errors.New("the lab has no stored description")

// readLab reads the description of a lab that is up, or was.
func readLab(files state.Lab) (*lab.Lab, error) {
	data, err := files.ReadLabFile()
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, errNoLabFile
	}
	return lab.Decode(files.LabFile(), data)
}
