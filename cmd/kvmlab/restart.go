package main

import (
	"context"
	"slices"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/state"
)

// comesBack notes of an exercise whose host has been restarted that the guests that live in memory are not any more as the
// exercise began. It is called before the first change: whoever is killed after that finds the note.
func (a *app) comesBack(files state.Lab, p *progress) error {
	restarted, err := files.Restarted()
	if err != nil || !restarted {
		return err
	}
	a.say("up.restarted", "lab", files.Name())
	if p.Scenario == "" || !p.Begun || p.Anew {
		return nil
	}
	p.Anew = true
	return writeProgress(files, *p)
}

// beginAnew does what an exercise begins with once more, in the guests that live in memory and on the host: a restart of the
// host has taken that away. Guests with a disk have kept it, and what the student has done since.
func (e *exercise) beginAnew(ctx context.Context, h *host) error {
	kept, err := e.files.Disks()
	if err != nil {
		return err
	}
	steps := slices.DeleteFunc(slices.Clone(e.scenario.Checks.Beginning(e.progress.Seed)), func(s check.Step) bool {
		return s.Answer.Set || slices.Contains(kept, s.Guest.Value)
	})
	if len(steps) > 0 {
		e.app.say("scenario.begin", "lab", e.lab.Name)
		if err := e.apply(ctx, h, steps); err != nil {
			return err
		}
	}
	e.progress.Anew = false
	return writeProgress(e.files, e.progress)
}
