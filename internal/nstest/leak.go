package nstest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Snapshot describes every link (name, kind, flags, master, alias, alternative names), address and
// route of the namespace, one sorted line each, so that two snapshots can be compared by cmp.Diff.
// What the kernel changes by itself (counters, carrier, indexes) is left out.
func (ns *Namespace) Snapshot() ([]string, error) {
	var lines []string
	err := ns.Do(func() (err error) {
		lines, err = snapshot()
		return err
	})
	return lines, err
}

// CheckLeaks compares the namespace as it is now with what it is when the test ends, and fails the
// test on any difference. Call it after everything that is meant to stay is in place.
func (ns *Namespace) CheckLeaks(tb testing.TB) {
	tb.Helper()
	checkLeaks(tb, ns.Snapshot)
}

// CheckHostLeaks does the same for the namespace that the test program itself runs in.
func CheckHostLeaks(tb testing.TB) {
	tb.Helper()
	checkLeaks(tb, snapshot)
}

func checkLeaks(tb testing.TB, take func() ([]string, error)) {
	tb.Helper()
	before, err := take()
	if err != nil {
		tb.Fatalf("take a snapshot of the network: %v", err)
	}
	tb.Cleanup(func() {
		after, err := take()
		if err != nil {
			tb.Errorf("take a snapshot of the network: %v", err)
			return
		}
		for _, line := range missingFrom(before, after) {
			tb.Errorf("left behind: %s", line)
		}
		for _, line := range missingFrom(after, before) {
			tb.Errorf("gone: %s", line)
		}
	})
}

// missingFrom returns the lines of b that are not in a.
func missingFrom(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(b), func(line string) bool { return slices.Contains(a, line) })
}

func snapshot() ([]string, error) {
	links, err := retryDump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	names := make(map[int]string, len(links))
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
	}
	var lines []string
	for _, link := range links {
		a := link.Attrs()
		lines = append(lines, fmt.Sprintf("link %s %s up=%t master=%q alias=%q altnames=%q",
			a.Name, link.Type(), a.RawFlags&unix.IFF_UP != 0, names[a.MasterIndex], a.Alias, a.AltNames))
	}
	addresses, err := retryDump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, addr := range addresses {
		lines = append(lines, fmt.Sprintf("address %s dev %s", addr.IPNet, names[addr.LinkIndex]))
	}
	routes, err := retryDump(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, route := range routes {
		lines = append(lines, fmt.Sprintf("route %v via %v dev %s", route.Dst, route.Gw, names[route.LinkIndex]))
	}
	slices.SortFunc(lines, strings.Compare)
	return lines, nil
}

// retryDump repeats a netlink dump that a concurrent change made inconsistent.
func retryDump[T any](dump func() ([]T, error)) (list []T, err error) {
	const attempts = 10
	for range attempts {
		if list, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
	return list, err
}
