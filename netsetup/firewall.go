package netsetup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Firewall is what a lab's guests may reach beyond their bridges, as tables of nftables that are called like the lab's
// namespace and marked as the lab's. They only ever drop: what another firewall of the host drops stays dropped.
//
// They are where the bridges are. With the way out of [FirewallBridge.Out] an isolated lab has one more in the host's
// namespace, and between the two a cable: a pair of veth links with a small transfer network, whose addresses nobody
// else has on this host.
type Firewall struct {
	Lab      string
	Isolated bool
	Bridges  []FirewallBridge
	Services []Service // Of the host that guests may use, beside DHCP, ARP and ping.
	// Own are the host's own networks, see [Handle.Networks]. The way out does not lead there.
	Own []netip.Prefix
	// LimitMACs drops frames from more than MaxLearned addresses, where bridges would learn them all: [LearnsWithoutLimit].
	LimitMACs bool
}

// FirewallBridge is one of the lab's bridges.
type FirewallBridge struct {
	Name    string
	Address netip.Prefix // Of the host on the bridge, which is all that guests reach of it. Zero: nothing.
	DHCP    bool         // The host answers DHCP there.
	Taps    []string     // Behind guests' cards.
	// Out is the way out: packets from guests are forwarded and leave the machine with its own address (RFC 3022, 2.2).
	// Nothing comes in that does not answer to one.
	Out   bool
	Reach []netip.Prefix // Networks that the way out leads to beside the internet.
}

// Service is a port of TCP or UDP.
type Service struct {
	Protocol string // "tcp" or "udp".
	Port     uint16
}

// String writes the service as a lab file does: "tcp/80".
func (s Service) String() string { return fmt.Sprintf("%s/%d", s.Protocol, s.Port) }

// UplinkName is the isolated lab's end of its cable to the host.
const UplinkName = "kvmlab-uplink"

// ErrNotForwarding means that the host does not forward IPv4 packets: net.ipv4.ip_forward is 0.
var ErrNotForwarding = errors.New("the host does not forward packets (net.ipv4.ip_forward)")

// uplinkOwner is the mark on both ends of the cable.
func uplinkOwner(lab string) Owner { return Owner{Lab: lab, Object: UplinkName} }

// hostEnd is the name of the host's end of a lab's cable.
func hostEnd(lab string) string { return StagingName(uplinkOwner(lab)) }

// out reports whether any of the bridges has the way out.
func (f Firewall) out() bool {
	return slices.ContainsFunc(f.Bridges, func(b FirewallBridge) bool { return b.Out })
}

// cabled reports whether the lab has a cable to the host.
func (f Firewall) cabled() bool { return f.Isolated && f.out() }

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

// FindFirewall reports whether anything of a lab's firewall is in the host's namespace or in the lab's own.
func (h *Handle) FindFirewall(ctx context.Context, lab string) (bool, error) {
	if err := namespaceOwner(lab).Validate(); err != nil {
		return false, err
	}
	there, err := h.hasTables(lab)
	if there || err != nil {
		return there, err
	}
	end, err := h.find(hostEnd(lab), uplinkOwner(lab))
	if foreign := new(ForeignError); err != nil && !errors.As(err, &foreign) {
		return false, err
	}
	if end != nil {
		return true, nil
	}
	inside, err := h.openInside(lab)
	if inside == nil {
		return false, err
	}
	there, err = inside.hasTables(lab)
	return there, errors.Join(err, inside.Close(), context.Cause(ctx))
}

// FirewallLabs returns the labs that have a table in the host's namespace, in no order.
func (h *Handle) FirewallLabs(ctx context.Context) ([]string, error) {
	marks, err := h.firewallMarks()
	if err != nil {
		return nil, err
	}
	labs := []string{}
	for lab := range marks {
		labs = append(labs, lab)
	}
	return labs, context.Cause(ctx)
}

// openInside opens the lab's own namespace; nil when it has none.
func (h *Handle) openInside(lab string) (*Handle, error) {
	inside, err := OpenNamespace(lab)
	foreign := new(ForeignNamespaceError)
	if errors.Is(err, ErrNoNamespace) || errors.Is(err, ErrBareNamespace) || errors.As(err, &foreign) {
		return nil, nil
	}
	return inside, err
}

// FirewallDrift tells in words what EnsureFirewall would mend; empty when all is as wanted.
func (h *Handle) FirewallDrift(ctx context.Context, want Firewall) (problem string, err error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	if !want.Isolated {
		return h.tableDrift(want.Lab, want.labTables())
	}
	inside, err := h.openInside(want.Lab)
	if inside == nil {
		return "does not exist", err
	}
	defer func() { err = errors.Join(err, inside.Close()) }()
	if problem, err := inside.tableDrift(want.Lab, want.labTables()); err != nil || problem != "" {
		return problem, err
	}
	return h.cableDrift(inside, want)
}

// cableDrift tells what is wrong with what an isolated lab has in the host's namespace, or has and should not.
func (h *Handle) cableDrift(inside *Handle, want Firewall) (string, error) {
	if !want.out() {
		end, err := h.find(hostEnd(want.Lab), uplinkOwner(want.Lab))
		if err != nil {
			return "", err
		}
		if end != nil {
			return "has a cable to the host", nil
		}
		return h.tableDrift(want.Lab, nil)
	}
	transfer, err := h.transferOf(want.Lab)
	if err != nil || !transfer.IsValid() {
		return "has no cable to the host", err
	}
	problem, err := h.tableDrift(want.Lab, want.cableTables(transfer))
	if err != nil || problem != "" {
		return problem, err
	}
	return inside.uplinkDrift(want.Lab, transfer)
}

