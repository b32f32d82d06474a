package dhcp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// noAddress checks that an offer has no address, no lease, and goes to everybody who may listen.
func (d *desk) noAddress(m *message, why dhcp.Reason) *reply {
	d.Helper()
	r := d.offers(m, why)
	if r.yiaddr != nobody || r.has(51) || r.has(58) || r.has(59) {
		d.Errorf("an offer of %v with the options %v", r.yiaddr, r.codes())
	}
	return r
}

// fullDesk has a pool of one address, which alice has.
func fullDesk(t *testing.T, change func(*dhcp.Subnet)) *desk {
	t.Helper()
	d := newDesk(t, func(c *dhcp.Config) {
		c.Subnets[0].Ranges[0].Last = ip(one)
		change(&c.Subnets[0])
	})
	d.wants(d.lease(alice), one)
	return d
}

// TestIPv6Only is option 108 (RFC 8925 section 3.3) where no other server has it to compare with.
func TestIPv6Only(t *testing.T) {
	t.Parallel()
	wait := func(s *dhcp.Subnet) { s.V6OnlyWait, s.RapidCommit = 30*time.Minute, true }
	asks := asking(1, 108, 3)
	t.Run("no address is left", func(t *testing.T) {
		t.Parallel()
		d := fullDesk(t, wait)
		if got := d.noAddress(newMessage(dhcp.Discover, bob, asks), dhcp.ReasonIPv6Only).seconds(108); got != 1800 {
			t.Errorf("option 108 says %d s", got)
		}
		d.ignored(newMessage(dhcp.Discover, bob, asking(1, 3)), dhcp.ReasonPoolFull)
		d.ignored(newMessage(dhcp.Discover, bob), dhcp.ReasonPoolFull)
		if n := len(d.table.Leases(d.now)); n != 1 {
			t.Errorf("%d leases", n)
		}
	})
	t.Run("no rapid commit for whom it is sent to", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, func(c *dhcp.Config) { wait(&c.Subnets[0]) })
		if r := d.offers(newMessage(dhcp.Discover, alice, asks, with(80)), dhcp.ReasonNew); r.has(80) || r.seconds(108) != 1800 {
			t.Errorf("offer with the options %v", r.codes())
		}
		d.decides(false, newMessage(dhcp.Discover, bob, asking(1, 3), with(80)), dhcp.DecisionAck, dhcp.ReasonRapidCommit)
	})
	t.Run("in the ACK too", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, func(c *dhcp.Config) { wait(&c.Subnets[0]) })
		for _, m := range []*message{
			selecting(alice, ip(one), asks), reboot(alice, ip(one), asks), extending(alice, ip(one), asks),
		} {
			if r := d.put(m); r.kind != dhcp.Ack || r.seconds(108) != 1800 {
				t.Errorf("%v with %d s in option 108", r.kind, r.seconds(108))
			}
		}
		if r := d.put(extending(alice, ip(one), asking(1, 3))); r.has(108) {
			t.Error("option 108 for a client that did not ask for it")
		}
	})
	t.Run("not in a NAK", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, func(c *dhcp.Config) { wait(&c.Subnets[0]) })
		if r := d.nak(reboot(alice, ip("172.16.0.7"), asks), dhcp.ReasonWrongNetwork); r.has(108) {
			t.Error("option 108 in a NAK")
		}
	})
}

