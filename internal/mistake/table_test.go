package mistake_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/mistake"
)

const (
	dhcpdConf  = "/etc/dhcp/dhcpd.conf"
	defaults   = "/etc/default/isc-dhcp-server"
	keaConf    = "/etc/kea/kea-dhcp4.conf"
	dnsmasqLab = "/etc/dnsmasq.d/lab.conf"
	interfaces = "/etc/network/interfaces"

	goodDHCPD = `default-lease-time 600;
max-lease-time 7200;
subnet 192.168.1.0 netmask 255.255.255.0 {
  range 192.168.1.2 192.168.1.10;
  option routers 192.168.1.1;
  option domain-name-servers 192.168.1.1;
}
`
	goodDefaults   = "INTERFACESv4=\"eth1\"\nINTERFACESv6=\"\"\n"
	goodInterfaces = "auto lo eth1\niface lo inet loopback\niface eth1 inet static\n    address 192.168.1.1/24\n"
	goodKea        = `{ "Dhcp4": {
  "interfaces-config": { "interfaces": [ "eth1" ] },
  "lease-database": { "type": "memfile", "persist": false },
  "subnet4": [ {
    "subnet": "192.168.1.0/24",
    "pools": [ { "pool": "192.168.1.2 - 192.168.1.10" } ],
    "option-data": [ { "name": "routers", "data": "192.168.1.1" }, { "name": "domain-name-servers", "data": "192.168.1.1" } ]
  } ]
} }
`
	goodDnsmasq = "port=0\ninterface=eth1\nbind-interfaces\ndhcp-range=192.168.1.2,192.168.1.10,10m\ndhcp-option=option:dns-server,192.168.1.1\n"
)

func mac(text string) net.HardwareAddr {
	hw, err := net.ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return hw
}

// task is the class note's.
func task() mistake.Task {
	return mistake.Task{
		Interface: "eth1",
		Address:   netip.MustParsePrefix("192.168.1.1/24"),
		Ranges:    []mistake.Range{{First: netip.MustParseAddr("192.168.1.2"), Last: netip.MustParseAddr("192.168.1.10")}},
		Options: []mistake.Option{
			{Name: "routers", Values: []string{"192.168.1.1"}}, {Name: "domain-name-servers", Values: []string{"192.168.1.1"}},
		},
	}
}

// reservation keeps .20 for pc1's first card.
func reservation() []mistake.Reservation {
	return []mistake.Reservation{{
		Guest: "pc1", NIC: "eth0", MAC: mac(pc1), Address: netip.MustParseAddr("192.168.1.20"),
		Others: []mistake.NIC{{Guest: "pc1", Name: "eth1", MAC: mac("02:00:00:00:01:99")}},
	}}
}

// row is one mistake: files and network as the student left them, what the real program does with that, and the
// diagnostic that must come first.
type row struct {
	name    string
	files   map[string]string
	network string
	// real lets the program do what it does, asserts it, and says it in a phrase. A server that it starts goes on.
	real func(*machine) string
	// more completes what is known and asked.
	more func(*machine, *mistake.Guest, *mistake.Task)
	code diag.Code
	line int // of the place, 0 for none
}

// dhcpd is a row about dhcpd.conf, from the good one with one part replaced.
func dhcpd(name, from, to, words string, code diag.Code, line int) row {
	if !strings.Contains(goodDHCPD, from) {
		panic("no " + from)
	}
	return row{
		name: name, code: code, line: line, real: refuses(words, "dhcpd", "-t", "-cf", dhcpdConf),
		files: map[string]string{dhcpdConf: strings.Replace(goodDHCPD, from, to, 1)},
	}
}

// refuses expects a program to end with an error and these words.
func refuses(words string, argv ...string) func(*machine) string {
	return func(m *machine) string {
		m.t.Helper()
		out, status := m.try(argv...)
		if status == 0 || !strings.Contains(out, words) {
			m.t.Errorf("%v: status %d, no %q in:\n%s", argv, status, words, out)
		}
		return "refuses it: “" + words + "”"
	}
}

// accepts expects a program to take its file, with these words if any.
func accepts(m *machine, words string, argv ...string) {
	m.t.Helper()
	out, status := m.try(argv...)
	if status != 0 || !strings.Contains(out, words) {
		m.t.Errorf("%v: status %d, want 0 and %q:\n%s", argv, status, words, out)
	}
}

const serving = "Server starting service."

// serve starts dhcpd as Debian's script does, in the foreground.
func serve(m *machine, card string) *output {
	m.t.Helper()
	argv := []string{"dhcpd", "-4", "-f", "-d", "-cf", dhcpdConf}
	if card != "" {
		argv = append(argv, card)
	}
	return m.start(serving, argv...)
}

// TestEveryMistakeIsNamed lets the real programs run into each mistake of the list, reads the machine as a guest is read,
// and wants the mistake named first. It writes docs/mistakes.md.
func TestEveryMistakeIsNamed(t *testing.T) {
	m := newMachine(t)
	var out strings.Builder
	out.WriteString(pageHead)
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			m.t = t
			m.prepare(r.files, r.network)
			did := r.real(m)
			seen, want := m.read(), task()
			if r.more != nil {
				r.more(m, &seen, &want)
			}
			found := mistake.Find(seen, want)
			if len(found) == 0 || found[0].Code != r.code || found[0].Pos.Line != r.line {
				t.Fatalf("first is not %s at line %d:\n%v", r.code, r.line, found)
			}
			d := found[0]
			out.WriteString("| " + strings.Join([]string{cell(r.name), cell(did), string(d.Code) + " " + cell(d.Summary), cell(d.Hint)}, " | ") + " |\n")
		})
	}
	m.t = t
	out.WriteString(unusualHead)
	for _, u := range unusual() {
		out.WriteString("- " + u.name + "\n")
	}
	if !t.Failed() {
		page(t, "mistakes.md", out.String())
	}
}

// prepare makes the machine that of a student who has done all well, and then changes it.
func (m *machine) prepare(files map[string]string, network string) {
	m.t.Helper()
	m.stop()
	m.ip("address flush dev eth1\naddress add 192.168.1.1/24 dev eth1\nlink set eth1 up\naddress flush dev s1\nlink set p1 master br1\nlink set p1 up\n")
	m.try("sh", "-c", "rm -rf /etc/dhcp/* /etc/dnsmasq.d/* /etc/network/*")
	for name, text := range map[string]string{
		dhcpdConf: goodDHCPD, defaults: goodDefaults, interfaces: goodInterfaces, keaConf: "{}", "/etc/dnsmasq.conf": "",
	} {
		m.write(name, text)
	}
	for name, text := range files {
		m.write(name, text)
	}
	m.ip(network)
}

// cell fits a text into a table of Markdown.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}

const pageHead = `# What students get wrong, and what kvmlab says

Made by a test (internal/mistake, TestEveryMistakeIsNamed): each mistake is made in a machine of its own, the real
program of Debian 12 is given it, and the third column is the first thing that kvmlab then names, with its hint. The
texts exist in Spanish and Catalan, too; ` + "`kvmlab explain KL702`" + ` says more about each.

| mistake | what the program does | what kvmlab names first | its hint |
|---|---|---|---|
`

const unusualHead = `
## Unusual, and right

A second test gives these to the programs, which take them and lend an address, and kvmlab finds no error in them:

`
