package mistake_test

import (
	"net/netip"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/mistake"
)

// relayRows are about dnsmasq as a relay between eth1, where the clients are, and a server behind eth0.
func relayRows() []row {
	task := func(_ *machine, _ *mistake.Guest, want *mistake.Task) {
		*want = mistake.Task{
			Interface: "eth1", Address: want.Address, Programs: []mistake.Program{mistake.Dnsmasq},
			Relay: netip.MustParseAddr("10.0.0.2"), Host: want.Host,
		}
	}
	handsOver := func(name, line, words string, code diag.Code) row {
		return row{
			name: "a relay " + name, files: map[string]string{dnsmasqLab: "port=0\n" + line + "\n"}, more: task, code: code, line: 2,
			real: func(m *machine) string {
				m.t.Helper()
				if out := startDnsmasq(m); !strings.Contains(out.String(), words) {
					out.await(m.t, words)
				}
				return "starts, and says “" + words + "”"
			},
		}
	}
	return []row{
		{
			name: "a relay that is told to relay nothing", files: map[string]string{dnsmasqLab: "port=0\n"}, more: task,
			code: diag.RelayMissing,
			real: func(m *machine) string {
				m.t.Helper()
				startDnsmasq(m)
				if out, _ := m.try("ss", "-lnupH", "sport = :67"); out != "" {
					m.t.Errorf("somebody listens:\n%s", out)
				}
				return "starts, and does not listen on port 67"
			},
		},
		handsOver("to another server", "dhcp-relay=192.168.1.1,10.0.0.3", "DHCP relay from 192.168.1.1 to 10.0.0.3", diag.RelayServer),
		handsOver("that listens on the server's side", "dhcp-relay=10.0.0.1,10.0.0.2", "DHCP relay from 10.0.0.1 to 10.0.0.2", diag.RelayLocal),
	}
}
