package netsetup_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup"
)

func TestOverlaps(t *testing.T) {
	nstest.RequireCommand(t, "ip")
	ns, h := open(t)
	for _, line := range []string{
		"ip link add eth0 type veth peer name cable",
		"ip link set cable up",
		"ip link set eth0 up",
		"ip addr add 10.1.2.3/24 dev eth0",
		"ip route add default via 10.1.2.1",
		"ip route add 0.0.0.0/1 via 10.1.2.1",
		"ip route add 172.16.0.0/12 via 10.1.2.1",
		"ip route add 192.168.77.0/24 dev eth0 table 77",
		"ip route add blackhole 198.18.0.0/15",
	} {
		ns.Run(t, line)
	}
	mustEnsure(t, h, bridge1())
	for _, tt := range []struct {
		prefix string
		ignore []string
		want   []string
	}{
		{"192.168.50.0/24", nil, nil},
		{"192.168.1.0/24", []string{"br1"}, nil},
		{"192.168.1.1/24", nil, []string{"address 192.168.1.1/24 on br1"}},
		{"192.168.1.128/25", nil, []string{"address 192.168.1.1/24 on br1"}},
		{"10.0.0.0/8", nil, []string{"address 10.1.2.3/24 on eth0"}},
		{"172.20.1.0/24", nil, []string{"route 172.16.0.0/12 on eth0"}},
		{"192.168.77.1/30", nil, []string{"route 192.168.77.0/24 on eth0"}},
		{"198.19.0.0/16", nil, []string{"route 198.18.0.0/15"}},
		{"192.168.0.0/16", []string{"br1"}, []string{"route 192.168.77.0/24 on eth0"}},
	} {
		overlaps, err := h.Overlaps(t.Context(), prefix(tt.prefix), tt.ignore...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, overlap := range overlaps {
			got = append(got, overlap.String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s without %v (-want +got):\n%s", tt.prefix, tt.ignore, diff)
		}
	}
}

func TestMACs(t *testing.T) {
	nstest.RequireCommand(t, "ip")
	ns, h := open(t)
	ns.Run(t, "ip link add eth0 address 02:00:00:00:00:05 type bridge")
	macs, err := h.MACs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := macs[macgen.MAC{2, 0, 0, 0, 0, 5}]; got != "eth0" {
		t.Errorf("MACs = %v, eth0 is not there", macs)
	}
	if _, ok := macs[macgen.MAC{}]; ok {
		t.Error("the loopback's zero address counts as taken")
	}
}

// TestForeignPorts enslaves links of three kinds to the lab's bridge, and waits for the signal of each.
func TestForeignPorts(t *testing.T) {
	nstest.RequireCommand(t, "ip")
	ns, h := open(t)
	mustEnsure(t, h, bridge1(), tap("tap1"))
	if _, err := h.EnsureTap(t.Context(), netsetup.Tap{Name: "tap9", Owner: netsetup.Owner{Lab: "another", Object: "tap9"}}); err != nil {
		t.Fatal(err)
	}
	ns.Run(t, "ip link add eth0 type veth peer name cable")
	ns.Run(t, "ip link add br2 type bridge")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes, err := h.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		command string
		want    []string
	}{
		{"ip link set eth0 master br1", []string{"eth0"}},
		{"ip link set tap9 master br1", []string{"eth0", "tap9"}},
		{"ip link set eth0 nomaster", []string{"tap9"}},
		{"ip link set tap9 master br2", []string{}},
	} {
		ns.Run(t, step.command)
		waitFor(t, changes, func() bool {
			got, err := h.ForeignPorts(t.Context(), "br1", "three-taps")
			if err != nil {
				t.Fatal(err)
			}
			return cmp.Equal(got, step.want)
		})
	}
	if _, err := h.ForeignPorts(t.Context(), "br9", "three-taps"); !errors.Is(err, netsetup.ErrNotFound) {
		t.Errorf("the ports of no bridge: %v", err)
	}
	_, err = h.ForeignPorts(t.Context(), "br2", "three-taps")
	if foreign, ok := errors.AsType[*netsetup.ForeignError](err); !ok || foreign.Name != "br2" {
		t.Errorf("the ports of a foreign bridge: %v", err)
	}
	cancel()
	for range changes { // Ends when the channel is closed.
		continue
	}
}

// waitFor looks again after each signal.
func waitFor(t *testing.T, changes <-chan struct{}, ok func() bool) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case _, open := <-changes:
			if !open {
				t.Fatal("the watch ended")
			}
			if ok() {
				return
			}
		case <-timeout:
			t.Fatal("no signal, or not the last one")
		}
	}
}

// TestCarrierTellsWhetherAGuestIsThere opens the lab's tap as QEMU would.
func TestCarrierTellsWhetherAGuestIsThere(t *testing.T) {
	ns, h := open(t)
	mustEnsure(t, h, bridge1(), tap("tap1"))
	changes, err := h.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	guest := openTap(t, ns, "tap1")
	waitFor(t, changes, func() bool { return links(t, h)["tap1"].Carrier && links(t, h)["br1"].Carrier })
	if err := guest.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, changes, func() bool { return !links(t, h)["tap1"].Carrier })
}

// TestLinksWhileTheyChange reads all links while they come and go.
func TestLinksWhileTheyChange(t *testing.T) {
	_, h := open(t)
	mustEnsure(t, h, bridge1())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var err error
		for ctx.Err() == nil && err == nil {
			for _, name := range []string{"tap1", "tap2", "tap3", "tap4"} {
				if _, err = h.EnsureTap(context.WithoutCancel(ctx), tap(name)); err != nil {
					break
				}
			}
			for _, name := range []string{"tap1", "tap2", "tap3", "tap4"} {
				if _, err := h.RemoveLink(context.WithoutCancel(ctx), name, owner(name)); err != nil {
					break
				}
			}
		}
		done <- err
	}()
	reads := 0
	for ctx.Err() == nil {
		for name, link := range links(t, h) {
			if !link.Owned() && link.Up {
				t.Errorf("%s is up without a mark", name)
			}
		}
		reads++
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if reads == 0 {
		t.Error("not read once")
	}
}