// EnsureFirewall makes a lab's firewall, or mends it. The bridges need not be there yet; an isolated lab's
// namespace does. The error is [ErrNotForwarding], of a lab with a way out; a [*ForeignTableError] or a [*ForeignError]
// when the table or a link of that name is somebody else's; [ErrNoTransfer]; or [ErrPermission].
func (h *Handle) EnsureFirewall(ctx context.Context, want Firewall) (changed bool, err error) {
	changed, err = h.ensureFirewall(ctx, want)
	if err != nil {
		return changed, fmt.Errorf("set up the firewall of lab %q: %w", want.Lab, err)
	}
	return changed, nil
}

func (h *Handle) ensureFirewall(ctx context.Context, want Firewall) (changed bool, err error) {
	if want.out() {
		if err := h.CheckForwarding(); err != nil {
			return false, err
		}
	}
	problem, err := h.FirewallDrift(ctx, want)
	if err != nil || problem == "" {
		return false, err
	}
	tables := want.labTables()
	if !want.Isolated {
		return true, h.replaceTables(want.Lab, tables)
	}
	inside, err := OpenNamespace(want.Lab)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, inside.Close()) }()
	// The rules first: at no time does the cable carry what they forbid.
	if err := inside.replaceTables(want.Lab, tables); err != nil {
		return true, err
	}
	if !want.out() {
		return true, errors.Join(inside.inside(func() error { return setForwarding(false) }), h.unplug(ctx, want.Lab))
	}
	transfer, err := h.connect(ctx, inside, want)
	if err != nil {
		return true, err
	}
	if err := h.replaceTables(want.Lab, want.cableTables(transfer)); err != nil {
		return true, err
	}
	return true, inside.inside(func() error { return setForwarding(true) })
}

// unplug removes what an isolated lab has in the host's namespace.
func (h *Handle) unplug(ctx context.Context, lab string) error {
	tableErr := h.removeTables(lab)
	_, linkErr := h.removeLink(ctx, hostEnd(lab), uplinkOwner(lab)) // Its other end goes with it.
	if foreign := new(ForeignError); errors.As(linkErr, &foreign) {
		linkErr = nil
	}
	return errors.Join(tableErr, linkErr)
}

// RemoveFirewall removes a lab's firewall; what is left of one counts, too. Removed is false when there was none.
func (h *Handle) RemoveFirewall(ctx context.Context, lab string) (removed bool, err error) {
	owner := uplinkOwner(lab)
	if err := owner.Validate(); err != nil {
		return false, err
	}
	if removed, err = h.FindFirewall(ctx, lab); err == nil && removed {
		err = h.unplug(ctx, lab)
		inside, openErr := h.openInside(lab)
		if inside != nil {
			stop := inside.inside(func() error { return setForwarding(false) })
			tableErr := inside.removeTables(lab)
			openErr = errors.Join(stop, tableErr, inside.Close())
		}
		err = errors.Join(err, openErr)
	}
	if err != nil {
		return removed, fmt.Errorf("remove the firewall of lab %q: %w", lab, err)
	}
	return removed, nil
}

// ErrManyNetworks means that the host has more networks than a firewall can name.
var ErrManyNetworks = errors.New("the host has routes to too many networks")

// maxNetworks is how many networks a firewall names one by one.
const maxNetworks = 512

// Networks returns the host's own networks: those that it has a route to other than the default ones, in every table,
// but for the lab's. They are sorted, and none lies in another or among the addresses that no way out leads to anyway.
// The error is [ErrManyNetworks] or that of the kernel.
func (h *Handle) Networks(ctx context.Context, lab string) ([]netip.Prefix, error) {
	links, err := h.bareLinks(ctx)
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	names := make(map[int]string, len(links))
	var labs []string
	for _, l := range links {
		names[l.Index] = l.Name
		if l.OwnedBy(lab) {
			labs = append(labs, l.Name)
		}
	}
	routes, err := h.routes()
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	var networks []netip.Prefix
	for _, route := range routes {
		if o, ok := routeOverlap(route, names); ok && !slices.Contains(labs, o.Link) {
			networks = append(networks, o.Prefix.Masked())
		}
	}
	networks = withoutNested(networks, private())
	if len(networks) > maxNetworks {
		return nil, fmt.Errorf("list networks: %d: %w", len(networks), ErrManyNetworks)
	}
	return networks, nil
}

// withoutNested sorts networks and leaves out those that lie in another, or in one of known.
func withoutNested(networks, known []netip.Prefix) []netip.Prefix {
	slices.SortFunc(networks, netip.Prefix.Compare) // The wider of two with one address comes first.
	var apart []netip.Prefix
	for _, n := range networks {
		in := func(wide netip.Prefix) bool { return wide.Bits() <= n.Bits() && wide.Overlaps(n) }
		if !slices.ContainsFunc(known, in) && !slices.ContainsFunc(apart, in) {
			apart = append(apart, n)
		}
	}
	return apart
}

// LearnsWithoutLimit reports whether the kernel's bridges learn any number of MAC addresses. Linux 6.8 has a limit
// (fdb_max_learned).
func LearnsWithoutLimit() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return true
	}
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return err != nil || major < 6 || major == 6 && minor < 8
}
