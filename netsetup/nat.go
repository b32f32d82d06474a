package netsetup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// NAT is the way out that a lab's bridges have: packets from guests on them are forwarded and leave the
// machine with its own address (RFC 3022, 2.2). Nothing comes in that does not answer to one.
//
// In the host's network namespace that is one table of nftables, called like the lab's namespace and
// marked as the lab's. An isolated lab has such a table in its own namespace, too, and between the two a
// cable: a pair of veth links with a small transfer network, whose addresses nobody else has on this host.
type NAT struct {
	Lab      string
	Bridges  []NATBridge
	Isolated bool
}

// NATBridge is one of the lab's bridges.
type NATBridge struct {
	Name   string
	Subnet netip.Prefix // Of its guests.
	Out    bool         // It has the way out; others stay apart from it.
}

// UplinkName is the isolated lab's end of its cable to the host.
const UplinkName = "kvmlab-uplink"

// ErrNotForwarding means that the host does not forward IPv4 packets: net.ipv4.ip_forward is 0.
var ErrNotForwarding = errors.New("the host does not forward packets (net.ipv4.ip_forward)")

// uplinkOwner is the mark on both ends of the cable.
func uplinkOwner(lab string) Owner { return Owner{Lab: lab, Object: UplinkName} }

// hostEnd is the name of the host's end of a lab's cable.
func hostEnd(lab string) string { return StagingName(uplinkOwner(lab)) }

// CheckForwarding returns [ErrNotForwarding] when the namespace is no router. It is not made one: that
// would join all of its networks, the school's among them, and is for its administrator to decide.
func (h *Handle) CheckForwarding() error {
	return h.inside(func() error {
		on, err := os.ReadFile(forwardingFile)
		if err != nil {
			return fmt.Errorf("read whether packets are forwarded: %w", err)
		}
		if strings.TrimSpace(string(on)) == "0" {
			return ErrNotForwarding
		}
		return nil
	})
}

// FindNAT reports whether anything of a lab's way out is in the host's namespace.
func (h *Handle) FindNAT(ctx context.Context, lab string) (bool, error) {
	if err := namespaceOwner(lab).Validate(); err != nil {
		return false, err
	}
	marks, err := h.natMarks()
	if err != nil {
		return false, err
	}
	if _, ok := marks[lab]; ok {
		return true, nil
	}
	end, err := h.find(hostEnd(lab), uplinkOwner(lab))
	if foreign := new(ForeignError); err != nil && !errors.As(err, &foreign) {
		return false, err
	}
	return end != nil, context.Cause(ctx)
}

// NATLabs returns the labs that have a table in the host's namespace, in no order.
func (h *Handle) NATLabs(ctx context.Context) ([]string, error) {
	marks, err := h.natMarks()
	if err != nil {
		return nil, err
	}
	labs := []string{}
	for lab := range marks {
		labs = append(labs, lab)
	}
	return labs, context.Cause(ctx)
}

// NATDrift tells in words what EnsureNAT would mend; empty when all is as wanted.
func (h *Handle) NATDrift(ctx context.Context, want NAT) (string, error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	if !want.Isolated {
		return h.tableDrift(want.Lab, want.hostTable(netip.Prefix{}))
	}
	transfer, err := h.transferOf(want.Lab)
	if err != nil || !transfer.IsValid() {
		return "has no cable to the host", err
	}
	problem, err := h.tableDrift(want.Lab, want.hostTable(transfer))
	if err != nil || problem != "" {
		return problem, err
	}
	inside, err := OpenNamespace(want.Lab)
	if errors.Is(err, ErrNoNamespace) || errors.Is(err, ErrBareNamespace) {
		return "has no cable to the host", nil
	}
	if err != nil {
		return "", err
	}
	problem, err = inside.tableDrift(want.Lab, want.insideTable())
	if problem == "" && err == nil {
		problem, err = inside.uplinkDrift(want.Lab, transfer)
	}
	return problem, errors.Join(err, inside.Close())
}

// EnsureNAT makes a lab's way out, or mends it. The bridges need not be there yet; an isolated lab's
// namespace does. The error is [ErrNotForwarding]; a [*ForeignTableError] or a [*ForeignError] when the table
// or a link of that name is somebody else's; [ErrNoTransfer]; or [ErrPermission].
func (h *Handle) EnsureNAT(ctx context.Context, want NAT) (changed bool, err error) {
	changed, err = h.ensureNAT(ctx, want)
	if err != nil {
		return changed, fmt.Errorf("set up the way out of lab %q: %w", want.Lab, err)
	}
	return changed, nil
}

func (h *Handle) ensureNAT(ctx context.Context, want NAT) (changed bool, err error) {
	if err := h.CheckForwarding(); err != nil {
		return false, err
	}
	problem, err := h.NATDrift(ctx, want)
	if err != nil || problem == "" {
		return false, err
	}
	if !want.Isolated {
		return true, h.replaceTable(want.Lab, want.hostTable(netip.Prefix{}))
	}
	inside, err := OpenNamespace(want.Lab)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, inside.Close()) }()
	// The rules first: at no time does the cable carry what they forbid.
	if err := inside.replaceTable(want.Lab, want.insideTable()); err != nil {
		return true, err
	}
	transfer, err := h.connect(ctx, inside, want)
	if err != nil {
		return true, err
	}
	if err := h.replaceTable(want.Lab, want.hostTable(transfer)); err != nil {
		return true, err
	}
	return true, inside.inside(func() error { return setForwarding(true) })
}

// RemoveNAT removes a lab's way out; what is left of one counts, too. Removed is false when there was none.
// The table inside the lab's namespace goes with the namespace, or here when that stays.
func (h *Handle) RemoveNAT(ctx context.Context, lab string) (removed bool, err error) {
	owner := uplinkOwner(lab)
	if err := owner.Validate(); err != nil {
		return false, err
	}
	removed, err = h.removeTable(lab)
	cable, cableErr := h.removeLink(ctx, hostEnd(lab), owner) // its other end goes with it
	if foreign := new(ForeignError); errors.As(cableErr, &foreign) {
		cableErr = nil
	}
	inside, openErr := OpenNamespace(lab)
	foreign := new(ForeignNamespaceError)
	switch {
	case openErr == nil:
		stop := inside.inside(func() error { return setForwarding(false) })
		_, tableErr := inside.removeTable(lab)
		err = errors.Join(err, stop, tableErr, inside.Close())
	case !errors.Is(openErr, ErrNoNamespace) && !errors.Is(openErr, ErrBareNamespace) && !errors.As(openErr, &foreign):
		err = errors.Join(err, openErr)
	}
	if err = errors.Join(err, cableErr); err != nil {
		return removed || cable, fmt.Errorf("remove the way out of lab %q: %w", lab, err)
	}
	return removed || cable, nil
}
