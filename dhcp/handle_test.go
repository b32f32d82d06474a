package dhcp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// desk is a table without sockets: messages go to Handle directly, at a time of the test's choice.
type desk struct {
	*testing.T

	table *dhcp.Table
	now   time.Time
	xid   uint32
	said  []dhcp.Event
}

// newDesk has a pool of 192.168.1.20 to .23 for a minute, and does not probe.
func newDesk(t *testing.T, change func(*dhcp.Config)) *desk {
	t.Helper()
	cfg := setup{first: one, last: "192.168.1.23", lease: time.Minute}.config()
	if change != nil {
		change(&cfg)
	}
	table, err := dhcp.NewTable(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &desk{T: t, table: table, now: start}
}

// put handles a message that was broadcast, and returns the reply; nil is silence.
func (d *desk) put(m *message) *reply {
	d.Helper()
	return d.putTo(everyone, m)
}

// putTo handles a message to a destination.
func (d *desk) putTo(dst netip.Addr, m *message) *reply {
	d.Helper()
	d.xid++
	m.xid = d.xid
	var parsed dhcp.Message
	if err := parsed.Parse(m.bytes()); err != nil {
		d.Fatal(err)
	}
	r, events := dhcp.Handle(d.now, d.table, dhcp.Inbound{Src: nobody, Dst: dst, Message: &parsed})
	d.said = events
	if r.Type == 0 {
		return nil
	}
	return readReply(frame{payload: r.Payload})
}

// lease goes through DISCOVER and REQUEST.
func (d *desk) lease(who []byte, changes ...change) netip.Addr {
	d.Helper()
	o := d.put(newMessage(dhcp.Discover, who, changes...))
	if o == nil {
		return netip.Addr{}
	}
	r := d.put(selecting(who, o.yiaddr, changes...))
	if r == nil || r.kind != dhcp.Ack {
		d.Fatalf("no ACK: %+v", d.said)
	}
	return r.yiaddr
}

func (d *desk) wants(got netip.Addr, want string) {
	d.Helper()
	if want == "" && got.IsValid() || want != "" && got != ip(want) {
		d.Errorf("got %v, want %q; %+v", got, want, d.said)
	}
}

// third and fourth are more stations.
var third, fourth = mac("02:00:5e:00:53:03"), mac("02:00:5e:00:53:04")

// TestPolicy is what no socket adds anything to.
func TestPolicy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*dhcp.Config)
		play   func(*desk)
	}{
		{
			"a reservation by MAC, inside the pool", reserve(dhcp.Reservation{MAC: eth(bob), Address: ip("192.168.1.20")}),
			func(d *desk) {
				d.wants(d.lease(alice), "192.168.1.21")
				d.wants(d.lease(bob), "192.168.1.20")
			},
		},
		{
			"a reservation by client identifier, outside the pool",
			reserve(dhcp.Reservation{ClientID: []byte{0, 'x'}, Address: ip("192.168.1.9"), Hostname: "printer"}),
			func(d *desk) {
				d.wants(d.lease(alice, with(61, 0, 'x')), "192.168.1.9")
				r := d.put(newMessage(dhcp.Discover, alice, with(61, 0, 'x'), asking(12)))
				if got := string(r.option(12)); got != "printer" {
					d.Errorf("host name %q", got)
				}
			},
		},
		{
			"a reserved address is nobody else's", reserve(dhcp.Reservation{MAC: eth(bob), Address: ip("192.168.1.20")}),
			func(d *desk) {
				if r := d.put(selecting(alice, ip("192.168.1.20"))); r.kind != dhcp.Nak {
					d.Errorf("%v", r.kind)
				}
				d.wants(d.lease(alice, withAddress(50, ip("192.168.1.20"))), "192.168.1.21")
			},
		},
		{"a reservation for a port of a switch, by what its relay says", func(c *dhcp.Config) {
			c.Subnets[1].Reservations = []dhcp.Reservation{{CircuitID: []byte("port7"), Address: ip("10.9.0.7")}}
		}, func(d *desk) {
			at := func(port string) []change {
				return []change{throughRelay(relayIP), with(82, append([]byte{1, byte(len(port))}, port...)...)}
			}
			d.wants(d.lease(alice, at("port7")...), "10.9.0.7")
			d.wants(d.lease(bob, at("port8")...), "10.9.0.100")
			r := d.putTo(serverIP, newMessage(dhcp.Request, alice, withCIAddr(ip("10.9.0.7"))))
			if r == nil || r.kind != dhcp.Ack {
				d.Errorf("it cannot renew without its relay: %+v", d.said)
			}
			d.wants(d.lease(alice, at("port9")...), "10.9.0.101") // it has moved
			d.wants(d.lease(third, at("port7")...), "10.9.0.7")   // and somebody else is plugged in there
		}},
		{
			"options of the host before those of the subnet",
			reserve(dhcp.Reservation{
				MAC: eth(bob), Address: ip("192.168.1.9"), Options: []dhcp.Option{dhcp.StringOption(15, "host.lan")},
			}),
			func(d *desk) {
				for who, want := range map[string]string{string(bob): "host.lan", string(alice): "aula.lan"} {
					if got := string(d.put(newMessage(dhcp.Discover, []byte(who), asking(15))).option(15)); got != want {
						d.Errorf("domain %q, want %q", got, want)
					}
				}
			},
		},
		{"an exclusion", func(c *dhcp.Config) {
			c.Subnets[0].Exclude = []dhcp.Range{{First: ip("192.168.1.20"), Last: ip("192.168.1.22")}}
		}, func(d *desk) {
			d.wants(d.lease(alice), "192.168.1.23")
			d.wants(d.lease(bob), "")
		}},
		{"the address that has been free for longest first", nil, func(d *desk) {
			for _, who := range [][]byte{alice, bob, third, fourth} {
				d.lease(who)
				d.now = d.now.Add(time.Second)
			}
			d.now = d.now.Add(30 * time.Second)
			d.put(newMessage(dhcp.Request, alice, withCIAddr(ip("192.168.1.20")))) // renews .20, so .21 ends first
			d.now = d.now.Add(2 * time.Hour)
			d.wants(d.lease(mac("02:00:5e:00:53:99")), "192.168.1.21")
		}},
		{"quarantine ends", nil, func(d *desk) {
			d.put(declining(alice, d.lease(alice), serverIP))
			d.wants(d.lease(alice, withAddress(50, ip(one))), "192.168.1.21")
			d.now = d.now.Add(dhcp.DefaultQuarantine + time.Second)
			d.wants(d.lease(bob, withAddress(50, ip(one))), one)
		}},
		{"an offer that was not taken is free again", nil, func(d *desk) {
			d.put(newMessage(dhcp.Discover, alice)) // it is held for 30 to 60 s, as clients wait for up to half a minute
			d.wants(d.lease(bob, withAddress(50, ip(one))), "192.168.1.21")
			d.now = d.now.Add(30 * time.Second)
			d.wants(d.lease(third, withAddress(50, ip(one))), "192.168.1.22")
			d.now = d.now.Add(30 * time.Second)
			d.wants(d.lease(fourth, withAddress(50, ip(one))), one)
		}},
		{"cloned guests are told of", nil, func(d *desk) {
			d.wants(d.lease(alice, with(61, 255, 'm')), one)
			d.wants(d.lease(bob, with(61, 255, 'm')), one)
			d.lease(alice, with(61, 255, 'm'))
			for _, e := range d.said {
				if e.Reason == dhcp.ReasonSharedClientID && e.OtherMAC == eth(bob) {
					return
				}
			}
			d.Errorf("no word of it: %+v", d.said)
		}},
		{"cloned guests can be told apart", func(c *dhcp.Config) { c.IgnoreClientID = true }, func(d *desk) {
			d.wants(d.lease(alice, with(61, 255, 'm')), one)
			d.wants(d.lease(bob, with(61, 255, 'm')), "192.168.1.21")
		}},
		{"an infinite lease", func(c *dhcp.Config) {
			c.Subnets[0].MaxLease = 1<<32*time.Second - time.Second
		}, func(d *desk) {
			r := d.put(selecting(alice, ip(one), withSeconds(51, 0xffffffff)))
			if r.seconds(51) != 0xffffffff || r.has(58) || r.has(59) {
				d.Errorf("lease %d, T1 %d, T2 %d", r.seconds(51), r.seconds(58), r.seconds(59))
			}
			d.now = d.now.AddDate(200, 0, 0)
			d.wants(d.lease(bob, withAddress(50, ip(one))), "192.168.1.21")
		}},
		{"the relay's information is left out by policy", func(c *dhcp.Config) { c.DropRelayInfo = true }, func(d *desk) {
			if r := d.put(newMessage(dhcp.Discover, alice, throughRelay(relayIP), with(82, 1, 1, 7))); r.has(82) {
				d.Errorf("option 82 is %x", r.option(82))
			}
		}},
		{"siaddr and what PXE asks for", func(c *dhcp.Config) {
			c.Subnets[0].NextServer = ip("192.168.1.5")
			c.Subnets[0].Options = append(c.Subnets[0].Options, parsed("66", "tftp.lan"), parsed("67", "pxelinux.0"),
				parsed("tftp-servers", "192.168.1.5,192.168.1.6"))
		}, func(d *desk) {
			r := d.put(newMessage(dhcp.Discover, alice, asking(66, 67, 150)))
			if r.siaddr != ip("192.168.1.5") || string(r.option(66)) != "tftp.lan" || string(r.option(67)) != "pxelinux.0" ||
				len(r.option(150)) != 8 {
				d.Errorf("siaddr %v, options %v", r.siaddr, r.parts)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.play(newDesk(t, tt.change))
		})
	}
}

func reserve(r dhcp.Reservation) func(*dhcp.Config) {
	return func(c *dhcp.Config) { c.Subnets[0].Reservations = append(c.Subnets[0].Reservations, r) }
}

// parsed is an option as a person writes it; a mistake in it is one in the test.
func parsed(name, value string) dhcp.Option {
	o, err := dhcp.ParseOption(name, value)
	if err != nil {
		panic(err)
	}
	return o
}
