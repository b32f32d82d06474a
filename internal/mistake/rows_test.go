package mistake_test

import (
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/mistake"
)

func rows() []row {
	var all []row
	for _, part := range [][]row{fileRows(), reservationRows(), otherProgramRows(), relayRows(), cardRows(), runningRows(), wireRows()} {
		all = append(all, part...)
	}
	return all
}

// fileRows are about dhcpd.conf as text.
func fileRows() []row {
	const subnet = "subnet 192.168.1.0 netmask 255.255.255.0 {"
	return []row{
		{
			name:  "the configuration written to `dhcp.conf`",
			files: map[string]string{dhcpdConf: "default-lease-time 600;\nmax-lease-time 7200;\n", "/etc/dhcp/dhcp.conf": goodDHCPD},
			real: refuses("No subnet declaration for eth1 (192.168.1.1).",
				"dhcpd", "-4", "-f", "-d", "-cf", dhcpdConf, "eth1"),
			code: diag.ConfigMisnamed,
		},
		{
			name:  "the configuration renamed to `dhcp.conf`",
			files: map[string]string{dhcpdConf: "-", "/etc/dhcp/dhcp.conf": goodDHCPD},
			real:  refuses("Can't open "+dhcpdConf, "dhcpd", "-t", "-cf", dhcpdConf),
			code:  diag.ConfigMisnamed,
		},
		{
			name: "parentheses for braces", code: diag.BracketForBrace, line: 3,
			files: map[string]string{dhcpdConf: strings.NewReplacer("{", "(", "}", ")").Replace(goodDHCPD)},
			real:  refuses("line 3: expecting left brace.", "dhcpd", "-t", "-cf", dhcpdConf),
		},
		dhcpd("a missing semicolon (dhcpd names the next line)", "192.168.1.10;", "192.168.1.10", "line 5: semicolon expected.", diag.SemicolonMissing, 4),
		dhcpd("a missing semicolon at the top", "600;", "600", "line 2: semicolon expected.", diag.SemicolonMissing, 1),
		dhcpd("a missing semicolon in a block's last line", "servers 192.168.1.1;", "servers 192.168.1.1", "line 7: semicolon expected.", diag.SemicolonMissing, 6),
		dhcpd("a missing closing brace", "\n}", "\n", "unexpected end of file", diag.BraceUnclosed, 3),
		dhcpd("a missing opening brace", " {", "", "line 4: expecting left brace.", diag.BraceMissing, 3),
		dhcpd("a brace too many", "}\n", "}\n}\n", "expecting a declaration", diag.SignStray, 8),
		dhcpd("a string without its end", "600;", "600;\noption domain-name \"aula.lan;", "eof in string constant", diag.QuoteUnclosed, 2),
		dhcpd("a dash in `range`", "192.168.1.2 192", "192.168.1.2-192", "line 4: expecting numeric value.", diag.RangeDash, 4),
		dhcpd("a dash with spaces in `range`", "192.168.1.2 192", "192.168.1.2 - 192", "line 4: Bogus number: -.", diag.RangeDash, 4),
		dhcpd("the range outside the subnet", "range 192.168.1.2 192.168.1.10", "range 192.168.2.2 192.168.2.10", "bad range, address 192.168.2.2 not in subnet", diag.RangeOutside, 4),
		dhcpd("host bits set in `subnet`", "subnet 192.168.1.0", "subnet 192.168.1.1", "bad subnet number/mask combination.", diag.SubnetHostBits, 3),
		dhcpd("`/24` for a netmask", subnet, "subnet 192.168.1.0/24 {", "line 3: Expecting netmask", diag.PrefixForMask, 3),
		dhcpd("`netmask 24`", subnet, "subnet 192.168.1.0 netmask 24 {", "line 3: too few numbers.", diag.PrefixForMask, 3),
		dhcpd("`option router` for `routers`", "option routers", "option router", "line 5: unknown option dhcp.router", diag.OptionMisspelt, 5),
		dhcpd("`option domain-name servers`", "option domain-name-servers", "option domain-name servers", "line 6: semicolon expected.", diag.OptionSplit, 6),
		dhcpd("`option subnet mask`", "option routers", "option subnet mask 255.255.255.0;\n  option routers", "line 5: unknown option dhcp.subnet", diag.OptionSplit, 5),
		dhcpd("a soft hyphen (U+00AD)", "default-lease", "default-\u00adlease", "line 1: semicolon expected.", diag.ForeignChar, 1),
		dhcpd("a no-break space", "range 192", "range\u00a0192", "line 4: expecting numeric value.", diag.ForeignChar, 4),
		dhcpd("curly quotation marks", "600;", "600;\noption domain-name “aula.lan”;", "line 2: semicolon expected.", diag.ForeignChar, 2),
		dhcpd("a misspelt word", "range 192", "rage 192", "line 4: semicolon expected.", diag.WordMisspelt, 4),
		dhcpd("a word of one's own language", "range 192", "direcciones 192", "line 4: semicolon expected.", diag.WordUnknown, 4),
		dhcpd("a domain name without quotation marks", "600;", "600;\noption domain-name aula.lan;", "line 2: semicolon expected.", diag.QuotesMissing, 2),
		dhcpd("a list without commas", "servers 192.168.1.1;", "servers 192.168.1.1 9.9.9.9;", "line 6: semicolon expected.", diag.CommaMissing, 6),
		dhcpd("a number above 255", "192.168.1.10;", "192.168.1.300;", "300 exceeds max (255)", diag.AddressUnreadable, 4),
		dhcpd("a time with a unit", "time 600;", "time 10m;", "line 1: expecting number.", diag.TimeNotSeconds, 1),
		dhcpd("`=` in dhcpd.conf", "time 600;", "time = 600;", "line 1: 600 exceeds max (255) for precision.", diag.EqualsSign, 1),
		dhcpd("an included file that is not there", "max-lease-time 7200;", "include \"/etc/dhcp/more.conf\";", "Can't open /etc/dhcp/more.conf", diag.IncludeMissing, 2),
		dhcpd("a mistake that kvmlab does not know", "range 192", "hardware ethernet 02:00:00:00:01:01;\n  range 192", "line 4: hardware address parameter not allowed here.", diag.ProgramRefuses, 4).withJournal(),
	}
}

