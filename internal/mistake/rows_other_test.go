package mistake_test

import (
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/mistake"
)

// otherProgramRows are about Kea and dnsmasq.
func otherProgramRows() []row {
	kea := func(_ *machine, _ *mistake.Guest, want *mistake.Task) { want.Programs = []mistake.Program{mistake.Kea} }
	dnsmasq := func(_ *machine, _ *mistake.Guest, want *mistake.Task) {
		want.Programs = []mistake.Program{mistake.Dnsmasq}
	}
	keaTest := []string{"kea-dhcp4", "-t", keaConf}
	dnsmasqTest := []string{"dnsmasq", "--test", "-7", "/etc/dnsmasq.d,.dpkg-dist,.dpkg-old,.dpkg-new"}
	change := func(text, from, to string) string {
		if !strings.Contains(text, from) {
			panic("no " + from)
		}
		return strings.Replace(text, from, to, 1)
	}
	keaRow := func(name, from, to, words string, code diag.Code, line int) row {
		return row{
			name: "Kea: " + name, files: map[string]string{keaConf: change(goodKea, from, to)},
			real: refuses(words, keaTest...), more: kea, code: code, line: line,
		}
	}
	dnsmasqRow := func(name, from, to, words string, code diag.Code, line int) row {
		return row{
			name: "dnsmasq: " + name, files: map[string]string{dnsmasqLab: change(goodDnsmasq, from, to)},
			real: refuses(words, dnsmasqTest...), more: dnsmasq, code: code, line: line,
		}
	}
	return []row{
		{
			name:  "Kea: a trailing comma",
			files: map[string]string{keaConf: change(goodKea, `192.168.1.10" } ]`, `192.168.1.10" }, ]`)},
			real: func(m *machine) string {
				m.t.Helper()
				m.start("DHCP4_STARTED", "kea-dhcp4", "-c", keaConf)
				accepts(m, "Extraneous comma.", "sh", "-c", "kea-dhcp4 -t "+keaConf)
				m.lease("c1", pc1)
				return "warns (“Extraneous comma.”) and serves: Kea 2.2 is not strict"
			},
			more: kea, code: diag.CommaTrailing, line: 6,
		},
		{
			name:  "Kea: a subnet with no interface",
			files: map[string]string{keaConf: change(goodKea, `[ "eth1" ]`, `[ ]`)},
			real: func(m *machine) string {
				m.t.Helper()
				m.start("DHCP4_STARTED", "kea-dhcp4", "-c", keaConf)
				if out, _ := m.try("ss", "-lnupH", "sport = :67"); strings.Contains(out, "kea") {
					m.t.Errorf("it listens:\n%s", out)
				}
				return "starts, and listens on nothing"
			},
			more: kea, code: diag.KeaNoInterface, line: 2,
		},
		keaRow("a missing comma", `"eth1" ] },`, `"eth1" ] }`, "syntax error, unexpected lease-database, expecting \",\" or }", diag.JSONBroken, 2),
		keaRow("a missing brace", "  } ]\n", "  ]\n", "syntax error, unexpected ]", diag.JSONBroken, 4),
		keaRow("the pool outside the subnet", "192.168.1.2 - 192.168.1.10", "192.168.2.2 - 192.168.2.10", "does not match the prefix of a subnet", diag.RangeOutside, 6),
		keaRow("a reversed pool", "192.168.1.2 - 192.168.1.10", "192.168.1.10 - 192.168.1.2", "Failed to create pool", diag.RangeUnreadable, 6),
		keaRow("`router` for `routers`", `"routers"`, `"router"`, "definition for the option 'dhcp4.router' does not exist", diag.OptionMisspelt, 7),
		keaRow("`pool` for `pools`", `"pools"`, `"pool"`, `unexpected keyword "pool"`, diag.WordMisspelt, 6),
		keaRow("a card that does not exist", `"eth1"`, `"eth9"`, "interface 'eth9' doesn't exist in the system", diag.InterfaceUnknown, 2),
		dnsmasqRow("a dash in `dhcp-range`", ".2,192", ".2-192", "bad dhcp-range at line 4", diag.RangeDash, 4),
		dnsmasqRow("`/24` in `dhcp-range`", "1.10,10m", "1.10,/24,10m", "bad dhcp-range at line 4", diag.PrefixForMask, 4),
		dnsmasqRow("a misspelt option", "dhcp-range=", "dhcp-rang=", "bad option at line 4", diag.WordMisspelt, 4),
		dnsmasqRow("`routers` for `router`", "option:dns-server,", "option:routers,192.168.1.1\ndhcp-option=option:dns-server,", "bad dhcp-option at line 5", diag.OptionMisspelt, 5),
		dnsmasqRow("a semicolon at the end", "10m\n", "10m;\n", "bad dhcp-range at line 4", diag.SignStray, 4),
		{
			name:  "dnsmasq: served on eth0",
			files: map[string]string{dnsmasqLab: change(goodDnsmasq, "interface=eth1", "interface=eth0")},
			real: func(m *machine) string {
				m.t.Helper()
				startDnsmasq(m)
				if out, _ := m.try("ss", "-lnupH", "sport = :67"); !strings.Contains(out, "%eth0:67") {
					m.t.Errorf("sockets:\n%s", out)
				}
				return "listens on `0.0.0.0%eth0:67`"
			},
			more: dnsmasq, code: diag.InterfaceOther, line: 2,
		},
	}
}

func startDnsmasq(m *machine) *output {
	m.t.Helper()
	return m.start("started, version", "dnsmasq", "-k", "--log-facility=-", "-7", "/etc/dnsmasq.d,.dpkg-dist,.dpkg-old,.dpkg-new")
}
