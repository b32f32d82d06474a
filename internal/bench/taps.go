package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kvmlab/kvmlab/netsetup"
)

// How many taps go onto a bridge, and in how many rounds.
const (
	tapCount  = 200
	tapRounds = 7
	// tapsAtOnce is how many changes the engine makes at once.
	tapsAtOnce = 8
)

// benchTaps puts taps onto a bridge, as `up` does, and by one file of commands for `ip -batch`.
func benchTaps(ctx context.Context, o options) (_ string, err error) {
	rounds, count := tapRounds, tapCount
	if o.quick {
		rounds, count = 2, 20
	}
	batch, remove, err := tapBatches(o.dir, count)
	if err != nil {
		return "", err
	}
	var ours, marked samples
	for round := range rounds {
		o.say("round %d of %d", round+1, rounds)
		took, err := tapsByKvmlab(ctx, count)
		if err != nil {
			return "", err
		}
		ours.add(took)
		if took, err = ipBatch(ctx, batch); err != nil {
			return "", err
		}
		marked.add(took)
		if _, err = ipBatch(ctx, remove); err != nil {
			return "", err
		}
	}
	return tapsPage(count, rounds, ours, marked), nil
}

// tapsByKvmlab makes a bridge with taps, with their marks and their owner, and removes all of it. It returns the seconds
// from the bridge to the last tap.
func tapsByKvmlab(ctx context.Context, count int) (took float64, err error) {
	h, err := netsetup.Open()
	if err != nil {
		return 0, fmt.Errorf("open the kernel's links: %w", err)
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	owner := func(name string) netsetup.Owner { return netsetup.Owner{Lab: "bench", Object: name} }
	began := time.Now()
	if _, err := h.EnsureBridge(ctx, netsetup.Bridge{Name: "bb1", Owner: owner("bb1")}); err != nil {
		return 0, err
	}
	all, running := errgroup.WithContext(ctx)
	all.SetLimit(tapsAtOnce)
	for i := range count {
		all.Go(func() error {
			name := fmt.Sprintf("bt%d", i)
			_, err := h.EnsureTap(running, netsetup.Tap{Name: name, Bridge: "bb1", Owner: owner(name)})
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return 0, err
	}
	took = time.Since(began).Seconds()
	for i := range count {
		name := fmt.Sprintf("bt%d", i)
		if _, err := h.RemoveLink(ctx, name, owner(name)); err != nil {
			return 0, err
		}
	}
	_, err = h.RemoveLink(ctx, "bb1", owner("bb1"))
	return took, err
}

// tapBatches writes the files for ip -batch that make the same, marks included, and remove it again.
func tapBatches(dir string, count int) (batch, remove string, err error) {
	var made, gone strings.Builder
	mark := func(name string) {
		fmt.Fprintf(&made, "link set %s alias kvmlab:bench/%s\nlink property add dev %s altname kvmlab:bench:%s\n", name, name, name, name)
		fmt.Fprintf(&made, "link set %s up\n", name)
		fmt.Fprintf(&gone, "link del %s\n", name)
	}
	made.WriteString("link add bb1 type bridge\n")
	mark("bb1")
	for i := range count {
		name := fmt.Sprintf("bt%d", i)
		fmt.Fprintf(&made, "tuntap add dev %s mode tap\nlink set %s master bb1\n", name, name)
		mark(name)
	}
	batch, remove = filepath.Join(dir, "make"), filepath.Join(dir, "remove")
	return batch, remove, errors.Join(
		os.WriteFile(batch, []byte(made.String()), 0o600), os.WriteFile(remove, []byte(gone.String()), 0o600))
}

// ipBatch runs a file of commands and returns how many seconds that took.
func ipBatch(ctx context.Context, file string) (float64, error) {
	began := time.Now()
	if out, err := exec.CommandContext(ctx, "ip", "-batch", file).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("ip -batch: %w\n%s", err, out)
	}
	return time.Since(began).Seconds(), nil
}

// tapsPage writes the section on taps.
func tapsPage(count, rounds int, ours, batch samples) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Taps onto a bridge\n\nMeasured by `scripts/bench taps` on %s, in a private host, %d rounds in which both ways had their turn. Seconds:\n"+
		"median (least–greatest).\n\n", machine(), rounds)
	b.WriteString(timeTable(3,
		timing{fmt.Sprintf("a bridge and %d taps by `netsetup`, %d at once", count, tapsAtOnce), ours},
		timing{"the same by one file for `ip -batch`", batch}))
	fmt.Fprintf(&b, "\n`netsetup` / `ip -batch`: %s. Both write the marks of ownership (alias and alternative name); `netsetup` also looks\n"+
		"first whether the link is there and whose it is. What it needs more is a renaming: its taps are made under a name of the\n"+
		"kernel's choice, so that none is a stranger's, and the kernel waits until nobody can be reading the old name.\n", ratio(ours.quantile(0.5), batch.quantile(0.5)))
	return b.String()
}