// withJournal adds what dhcpd said to the journal, as systemd would.
func (r row) withJournal() row {
	r.more = func(m *machine, seen *mistake.Guest, _ *mistake.Task) {
		out, _ := m.try("dhcpd", "-t", "-cf", dhcpdConf)
		for line := range strings.Lines(out) {
			seen.Journal = append(seen.Journal, mistake.Entry{Time: seen.Time, Program: "dhcpd", PID: 77, Text: strings.TrimSpace(line)})
		}
	}
	return r
}

// host is the good dhcpd.conf with a reservation.
func host(mac, address string) map[string]string {
	return map[string]string{dhcpdConf: goodDHCPD + "host pc1 {\n  hardware ethernet " + mac + ";\n  fixed-address " + address + ";\n}\n"}
}

func reservationRows() []row {
	asked := func(_ *machine, _ *mistake.Guest, want *mistake.Task) { want.Reservations = reservation() }
	return []row{
		{
			name: "dashes in a hardware address", files: host("02-00-00-00-01-01", "192.168.1.20"), more: asked,
			real: refuses("line 9: expecting numeric value.", "dhcpd", "-t", "-cf", dhcpdConf), code: diag.HardwareDashes, line: 9,
		},
		{
			name: "a multicast MAC", files: host("03:00:00:00:01:01", "192.168.1.20"), more: asked,
			real: func(m *machine) string {
				m.t.Helper()
				accepts(m, "", "dhcpd", "-t", "-cf", dhcpdConf)
				refuses("Cannot assign requested address", "ip", "link", "set", "dev", "eth1", "address", "03:00:00:00:01:01")(m)
				serve(m, "eth1")
				return "accepts it; the kernel refuses it for a card, so that nobody can ever match"
			},
			code: diag.MACOfGroup, line: 9,
		},
		{
			name: "a reservation for the wrong NIC", files: host("02:00:00:00:01:99", "192.168.1.20"), more: asked,
			real: func(m *machine) string {
				m.t.Helper()
				serve(m, "eth1")
				if a := m.lease("c1", pc1).YourIPAddr.String(); a == "192.168.1.20" {
					m.t.Errorf("it has got %s", a)
				}
				return "accepts it, and the card gets an address from the range"
			},
			code: diag.ReservationNIC, line: 9,
		},
		{
			name: "a reservation with a wrong digit", files: host("02:00:00:00:01:10", "192.168.1.20"), more: asked,
			real: func(m *machine) string {
				m.t.Helper()
				serve(m, "eth1")
				if a := m.lease("c1", pc1).YourIPAddr.String(); a == "192.168.1.20" {
					m.t.Errorf("it has got %s", a)
				}
				return "accepts it, and the card gets an address from the range"
			},
			code: diag.ReservationNobody, line: 9,
		},
		{
			name: "no reservation where one is asked", more: asked,
			real: func(m *machine) string { serve(m, "eth1"); return "lends any address of the range" },
			code: diag.ReservationAbsent,
		},
		{
			name: "a reservation inside the pool",
			files: map[string]string{dhcpdConf: strings.Replace(goodDHCPD, "192.168.1.2 192.168.1.10", "192.168.1.2", 1) +
				"host pc1 {\n  hardware ethernet " + pc1 + ";\n  fixed-address 192.168.1.2;\n}\n"},
			real: func(m *machine) string {
				m.t.Helper()
				serve(m, "eth1")
				if a := m.lease("c1", "02:00:00:00:01:55").YourIPAddr.String(); a != "192.168.1.2" {
					m.t.Errorf("another client got %s", a)
				}
				return "accepts it, and lends the reserved address to another client"
			},
			more: func(_ *machine, _ *mistake.Guest, want *mistake.Task) { want.Ranges = nil },
			code: diag.ReservationInPool, line: 10,
		},
	}
}
