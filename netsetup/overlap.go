package netsetup

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// OverlapKind is what an [Overlap] was found in.
type OverlapKind int

// Where an overlap can be. The zero value is invalid.
const (
	_ OverlapKind = iota
	OverlapAddress
	OverlapRoute
)

func (k OverlapKind) String() string {
	switch k {
	case OverlapAddress:
		return "address"
	case OverlapRoute:
		return "route"
	default:
		return fmt.Sprintf("OverlapKind(%d)", int(k))
	}
}

// Overlap is an address or a route of the namespace that shares addresses with a lab's subnet.
type Overlap struct {
	Kind   OverlapKind
	Prefix netip.Prefix // Of an address, with its host bits.
	Link   string       // Empty for a route to nowhere.
}

// String describes the overlap: "route 10.0.0.0/8 on eth0".
func (o Overlap) String() string {
	if o.Link == "" {
		return fmt.Sprintf("%s %s", o.Kind, o.Prefix)
	}
	return fmt.Sprintf("%s %s on %s", o.Kind, o.Prefix, o.Link)
}

// Overlaps lists the addresses, and the routes of every table, that share addresses with the prefix.
// Links whose names are in ignore do not count, nor do default routes, also in the two halves that
// VPNs split them into: everything overlaps with those, and the lab's own route is the narrower one.
func (h *Handle) Overlaps(ctx context.Context, prefix netip.Prefix, ignore ...string) ([]Overlap, error) {
	links, err := h.Links(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[int]string, len(links))
	connected := make(map[Overlap]bool)
	var list []Overlap
	for _, link := range links {
		names[link.Index] = link.Name
		for _, addr := range link.Addresses {
			connected[Overlap{OverlapRoute, addr.Masked(), link.Name}] = true
			if addr.Overlaps(prefix) && !slices.Contains(ignore, link.Name) {
				list = append(list, Overlap{OverlapAddress, addr, link.Name})
			}
		}
	}
	routes, err := h.routes()
	if err != nil {
		return nil, err
	}
	for _, route := range routes {
		o, ok := routeOverlap(route, names)
		// The route that came with an address says nothing new.
		if ok && o.Prefix.Overlaps(prefix) && !connected[o] && !slices.Contains(ignore, o.Link) {
			list = append(list, o)
		}
	}
	return list, nil
}

func (h *Handle) routes() ([]netlink.Route, error) {
	everyTable := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	routes, err := retryDump(func() ([]netlink.Route, error) {
		return h.netlink.RouteListFiltered(unix.AF_INET, everyTable, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", classify(err))
	}
	return routes, nil
}

// routeOverlap reads a route; ok is false for one that does not count.
func routeOverlap(route netlink.Route, names map[int]string) (o Overlap, ok bool) {
	switch route.Type {
	case unix.RTN_LOCAL, unix.RTN_BROADCAST, unix.RTN_MULTICAST, unix.RTN_ANYCAST:
		return Overlap{}, false // They repeat the addresses.
	}
	if route.Dst == nil {
		return Overlap{}, false
	}
	addr, valid := netip.AddrFromSlice(route.Dst.IP)
	bits, _ := route.Dst.Mask.Size()
	if !valid || bits <= 1 {
		return Overlap{}, false
	}
	index := route.LinkIndex
	if index == 0 && len(route.MultiPath) > 0 {
		index = route.MultiPath[0].LinkIndex
	}
	return Overlap{OverlapRoute, netip.PrefixFrom(addr.Unmap(), bits), names[index]}, true
}
