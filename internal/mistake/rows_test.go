package mistake_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/mistake"
)

func rows() []row {
	var all []row
	for _, part := range [][]row{fileRows(), reservationRows(), otherProgramRows(), cardRows(), runningRows(), wireRows()} {
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
