package supervisor_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/supervisor"
)

const everyKey = `version: 1
interfaces: [eth1]
echo-relay-info: false
offer-hold: 40s
quarantine: 5s
subnets:
  - subnet: 192.168.1.0/24
    range: [192.168.1.10-192.168.1.20, 192.168.1.30]
    exclude: 192.168.1.15
    router: 192.168.1.254
    dns: [192.0.2.53]
    lease: 10m
    min-lease: 1m
    max-lease: 2h
    next-server: 192.168.1.9
    authoritative: true
    match-client-id: false
    rapid-commit: true
    probe: false
    auto-configure: false
    ipv6-only-wait: 30m
    faults: [drop=ACK]
    options: {domain-name: aula.lan}
    reservations:
      - {mac: "02:00:5e:00:53:01", address: 192.168.1.5, hostname: printer, options: {domain-name: lab.lan}}
      - {client-id: "01:02:03", address: 192.168.1.6}
      - {circuit-id: "65:74:68:30", address: 192.168.1.7}
  - {subnet: 10.20.0.0/16, relayed: true, range: 10.20.0.10-10.20.0.20}
`

// TestServerConfig: every key of a server's file reaches the server.
func TestServerConfig(t *testing.T) {
	t.Parallel()
	file, err := lab.ParseServer("dhcp.yaml", []byte(everyKey), nil)
	if err != nil {
		t.Fatal(err)
	}
	ip := netip.MustParseAddr
	one := func(a string) dhcp.Range { return dhcp.Range{First: ip(a), Last: ip(a)} }
	interfaces := []dhcp.Interface{{Name: "eth1", Address: ip("192.168.1.1")}}
	got, err := supervisor.ServerConfig(file, interfaces, []netip.Addr{ip("192.168.1.1"), ip("192.168.1.12")})
	if err != nil {
		t.Fatal(err)
	}
	want := dhcp.Config{
		Interfaces: interfaces, DropRelayInfo: true, OfferHold: 40 * time.Second, Quarantine: 5 * time.Second,
		Faults: []dhcp.Fault{{Kind: dhcp.FaultDrop, Message: dhcp.Ack, Interface: "eth1"}},
		Subnets: []dhcp.Subnet{
			{
				Prefix:  netip.MustParsePrefix("192.168.1.0/24"),
				Ranges:  []dhcp.Range{{First: ip("192.168.1.10"), Last: ip("192.168.1.20")}, one("192.168.1.30")},
				Exclude: []dhcp.Range{one("192.168.1.15"), one("192.168.1.254"), one("192.168.1.1"), one("192.168.1.12")},
				Lease:   10 * time.Minute, MinLease: time.Minute, MaxLease: 2 * time.Hour, NextServer: ip("192.168.1.9"),
				Authoritative: true, IgnoreClientID: true, RapidCommit: true, NoProbe: true, NoAutoConfigure: true,
				V6OnlyWait: 30 * time.Minute,
				Options: []dhcp.Option{
					dhcp.AddressesOption(dhcp.OptRouter, ip("192.168.1.254")), dhcp.AddressesOption(dhcp.OptDNS, ip("192.0.2.53")),
					dhcp.StringOption(15, "aula.lan"),
				},
				Reservations: []dhcp.Reservation{
					{
						MAC: dhcp.Ethernet([6]byte{2, 0, 0x5e, 0, 0x53, 1}), Address: ip("192.168.1.5"), Hostname: "printer",
						Options: []dhcp.Option{dhcp.StringOption(15, "lab.lan")},
					},
					{ClientID: []byte{1, 2, 3}, Address: ip("192.168.1.6")},
					{CircuitID: []byte("eth0"), Address: ip("192.168.1.7")},
				},
			},
			{
				Prefix: netip.MustParsePrefix("10.20.0.0/16"),
				Ranges: []dhcp.Range{{First: ip("10.20.0.10"), Last: ip("10.20.0.20")}}, Lease: dhcp.DefaultLease,
			},
		},
	}
	same := cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, dhcp.HWAddr{}), cmpopts.EquateEmpty()}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
