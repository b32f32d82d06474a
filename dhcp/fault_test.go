package dhcp_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kvmlab/kvmlab/dhcp"
)

func fault(t *testing.T, text string) dhcp.Fault {
	t.Helper()
	f, err := dhcp.ParseFault(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestParseFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]dhcp.Fault{
		"drop=OFFER":           {Kind: dhcp.FaultDrop, Message: dhcp.Offer},
		"drop=DISCOVER#2@br1":  {Kind: dhcp.FaultDrop, Message: dhcp.Discover, Nth: 2, Interface: "br1"},
		"delay=ACK#1:3s":       {Kind: dhcp.FaultDelay, Message: dhcp.Ack, Nth: 1, Delay: 3 * time.Second},
		"delay=REQUEST:1.5s":   {Kind: dhcp.FaultDelay, Message: dhcp.Request, Delay: 1500 * time.Millisecond},
		"duplicate=NAK":        {Kind: dhcp.FaultDuplicate, Message: dhcp.Nak},
		"nak":                  {Kind: dhcp.FaultNak},
		"nak#3":                {Kind: dhcp.FaultNak, Nth: 3},
		"router=192.168.1.250": {Kind: dhcp.FaultRouter, Address: ip("192.168.1.250")},
		"mask=255.255.0.0":     {Kind: dhcp.FaultMask, Address: ip("255.255.0.0")},
		"dns=10.0.0.1@br2":     {Kind: dhcp.FaultDNS, Address: ip("10.0.0.1"), Interface: "br2"},
		"pool-full":            {Kind: dhcp.FaultPoolFull},
		"lease=10s":            {Kind: dhcp.FaultLease, Lease: 10 * time.Second},
		"silent":               {Kind: dhcp.FaultSilent},
	} {
		got, err := dhcp.ParseFault(text)
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
		if again := got.String(); again != text {
			t.Errorf("%s is written as %s", text, again)
		}
	}
	for _, text := range []string{
		"", "rain", "drop", "drop=LUNCH", "drop=OFFER#0", "drop=OFFER#x", "delay=ACK", "delay=ACK:-1s", "delay=ACK:2h",
		"router", "router=br1", "dns=::1", "lease=fast", "lease=1ms", "silent=yes", "nak#-1", "nak=1", "nak=ACK#1",
	} {
		_, err := dhcp.ParseFault(text)
		var mistake *dhcp.FaultError
		if !errors.As(err, &mistake) || mistake.Fault != text {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestFaults sets each fault on a running server and looks at what comes over the wire.
func TestFaults(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, k := newStage(t, setup{})
	set := func(texts ...string) {
		var faults []dhcp.Fault
		for _, text := range texts {
			faults = append(faults, fault(t, text))
		}
		if err := k.srv.SetFaults(faults...); err != nil {
			t.Fatal(err)
		}
		for range texts {
			s.reason(dhcp.ReasonFaultSet)
		}
	}
	a := s.lease(alice).yiaddr

	set("drop=DISCOVER#2", "router=192.168.1.250", "mask=255.255.0.0", "dns=10.1.1.1", "lease=7s")
	r := s.offer(alice, asking(1, 3, 6))
	s.value(r, 3, []byte{192, 168, 1, 250})
	s.value(r, 1, []byte{255, 255, 0, 0})
	s.value(r, 6, []byte{10, 1, 1, 1})
	if r.seconds(51) != 7 {
		t.Errorf("a lease of %d s", r.seconds(51))
	}
	s.silentTo(newMessage(dhcp.Discover, alice))
	s.offer(alice)

	set("drop=OFFER")
	m := newMessage(dhcp.Discover, bob)
	s.send(envelope{}, m)
	e, _ := s.eventThat(func(e dhcp.Event) bool { return e.XID == m.xid && e.Direction == dhcp.Out })
	if e.Decision != dhcp.DecisionNotSent || e.Reason != dhcp.ReasonFault || e.Detail != "drop=OFFER" {
		t.Errorf("%+v", e)
	}

	set("duplicate=OFFER")
	m = newMessage(dhcp.Discover, bob)
	s.ask(envelope{}, m)
	s.await(m)

	set("duplicate=REQUEST")
	m = reboot(alice, a)
	s.ask(envelope{}, m)
	s.await(m)

	set("nak#1")
	s.must(s.ask(envelope{}, reboot(alice, a)), dhcp.Nak)
	s.must(s.ask(envelope{}, reboot(alice, a)), dhcp.Ack)

	set("pool-full")
	m = newMessage(dhcp.Discover, third)
	s.send(envelope{}, m)
	if e, _ := s.event(m.xid); e.Reason != dhcp.ReasonPoolFull {
		t.Errorf("%+v", e)
	}
	s.offer(alice) // has an address

	set("silent")
	m = newMessage(dhcp.Discover, alice)
	s.send(envelope{}, m)
	if e, _ := s.event(m.xid); e.Reason != dhcp.ReasonFault {
		t.Errorf("%+v", e)
	}
	if got := k.srv.Faults(); len(got) != 1 || got[0].Kind != dhcp.FaultSilent {
		t.Errorf("the faults are %v", got)
	}

	set()
	s.reason(dhcp.ReasonFaultCleared)
	if r := s.offer(alice, asking(1, 3)); r.seconds(51) != 600 || r.address(3) != serverIP {
		t.Errorf("after the end of the faults: lease %d s, router %v", r.seconds(51), r.address(3))
	}
	var mistake *dhcp.ConfigError
	if err := k.srv.SetFaults(dhcp.Fault{Kind: dhcp.FaultSilent, Interface: "br9"}); !errors.As(err, &mistake) {
		t.Errorf("a fault on an interface that is not served: %v", err)
	}
}

// silentTo sends a message that a fault swallows.
func (s *stage) silentTo(m *message) {
	s.send(envelope{}, m)
	s.silent(m.xid, m.kind().String(), dhcp.ReasonFault)
}

// TestFaultDelays: what is late is late, and comes; what is late when the server ends does not keep it.
func TestFaultDelays(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, k := newStage(t, setup{})
	for _, text := range []string{"delay=OFFER:300ms", "delay=DISCOVER:300ms"} {
		if err := k.srv.SetFaults(fault(t, text)); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		s.offer(alice)
		if d := time.Since(before); d < 300*time.Millisecond {
			t.Errorf("%s: it came after %v", text, d)
		}
		s.reason(dhcp.ReasonFault)
	}
	for _, text := range []string{"delay=OFFER:1h", "delay=DISCOVER:1h"} {
		if err := k.srv.SetFaults(fault(t, text)); err != nil {
			t.Fatal(err)
		}
		s.send(envelope{}, newMessage(dhcp.Discover, alice))
		s.reason(dhcp.ReasonFault)
	}
	if err := k.stop(); err != nil {
		t.Fatal(err)
	}
	s.eventThat(func(e dhcp.Event) bool {
		return e.Decision == dhcp.DecisionIgnore && e.Detail == "delay=DISCOVER:1h0m0s"
	})
}
