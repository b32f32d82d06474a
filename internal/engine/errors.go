package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// OverlapError says that the host already uses the subnet of a bridge.
type OverlapError struct {
	Bridge  string
	Subnet  netip.Prefix
	Overlap netsetup.Overlap
}

// Error implements error.
func (e *OverlapError) Error() string {
	return fmt.Sprintf("subnet %s of %s overlaps %s on %s", e.Subnet, e.Bridge, e.Overlap.Prefix, e.Overlap.Link)
}

func explainOverlap(e *OverlapError) error {
	return diag.New(diag.SubnetOverlap, diag.Args{
		"subnet": e.Subnet.String(), "bridge": e.Bridge, "other": e.Overlap.Prefix.String(), "via": e.Overlap.Link,
	}).Wrap(e)
}

func explainForeignLink(e *netsetup.ForeignError) error {
	return diag.New(diag.ForeignLink, diag.Args{"name": e.Name, "kind": e.Kind.String()}).Wrap(e)
}

func explainForeignDomain(e *vm.ForeignError) error {
	return diag.New(diag.ForeignDomain, diag.Args{"domain": e.Domain}).Wrap(e)
}

// explainNetwork gives an error of the network its code. action is what was tried: "create bridge br1".
func explainNetwork(action string, err error) error {
	if foreign, ok := errors.AsType[*netsetup.ForeignError](err); ok {
		return explainForeignLink(foreign)
	}
	if foreign, ok := errors.AsType[*netsetup.ForeignNamespaceError](err); ok {
		return diag.New(diag.ForeignNamespace, diag.Args{"namespace": foreign.Name}).Wrap(foreign)
	}
	if foreign, ok := errors.AsType[*netsetup.ForeignTableError](err); ok {
		return diag.New(diag.ForeignTable, diag.Args{"table": foreign.Name}).Wrap(foreign)
	}
	code := diag.NetworkFailed
	switch {
	case ended(err):
		return err
	case errors.Is(err, netsetup.ErrNoTun):
		return diag.New(diag.NoTun, diag.Args{"path": "/dev/net/tun"}).Wrap(err)
	case errors.Is(err, netsetup.ErrNotForwarding):
		return diag.New(diag.NotForwarding, nil).Wrap(err)
	case errors.Is(err, netsetup.ErrSealed):
		return diag.New(diag.SealRefused, diag.Args{"action": action}).Wrap(err)
	case errors.Is(err, netsetup.ErrManyNetworks):
		return diag.New(diag.ManyNetworks, nil).Wrap(err)
	case errors.Is(err, netsetup.ErrNoNftables):
		return diag.New(diag.NoNftables, nil).Wrap(err)
	case errors.Is(err, netsetup.ErrPermission):
		code = diag.NetworkDenied
	}
	return diag.New(code, diag.Args{"action": action}).Wrap(err)
}

// explainHypervisor gives an error of libvirt its code, and leaves alone one that says nothing about libvirt itself.
func explainHypervisor(err error) error {
	if foreign, ok := errors.AsType[*vm.ForeignError](err); ok {
		return explainForeignDomain(foreign)
	}
	if unreachable, ok := errors.AsType[*vm.UnreachableError](err); ok {
		return diag.New(diag.LibvirtUnreachable, diag.Args{"uri": unreachable.URI}).Wrap(err)
	}
	if errors.Is(err, vm.ErrDenied) {
		return diag.New(diag.LibvirtDenied, diag.Args{"socket": "libvirt's socket"}).Wrap(err)
	}
	return err
}

// explainGuest gives an error about one guest its code, which is code unless libvirt as a whole is to blame.
func explainGuest(code diag.Code, guest string, err error) error {
	explained := explainHypervisor(err)
	if diag.CodeOf(explained) != "" || ended(err) {
		return explained
	}
	return diag.New(code, diag.Args{"guest": guest}).Wrap(err)
}

// explainState gives an error of the state files its code.
func explainState(file string, err error) error {
	if err == nil {
		return nil
	}
	if locked, ok := errors.AsType[*state.LockedError](err); ok {
		return diag.New(diag.LabBusy, diag.Args{"lab": locked.Lab}).Wrap(err)
	}
	if _, ok := errors.AsType[*state.CorruptError](err); ok {
		return diag.New(diag.StateUnreadable, diag.Args{"file": file}).Wrap(err)
	}
	return diag.New(diag.StateWrite, diag.Args{"file": file}).Wrap(err)
}

// ended reports whether err only says that somebody stopped waiting. A time limit of libvirt's own counts as its
// failure, not as that.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, vm.ErrNoAnswer)
}
