package dhcp_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/nstest"
)

// TestRelay puts ISC dhcrelay, which adds relay agent information, between a client and the server: the stations'
// namespace is the router, and the client lives in one behind it. It gets a lease through the relay, renews it with the
// server directly, and releases it.
func TestRelay(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "dhcrelay", "busybox", "sysctl")
	defer failing(t)
	s, k := newStage(t, setup{})
	s.patience = 30 * time.Second
	behind := nstest.New(t)
	for _, line := range []string{
		fmt.Sprintf("ip link set eth0 address %v", relayMAC),
		fmt.Sprintf("ip addr add %v/24 dev eth0", gatewayIP),
		"ip link add down0 type veth peer name eth0 netns " + behind.Path(),
		fmt.Sprintf("ip addr add %v/24 dev down0", relayIP),
		"ip link set down0 up",
		"sysctl -q -w net.ipv4.ip_forward=1",
	} {
		s.clients.Run(t, line)
	}
	behind.Run(t, "ip link set eth0 up")

	relay := s.clients.Command(context.Background(), "dhcrelay", "-4", "-d", "-a", "-id", "down0", "-iu", "eth0",
		serverIP.String())
	if err := launch(relay, "Sending on   Socket/fallback"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relay.Process.Kill(); _ = relay.Wait() })

	p := newClient(t, clients()[0])
	atHome := *s
	atHome.wire = &wire{clients: behind}
	p.run(t, &atHome)
	a := bound(s)
	if !netip.MustParsePrefix("10.9.0.0/24").Contains(a) {
		t.Fatalf("%v is not of the relay's network", a)
	}
	waitFor(t, func() bool { return strings.Contains(behind.Run(t, "ip -4 addr show dev eth0"), a.String()) })
	behind.Run(t, fmt.Sprintf("ip route add default via %v", relayIP))
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if e := s.awaitDecision(dhcp.Request, dhcp.ReasonRenewing); e.Address != a {
		t.Errorf("%+v", e)
	}
	waitFor(t, func() bool { return strings.Count(p.said.String(), "obtained") == 2 })
	p.release(s, p)
	s.awaitDecision(dhcp.Release, dhcp.ReasonReleased)
	if l, _ := k.held(a); l.State != dhcp.StateReleased {
		t.Errorf("after the release: %+v", l)
	}
}

// waitFor waits until a condition holds that nothing tells of.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(20 * time.Second); !holds(); {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatal("it never came to pass")
		}
	}
}
