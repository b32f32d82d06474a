package main

import (
	"context"
	"slices"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/doctor"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// warnOfBorder says before a lab with a way out comes up that another firewall may be in the way. What cannot be found out
// is not worth a word here: the lab comes up all the same.
func warnOfBorder(ctx context.Context, a *app, l *lab.Lab) {
	if !slices.ContainsFunc(l.Bridges, func(b lab.Bridge) bool { return b.Internet == lab.NAT }) {
		return
	}
	if policy, err := (doctor.System{}).DroppedForwarding(ctx); err == nil && policy != "" {
		a.showDiagnostics(diag.List{diag.New(diag.ForwardDropped, diag.Args{"policy": policy})})
	}
}
