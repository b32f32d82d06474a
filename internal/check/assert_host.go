package check

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/netsetup"
)

func tryLink(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	links, err := e.Links(ctx)
	if err != nil {
		return Verdict{}, err
	}
	i := slices.IndexFunc(links, func(l netsetup.Link) bool { return l.Name == a.Name.Value })
	switch {
	case i < 0 && !a.Exists.Or(true):
		return passed(0)
	case i < 0:
		return failed("no-link", "link", a.Name.Value)
	case !a.Exists.Or(true):
		return failed("link-there", "link", a.Name.Value)
	case a.Master.Set && links[i].Master != a.Master.Value && links[i].Master == "":
		return failed("link-free", "link", a.Name.Value, "want", a.Master.Value)
	case a.Master.Set && links[i].Master != a.Master.Value:
		return failed("link-master", "link", a.Name.Value, "master", links[i].Master, "want", a.Master.Value)
	case links[i].Up != a.Up.Or(true):
		return failed("link-down", "link", a.Name.Value)
	}
	return passed(0)
}

// tryLease looks into the records of the server that the last ACK came from: the embedded server's store, or the
// lease files of the programs in a guest.
func tryLease(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	nic := e.nic(a)
	server := a.Server.Or(Kvmlab)
	var address netip.Addr
	var err error
	if server == Kvmlab {
		address, err = e.storedLease(ctx, nic)
	} else {
		address, err = e.recordedLease(ctx, server, nic)
	}
	switch {
	case err != nil:
		return Verdict{}, err
	case !address.IsValid():
		return failed("no-record", "guest", e.who(a), "server", server)
	case a.Address.Set && address != a.Address.Value:
		return failed("other-address", "address", address, "want", a.Address.Value)
	case a.Range.Set && (address.Less(a.Range.Value.First) || a.Range.Value.Last.Less(address)):
		return failed("outside", "address", address, "range", a.Range.Value.First.String()+"-"+a.Range.Value.Last.String())
	}
	return passed(0)
}

func (e *scene) storedLease(ctx context.Context, nic lab.NIC) (netip.Addr, error) {
	leases, err := e.Leases(ctx)
	for _, l := range leases {
		if l.MAC == dhcp.Ethernet(nic.MAC) && l.State == dhcp.StateBound && l.Expires.After(e.now) {
			return l.Address, err
		}
	}
	return netip.Addr{}, err
}

// leaseFiles prints the records of whichever server a guest runs, each after a line with its form's name.
const leaseFiles = `
for f in /var/lib/dhcp/dhcpd.leases /var/lib/kea/kea-leases4.csv /var/lib/misc/dnsmasq.leases; do
	[ -e "$f" ] && echo "==${f##*/}" && cat "$f"
done; true`

// recordedLease reads the lease files of ISC dhcpd (dhcpd.leases(5)), Kea's memfile and dnsmasq. Later records replace
// earlier ones; the clock is the guest's, so that the end of a lease is not judged: the wire tells that.
func (e *scene) recordedLease(ctx context.Context, server string, nic lab.NIC) (netip.Addr, error) {
	out, err := e.Guest(ctx, server, leaseFiles)
	if err != nil {
		return netip.Addr{}, err
	}
	var (
		found, current netip.Addr
		file           string
		active         bool
	)
	mac := nic.MAC.String()
	for line := range strings.Lines(out.Text) {
		line = strings.TrimSpace(line)
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "=="):
			file = line[2:]
		case file == "dhcpd.leases" && len(f) == 3 && f[0] == "lease":
			current, _ = netip.ParseAddr(f[1])
			active = false
		case file == "dhcpd.leases" && strings.HasPrefix(line, "binding state "):
			active = line == "binding state active;"
		case file == "dhcpd.leases" && active && strings.HasPrefix(line, "hardware ethernet ") && strings.Contains(line, mac):
			found = current
		case file == "kea-leases4.csv":
			if c := strings.Split(line, ","); len(c) > 9 && c[1] == mac && c[9] == "0" {
				found, _ = netip.ParseAddr(c[0])
			}
		case file == "dnsmasq.leases" && len(f) >= 3 && f[1] == mac:
			found, _ = netip.ParseAddr(f[2])
		}
	}
	return found, nil
}
