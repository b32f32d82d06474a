package dhcp_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// decides handles a message and checks what is done about it, and why.
func (d *desk) decides(unicast bool, m *message, want dhcp.Decision, why dhcp.Reason) *reply {
	d.Helper()
	dst := everyone
	if unicast {
		dst = serverIP
	}
	r := d.putTo(dst, m)
	if got := d.said[0]; got.Decision != want || got.Reason != why {
		d.Errorf("%v because of %q (%s), want %v because of %q", got.Decision, got.Reason, got.Text(), want, why)
	}
	kinds := map[dhcp.Decision]dhcp.MessageType{
		dhcp.DecisionOffer: dhcp.Offer, dhcp.DecisionAck: dhcp.Ack, dhcp.DecisionNak: dhcp.Nak,
	}
	switch kind := kinds[want]; {
	case r == nil && kind != 0:
		d.Fatalf("silence, want %v", kind)
	case r != nil && r.kind != kind:
		d.Fatalf("the reply is %v, want %v", r.kind, kind)
	}
	return r
}

// nak checks that a broadcast message is refused, and why.
func (d *desk) nak(m *message, why dhcp.Reason) *reply {
	d.Helper()
	return d.decides(false, m, dhcp.DecisionNak, why)
}

// ignored checks that a broadcast message is ignored, and why.
func (d *desk) ignored(m *message, why dhcp.Reason) {
	d.Helper()
	d.decides(false, m, dhcp.DecisionIgnore, why)
}

// offers checks that there is an offer, and why.
func (d *desk) offers(m *message, why dhcp.Reason) *reply {
	d.Helper()
	return d.decides(false, m, dhcp.DecisionOffer, why)
}

// TestWhy is for which reason each kind of REQUEST is refused or ignored. That it is says TestConformance.
func TestWhy(t *testing.T) {
	t.Parallel()
	authoritative := func(c *dhcp.Config) { c.Authoritative = true }
	first, second := ip(one), ip("192.168.1.21")
	for _, tt := range []struct {
		name   string
		change func(*dhcp.Config)
		play   func(*desk)
	}{
		{"selecting another address than the one offered", nil, func(d *desk) {
			d.offers(newMessage(dhcp.Discover, alice), dhcp.ReasonNew)
			d.nak(selecting(alice, second), dhcp.ReasonWrongAddress)
			if d.said[0].Other != first {
				d.Errorf("%+v", d.said[0])
			}
		}},
		{"selecting what is leased to another", nil, func(d *desk) {
			d.lease(alice)
			d.nak(selecting(bob, first), dhcp.ReasonTaken)
		}},
		{"selecting what was leased to another", nil, func(d *desk) {
			d.lease(alice)
			d.now = d.now.Add(time.Minute)
			d.decides(false, selecting(bob, first), dhcp.DecisionAck, dhcp.ReasonSelecting)
			d.nak(selecting(alice, first), dhcp.ReasonTaken)
		}},
		{"selecting what is offered to another", nil, func(d *desk) {
			d.offers(newMessage(dhcp.Discover, alice), dhcp.ReasonNew)
			d.nak(selecting(bob, first), dhcp.ReasonTaken)
			d.decides(false, selecting(alice, first), dhcp.DecisionAck, dhcp.ReasonSelecting)
		}},
		{"selecting what is in quarantine", nil, func(d *desk) {
			d.put(declining(alice, d.lease(alice), serverIP))
			d.nak(selecting(bob, first), dhcp.ReasonTaken)
			d.nak(selecting(alice, first), dhcp.ReasonTaken)
		}},
		{"selecting what is outside the pool", nil, func(d *desk) {
			d.nak(selecting(alice, ip("192.168.1.9")), dhcp.ReasonNotServed)
		}},
		{"selecting an address of another network", nil, func(d *desk) {
			d.nak(selecting(alice, ip("172.16.0.7")), dhcp.ReasonWrongNetwork)
		}},
		{"rebooting with another's address", nil, func(d *desk) {
			d.lease(alice)
			d.lease(bob)
			d.nak(reboot(bob, first), dhcp.ReasonWrongAddress)
			if d.said[0].Other != second {
				d.Errorf("%+v", d.said[0])
			}
		}},
		{"renewing another's address", nil, func(d *desk) {
			d.lease(alice)
			d.decides(true, extending(bob, first), dhcp.DecisionNak, dhcp.ReasonTaken)
			d.nak(extending(bob, first), dhcp.ReasonTaken)
		}},
		{"renewing another address than its own", nil, func(d *desk) {
			d.lease(alice, withAddress(50, second))
			d.decides(true, extending(alice, first), dhcp.DecisionNak, dhcp.ReasonWrongAddress)
			d.nak(extending(alice, first), dhcp.ReasonWrongAddress)
		}},
		{"renewing and rebinding, unknown", nil, func(d *desk) {
			d.decides(true, extending(alice, first), dhcp.DecisionIgnore, dhcp.ReasonNoRecord)
			d.ignored(extending(alice, first), dhcp.ReasonNoRecord)
		}},
		{"renewing and rebinding, unknown and authoritative", authoritative, func(d *desk) {
			d.decides(true, extending(alice, first), dhcp.DecisionNak, dhcp.ReasonUnknown)
			d.nak(extending(alice, first), dhcp.ReasonUnknown)
		}},
		{"renewing and rebinding, unknown and authoritative for the subnet", func(c *dhcp.Config) {
			c.Subnets[0].Authoritative = true
		}, func(d *desk) {
			d.decides(true, extending(alice, first), dhcp.DecisionNak, dhcp.ReasonUnknown)
			d.nak(extending(alice, first), dhcp.ReasonUnknown)
			d.ignored(extending(alice, ip("10.9.0.100"), throughRelay(relayIP)), dhcp.ReasonNoRecord)
		}},
		{"renewing and rebinding", nil, func(d *desk) {
			d.lease(alice)
			d.decides(true, extending(alice, first), dhcp.DecisionAck, dhcp.ReasonRenewing)
			d.decides(false, extending(alice, first), dhcp.DecisionAck, dhcp.ReasonRebinding)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.play(newDesk(t, tt.change))
		})
	}
}

