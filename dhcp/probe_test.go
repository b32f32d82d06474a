package dhcp_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// TestQuarantine: an address at which somebody answered stays out of use when he has gone, until its time is over.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, k := newStage(t, setup{probe: true, first: one, last: "192.168.1.22"})
	s.clients.Run(t, "ip addr add "+one+"/24 dev eth0")
	s.address(s.offer(alice, withAddress(50, ip(one))), ip("192.168.1.21"))
	e, _ := s.eventThat(func(e dhcp.Event) bool { return e.Reason == dhcp.ReasonConflict })
	if e.Address != ip(one) || e.OtherMAC.IsZero() {
		t.Errorf("event %+v", e)
	}
	s.clients.Run(t, "ip addr del "+one+"/24 dev eth0")
	held := func(want dhcp.LeaseState) {
		t.Helper()
		if l, _ := k.held(ip(one)); l.State != want {
			t.Errorf("%v, want %v", l.State, want)
		}
	}
	held(dhcp.StateDeclined)
	s.address(s.lease(bob, withAddress(50, ip(one))), ip("192.168.1.22"))
	if err := errors.Join(k.stop(), k.open()); err != nil {
		t.Fatal(err)
	}
	held(dhcp.StateDeclined)
	s.address(s.offer(third, withAddress(50, ip(one))), ip("192.168.1.21")) // alice has not taken it
	s.silence(envelope{}, newMessage(dhcp.Discover, fourth, withAddress(50, ip(one))), dhcp.ReasonPoolFull)
	s.pass(dhcp.DefaultQuarantine)
	s.address(s.offer(fourth, withAddress(50, ip(one))), ip(one))
	held(dhcp.StateOffered)
}

// TestRequestOutOfTheBlue: a REQUEST with our identifier for an address that was not offered, as after a restart, is
// acknowledged only when nobody is there.
func TestRequestOutOfTheBlue(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, k := newStage(t, setup{probe: true})
	free := ip("192.168.1.22")
	if s.address(s.must(s.ask(envelope{}, selecting(alice, free)), dhcp.Ack), free); !s.wasAsked(free) {
		t.Errorf("nobody was asked whether %v is in use", free)
	}

	s.clients.Run(t, "ip addr add "+one+"/24 dev eth0")
	s.must(s.ask(envelope{}, selecting(bob, ip(one))), dhcp.Nak)
	if e, _ := s.eventThat(func(e dhcp.Event) bool { return e.Decision == dhcp.DecisionNak }); e.Reason != dhcp.ReasonTaken {
		t.Errorf("event %+v", e)
	}
	if l, _ := k.held(ip(one)); l.State != dhcp.StateDeclined {
		t.Errorf("%v, want it out of use", l.State)
	}
}

// TestStoppingWhileProbing: a message that waits for its probe when the server ends is told of.
func TestStoppingWhileProbing(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, k := newStage(t, setup{probe: true})
	k.cfg.ProbeWait = time.Hour
	if err := errors.Join(k.stop(), k.open()); err != nil {
		t.Fatal(err)
	}
	m := newMessage(dhcp.Discover, alice)
	s.send(envelope{}, m)
	for timeout := time.After(10 * time.Second); !s.wasAsked(ip(one)); {
		select {
		case <-timeout:
			t.Fatal("no probe")
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := k.stop(); err != nil {
		t.Fatal(err)
	}
	s.reason(dhcp.ReasonStopping)
}

// TestProbesTogether: clients that come at once wait for the time of one probe, not for one probe after the other.
func TestProbesTogether(t *testing.T) {
	t.Parallel()
	defer failing(t)
	const clients, wait = 60, time.Second / 2
	s, k := newStage(t, setup{probe: true})
	k.cfg.ProbeWait = wait
	if err := errors.Join(k.stop(), k.open()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range clients {
		s.send(envelope{}, newMessage(dhcp.Discover, net.HardwareAddr{2, 0, 0x5e, 5, 0, byte(i)}))
	}
	offered := map[netip.Addr]bool{}
	for timeout := time.After(clients / 4 * wait); len(offered) < clients; {
		select {
		case f := <-s.heard:
			r := readReply(f)
			if offered[r.yiaddr] || r.kind != dhcp.Offer || !s.wasAsked(r.yiaddr) {
				t.Fatalf("%v of %v, probed %v, offered before %v", r.kind, r.yiaddr, s.wasAsked(r.yiaddr), offered[r.yiaddr])
			}
			if offered[r.yiaddr] = true; time.Since(began) < wait {
				t.Fatalf("%v was offered after %v", r.yiaddr, time.Since(began))
			}
		case <-timeout:
			t.Fatalf("%d of %d clients have an offer after %v", len(offered), clients, time.Since(began))
		}
	}
}
