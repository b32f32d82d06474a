package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/vm"
)

// takeAllDown takes several labs down at the same time and goes on after one that fails.
func (o *downOptions) takeAllDown(ctx context.Context, h *host, names []string) ([]takenDown, []error) {
	limit := 2 * atOnce() // it is mostly waiting, for the kernel and for libvirt
	if o.dryRun {
		limit = 1 // what is printed is to stay together
	}
	done, errs := make([]takenDown, len(names)), make([]error, len(names))
	eachAtOnce(len(names), limit, func(i int) {
		if done[i], errs[i] = (takenDown{Name: names[i]}), ctx.Err(); errs[i] == nil {
			done[i], errs[i] = o.takeDown(ctx, h, names[i])
		}
	})
	return done, errs
}

// present are those of a class's labs that are there: whoever has none needs nothing taken down.
func (c *classFlags) present(known []string) ([]string, error) {
	names, err := c.labNames()
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(known, name) })
	if len(names) == 0 {
		c.app.say("down.nothing")
	}
	return names, nil
}

// domainsOnce asks libvirt once for all domains: with a class on the host, asking anew for each lab would take the square
// of the time.
type domainsOnce struct {
	engine.Hypervisor

	once sync.Once
	list []vm.State
	err  error
}

// Domains gives every caller a copy of the first answer.
func (d *domainsOnce) Domains(ctx context.Context) ([]vm.State, error) {
	d.once.Do(func() { d.list, d.err = d.Hypervisor.Domains(ctx) })
	return slices.Clone(d.list), d.err
}

// atAGlance makes the host one that is looked at once, for commands that change nothing.
func (h *host) atAGlance() {
	cfg := h.cfg
	cfg.Hypervisor = &domainsOnce{Hypervisor: cfg.Hypervisor}
	h.Engine = engine.New(cfg)
}

// writeClassStatus prints a row for each lab of a class.
func writeClassStatus(a *app, students []student, labs []labState) error {
	table := cliui.NewTable(a.OutStyle(), a.T("table.student"), a.T("table.lab"), a.T("table.state"), a.T("table.running"), a.T("table.leases"))
	for i, st := range labs {
		running, cards, leases := 0, 0, 0
		for _, g := range st.Guests {
			if g.State == "running" {
				running++
			}
			for _, nic := range g.NICs {
				cards++
				if nic.Lease != nil && nic.Lease.State == "bound" {
					leases++
				}
			}
		}
		table.Row(students[i].Name, st.Name, a.T("state."+st.State),
			fmt.Sprintf("%d/%d", running, len(st.Guests)), fmt.Sprintf("%d/%d", leases, cards))
	}
	_, err := table.WriteTo(a.Out)
	return err
}
