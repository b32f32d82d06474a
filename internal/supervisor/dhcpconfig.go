package supervisor

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// dhcpConfig says in the DHCP server's terms what the lab file says. ok is false when no bridge is to be served.
func dhcpConfig(l *lab.Lab) (cfg dhcp.Config, ok bool, err error) {
	for _, bridge := range l.Bridges {
		if bridge.DHCP == nil {
			continue
		}
		subnet, err := dhcpSubnet(bridge.Address.Masked(), bridge.DHCP)
		if err != nil {
			return dhcp.Config{}, false, fmt.Errorf("bridge %q: %w", bridge.Name, err)
		}
		cfg.Interfaces = append(cfg.Interfaces, dhcp.Interface{Name: bridge.Name, Address: bridge.Address.Addr()})
		cfg.Subnets = append(cfg.Subnets, subnet)
	}
	return cfg, len(cfg.Interfaces) > 0, nil
}

// ServerConfig says in the DHCP server's terms what a server without a lab serves on these interfaces. Faults of a subnet show
// on the interface that has an address in it. The host's own addresses are never lent.
func ServerConfig(s *lab.Server, interfaces []dhcp.Interface, own []netip.Addr) (dhcp.Config, error) {
	cfg := dhcp.Config{
		Interfaces: interfaces, DropRelayInfo: s.DropRelayInfo, OfferHold: s.OfferHold, Quarantine: s.Quarantine,
	}
	for n := range s.Subnets {
		subnet, err := dhcpSubnet(s.Subnets[n].Prefix, &s.Subnets[n].DHCP)
		if err != nil {
			return dhcp.Config{}, fmt.Errorf("subnet %v: %w", s.Subnets[n].Prefix, err)
		}
		for _, a := range own {
			keepOut(&subnet, a)
		}
		cfg.Subnets = append(cfg.Subnets, subnet)
		for _, i := range interfaces {
			if !subnet.Prefix.Contains(i.Address) {
				continue
			}
			faults, err := dhcpFaults(s.Subnets[n].DHCP.Faults, i.Name)
			if err != nil {
				return dhcp.Config{}, err
			}
			cfg.Faults = append(cfg.Faults, faults...)
		}
	}
	return cfg, nil
}

// dhcpFaults are the faults of an interface in the DHCP server's terms.
func dhcpFaults(faults []lab.Fault, iface string) ([]dhcp.Fault, error) {
	var out []dhcp.Fault
	for _, f := range faults {
		fault, err := dhcp.ParseFault(string(f) + "@" + iface)
		if err != nil {
			return nil, err
		}
		out = append(out, fault)
	}
	return out, nil
}

// dhcpSubnet is one network: a bridge's, or one of a server without a lab.
func dhcpSubnet(prefix netip.Prefix, d *lab.DHCP) (dhcp.Subnet, error) {
	p := d.Policy
	subnet := dhcp.Subnet{
		Prefix: prefix, Ranges: dhcpRanges(d.Ranges), Exclude: dhcpRanges(d.Exclude),
		Lease: d.Lease, MinLease: d.MinLease, MaxLease: d.MaxLease, NextServer: d.NextServer,
		Authoritative: p.Authoritative, IgnoreClientID: p.IgnoreClientID, RapidCommit: p.RapidCommit, NoProbe: p.NoProbe,
		V6OnlyWait: time.Duration(p.IPv6OnlyWait) * time.Second, NoAutoConfigure: p.NoAutoConfigure,
	}
	for _, r := range d.Reservations {
		reservation, err := dhcpReservation(r)
		if err != nil {
			return dhcp.Subnet{}, err
		}
		subnet.Reservations = append(subnet.Reservations, reservation)
	}
	if d.Router.IsValid() {
		keepOut(&subnet, d.Router)
		subnet.Options = append(subnet.Options, dhcp.AddressesOption(dhcp.OptRouter, d.Router))
	}
	if len(d.DNS) > 0 {
		subnet.Options = append(subnet.Options, dhcp.AddressesOption(dhcp.OptDNS, d.DNS...))
	}
	options, err := dhcpOptions(d.Options)
	if err != nil {
		return dhcp.Subnet{}, err
	}
	subnet.Options = append(subnet.Options, options...)
	return subnet, nil
}

// keepOut takes an address that is known to be somebody's out of the pool.
func keepOut(s *dhcp.Subnet, a netip.Addr) {
	if s.Prefix.Contains(a) {
		s.Exclude = append(s.Exclude, dhcp.Range{First: a, Last: a})
	}
}

func dhcpRanges(ranges []lab.Range) []dhcp.Range {
	var out []dhcp.Range
	for _, r := range ranges {
		out = append(out, dhcp.Range{First: r.First, Last: r.Last})
	}
	return out
}

func dhcpReservation(r lab.Reservation) (dhcp.Reservation, error) {
	out := dhcp.Reservation{Address: r.Address, Hostname: cmp.Or(r.Hostname, r.Guest)}
	var err error
	switch {
	case r.ClientID != "":
		out.ClientID, err = hex.DecodeString(r.ClientID)
	case r.CircuitID != "":
		out.CircuitID, err = hex.DecodeString(r.CircuitID)
	default:
		out.MAC = dhcp.Ethernet(r.MAC)
	}
	if err != nil {
		return out, fmt.Errorf("reservation of %v: read its identifier: %w", r.Address, err)
	}
	if out.Options, err = dhcpOptions(r.Options); err != nil {
		return out, fmt.Errorf("reservation of %v: %w", r.Address, err)
	}
	return out, nil
}

func dhcpOptions(options []lab.Option) ([]dhcp.Option, error) {
	var out []dhcp.Option
	for _, o := range options {
		name := o.Name
		if name == "" {
			name = strconv.Itoa(int(o.Code))
		}
		option, err := dhcp.ParseOption(name, o.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, option)
	}
	return out, nil
}
