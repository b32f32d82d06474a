package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// serverInterfaces finds the server's own address on each interface, and refuses what could not work: an interface
// without an address in a subnet, a subnet that no interface is in, one of whose addresses none can be assigned. What is
// allowed and probably not meant is in the warnings.
func serverInterfaces(s *lab.Server) (out []dhcp.Interface, own []netip.Addr, warnings diag.List, err error) {
	var problems diag.List
	for _, name := range s.Interfaces {
		prefixes, err := interfaceAddresses(name)
		if err != nil {
			return nil, nil, nil, err
		}
		found := addressesOf(prefixes)
		address, problem := ownAddress(s, name, found)
		if problem != nil {
			problems.Add(problem)
			continue
		}
		out, own = append(out, dhcp.Interface{Name: name, Address: address}), append(own, found...)
		checkReserved(&problems, s, name, found)
		checkSubnets(&problems, s, name, address, found)
		checkMasks(&warnings, s, name, prefixes)
	}
	if err := problems.Err(); err != nil {
		return nil, nil, nil, err
	}
	for _, sub := range s.Subnets {
		if !sub.Relayed && !anyIn(sub.Prefix, out) {
			problems.Add(diag.New(diag.SubnetNotOnLink, diag.Args{
				"subnet": sub.Prefix, "interfaces": strings.Join(s.Interfaces, ", "),
			}))
		}
		if !sub.DHCP.Assigns(own...) {
			problems.Add(diag.New(diag.NothingToLend, diag.Args{"subnet": sub.Prefix, "ranges": len(sub.DHCP.Ranges)}))
		}
	}
	return out, own, warnings, problems.Err()
}

// checkSubnets refuses a second subnet on an interface: a client that broadcasts says nothing by which to choose.
func checkSubnets(problems *diag.List, s *lab.Server, iface string, chosen netip.Addr, own []netip.Addr) {
	for _, sub := range s.Subnets {
		if sub.Relayed || sub.Prefix.Contains(chosen) || !slices.ContainsFunc(own, sub.Prefix.Contains) {
			continue
		}
		problems.Add(diag.New(diag.SecondSubnet, diag.Args{"interface": iface, "subnet": sub.Prefix, "address": chosen}))
	}
}

// checkMasks warns of an interface whose own mask is another than the one that its clients will get.
func checkMasks(warnings *diag.List, s *lab.Server, iface string, own []netip.Prefix) {
	for _, sub := range s.Subnets {
		for _, p := range own {
			if !sub.Relayed && sub.Prefix.Contains(p.Addr()) && sub.Prefix.Bits() != p.Bits() {
				warnings.Add(diag.New(diag.MasksDiffer, diag.Args{"interface": iface, "address": p, "subnet": sub.Prefix}))
			}
		}
	}
}

// addressesOf leaves the masks away.
func addressesOf(prefixes []netip.Prefix) []netip.Addr {
	var out []netip.Addr
	for _, p := range prefixes {
		out = append(out, p.Addr())
	}
	return out
}

// checkReserved refuses to reserve an interface's own address.
func checkReserved(problems *diag.List, s *lab.Server, iface string, own []netip.Addr) {
	for _, sub := range s.Subnets {
		for _, r := range sub.DHCP.Reservations {
			if slices.Contains(own, r.Address) {
				problems.Add(diag.New(diag.ReservationEdge, diag.Args{"address": r.Address, "which": "own", "bridge": iface}))
			}
		}
	}
}

func anyIn(p netip.Prefix, interfaces []dhcp.Interface) bool {
	for _, i := range interfaces {
		if p.Contains(i.Address) {
			return true
		}
	}
	return false
}

