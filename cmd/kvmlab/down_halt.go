package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/netsetup"
)

// haltPatience is how long a guest may take to switch itself off. A Debian needs up to ten seconds without hardware
// virtualisation; systemd gives a host's services a minute and a half.
const haltPatience = 30 * time.Second

// halted is what `kvmlab down --halt -o json` says about one lab.
type halted struct {
	Name string   `json:"name"`
	Off  []string `json:"off"` // guests that have switched themselves off
	Cut  []string `json:"cut"` // guests whose power was cut
}

// runHalt switches the guests of labs off and keeps the labs.
func (o *downOptions) runHalt(ctx context.Context) (err error) {
	if o.purge || o.dryRun {
		return diag.New(diag.Usage, diag.Args{"message": o.app.T("down.halt-alone"), "command": "kvmlab down"})
	}
	// While the host goes down, libvirt is not started any more, and asking for it would take its time.
	if something, err := o.runs(ctx); err != nil || !something {
		return err
	}
	h, err := openHost(ctx, o.app, hostOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	names, err := o.chosen(ctx, h)
	if err != nil {
		return err
	}
	report := struct {
		Labs []halted `json:"labs"`
	}{make([]halted, len(names))}
	errs := make([]error, len(names))
	// All at once: they are waited for, and the time is the host's.
	eachAtOnce(len(names), len(names), func(i int) {
		report.Labs[i], errs[i] = o.halt(ctx, h, names[i])
	})
	if o.app.wantsJSON() {
		errs = append(errs, o.app.printJSON(report))
	}
	return errors.Join(errs...)
}

// runs reports whether anything of any lab is on this host but files and descriptions, and says so when it is not.
func (o *downOptions) runs(ctx context.Context) (bool, error) {
	if os.Geteuid() != 0 {
		return true, nil // who may not look is told so later
	}
	network, err := netsetup.OpenHost()
	if err != nil {
		return false, err
	}
	links, err := network.Links(ctx)
	isolated, isolatedErr := labNamespaces{}.Labs(ctx)
	if err := errors.Join(err, isolatedErr, network.Close()); err != nil {
		return false, err
	}
	if len(isolated) > 0 || slices.ContainsFunc(links, func(l netsetup.Link) bool { return l.Owner.Lab != "" }) {
		return true, nil
	}
	o.app.say("down.nothing")
	if o.app.wantsJSON() {
		return false, o.app.printJSON(struct {
			Labs []halted `json:"labs"`
		}{[]halted{}})
	}
	return false, nil
}

// halt switches one lab's guests off.
func (o *downOptions) halt(ctx context.Context, h *host, name string) (halted, error) {
	began := o.app.now()
	done, err := h.Halt(ctx, name, haltPatience)
	result := halted{Name: name, Off: []string{}, Cut: []string{}}
	if done != nil {
		result.Off, result.Cut = append(result.Off, done.Off...), append(result.Cut, done.Cut...)
	}
	if err != nil {
		return result, err
	}
	if !o.app.wantsJSON() {
		o.app.say("down.halted", "lab", name, "guests", o.app.msgs.N("count.guests", len(result.Off)+len(result.Cut)),
			"seconds", fmt.Sprintf("%.1f", o.app.now().Sub(began).Seconds()))
	}
	if len(result.Cut) > 0 {
		o.app.showDiagnostics([]*diag.Diagnostic{diag.New(diag.PowerCut, diag.Args{
			"lab": name, "guests": strings.Join(result.Cut, ", "), "wait": haltPatience.String(),
		})})
	}
	return result, nil
}
