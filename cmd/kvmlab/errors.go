package main

import (
	"context"
	"errors"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// translate turns the typed errors of the packages below into diagnostics, which carry a code and a hint; the error
// stays as the cause. One that has a diagnostic already is left as it is. command is what was run.
func (a *app) translate(command string, err error) error {
	if err == nil || diag.CodeOf(err) != "" {
		return err
	}
	if errors.Is(err, vm.ErrURI) {
		return diag.New(diag.BadFlag, diag.Args{
			"flag": "--connect", "value": a.global.connect, "allowed": "qemu:///system, qemu:///session",
		}).Wrap(err)
	}
	if errors.Is(err, context.Canceled) {
		return diag.New(diag.Cancelled, diag.Args{"action": command}) // "context canceled" would tell nobody more
	}
	for _, known := range []func(string, error) *diag.Diagnostic{ofLibvirt, ofNetwork, ofState} {
		if d := known(command, err); d != nil {
			return d.Wrap(err)
		}
	}
	return err
}

func ofLibvirt(_ string, err error) *diag.Diagnostic {
	var (
		unreachable *vm.UnreachableError
		foreign     *vm.ForeignError
		start       *vm.StartError
	)
	switch {
	case errors.Is(err, vm.ErrDenied):
		return diag.New(diag.LibvirtDenied, diag.Args{"socket": "/run/libvirt"})
	case errors.As(err, &unreachable):
		return diag.New(diag.LibvirtUnreachable, diag.Args{"uri": unreachable.URI})
	case errors.As(err, &foreign):
		return diag.New(diag.ForeignDomain, diag.Args{"domain": foreign.Domain})
	case errors.As(err, &start):
		return diag.New(diag.GuestStartFailed, diag.Args{"guest": start.Domain})
	case errors.Is(err, vm.ErrNoAnswer):
		return diag.New(diag.LibvirtSlow, diag.Args{"call": "a request", "limit": "its time"})
	}
	return nil
}

func ofNetwork(command string, err error) *diag.Diagnostic {
	var (
		foreign *netsetup.ForeignError
		name    *netsetup.NameError
		netns   *netsetup.ForeignNamespaceError
	)
	switch {
	case errors.As(err, &netns):
		return diag.New(diag.ForeignNamespace, diag.Args{"namespace": netns.Name})
	case errors.As(err, &foreign):
		return diag.New(diag.ForeignLink, diag.Args{"name": foreign.Name, "kind": foreign.Kind.String()})
	case errors.As(err, &name):
		return diag.New(diag.BadLinkName, diag.Args{"name": name.Name, "kind": "link", "reason": name.Problem.String()})
	case errors.Is(err, netsetup.ErrNoTun):
		return diag.New(diag.NoTun, diag.Args{"path": "/dev/net/tun"})
	case errors.Is(err, netsetup.ErrPermission):
		return diag.New(diag.NetworkDenied, diag.Args{"action": strings.TrimPrefix(command, "kvmlab ")})
	}
	return nil
}

func ofState(_ string, err error) *diag.Diagnostic {
	locked := new(state.LockedError)
	if errors.As(err, &locked) {
		return diag.New(diag.LabBusy, diag.Args{"lab": locked.Lab})
	}
	return nil
}
