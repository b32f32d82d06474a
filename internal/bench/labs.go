package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/doctor"
)

// labRounds is how often each way to a lab is measured.
func (o options) labRounds() int {
	switch {
	case o.rounds > 0:
		return o.rounds
	case o.quick:
		return 1
	}
	return 5
}

// labFigures are what was measured of one lab with three guests, in seconds.
type labFigures struct {
	up, isolated, cold           samples // resumed from templates, and booted
	noop, status, down           samples
	noteUp, noteDown             samples // the class note's way
	bare                         samples // QEMU alone: the floor
	supervisorPSS, supervisorOwn samples // MiB: proportional, and without the program's file
	supervisorCPU                samples // seconds of processor until the third lease
}

// benchLab measures a lab beside what a teacher would do instead. In every round each way has its turn, so that a change
// of the machine's mood meets all of them.
func benchLab(ctx context.Context, o options) (string, error) {
	if err := o.warmUp(ctx); err != nil {
		return "", err
	}
	var f labFigures
	rounds := o.labRounds()
	for round := range rounds {
		o.say("round %d of %d", round+1, rounds)
		for _, measure := range []func(context.Context, options) error{f.kvmlab, f.note, f.floor} {
			if err := measure(ctx, o); err != nil {
				return "", err
			}
		}
	}
	return labPage(rounds, f), nil
}

// warmUp brings a lab up and down: it finds out how guests run here, and fills the machine's caches.
func (o options) warmUp(ctx context.Context) error {
	if _, err := o.timed(ctx, "up"); err != nil {
		return err
	}
	_, err := o.timed(ctx, "down")
	return err
}

// run runs kvmlab and returns what it said.
func (o options) run(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, o.kvmlab, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kvmlab %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// timed runs kvmlab and returns how long it took, in seconds.
func (o options) timed(ctx context.Context, args ...string) (float64, error) {
	began := time.Now()
	_, err := o.run(ctx, args...)
	return time.Since(began).Seconds(), err
}

// kvmlab measures the life of the class's lab.
func (f *labFigures) kvmlab(ctx context.Context, o options) error {
	for _, step := range []struct {
		into *samples
		args []string
	}{
		{&f.up, []string{"up", "--plain"}},
		{nil, nil},
		{&f.noop, []string{"up", "--plain"}},
		{&f.status, []string{"status"}},
		{&f.down, []string{"down"}},
		{&f.isolated, []string{"up", "--plain", "--isolate"}},
		{new(samples), []string{"down"}},
		{&f.cold, []string{"up", "--plain", "--cold"}},
		{new(samples), []string{"down"}},
	} {
		if step.args == nil {
			if err := f.supervisor(ctx, o); err != nil {
				return err
			}
			continue
		}
		took, err := o.timed(ctx, step.args...)
		if err != nil {
			return err
		}
		step.into.add(took)
	}
	return nil
}

// supervisor measures the process beside the lab.
func (f *labFigures) supervisor(ctx context.Context, o options) error {
	pid, err := o.supervisorPID(ctx)
	if err != nil {
		return err
	}
	use, err := doctor.ReadUsage(pid)
	f.supervisorCPU.add(use.CPU.Seconds())
	f.supervisorPSS.add(use.PSS)
	f.supervisorOwn.add(use.Anon)
	return err
}

// supervisorPID finds the supervisor of the only lab.
func (o options) supervisorPID(ctx context.Context) (int, error) {
	out, err := exec.CommandContext(ctx, o.kvmlab, "status", "-o", "json").Output()
	if err != nil {
		return 0, fmt.Errorf("kvmlab status: %w", err)
	}
	var report struct {
		Labs []struct{ Supervisor struct{ PID int } }
	}
	if err := json.Unmarshal(out, &report); err != nil || len(report.Labs) != 1 {
		return 0, fmt.Errorf("read the status of %d labs: %w", len(report.Labs), err)
	}
	return report.Labs[0].Supervisor.PID, nil
}

// guestsUse reads what the domains of a pattern use: processor seconds and MiB of proportional memory of one, on average.
func guestsUse(pattern string) (guests int, cpu, pss float64, err error) {
	pids, err := processesOf(pattern)
	if err != nil {
		return 0, 0, 0, err
	}
	use, err := doctor.ReadUsages(pids)
	n := float64(len(pids))
	return len(pids), use.CPU.Seconds() / n, use.PSS / n, err
}

// processesOf finds the QEMU of the domains of a pattern.
func processesOf(pattern string) (pids []int, err error) {
	files, err := filepath.Glob("/run/libvirt/qemu/" + pattern + ".pid")
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("no guests")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("find a guest's process: %w", err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return nil, fmt.Errorf("find a guest's process: %w", err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
