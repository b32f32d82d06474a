package mistake_test

import (
	"net/netip"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/mistake"
)

// wireRows are about what the host and the wire know.
func wireRows() []row {
	working := func(m *machine) string { m.t.Helper(); serve(m, "eth1"); m.lease("c1", pc1); return "serves" }
	return []row{
		{
			name: "two servers on the segment", network: "address add 192.168.1.9/24 dev s1\n", code: diag.TwoServers,
			real: func(m *machine) string {
				m.t.Helper()
				serve(m, "eth1")
				m.write("/etc/dhcp2.conf", strings.ReplaceAll(goodDHCPD, "range 192.168.1.2 192.168.1.10", "range 192.168.1.50 192.168.1.59"))
				m.write("/etc/dhcp2.leases", "")
				m.start(serving, "dhcpd", "-4", "-f", "-d", "-cf", "/etc/dhcp2.conf", "-lf", "/etc/dhcp2.leases", "-pf", "/run/dhcpd2.pid", "s1")
				m.bothAnswer()
				return "both answer each DISCOVER"
			},
			more: func(m *machine, seen *mistake.Guest, want *mistake.Task) {
				m.write("/etc/dhcp2.conf", "-")
				delete(seen.Files, "/etc/dhcp2.conf")
				seen.Processes = seen.Processes[:1]
				var links []mistake.Link
				for _, l := range seen.Links { // s1 is another machine's card
					if l.Name != "s1" {
						links = append(links, l)
					}
				}
				seen.Links = links
				want.Host.Answering = []mistake.Answering{
					{Address: netip.MustParseAddr("192.168.1.1"), MAC: mac("02:00:00:00:00:11")},
					{Address: netip.MustParseAddr("192.168.1.9"), MAC: mac("02:00:00:00:00:21")},
				}
			},
		},
		{
			name: "the tap down", code: diag.TapIdle, real: tapRow("link set tap1 down\n", func(state string) bool { return strings.Contains(state, "state disabled") }, "the bridge's port is disabled"),
			more: taps(mistake.Tap{Name: "tap1", Guest: "srv", NIC: "eth1", Want: "br1", Bridge: "br1", Exists: true}),
		},
		{
			name: "the tap not in the bridge", code: diag.TapIdle, real: tapRow("link set tap1 nomaster\n", func(state string) bool { return state == "" }, "the bridge has no such port"),
			more: taps(mistake.Tap{Name: "tap1", Guest: "srv", NIC: "eth1", Want: "br1", Exists: true, Up: true}),
		},
		{
			name: "the tap without a name", code: diag.TapUnnamed,
			real: func(m *machine) string {
				m.t.Helper()
				accepts(m, "", "ip", "tuntap", "add", "mode", "tap")
				accepts(m, "tap0", "ip", "-brief", "link", "show", "tap0")
				refuses("does not exist", "ip", "link", "show", "tap1")(m)
				accepts(m, "", "ip", "link", "delete", "tap0")
				return "the kernel makes a tap0"
			},
			more: func(m *machine, seen *mistake.Guest, want *mistake.Task) {
				taps(mistake.Tap{Name: "tap1", Guest: "srv", NIC: "eth1", Want: "br1"})(m, seen, want)
				want.Host.Strays = []string{"tap0"}
			},
		},
		{
			name: "no tap", code: diag.TapMissing,
			real: func(m *machine) string {
				m.t.Helper()
				refuses("does not exist", "ip", "link", "show", "tap1")(m)
				return "the kernel knows no such link"
			},
			more: taps(mistake.Tap{Name: "tap1", Guest: "srv", NIC: "eth1", Want: "br1"}),
		},
		{
			name: "a lease outside the asked range (from before the change)", code: diag.LeaseOutside,
			files: map[string]string{dhcpdConf: strings.Replace(goodDHCPD, "192.168.1.2 192.168.1.10", "192.168.1.40 192.168.1.49", 1)},
			real: func(m *machine) string {
				m.t.Helper()
				serve(m, "eth1")
				if a := m.lease("c1", pc1).YourIPAddr.To4(); a[3] < 40 {
					m.t.Errorf("it lends %v", a)
				}
				m.stop()
				m.write(dhcpdConf, goodDHCPD)
				serve(m, "eth1")
				return "cannot take a lease back that it has given"
			},
			more: func(_ *machine, seen *mistake.Guest, want *mistake.Task) {
				want.Host.Leases = []mistake.Lease{{
					Address: netip.MustParseAddr("192.168.1.49"), MAC: mac(pc1),
					Server: netip.MustParseAddr("192.168.1.1"), Time: seen.Time,
				}}
			},
		},
		{
			name: "the belief that “the server's IP is 255.255.255.255”", code: diag.BroadcastIsNobody,
			real: func(m *machine) string {
				m.t.Helper()
				serve(m, "eth1")
				if s := m.lease("c1", pc1).ServerIdentifier().String(); s != "192.168.1.1" {
					m.t.Errorf("option 54 is %s", s)
				}
				return "option 54 is 192.168.1.1"
			},
			more: func(_ *machine, _ *mistake.Guest, want *mistake.Task) {
				want.Answers = []mistake.Answer{{To: mistake.ServerAddress, Text: " 255.255.255.255"}}
			},
		},
		{
			name: "a multicast MAC for a guest's card", code: diag.MACOfGroup, real: func(m *machine) string {
				working(m)
				refuses("Cannot assign requested address", "ip", "link", "set", "dev", "c1", "address", "01:02:03:04:05:06")(m)
				return "the kernel refuses it: “Cannot assign requested address”"
			},
			more: func(_ *machine, _ *mistake.Guest, want *mistake.Task) {
				want.Host.NICs = []mistake.NIC{{Guest: "pc1", Name: "eth0", MAC: mac("01:02:03:04:05:06")}}
			},
		},
	}
}

func taps(list ...mistake.Tap) func(*machine, *mistake.Guest, *mistake.Task) {
	return func(_ *machine, _ *mistake.Guest, want *mistake.Task) { want.Host.Taps = list }
}

// tapRow makes a tap that is plugged in and up, changes it, and looks at the bridge's port.
func tapRow(change string, broken func(state string) bool, phrase string) func(*machine) string {
	return func(m *machine) string {
		m.t.Helper()
		m.ip("tuntap add tap1 mode tap\nlink set tap1 master br1\nlink set tap1 up\n")
		defer m.ip("link delete tap1\n")
		state := func() string {
			out, _ := m.try("sh", "-c", "bridge link show dev tap1 | grep -o 'state [a-z]*'")
			return strings.TrimSpace(out)
		}
		if s := state(); s == "" {
			m.t.Error("it never was a port")
		}
		m.ip(change)
		if s := state(); !broken(s) {
			m.t.Errorf("the port is %q", s)
		}
		return phrase
	}
}
