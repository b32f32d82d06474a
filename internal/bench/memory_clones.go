package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/doctor"
)

const (
	// cloneMiB is the memory of a micro guest that nobody has given another.
	cloneMiB = 128
	// bootMost is how long a guest may boot until it counts as one that does not.
	bootMost = 30 * time.Second
)

// cloneWay is how guests come to a template's memory.
type cloneWay struct {
	name   string
	mapped bool // all map the file that it lies in; else each reads it from a stream
	small  bool // in pages of 4 KiB only
}

func cloneWays() []cloneWay {
	return []cloneWay{
		{name: "is read by each, as libvirt has it"},
		{name: "is read by each, into pages of 4 KiB", small: true},
		{name: "is one file, which all map (`share=off`)", mapped: true},
	}
}

// cloneFigures are what three guests need that were resumed from one template, on average, in MiB.
type cloneFigures struct {
	pss, rss float64
	took     samples // seconds from the start of QEMU to the lease
}

// boots reports whether a micro guest with so much memory comes so far as to ask who it is.
func boots(ctx context.Context, m micro, dir string, mib int) (_ bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, bootMost)
	defer cancel()
	g, err := startBare(ctx, m, dir, fmt.Sprintf("boots-%d", mib), mib)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	return tellGuest(ctx, g.identity, "hostname=pc", "ok") == nil, nil
}

// bareClones saves a guest of bare QEMU before its network comes up, resumes three from it, and reads their memory when
// they have their leases.
func bareClones(ctx context.Context, m micro, dir string, way cloneWay) (f cloneFigures, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if way.small { // programs that this one starts inherit it (prctl(2))
		if err := unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0); err != nil {
			return f, fmt.Errorf("do without huge pages: %w", err)
		}
		defer func() { err = errors.Join(err, unix.Prctl(unix.PR_SET_THP_DISABLE, 0, 0, 0, 0)) }()
	}
	if dir, err = os.MkdirTemp(dir, "clones-"); err != nil {
		return f, err
	}
	memory := func(share string) []string {
		if !way.mapped {
			return nil
		}
		// A second -machine adds to the first.
		return []string{"-machine", "memory-backend=ram", "-object", fmt.Sprintf("memory-backend-file,id=ram,size=%dM,mem-path=%s,share=%s",
			cloneMiB, filepath.Join(dir, "ram"), share)}
	}
	state := filepath.Join(dir, "state")
	template, err := startBare(ctx, m, dir, "template", cloneMiB, memory("on")...)
	if err != nil {
		return f, err
	}
	err = template.park(ctx, state, way.mapped)
	if err = errors.Join(err, template.stop()); err != nil {
		return f, fmt.Errorf("save a template: %w", err)
	}
	var guests []*bare
	defer func() {
		for _, g := range guests {
			err = errors.Join(err, g.stop())
		}
	}()
	began := time.Now()
	for i := range 3 {
		g, err := startBare(ctx, m, dir, fmt.Sprintf("clone%d", i), cloneMiB, append(memory("off"), "-incoming", "defer")...)
		if err != nil {
			return f, err
		}
		guests = append(guests, g)
	}
	all, resuming := errgroup.WithContext(ctx)
	took := make(chan float64, len(guests))
	for i, g := range guests {
		all.Go(func() error {
			defer func() { took <- time.Since(began).Seconds() }()
			return g.resume(resuming, state, way.mapped, i+1)
		})
	}
	if err := all.Wait(); err != nil {
		return f, fmt.Errorf("resume from a template: %w", err)
	}
	for _, g := range guests {
		f.took.add(<-took)
		use, err := doctor.ReadUsage(g.cmd.Process.Pid)
		if err != nil {
			return f, err
		}
		f.pss += use.PSS / float64(len(guests))
		f.rss += use.RSS / float64(len(guests))
	}
	return f, nil
}

// park has the guest get ready to be saved, and saves it.
func (g *bare) park(ctx context.Context, state string, mapped bool) error {
	if err := tellGuest(ctx, g.identity, "template=yes", "parked"); err != nil {
		return err
	}
	if err := g.do("stop", nil, nil); err != nil {
		return err
	}
	if mapped {
		if err := g.ignoreShared(); err != nil {
			return err
		}
	}
	if err := g.do("migrate", map[string]any{"uri": "exec:cat >" + state}, nil); err != nil {
		return err
	}
	return g.await(ctx, "query-migrate", "completed")
}

// resume lets a guest go on from a template, as itself.
func (g *bare) resume(ctx context.Context, state string, mapped bool, number int) error {
	if mapped {
		if err := g.ignoreShared(); err != nil {
			return err
		}
	}
	if err := g.do("migrate-incoming", map[string]any{"uri": "exec:cat " + state}, nil); err != nil {
		return err
	}
	if err := g.await(ctx, "query-status", "paused"); err != nil {
		return err
	}
	if err := g.do("cont", nil, nil); err != nil {
		return err
	}
	if err := tellGuest(ctx, g.identity, fmt.Sprintf("hostname=pc%d\nmac0=02:00:00:00:00:%02x", number, number), "ok"); err != nil {
		return err
	}
	return g.leased(ctx)
}