// extending is a renewal without its envelope.
func extending(who []byte, a netip.Addr, changes ...change) *message {
	_, m := renewal(who, a, changes...)
	return m
}

// TestNakHeader: a NAK to a message that has an address, from a server that has a siaddr, has neither.
func TestNakHeader(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *dhcp.Config) { c.Subnets[0].NextServer = ip("192.168.1.5") })
	a := d.lease(alice)
	for _, unicast := range []bool{true, false} {
		r := d.decides(unicast, extending(bob, a), dhcp.DecisionNak, dhcp.ReasonTaken)
		if r.ciaddr != nobody || r.yiaddr != nobody || r.siaddr != nobody || len(r.option(56)) == 0 {
			t.Errorf("ciaddr %v, yiaddr %v, siaddr %v, message %q", r.ciaddr, r.yiaddr, r.siaddr, r.option(56))
		}
	}
	r := d.decides(true, extending(alice, a), dhcp.DecisionAck, dhcp.ReasonRenewing)
	if r.ciaddr != a || r.siaddr != ip("192.168.1.5") {
		t.Errorf("ACK with ciaddr %v and siaddr %v", r.ciaddr, r.siaddr)
	}
}

// TestHeaderBounds: the largest that is allowed is served, and what is no DHCP message is not.
func TestHeaderBounds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	hops := func(n uint8) change { return func(m *message) { m.hops = n } }
	if r := d.offers(newMessage(dhcp.Discover, alice, throughRelay(relayIP), hops(16)), dhcp.ReasonNew); r.hops != 0 {
		t.Errorf("hops %d", r.hops)
	}
	d.ignored(newMessage(dhcp.Discover, bob, throughRelay(relayIP), hops(17)), dhcp.ReasonTooManyHops)

	longest := []byte{2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	for n, htype := range map[int]uint8{6: 1, 8: 32, 16: 1} {
		who := longest[:n]
		m := newMessage(dhcp.Discover, who, func(m *message) { m.htype = htype })
		r := d.put(m)
		if r == nil {
			t.Fatalf("hlen %d: %+v", n, d.said)
		}
		if int(r.hlen) != n || r.htype != htype || !slices.Equal(r.chaddr[:n], who) {
			t.Errorf("hlen %d, htype %d, chaddr %x, want those of %x", r.hlen, r.htype, r.chaddr, who)
		}
	}

	for what, chaddr := range map[string]string{
		"zero": "00:00:00:00:00:00", "everybody's": "ff:ff:ff:ff:ff:ff", "a group's": "01:00:5e:00:00:fb",
		"a group's, made by hand": "03:00:00:00:00:01",
	} {
		for _, kind := range []dhcp.MessageType{dhcp.Discover, dhcp.Request, dhcp.Inform} {
			d.ignored(newMessage(kind, mac(chaddr), with(61, 1, 2, 3)), dhcp.ReasonMalformed)
			if got := d.said[0].Detail; got != "chaddr is no single station's address" {
				t.Errorf("%v with a chaddr of %s: %s", kind, what, got)
			}
		}
	}

	untyped := newMessage(dhcp.Discover, alice, func(m *message) { m.options[0] = dhcp.Option{Code: 12, Value: []byte("pc")} })
	d.ignored(untyped, dhcp.ReasonMalformed)
	if got := d.said[0].Detail; got != "no message type (53)" {
		t.Errorf("detail %q", got)
	}
	d.ignored(newMessage(dhcp.Discover, alice, func(m *message) { m.options[0].Value = []byte{1, 1} }), dhcp.ReasonMalformed)
}

// TestLeaseTime: what is offered is what is leased and what is stored, and T1 and T2 follow from it.
func TestLeaseTime(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *dhcp.Config) {
		s := &c.Subnets[0]
		s.Lease, s.MinLease, s.MaxLease = 600*time.Second, 300*time.Second, 900*time.Second
	})
	for _, tt := range []struct{ asked, want uint32 }{{700, 700}, {5000, 900}, {10, 300}, {0, 300}, {1<<32 - 1, 900}} {
		time51 := withSeconds(51, tt.asked)
		o := d.put(newMessage(dhcp.Discover, alice, time51))
		for _, m := range []*message{
			selecting(alice, o.yiaddr, time51), reboot(alice, o.yiaddr, time51), extending(alice, o.yiaddr, time51),
		} {
			d.now = d.now.Add(time.Second)
			r := d.put(m)
			for _, r := range []*reply{o, r} {
				if l := r.seconds(51); l != tt.want || r.seconds(58) != l/2 || r.seconds(59) != l*7/8 {
					t.Errorf("asked for %d s: %v for %d s, T1 %d, T2 %d, want %d s", tt.asked, r.kind, l, r.seconds(58),
						r.seconds(59), tt.want)
				}
			}
			leases := d.table.Leases(d.now)
			if len(leases) != 1 || !leases[0].Expires.Equal(d.now.Add(time.Duration(tt.want)*time.Second)) {
				t.Errorf("asked for %d s, stored %+v", tt.asked, leases)
			}
		}
	}
}
