package mistake_test

import (
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// script runs Debian's start script.
func script(m *machine) (string, int) {
	m.t.Helper()
	return m.try("/etc/init.d/isc-dhcp-server", "start")
}

const sameWords = "No subnet declaration for %s (no IPv4 addresses)."

// cardRows are about the card that is served.
func cardRows() []row {
	noAddresses := func(card string) func(*machine) string {
		return refuses(strings.Replace(sameWords, "%s", card, 1), "dhcpd", "-4", "-f", "-d", "-cf", dhcpdConf, card)
	}
	return []row{
		{
			name:  "`INTERFACES` (works with a warning)",
			files: map[string]string{defaults: "INTERFACES=\"eth1\"\n"},
			real: func(m *machine) string {
				m.t.Helper()
				out, status := script(m)
				if status != 0 || !strings.Contains(out, "Please use INTERFACESv4 instead.") {
					m.t.Errorf("status %d:\n%s", status, out)
				}
				m.lease("c1", pc1)
				return "serves eth1; the start script says “Please use INTERFACESv4 instead.”"
			},
			code: diag.InterfacesOldName, line: 1,
		},
		{
			name:  "`INTERFACESv4 = \"eth1\"` with spaces",
			files: map[string]string{defaults: "INTERFACESv4 = \"eth1\"\nINTERFACESv6=\"\"\n", dhcpdConf: goodDHCPD + "subnet 10.0.0.0 netmask 255.255.255.0 {\n}\n"},
			real: func(m *machine) string {
				m.t.Helper()
				out, _ := script(m)
				if !strings.Contains(out, "INTERFACESv4: not found") {
					m.t.Errorf("the shell says:\n%s", out)
				}
				if out, _ := m.try("ss", "-0lnpH"); !strings.Contains(out, "*:eth0") || !strings.Contains(out, "*:eth1") {
					m.t.Errorf("sockets:\n%s", out)
				}
				return "the shell says “INTERFACESv4: not found”; dhcpd serves every interface"
			},
			code: diag.AssignmentSpaced, line: 1,
		},
		{
			name:  "both variables empty",
			files: map[string]string{defaults: "INTERFACESv4=\"\"\nINTERFACESv6=\"\"\n"},
			real: func(m *machine) string {
				m.t.Helper()
				if out, status := script(m); status == 0 {
					m.t.Errorf("the script ends well:\n%s", out)
				}
				m.lease("c1", pc1)
				return "the start script fails, because of IPv6, and yet IPv4 is served"
			},
			code: diag.InterfacesEmpty, line: 1,
		},
		{
			name:  "a nonexistent interface",
			files: map[string]string{defaults: "INTERFACESv4=\"eth9\"\n"}, real: noAddresses("eth9"),
			code: diag.InterfaceUnknown, line: 1,
		},
		{
			name:  "/etc/default with line ends as Windows makes them",
			files: map[string]string{defaults: strings.ReplaceAll(goodDefaults, "\n", "\r\n")},
			real: func(m *machine) string {
				m.t.Helper()
				refuses("No subnet declaration for eth1\r (no IPv4 addresses).", "sh", "-c", ". "+defaults+"; dhcpd -4 -f -d -cf "+dhcpdConf+" $INTERFACESv4")(m)
				return "looks for a card whose name ends in a carriage return"
			},
			code: diag.ForeignChar, line: 1,
		},
		{
			name:  "a wrong interface",
			files: map[string]string{defaults: "INTERFACESv4=\"eth0\"\n"},
			real:  refuses("No subnet declaration for eth0 (10.0.0.1).", "dhcpd", "-4", "-f", "-d", "-cf", dhcpdConf, "eth0"),
			code:  diag.InterfaceOther, line: 1,
		},
		{
			name:    "eth1 without an address (dhcpd says the same as for no interface)",
			files:   map[string]string{interfaces: "auto lo\niface lo inet loopback\n"},
			network: "address flush dev eth1\n", real: noAddresses("eth1"), code: diag.AddressMissing,
		},
		{
			name:    "eth1's address in interfaces, and no `ifup`",
			network: "address flush dev eth1\n", real: noAddresses("eth1"), code: diag.AddressNotApplied, line: 4,
		},
		{
			name:    "eth1 with a wrong mask",
			files:   map[string]string{interfaces: strings.Replace(goodInterfaces, "/24", "/16", 1)},
			network: "address flush dev eth1\naddress add 192.168.1.1/16 dev eth1\n",
			real: func(m *machine) string {
				m.t.Helper()
				serve(m, "eth1")
				m.lease("c1", pc1)
				return "serves, as if nothing were wrong"
			},
			code: diag.MaskOther, line: 4,
		},
		{
			name:    "eth1 with an address of another network",
			network: "address flush dev eth1\naddress add 192.168.2.1/24 dev eth1\n",
			files:   map[string]string{interfaces: strings.Replace(goodInterfaces, "192.168.1.1", "192.168.2.1", 1)},
			real: refuses("No subnet declaration for eth1 (192.168.2.1).",
				"dhcpd", "-4", "-f", "-d", "-cf", dhcpdConf, "eth1"),
			code: diag.AddressOther, line: 4,
		},
		{
			name: "eth1 down", network: "link set eth1 down\n", real: noAddresses("eth1"), code: diag.CardDown,
		},
		{
			name:  "served on eth0",
			files: map[string]string{dhcpdConf: goodDHCPD + "subnet 10.0.0.0 netmask 255.255.255.0 {\n  range 10.0.0.5 10.0.0.9;\n}\n"},
			real: func(m *machine) string {
				m.t.Helper()
				serve(m, "eth0")
				m.lease("c0", pc1)
				if out, _ := m.try("ss", "-0lnpH"); !strings.Contains(out, "*:eth0") || strings.Contains(out, "*:eth1") {
					m.t.Errorf("sockets:\n%s", out)
				}
				return "lends addresses on eth0's network; `ss -0lnp` shows `*:eth0`"
			},
			code: diag.ServedElsewhere,
		},
	}
}
