package supervisor

import (
	"fmt"
	"strconv"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// dhcpConfig says in the DHCP server's terms what the lab file says. ok is false when no bridge is to be served.
func dhcpConfig(l *lab.Lab) (cfg dhcp.Config, ok bool, err error) {
	for _, bridge := range l.Bridges {
		if bridge.DHCP == nil {
			continue
		}
		subnet, err := dhcpSubnet(bridge)
		if err != nil {
			return dhcp.Config{}, false, fmt.Errorf("bridge %q: %w", bridge.Name, err)
		}
		cfg.Interfaces = append(cfg.Interfaces, dhcp.Interface{Name: bridge.Name, Address: bridge.Address.Addr()})
		cfg.Subnets = append(cfg.Subnets, subnet)
	}
	return cfg, len(cfg.Interfaces) > 0, nil
}

func dhcpSubnet(bridge lab.Bridge) (dhcp.Subnet, error) {
	d := bridge.DHCP
	subnet := dhcp.Subnet{Prefix: bridge.Address.Masked(), Lease: d.Lease}
	for _, r := range d.Ranges {
		subnet.Ranges = append(subnet.Ranges, dhcp.Range{First: r.First, Last: r.Last})
	}
	for _, r := range d.Reservations {
		subnet.Reservations = append(subnet.Reservations, dhcp.Reservation{
			MAC: dhcp.Ethernet(r.MAC), Address: r.Address, Hostname: r.Guest,
		})
	}
	if d.Router.IsValid() {
		subnet.Options = append(subnet.Options, dhcp.AddressesOption(dhcp.OptRouter, d.Router))
	}
	if len(d.DNS) > 0 {
		subnet.Options = append(subnet.Options, dhcp.AddressesOption(dhcp.OptDNS, d.DNS...))
	}
	for _, o := range d.Options {
		name := o.Name
		if name == "" {
			name = strconv.Itoa(int(o.Code))
		}
		option, err := dhcp.ParseOption(name, o.Value)
		if err != nil {
			return dhcp.Subnet{}, err
		}
		subnet.Options = append(subnet.Options, option)
	}
	return subnet, nil
}
