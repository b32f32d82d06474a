package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// resetOptions are what `reset` can be told.
type resetOptions struct {
	app   *app
	guest string
	lab   string // --lab
	yes   bool   // --yes
}

func newResetCmd(a *app) *cobra.Command {
	o := &resetOptions{app: a}
	cmd := a.command("reset GUEST", "reset")
	cmd.Args = a.exactArgs("GUEST")
	cmd.ValidArgsFunction = a.completeGuests
	cmd.Flags().StringVar(&o.lab, "lab", "", a.T("console.flag.lab"))
	cmd.Flags().BoolVar(&o.yes, "yes", false, a.T("disks.flag.yes"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.guest = args[0]
		return o.run(cmd.Context())
	}
	return cmd
}

func (o *resetOptions) run(ctx context.Context) (err error) {
	a := o.app
	h, err := openHost(ctx, a, hostOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	labName, err := o.find(ctx, h)
	if err != nil {
		return err
	}
	disks, err := labDisks(a.dirs, []string{labName})
	if err != nil {
		return err
	}
	if disk := labName + "/" + o.guest; slices.Contains(disks, disk) {
		if err := a.confirmLoss("kvmlab reset "+o.guest, []string{disk}, o.yes); err != nil {
			return err
		}
	}
	ran, err := h.Reset(ctx, labName, o.guest)
	if err != nil {
		return err
	}
	if ran {
		var unnoted error
		planned := func(*lab.Lab) { unnoted = a.announce(labName, beginning{}) } // the host may have been restarted
		_, err := h.Up(ctx, labName, (&upOptions{app: a}).resolveStored(labName), engine.UpOptions{Planned: planned})
		if err := errors.Join(err, unnoted); err != nil {
			return err
		}
		a.say("reset.started", "guest", o.guest)
		return nil
	}
	a.say("reset.done", "guest", o.guest)
	return nil
}

// find tells the guest's lab: by the marks on the domains, or, of a lab that is down, by the disk that it has kept.
func (o *resetOptions) find(ctx context.Context, h *host) (string, error) {
	domains, err := h.virt.Domains(ctx)
	if err != nil {
		return "", err
	}
	domain, err := findGuest(domains, o.lab, o.guest, "reset")
	if err == nil || diag.CodeOf(err) == diag.GuestAmbiguous {
		return domain.Owner.Lab, err
	}
	labs, keptErr := o.app.dirs.KeptDisks()
	if keptErr != nil {
		return "", keptErr
	}
	var found []string
	for _, name := range labs {
		disks, disksErr := labDisks(o.app.dirs, []string{name})
		if disksErr != nil {
			return "", disksErr
		}
		if slices.Contains(disks, name+"/"+o.guest) && (o.lab == "" || o.lab == name) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", err
	case 1:
		return found[0], nil
	}
	return "", diag.New(diag.GuestAmbiguous, diag.Args{"guest": o.guest, "labs": found})
}