// TestAutoConfigure is option 116 (RFC 2563): of clients that ask, and only when there is no address, none is to make
// one up.
func TestAutoConfigure(t *testing.T) {
	t.Parallel()
	must := func(s *dhcp.Subnet) { s.NoAutoConfigure = true }
	t.Run("no address is left", func(t *testing.T) {
		t.Parallel()
		d := fullDesk(t, must)
		r := d.noAddress(newMessage(dhcp.Discover, bob, with(116, 1)), dhcp.ReasonPoolFull)
		if v := r.option(116); len(v) != 1 || v[0] != 0 {
			t.Errorf("option 116 is %x", v)
		}
		for _, value := range [][]byte{{0}, {}, {2}, {1, 1}} { // DoNotAutoConfigure is no question, nor is the rest
			d.ignored(newMessage(dhcp.Discover, bob, with(116, value...)), dhcp.ReasonPoolFull)
		}
		d.ignored(newMessage(dhcp.Discover, bob, asking(1, 116)), dhcp.ReasonPoolFull)
		if r := d.offers(newMessage(dhcp.Discover, alice, with(116, 1)), dhcp.ReasonCurrent); r.has(116) {
			t.Error("option 116 for a client that has an address")
		}
	})
	t.Run("an address is left", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, func(c *dhcp.Config) { must(&c.Subnets[0]) })
		r := d.offers(newMessage(dhcp.Discover, alice, with(116, 1), asking(1, 116)), dhcp.ReasonNew)
		if r.yiaddr != ip(one) || r.has(116) {
			t.Errorf("offer of %v with the options %v", r.yiaddr, r.codes())
		}
	})
	t.Run("the site lets them", func(t *testing.T) {
		t.Parallel()
		fullDesk(t, func(*dhcp.Subnet) {}).ignored(newMessage(dhcp.Discover, bob, with(116, 1)), dhcp.ReasonPoolFull)
	})
	t.Run("IPv6 alone goes before", func(t *testing.T) {
		t.Parallel()
		d := fullDesk(t, func(s *dhcp.Subnet) { s.NoAutoConfigure, s.V6OnlyWait = true, time.Hour })
		d.noAddress(newMessage(dhcp.Discover, bob, with(116, 1), asking(108)), dhcp.ReasonIPv6Only)
	})
}

// TestSubnetChoice: what the relay says of the link goes before what the client asks for, and that before the relay's own
// address (RFC 3527 section 3, RFC 3011 section 2). A network that is not served is not answered from another one.
func TestSubnetChoice(t *testing.T) {
	t.Parallel()
	link := func(a string) change { return with(82, append([]byte{5, 4}, ip(a).AsSlice()...)...) }
	wanted := func(a string) change { return withAddress(118, ip(a)) }
	for _, tt := range []struct {
		name    string
		changes []change
		want    string // the network; none is silence
	}{
		{"nothing", nil, "192.168.1.0/24"},
		{"giaddr", []change{throughRelay(relayIP)}, "10.9.0.0/24"},
		{"82.5 and giaddr", []change{throughRelay(relayIP), link("10.10.0.0")}, "10.10.0.0/24"},
		{"118 and giaddr", []change{throughRelay(relayIP), wanted("10.10.0.0")}, "10.10.0.0/24"},
		{"82.5 and 118", []change{throughRelay(gatewayIP), link("10.9.0.0"), wanted("10.10.0.0")}, "10.9.0.0/24"},
		{"118 and 82.5", []change{throughRelay(gatewayIP), wanted("10.9.0.0"), link("10.10.0.0")}, "10.10.0.0/24"},
		{"118 without a relay", []change{wanted("10.10.0.0")}, "10.10.0.0/24"},
		{"82.5 as an address of the network", []change{throughRelay(relayIP), link("10.10.0.77")}, "10.10.0.0/24"},
		{"giaddr, unknown", []change{throughRelay(ip("10.99.0.1"))}, ""},
		{"82.5, unknown", []change{throughRelay(relayIP), link("10.99.0.0")}, ""},
		{"118, unknown", []change{throughRelay(relayIP), wanted("10.99.0.0")}, ""},
		{"82.5, unknown, and 118", []change{throughRelay(relayIP), link("10.99.0.0"), wanted("10.10.0.0")}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			m := newMessage(dhcp.Discover, alice, tt.changes...)
			if tt.want == "" {
				d.ignored(m, dhcp.ReasonNoSubnet)
				return
			}
			if r := d.offers(m, dhcp.ReasonNew); !netip.MustParsePrefix(tt.want).Contains(r.yiaddr) {
				t.Errorf("offer of %v", r.yiaddr)
			}
		})
	}
}
