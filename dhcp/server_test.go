package dhcp_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"github.com/kvmlab/kvmlab/dhcp"
)

// newStage is a stage with kvmlab in the test's process.
func newStage(t *testing.T, set setup) (*stage, *inProcess) {
	t.Helper()
	w := newWire(t, 0)
	r, err := kvmlab{}.start(t, w, set)
	if err != nil {
		t.Fatal(err)
	}
	return &stage{TB: t, wire: w, running: r, set: set, patience: patient}, r.(*inProcess)
}

// failing makes a failed check of a stage a failed test. It is to be deferred.
func failing(t *testing.T) {
	t.Helper()
	switch p := recover().(type) {
	case nil:
	case failure:
		t.Error(p.text)
	default:
		panic(p)
	}
}

// TestIndependentClient lets a client that shares no code with the server go through a lease's life.
func TestIndependentClient(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, k := newStage(t, setup{})
	var c *nclient4.Client
	s.clients.Must(t, func() (err error) {
		c, err = nclient4.New("eth0", nclient4.WithHWAddr(alice), nclient4.WithTimeout(2*time.Second))
		return err
	})
	defer c.Close()
	lease, err := c.Request(context.Background(), dhcpv4.WithOption(dhcpv4.OptHostName("pc1")))
	if err != nil {
		t.Fatal(err)
	}
	if got := lease.ACK.YourIPAddr.String(); got != "192.168.1.20" {
		t.Errorf("address %s, want the first of the pool", got)
	}
	l, ok := k.held(ip("192.168.1.20"))
	if !ok || l.State != dhcp.StateBound || l.Hostname != "pc1" || l.MAC != eth(alice) || l.Server != serverIP {
		t.Errorf("lease %+v", l)
	}
	ack, _ := s.eventThat(func(e dhcp.Event) bool { return e.Direction == dhcp.Out && e.Type == dhcp.Ack })
	if ack.Address != ip("192.168.1.20") || ack.Decision != dhcp.DecisionSent {
		t.Errorf("event %+v", ack)
	}
}

// TestRestart: what was acknowledged is there after a restart, and ReadLeases sees it meanwhile.
func TestRestart(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, k := newStage(t, setup{})
	got := s.lease(alice).yiaddr
	if err := k.stop(); err != nil {
		t.Fatal(err)
	}
	leases, err := dhcp.ReadLeases(k.opts.LeaseDir)
	if err != nil || len(leases) != 1 || leases[0].Address != got || leases[0].MAC != eth(alice) {
		t.Fatalf("offline: %+v, %v", leases, err)
	}
	if err := k.open(); err != nil {
		t.Fatal(err)
	}
	if a := s.offer(bob).yiaddr; a == got {
		t.Errorf("%v was offered to another client after the restart", a)
	}
	s.address(s.lease(alice), got)
}

// TestSlowInterface: a reply that finds no room in an interface's queue is given up and told of, and holds nobody up
// once there is room again.
func TestSlowInterface(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, _ := newStage(t, setup{})
	first := s.offer(alice).yiaddr
	s.servers.Run(t, "tc qdisc add dev br1 root tbf rate 1kbit burst 2k limit 10m")
	full := false
	for range 2000 { // the socket's buffer holds some two hundred
		m := newMessage(dhcp.Discover, bob)
		s.send(envelope{}, m)
		e, _ := s.eventThat(func(e dhcp.Event) bool { return e.XID == m.xid && e.Direction == dhcp.Out })
		if full = e.Decision == dhcp.DecisionNotSent; full {
			if e.Reason != dhcp.ReasonSendError {
				t.Errorf("reason %q", e.Reason)
			}
			break
		}
	}
	if !full {
		t.Fatal("every reply found room")
	}
	s.servers.Run(t, "tc qdisc del dev br1 root")
	s.address(s.lease(alice), first)
}

// TestInterfaceGone: a server goes on while its interface is down and when it is up again, under another name as well, and ends
// when it is deleted.
func TestInterfaceGone(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, k := newStage(t, setup{})
	got := s.lease(alice).yiaddr
	for _, line := range []string{"ip link set br1 down", "ip link set br1 name br2", "ip link set br2 up"} {
		s.servers.Run(t, line)
	}
	s.servers.Must(t, func() error { return awaitOperational("br2") })
	s.address(s.lease(alice), got)

	s.servers.Run(t, "ip link del br2")
	s.reason(dhcp.ReasonInterfaceGone)
	select {
	case err := <-k.done:
		if !errors.Is(err, dhcp.ErrInterfaceGone) {
			t.Errorf("the server ended: %v", err)
		}
	case <-time.After(patient):
		t.Fatal("the server goes on without an interface")
	}
	k.cancel = nil
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	_, k := newStage(t, setup{})
	opts, cfg := k.opts, k.cfg
	t.Run("a directory in use", func(t *testing.T) {
		if _, err := dhcp.Open(cfg, opts); !errors.Is(err, dhcp.ErrLocked) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an interface that is not there", func(t *testing.T) {
		cfg.Interfaces = []dhcp.Interface{{Name: "br9", Address: serverIP}}
		opts.LeaseDir = t.TempDir()
		if _, err := dhcp.Open(cfg, opts); err == nil {
			t.Error("opened")
		}
	})
	t.Run("a configuration with mistakes", func(t *testing.T) {
		cfg.Faults = []dhcp.Fault{{Kind: dhcp.FaultLease}, {Kind: dhcp.FaultSilent, Interface: "br7"}}
		_, err := dhcp.Open(cfg, opts)
		var mistake *dhcp.ConfigError
		if !errors.As(err, &mistake) || mistake.Field != "Faults[0]" {
			t.Errorf("got %v", err)
		}
	})
}