// ownAddress chooses the server's address on an interface: the server identifier if one is asked for, else the first
// in a subnet that is not relayed; where there are relayed subnets, any will do.
func ownAddress(s *lab.Server, name string, addresses []netip.Addr) (netip.Addr, *diag.Diagnostic) {
	var relayed bool
	var subnets []string
	for _, sub := range s.Subnets {
		relayed = relayed || sub.Relayed
		subnets = append(subnets, sub.Prefix.String())
	}
	in := func(a netip.Addr) bool {
		for _, sub := range s.Subnets {
			if !sub.Relayed && sub.Prefix.Contains(a) {
				return true
			}
		}
		return false
	}
	var fallback netip.Addr
	for _, a := range addresses {
		switch {
		case s.ServerID.IsValid() && a != s.ServerID:
		case in(a):
			return a, nil
		case relayed && !fallback.IsValid():
			fallback = a
		}
	}
	if s.ServerID.IsValid() && !slices.Contains(addresses, s.ServerID) {
		return netip.Addr{}, diag.New(diag.ServerIDElsewhere, diag.Args{"address": s.ServerID, "interface": name})
	}
	if !fallback.IsValid() {
		return netip.Addr{}, diag.New(diag.DHCPInterface, diag.Args{"interface": name, "subnet": strings.Join(subnets, ", ")})
	}
	return fallback, nil
}

// interfaceAddresses are the IPv4 addresses of an interface with their masks, in the kernel's order.
func interfaceAddresses(name string) ([]netip.Prefix, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, noInterface(name)
	}
	addrs, err := link.Addrs()
	if err != nil {
		return nil, fmt.Errorf("read addresses of %q: %w", name, err)
	}
	var out []netip.Prefix
	for _, addr := range addrs {
		if p, err := netip.ParsePrefix(addr.String()); err == nil && p.Addr().Is4() {
			out = append(out, p)
		}
	}
	return out, nil
}

// noInterface says that there is no such interface, and which one may have been meant.
func noInterface(name string) error {
	var known []string
	if links, err := net.Interfaces(); err == nil {
		for _, link := range links {
			known = append(known, link.Name)
		}
	}
	return diag.New(diag.NoInterface, diag.Args{"interface": name, "suggestion": yamlfile.Suggest(name, known)})
}

// checkLeaseDir refuses a directory of somebody else's files: the lease store would be written among them.
func checkLeaseDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it will be made
	}
	if err != nil {
		return diag.New(diag.LeaseStoreFailed, diag.Args{"path": dir, "reason": reasonOf(err)}).Wrap(err)
	}
	for _, e := range entries {
		if ours, err := filepath.Match("leases*", e.Name()); err == nil && (ours || e.Name() == "lock") {
			return nil
		}
	}
	if len(entries) > 0 {
		reason := fmt.Sprintf("it holds %s, and no leases of kvmlab's", entries[0].Name())
		return diag.New(diag.LeaseStoreForeign, diag.Args{"path": dir, "reason": reason})
	}
	return nil
}

// reasonOf is the system's own word for an error about a file.
func reasonOf(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}

// serveError explains why a server cannot be opened.
func serveError(err error, cfg dhcp.Config, leases string) error {
	var names []string
	for _, i := range cfg.Interfaces {
		names = append(names, i.Name)
	}
	path := new(fs.PathError)
	switch {
	case errors.Is(err, dhcp.ErrLocked):
		return diag.New(diag.LeaseStoreLocked, diag.Args{"path": leases}).Wrap(err)
	case errors.Is(err, dhcp.ErrJournalVersion):
		return diag.New(diag.LeaseStoreForeign, diag.Args{"path": leases, "reason": "a later version wrote them"}).Wrap(err)
	case errors.Is(err, dhcp.ErrNotEthernet):
		return diag.New(diag.NotEthernet, diag.Args{"interface": strings.Join(names, ", ")}).Wrap(err)
	case errors.As(err, &path):
		return diag.New(diag.LeaseStoreFailed, diag.Args{"path": leases, "reason": reasonOf(err)}).Wrap(err)
	case errors.Is(err, unix.EADDRINUSE), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return diag.New(diag.DHCPListen, diag.Args{"interface": strings.Join(names, ", ")}).Wrap(err)
	case errors.Is(err, dhcp.ErrInterfaceGone):
		return noInterface(names[len(names)-1])
	}
	return err
}
