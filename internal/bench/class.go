package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// classSizes are how many labs at once are measured.
func (o options) classSizes() []int {
	if o.quick {
		return []int{1, 2}
	}
	return []int{1, 5, 10, 20, 30}
}

// classFigures are what was measured of a class.
type classFigures struct {
	cold         bool
	labs, guests int
	up, down     float64 // seconds
	cpu, pss     float64 // of one guest: seconds of processor, MiB
}

// classes are what was measured in one run.
type classes struct {
	all         []classFigures // the first one is of one lab that boots: the median of three
	fresh       *classFigures  // the greatest that was resumed, in memory that was free before; nil: the run was ended
	first, soon time.Duration  // what it takes to take a page of free memory, and once more right after it was given back
}

// benchClass measures isolated labs that are brought up together.
func benchClass(ctx context.Context, o options) (string, error) {
	if err := o.warmUp(ctx); err != nil {
		return "", err
	}
	var c classes
	err := c.measure(ctx, o)
	if err != nil && (ctx.Err() == nil || len(c.all) == 0) {
		return "", err
	}
	return c.page(), nil
}

// measure brings class after class up. One lab that boots comes first: what a boot costs is the measure of the rest. The
// slowest come last, so that a run which is ended early has the others.
func (c *classes) measure(ctx context.Context, o options) (err error) {
	if c.first, c.soon, err = touchMemory(); err != nil {
		return err
	}
	run := func(n int, cold bool) (classFigures, error) {
		if err := o.useMemory(ctx); err != nil {
			return classFigures{}, err
		}
		return o.class(ctx, n, cold)
	}
	var boots [3]classFigures
	for i := range boots {
		if boots[i], err = run(1, true); err != nil {
			return err
		}
	}
	slices.SortFunc(boots[:], func(a, b classFigures) int { return cmp.Compare(a.cpu, b.cpu) })
	c.all = append(c.all, boots[len(boots)/2])
	sizes := o.classSizes()
	for _, cold := range []bool{false, true} {
		for _, n := range sizes {
			if n == 1 && cold {
				continue
			}
			figures, err := run(n, cold)
			if err != nil {
				return err
			}
			c.all = append(c.all, figures)
		}
	}
	if err := o.freeMemory(ctx); err != nil {
		return err
	}
	fresh, err := o.class(ctx, sizes[len(sizes)-1], false)
	if err == nil {
		c.fresh = &fresh
	}
	return err
}

// class brings up n isolated labs, booted or resumed, and measures them and their guests.
func (o options) class(ctx context.Context, n int, cold bool) (c classFigures, err error) {
	o.say("a class of %d, cold: %v", n, cold)
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("s%d", i+1)
	}
	class := strings.Join(names, ",")
	c.labs, c.cold = n, cold
	if c.up, err = o.timed(ctx, "up", "--plain", fmt.Sprintf("--cold=%v", cold), "--class", class, "--wait", "10m"); err != nil {
		return c, err
	}
	if c.guests, c.cpu, c.pss, err = guestsUse("s*"); err != nil {
		return c, err
	}
	c.down, err = o.timed(ctx, "down", "--class", class)
	return c, err
}

// page writes the section on classes.
func (c *classes) page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## A class\n\nMeasured by `scripts/bench class` on %s, in a private host. Every student's lab is the class's, isolated; all\n"+
		"were brought up by one `up --class`: with `--cold` every guest boots, without it they are resumed from a template. Before each\n"+
		"class, what was free of the machine's memory was filled with the cache of a file, as it is on a machine that has been on for\n"+
		"a while.\n\n", machine())
	b.WriteString("| labs | guests | | up, s | s / (guests × processor s of a boot ÷ processors) | down, s | processor s per guest | MiB per guest |\n|---|---|---|---|---|---|---|---|\n")
	for _, f := range c.all {
		b.WriteString(c.row(f, ""))
	}
	if c.fresh != nil {
		b.WriteString(c.row(*c.fresh, ", memory was free"))
	}
	b.WriteString("\nProcessor time is that of QEMU from its start until all leases were there; memory is its proportional set then.\n")
	fmt.Fprintf(&b, "\nTo take a page of 4 KiB of free memory took this machine %.1f µs, and %.1f µs when it had just been given back. Where the first is\n"+
		"much more, it is a virtual machine that gets its memory from its own host, and returns what is free (free page reporting):\n"+
		"guests in free memory then pay for it.\n", c.first.Seconds()*1e6, c.soon.Seconds()*1e6)
	return b.String()
}

// row is one line of the table.
func (c *classes) row(f classFigures, note string) string {
	way := "resumed"
	if f.cold {
		way = "cold"
	}
	boot := c.all[0].cpu // of a guest that boots in a class of one
	ideal := float64(f.guests) * boot / float64(runtime.NumCPU())
	return fmt.Sprintf("| %d | %d | %s%s | %.1f | %s | %.1f | %.2f | %.0f |\n", f.labs, f.guests, way, note, f.up, ratio(f.up, ideal), f.down,
		f.cpu, f.pss)
}
