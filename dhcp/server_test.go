package dhcp_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/nstest"
)

// TestIndependentClient lets a client that shares no code with the server go through a lease's life.
func TestIndependentClient(t *testing.T) {
	n := newNetwork(t, nil)
	var c *nclient4.Client
	n.clients.Must(t, func() (err error) {
		c, err = nclient4.New("eth0", nclient4.WithHWAddr(clientMAC), nclient4.WithTimeout(2*time.Second))
		return err
	})
	defer c.Close()
	lease, err := c.Request(context.Background(), dhcpv4.WithOption(dhcpv4.OptHostName("pc1")))
	if err != nil {
		t.Fatal(err)
	}
	if got := lease.ACK.YourIPAddr.String(); got != "192.168.1.2" {
		t.Errorf("address %s, want the first of the pool", got)
	}
	l, ok := n.held(ip("192.168.1.2"))
	if !ok || l.State != dhcp.StateBound || l.Hostname != "pc1" || l.MAC != eth(clientMAC) || l.Server != serverIP {
		t.Errorf("lease %+v", l)
	}
	ack := n.event(func(e dhcp.Event) bool { return e.Direction == dhcp.Out && e.Type == dhcp.Ack })
	if ack.Address != ip("192.168.1.2") || ack.Decision != dhcp.DecisionSent {
		t.Errorf("event %+v", ack)
	}
}

// TestUdhcpc lets the client of the class's guests get, renew and release a lease.
func TestUdhcpc(t *testing.T) {
	nstest.RequireCommand(t, "busybox")
	n := newNetwork(t, nil)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n[ \"$1\" = bound ] && ip addr add $ip/$mask dev $interface\n"+
		"echo $1 $ip $mask $router $dns $lease\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	dump := n.clients.Command(ctx, "tcpdump", "-lnevi", "eth0")
	dump.Stdout = os.Stdout
	dump.Start()
	time.Sleep(time.Second)
	cmd := n.clients.Command(ctx, "busybox", "udhcpc", "-f", "-q", "-R", "-n", "-i", "eth0", "-x", "hostname:pc1",
		"-s", script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("udhcpc: %v\n%s", err, out)
	}
	n.event(func(e dhcp.Event) bool { return e.Reason == dhcp.ReasonReleased })
	l, ok := n.held(ip("192.168.1.2"))
	if !ok || l.State != dhcp.StateReleased || l.Hostname != "pc1" {
		t.Errorf("lease after release: %+v", l)
	}
}

// TestRestart: what was acknowledged is there after a restart, and ReadLeases sees it meanwhile.
func TestRestart(t *testing.T) {
	n := newNetwork(t, nil)
	got := address(n.lease(clientMAC))
	n.stop()
	leases, err := dhcp.ReadLeases(n.opts.LeaseDir)
	if err != nil || len(leases) != 1 || leases[0].Address != got || leases[0].MAC != eth(clientMAC) {
		t.Fatalf("offline: %+v, %v", leases, err)
	}
	n.start()
	if a := address(n.offer(otherMAC)); a == got {
		t.Errorf("%v was offered to another client after the restart", a)
	}
	if a := address(n.lease(clientMAC)); a != got {
		t.Errorf("the client got %v after the restart, had %v", a, got)
	}
}

func TestOpenRefuses(t *testing.T) {
	n := newNetwork(t, nil)
	opts := n.opts
	t.Run("a directory in use", func(t *testing.T) {
		_, err := dhcp.Open(n.cfg, opts)
		if err == nil || !errors.Is(err, dhcp.ErrLocked) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an interface that is not there", func(t *testing.T) {
		cfg := n.cfg
		cfg.Interfaces = []dhcp.Interface{{Name: "br9", Address: serverIP}}
		opts.LeaseDir = t.TempDir()
		if _, err := dhcp.Open(cfg, opts); err == nil {
			t.Error("opened")
		}
	})
}
