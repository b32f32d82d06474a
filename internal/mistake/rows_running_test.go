package mistake_test

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/mistake"
)

// runningRows are about what the files mean, and about the server that runs.
func runningRows() []row {
	serves := func(phrase string) func(*machine) string {
		return func(m *machine) string { m.t.Helper(); serve(m, "eth1"); return phrase }
	}
	change := func(from, to string) map[string]string {
		if !strings.Contains(goodDHCPD, from) {
			panic("no " + from)
		}
		return map[string]string{dhcpdConf: strings.Replace(goodDHCPD, from, to, 1)}
	}
	return []row{
		{
			name: "never started", code: diag.ServerNotRunning,
			real: func(m *machine) string {
				m.t.Helper()
				if out, _ := m.try("ss", "-lnupH", "sport = :67"); out != "" {
					m.t.Errorf("somebody listens:\n%s", out)
				}
				return "nobody listens on port 67"
			},
		},
		{
			name: "not restarted after the edit", code: diag.ServerNotRestarted,
			files: change("192.168.1.2 192.168.1.10", "192.168.1.40 192.168.1.49"),
			real: func(m *machine) string {
				m.t.Helper()
				serve(m, "eth1")
				m.lease("c1", pc1)
				m.write(dhcpdConf, goodDHCPD)
				if a := m.lease("c1", "02:00:00:00:01:02").YourIPAddr.To4(); a[3] < 40 {
					m.t.Errorf("it lends %v", a)
				}
				return "goes on with what it has read"
			},
		},
		{
			name: "another range than asked", files: change("192.168.1.10", "192.168.1.100"), code: diag.RangeDiffers, line: 4,
			real: serves("lends what the file says"),
		},
		{
			name: "no range", files: change("  range 192.168.1.2 192.168.1.10;\n", ""), code: diag.RangeMissing, line: 3,
			real: func(m *machine) string {
				m.t.Helper()
				out := serve(m, "eth1")
				c := m.client("c1", pc1)
				discover, err := dhcpv4.NewDiscovery(mac(pc1), dhcpv4.WithBroadcast(true))
				if err != nil {
					m.t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(m.t.Context())
				defer cancel()
				go c.SendAndRead(ctx, &net.UDPAddr{IP: net.IPv4bcast, Port: 67}, discover, nil)
				out.await(m.t, "no free leases")
				return "writes “no free leases” to the journal"
			},
		},
		{
			name: "the subnet of another network", files: change("subnet 192.168.1.0 netmask 255.255.255.0 {\n  range 192.168.1.2 192.168.1.10", "subnet 192.168.9.0 netmask 255.255.255.0 {\n  range 192.168.9.2 192.168.9.10"),
			real: refuses("No subnet declaration for eth1 (192.168.1.1).", "dhcpd", "-4", "-f", "-d", "-cf", dhcpdConf, "eth1"),
			code: diag.SubnetUndeclared,
		},
		{
			name: "the router forgotten", files: change("  option routers 192.168.1.1;\n", ""), code: diag.OptionNotAsAsked, line: 3,
			real: func(m *machine) string {
				m.t.Helper()
				serve(m, "eth1")
				if r := m.lease("c1", pc1).Router(); len(r) > 0 {
					m.t.Errorf("routers %v", r)
				}
				return "sends an ACK without option 3"
			},
		},
		{
			name: "a lease time below that asked", files: change("max-lease-time 7200", "max-lease-time 60"), code: diag.LeaseDiffers, line: 2,
			real: func(m *machine) string {
				m.t.Helper()
				serve(m, "eth1")
				if s := m.lease("c1", pc1).IPAddressLeaseTime(0); s != time.Minute {
					m.t.Errorf("lent for %v", s)
				}
				return "lends for 60 s: `max-lease-time` limits `default-lease-time`"
			},
			more: func(_ *machine, _ *mistake.Guest, want *mistake.Task) { want.Lease = 10 * time.Minute },
		},
		{
			name: "`authoritative` missing where a NAK is expected", code: diag.NotAuthoritative, line: 3,
			real: func(m *machine) string {
				m.t.Helper()
				out := serve(m, "eth1")
				if got := nakOrOffer(m, out); got != dhcpv4.MessageTypeOffer {
					m.t.Errorf("without authoritative: %v", got)
				}
				m.stop()
				m.write(dhcpdConf, "authoritative;\n"+goodDHCPD)
				out = serve(m, "eth1")
				if got := nakOrOffer(m, out); got != dhcpv4.MessageTypeNak {
					m.t.Errorf("with authoritative: %v", got)
				}
				m.stop()
				m.write(dhcpdConf, goodDHCPD)
				serve(m, "eth1")
				return "is silent to a REQUEST for 10.9.9.9; with `authoritative` it sends a NAK"
			},
			more: func(_ *machine, _ *mistake.Guest, want *mistake.Task) { want.Authoritative = true },
		},
		{
			name: "`authoritativ`", files: map[string]string{dhcpdConf: "authoritativ;\n" + goodDHCPD}, code: diag.WordMisspelt, line: 1,
			real: func(m *machine) string {
				m.t.Helper()
				accepts(m, "", "dhcpd", "-t", "-cf", dhcpdConf)
				out := serve(m, "eth1")
				if got := nakOrOffer(m, out); got != dhcpv4.MessageTypeOffer {
					m.t.Errorf("got %v", got)
				}
				return "accepts it without a word, and sends no NAK"
			},
		},
	}
}

// nakOrOffer asks for an address of another network and, behind that, discovers: what is answered first tells whether
// the REQUEST was, without waiting for a silence.
func nakOrOffer(m *machine, out *output) dhcpv4.MessageType {
	m.t.Helper()
	c := m.client("c1", "02:00:00:00:01:77")
	request, err := dhcpv4.New(dhcpv4.WithHwAddr(mac("02:00:00:00:01:77")), dhcpv4.WithBroadcast(true),
		dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest),
		dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.IPv4(10, 9, 9, 9))))
	if err != nil {
		m.t.Fatal(err)
	}
	discover, err := dhcpv4.NewDiscovery(mac("02:00:00:00:01:77"), dhcpv4.WithBroadcast(true), dhcpv4.WithTransactionID(request.TransactionID))
	if err != nil {
		m.t.Fatal(err)
	}
	to := &net.UDPAddr{IP: net.IPv4bcast, Port: 67}
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	answers := make(chan dhcpv4.MessageType, 1)
	go func() {
		// One answer, to either: both have one transaction's number.
		if got, err := c.SendAndRead(ctx, to, request, nil); err == nil {
			answers <- got.MessageType()
		}
	}()
	out.await(m.t, "DHCPREQUEST for 10.9.9.9")
	other := m.client("c1", "02:00:00:00:01:77")
	go other.SendAndRead(ctx, to, discover, nil)
	select {
	case got := <-answers:
		return got
	case <-ctx.Done():
		m.t.Fatal("no answer at all")
		return 0
	}
}
