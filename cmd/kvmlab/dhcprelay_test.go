package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/nstest"
)

const relayedConfig = `version: 1
interfaces: [eth1]
subnets:
  - {subnet: 192.168.1.0/24, range: 192.168.1.20-192.168.1.30, router: 192.168.1.1, lease: 10m}
  - subnet: 10.20.0.0/24
    relayed: true
    range: 10.20.0.100-10.20.0.110
    router: 10.20.0.1
    lease: 20m
    reservations: [{circuit-id: "64:6f:77:6e:32:30", address: 10.20.0.5}]   # the relay's down20
  - {subnet: 10.30.0.0/24, relayed: true, range: 10.30.0.100-10.30.0.110, router: 10.30.0.1, lease: 30m}
`

// TestDHCPServeRelayed: one server, told by a file, serves its own link and two networks behind ISC dhcrelay, each client
// with what is configured for its network, or for the relay's port that it is at, also after a restart.
func TestDHCPServeRelayed(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "dhcrelay", "busybox")
	s := newSegment(t)
	pcs := s.routed("10.20.0.1", "10.30.0.1")
	config := filepath.Join(t.TempDir(), "dhcp.yaml")
	if err := os.WriteFile(config, []byte(relayedConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	leases := t.TempDir()
	for range 2 {
		v := s.serve(s.servers, "--config", config, "--leases", leases)
		for _, one := range []struct {
			in   *nstest.Namespace
			want string
		}{
			{pcs[0], "bound 10.20.0.5 24 10.20.0.1 1200"},
			{pcs[1], "bound 10.30.0.100 24 10.30.0.1 1800"},
			{s.clients, "bound 192.168.1.20 24 192.168.1.1 600"},
		} {
			said := strings.Join(strings.Fields(s.udhcpcIn(one.in, "eth0")), " ")
			if !strings.Contains(said, one.want) {
				t.Errorf("want %q, udhcpc was told:\n%s", one.want, said)
			}
		}
		v.out.await(t, "ACK of 10.20.0.5 for 20m0s sent", "ACK of 10.30.0.100 for 30m0s sent", "ACK of 192.168.1.20 for 10m0s sent")
		v.stop()
	}
	held, err := dhcp.ReadLeases(leases)
	if err != nil || len(held) != 3 {
		t.Errorf("leases on the disk: %v %+v", err, held)
	}
}

// routed makes the clients' side a router and relay, with an address on a link of its own for each network behind it,
// and a client's namespace on each.
func (s *segment) routed(gateways ...string) (behind []*nstest.Namespace) {
	s.Helper()
	s.clients.Run(s, "ip addr add 192.168.1.254/24 dev eth0")
	s.servers.Run(s, "ip route add 10.0.0.0/8 via 192.168.1.254")
	args := []string{"-4", "-d", "-a", "-iu", "eth0"}
	for _, gateway := range gateways {
		pc, link := nstest.New(s), "down"+strings.Split(gateway, ".")[1]
		s.clients.Run(s, "ip link add "+link+" type veth peer name eth0 netns "+pc.Path())
		s.clients.Run(s, "ip addr add "+gateway+"/24 dev "+link)
		s.clients.Run(s, "ip link set "+link+" up")
		pc.Run(s, "ip link set eth0 up")
		behind, args = append(behind, pc), append(args, "-id", link)
	}
	relay := s.clients.Command(nstest.Limit(s), "dhcrelay", append(args, "192.168.1.1")...)
	stderr, err := relay.StderrPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := relay.Start(); err != nil {
		s.Fatal(err)
	}
	said := collect(stderr)
	s.Cleanup(func() { _ = relay.Process.Kill(); <-said.done; _ = relay.Wait() })
	said.await(s.T, "Sending on   Socket/fallback")
	return behind
}
