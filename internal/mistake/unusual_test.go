package mistake_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/mistake"
)

// right is a solution that is correct and not the one that everybody writes.
type right struct {
	name  string
	files map[string]string
	// serve starts the server.
	serve func(*machine)
	more  func(*mistake.Task)
	// warning is the code of the only warning that is due, if any.
	warning diag.Code
}

func unusual() []right {
	isc := func(m *machine) { m.t.Helper(); serve(m, "eth1") }
	byScript := func(m *machine) {
		m.t.Helper()
		if out, status := script(m); status != 0 {
			m.t.Fatalf("status %d:\n%s", status, out)
		}
	}
	conf := func(text string) map[string]string { return map[string]string{dhcpdConf: text} }
	return []right{
		{name: "the class note as it is", files: nil, serve: isc},
		{
			name: "all on one line, in capitals", serve: isc,
			files: conf("SUBNET 192.168.1.0 NETMASK 255.255.255.0{RANGE 192.168.1.2 192.168.1.10;OPTION ROUTERS 192.168.1.1;OPTION DOMAIN-NAME-SERVERS 192.168.1.1;}"),
		},
		{
			name: "a word on each line, with comments (and accents) between", serve: isc,
			files: conf("# configuración\nsubnet\n192.168.1.0 # la red\nnetmask 255.255.255.0\n{\n\trange\n\t192.168.1.2\n\t192.168.1.10\n\t; option routers 192.168.1.1\n;\noption\ndomain-name-servers\n192.168.1.1 ; }\n"),
		},
		{
			name: "line ends as Windows makes them", serve: isc, files: conf(strings.ReplaceAll(goodDHCPD, "\n", "\r\n")),
		},
		{
			name: "the subnet in an included file", serve: isc,
			files: map[string]string{
				dhcpdConf: "include \"/etc/dhcp/aula.conf\";\n", "/etc/dhcp/aula.conf": goodDHCPD,
			},
		},
		{
			name: "another lease time, where none is asked", serve: isc,
			files: conf(strings.ReplaceAll(strings.ReplaceAll(goodDHCPD, "600", "90"), "7200", "120")),
		},
		{
			name: "`INTERFACES` (a warning only)", serve: byScript, warning: diag.InterfacesOldName,
			files: map[string]string{defaults: "INTERFACES=eth1\n"},
		},
		{
			name: "two cards between quotation marks, one of them without a subnet", serve: byScript,
			files: map[string]string{defaults: "# both\nexport INTERFACESv4='eth1 eth0'  # the second is ignored\n"},
		},
		{
			name: "two cards, the one to serve last", serve: byScript,
			files: map[string]string{defaults: "INTERFACESv4=\"eth0 eth1\"\n"},
		},
		{
			name: "a shared-network with the options outside", serve: isc,
			files: conf("option routers 192.168.1.1;\nshared-network aula {\n option domain-name-servers 192.168.1.1;\n" +
				" subnet 192.168.1.0 netmask 255.255.255.0 { pool { range 192.168.1.2 192.168.1.10; } }\n}\n"),
		},
		{
			name: "a pool beside its subnet, in a shared-network", serve: isc,
			files: conf("shared-network aula {\n option routers 192.168.1.1;\n option domain-name-servers 192.168.1.1;\n" +
				" subnet 192.168.1.0 netmask 255.255.255.0 { }\n pool { range 192.168.1.2 192.168.1.10; }\n}\n"),
		},
		{
			name: "another file for dhcpd, named in /etc/default", serve: byScript,
			files: map[string]string{
				defaults: "DHCPDv4_CONF=/etc/dhcp/aula.conf\nINTERFACESv4=eth1\n", "/etc/dhcp/aula.conf": goodDHCPD, dhcpdConf: "-",
			},
		},
		{
			name: "dhcpd started by hand, with a file of one's own", files: map[string]string{
				"/etc/mine.conf": goodDHCPD, dhcpdConf: "-", defaults: "INTERFACESv4=\"\"\n",
			},
			serve: func(m *machine) {
				m.t.Helper()
				m.start(serving, "dhcpd", "-4", "-f", "-d", "-cf", "/etc/mine.conf", "eth1")
			},
		},
		{
			name: "the subnet in a group", serve: isc,
			files: conf("group {\n option routers 192.168.1.1;\n option domain-name-servers 192.168.1.1;\n" +
				" subnet 192.168.1.0 netmask 255.255.255.0 { range 192.168.1.2 192.168.1.10; }\n}\n"),
		},
		{
			name: "ranges of single addresses", serve: isc,
			files: conf("subnet 192.168.1.0 netmask 255.255.255.0 {\n range 192.168.1.2; range 192.168.1.3; range 192.168.1.4 192.168.1.9;\n" +
				" range 192.168.1.10;\n option routers 192.168.1.1;\n option domain-name-servers 192.168.1.1;\n}\n"),
		},
		{
			name: "the range with its ends exchanged (dhcpd exchanges them)", serve: isc,
			files: conf(strings.Replace(goodDHCPD, "192.168.1.2 192.168.1.10", "192.168.1.10 192.168.1.2", 1)),
		},
		{
			name: "classes, conditions and options of one's own", serve: isc,
			files: conf("option mine code 200 = text;\nclass \"pc\" { match if substring(hardware, 1, 1) = 02; }\n" +
				"if exists host-name { log(info, option host-name); } elsif known { } else { ddns-update-style none; }\non commit { set x = \"1\"; }\n" +
				strings.Replace(goodDHCPD, "range", "option mine \"x\";\n  option domain-name aula;\n  deny bootp;\n  not authoritative;\n  range", 1)),
		},
		{
			name: "a reservation with short octets, outside the range", serve: isc,
			files: host("2:0:0:0:1:1", "192.168.1.20"),
			more:  func(want *mistake.Task) { want.Reservations = reservation() },
		},
		{
			name: "`authoritative` in the subnet", serve: isc,
			files: conf(strings.Replace(goodDHCPD, "range", "Authoritative;\n  range", 1)),
			more:  func(want *mistake.Task) { want.Authoritative = true },
		},
		{
			name: "an address with `netmask` in interfaces, and a file of its own", serve: isc,
			files: map[string]string{
				interfaces:                       "source /etc/network/interfaces.d/*\n",
				"/etc/network/interfaces.d/eth1": "allow-hotplug eth1\niface eth1 inet static\n\taddress 192.168.1.1\n\tnetmask 255.255.255.0\n",
			},
		},
		{
			name: "an old copy of the configuration beside it", serve: isc,
			files: map[string]string{"/etc/dhcp/dhcpd.conf.old": goodDHCPD, "/etc/dhcp/dhcpd.conf~": "subnet ("},
		},
		{
			name: "Kea, with comments", files: map[string]string{keaConf: "// Kea\n" + strings.Replace(goodKea, `"subnet4"`, `/* the
class */ # and
"subnet4"`, 1)},
			serve: func(m *machine) { m.t.Helper(); m.start("DHCP4_STARTED", "kea-dhcp4", "-c", keaConf) },
		},
		{
			name: "Kea with a pool in two parts, one as a prefix, on every card", files: map[string]string{
				keaConf: strings.NewReplacer(`"eth1"`, `"*"`, `{ "pool": "192.168.1.2 - 192.168.1.10" }`,
					`{ "pool": "192.168.1.4/30" }, { "pool": "192.168.1.2-192.168.1.3" }, { "pool": "192.168.1.8-192.168.1.10" }`).Replace(goodKea),
			},
			serve: func(m *machine) { m.t.Helper(); m.start("DHCP4_STARTED", "kea-dhcp4", "-c", keaConf) },
		},
		{
			name:  "dnsmasq, which sends itself as the router",
			files: map[string]string{dnsmasqLab: goodDnsmasq}, serve: func(m *machine) { m.t.Helper(); startDnsmasq(m) },
		},
		{
			name: "dnsmasq in dnsmasq.conf, with spaces, a mask and numbers for options",
			files: map[string]string{"/etc/dnsmasq.conf": "port = 0\n  interface = eth1 # ours\ndhcp-range = set:aula, 192.168.1.2 , 192.168.1.10 , 255.255.255.0 , 2h\n" +
				"dhcp-option = 3, 192.168.1.1\ndhcp-option = 6, 0.0.0.0\nno-resolv\n"},
			serve: func(m *machine) { m.t.Helper(); startDnsmasq(m) },
		},
	}
}

// TestUnusualSolutionsAreRight gives right solutions to the programs, has a client get an address, and wants no error.
func TestUnusualSolutionsAreRight(t *testing.T) {
	m := newMachine(t)
	for _, u := range unusual() {
		t.Run(u.name, func(t *testing.T) {
			m.t = t
			m.prepare(u.files, "")
			u.serve(m)
			ack := m.lease("c1", pc1)
			seen, want := m.read(), task()
			if u.more != nil {
				u.more(&want)
			}
			want.Host.Leases = []mistake.Lease{asLease(ack, seen.Time)}
			want.Host.Answering = []mistake.Answering{{Address: netip.MustParseAddr("192.168.1.1"), MAC: mac("02:00:00:00:00:11")}}
			found := mistake.Find(seen, want)
			if len(found.Errors()) > 0 {
				t.Errorf("errors where there are none:\n%v", found)
			}
			if w := found.Warnings(); len(w) > 0 != (u.warning != "") || len(w) > 0 && w[0].Code != u.warning {
				t.Errorf("warnings %v, want %q", w, u.warning)
			}
		})
	}
	m.t = t
}
