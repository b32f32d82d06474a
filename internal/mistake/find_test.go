package mistake_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/mistake"
)

var clock = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// well is a guest in which all is done as the class note does it.
func well() mistake.Guest {
	file := func(text string) mistake.File { return mistake.File{Text: text, Modified: clock} }
	return mistake.Guest{
		Time: clock.Add(time.Minute),
		Files: map[string]mistake.File{
			dhcpdConf: file(goodDHCPD), defaults: file(goodDefaults), interfaces: file(goodInterfaces),
		},
		Links: []mistake.Link{
			{Name: "lo", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")}},
			{Name: "eth0", MAC: mac("02:00:00:00:00:10"), Up: true, Carrier: true},
			{Name: "eth1", MAC: mac("02:00:00:00:00:11"), Up: true, Carrier: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.1.1/24")}},
		},
		Processes: []mistake.Process{{PID: 700, Started: clock.Add(10 * time.Second), Args: []string{"/usr/sbin/dhcpd", "-4", "eth1"}}},
		Sockets: []mistake.Socket{
			{Program: "dhcpd", PID: 700, Local: netip.MustParseAddrPort("0.0.0.0:67")},
			{Program: "dhcpd", PID: 700, Packet: true, Interface: "eth1"},
		},
		Units: []mistake.Unit{{Name: "isc-dhcp-server.service", Active: "active", Since: clock.Add(12 * time.Second)}},
	}
}

func codes(list diag.List) []string {
	var all []string
	for _, d := range list {
		all = append(all, string(d.Code))
	}
	return all
}

func TestNothingIsSaidWithoutEvidence(t *testing.T) {
	onlyFiles := mistake.Guest{Files: well().Files}
	onlyLinks := mistake.Guest{Links: well().Links}
	for name, tt := range map[string]struct {
		seen mistake.Guest
		want mistake.Task
	}{
		"nothing at all":          {},
		"nothing seen":            {want: task()},
		"nothing asked":           {seen: well()},
		"all well":                {seen: well(), want: task()},
		"files alone":             {seen: onlyFiles, want: task()},
		"cards alone":             {seen: onlyLinks, want: task()},
		"a server not identified": {want: mistake.Task{Host: mistake.Host{Answering: []mistake.Answering{{MAC: mac("02:00:00:00:00:99")}}}}},
	} {
		if found := mistake.Find(tt.seen, tt.want); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// TestTheFirstOfSeveral makes two mistakes at once: what stops the other comes first.
func TestTheFirstOfSeveral(t *testing.T) {
	edit := func(g *mistake.Guest, name, from, to string) {
		f := g.Files[name]
		if !strings.Contains(f.Text, from) {
			t.Fatalf("no %q in %s", from, name)
		}
		g.Files[name] = mistake.File{Text: strings.Replace(f.Text, from, to, 1), Modified: f.Modified}
	}
	for _, tt := range []struct {
		name string
		do   func(*mistake.Guest, *mistake.Task)
		want []string
	}{
		{"a tap down and a missing semicolon", func(g *mistake.Guest, w *mistake.Task) {
			w.Host.Taps = []mistake.Tap{{Name: "tap1", Want: "br1", Bridge: "br1", Exists: true}}
			edit(g, dhcpdConf, "600;", "600")
		}, []string{"KL756", "KL702"}},
		{"a missing semicolon and a range outside", func(g *mistake.Guest, _ *mistake.Task) {
			edit(g, dhcpdConf, "192.168.1.2 192.168.1.10", "192.168.2.2 192.168.2.10")
			edit(g, dhcpdConf, "routers 192.168.1.1;", "routers 192.168.1.1")
		}, []string{"KL702", "KL716"}},
		{"two of syntax, in the order of the file", func(g *mistake.Guest, _ *mistake.Task) {
			edit(g, dhcpdConf, "option routers", "option router")
			edit(g, dhcpdConf, "600;", "600")
		}, []string{"KL702", "KL710"}},
		{"two in one line are one", func(g *mistake.Guest, _ *mistake.Task) {
			edit(g, dhcpdConf, "range 192.168.1.2 ", "ra\u00adnge 192.168.1.2-")
		}, []string{"KL707"}},
		{"another range and not restarted", func(g *mistake.Guest, _ *mistake.Task) {
			edit(g, dhcpdConf, "192.168.1.10", "192.168.1.9")
			f := g.Files[dhcpdConf]
			f.Modified = clock.Add(time.Minute)
			g.Files[dhcpdConf] = f
		}, []string{"KL732", "KL752"}},
		{"no address and another option", func(g *mistake.Guest, _ *mistake.Task) {
			g.Links[2].Addresses = nil
			delete(g.Files, interfaces)
			edit(g, dhcpdConf, "routers 192.168.1.1", "routers 192.168.1.2")
		}, []string{"KL746", "KL733"}},
		{"a warning comes last", func(g *mistake.Guest, _ *mistake.Task) {
			edit(g, defaults, "INTERFACESv4", "INTERFACES")
			g.Processes = []mistake.Process{}
		}, []string{"KL751", "KL740"}},
		{"not started, and a stranger answers", func(g *mistake.Guest, w *mistake.Task) {
			g.Processes = []mistake.Process{}
			w.Host.Answering = []mistake.Answering{{Address: netip.MustParseAddr("192.168.1.9"), MAC: mac("02:00:00:00:00:99"), Who: "pc3"}}
		}, []string{"KL751", "KL757"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen, want := well(), task()
			tt.do(&seen, &want)
			found := mistake.Find(seen, want)
			if d := cmp.Diff(tt.want, codes(found)); d != "" {
				t.Errorf("-want +got:\n%s\n%v", d, found)
			}
		})
	}
}

// TestRelayedSubnet is a task whose clients are behind a relay: the server's own network must be declared, too.
func TestRelayedSubnet(t *testing.T) {
	const remote = "subnet 10.7.0.0 netmask 255.255.255.0 { range 10.7.0.2 10.7.0.9; option routers 192.168.1.1; option domain-name-servers 192.168.1.1; }\n"
	want := task()
	want.Subnet = netip.MustParsePrefix("10.7.0.0/24")
	want.Ranges = []mistake.Range{{First: netip.MustParseAddr("10.7.0.2"), Last: netip.MustParseAddr("10.7.0.9")}}
	for _, tt := range []struct {
		conf string
		want []string
	}{
		{"subnet 192.168.1.0 netmask 255.255.255.0 { }\n" + remote, nil},
		{remote, []string{"KL730"}},
		{"subnet 192.168.1.0 netmask 255.255.255.0 { }\n", []string{"KL730"}},
		{"subnet 192.168.1.0 netmask 255.255.255.0 { }\n" + strings.Replace(remote, "0.9", "0.8", 1), []string{"KL732"}},
	} {
		seen := well()
		seen.Files[dhcpdConf] = mistake.File{Text: tt.conf, Modified: clock}
		if d := cmp.Diff(tt.want, codes(mistake.Find(seen, want))); d != "" {
			t.Errorf("%s: -want +got:\n%s", tt.conf, d)
		}
	}
}

// TestAnEditThatChangesNothing is a warning: a client has got what was asked since the server was started.
func TestAnEditThatChangesNothing(t *testing.T) {
	seen, want := well(), task()
	f := seen.Files[dhcpdConf]
	f.Text += "# a comment\n"
	f.Modified = clock.Add(20 * time.Second)
	seen.Files[dhcpdConf] = f
	found := mistake.Find(seen, want)
	if len(found.Errors()) != 1 || found[0].Code != diag.ServerNotRestarted {
		t.Errorf("without a lease: %v", found)
	}
	want.Host.Leases = []mistake.Lease{{
		Address: netip.MustParseAddr("192.168.1.3"), MAC: mac(pc1), Server: netip.MustParseAddr("192.168.1.1"), Time: clock.Add(15 * time.Second),
	}}
	found = mistake.Find(seen, want)
	if len(found.Errors()) != 0 || len(found) != 1 {
		t.Errorf("with a lease: %v", found)
	}
	for what, change := range map[string]func(*mistake.Lease){
		"of the server before, for the guest's clock is late": func(l *mistake.Lease) {
			l.Time = seen.Processes[0].Started.Add(900 * time.Millisecond)
		},
		"of another time": func(l *mistake.Lease) { l.Span = time.Hour },
		"without options": func(l *mistake.Lease) { l.Options = map[string]string{"1": "255.255.255.0"} },
		"of another router": func(l *mistake.Lease) {
			l.Options = map[string]string{"3": "192.168.1.9", "6": "192.168.1.1"}
		},
	} {
		lease := want.Host.Leases[0]
		change(&lease)
		other := want
		other.Lease, other.Host.Leases = 10*time.Minute, []mistake.Lease{lease}
		if found := mistake.Find(seen, other); len(found.Errors()) != 1 || found[0].Code != diag.ServerNotRestarted {
			t.Errorf("with a lease %s: %v", what, found)
		}
	}
}

var readOutput = `@time 1772445660.500000000 100.25
@files
` + archive() + `
@links
[{"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"address":"00:00:00:00:00:00","addr_info":[{"local":"127.0.0.1","prefixlen":8},{"local":"::1","prefixlen":128}]},{"ifname":"eth1","flags":["BROADCAST"],"address":"02:00:00:00:00:11","addr_info":[]}]
@udp
UNCONN 0      0      0.0.0.0%eth1:67        0.0.0.0:*    users:(("dnsmasq",pid=7,fd=4))
UNCONN 0      0      192.168.1.1:67        0.0.0.0:*    users:(("kea-dhcp4",pid=8,fd=6))
@packet
p_raw UNCONN 0      0                  *:eth1             *     users:(("dhcpd",pid=9,fd=5))
@units
Id=isc-dhcp-server.service
LoadState=loaded
ActiveState=active
SubState=exited
ActiveEnterTimestamp=Mon 2026-03-02 10:00:12.250000 UTC

Id=dnsmasq.service
LoadState=not-found
ActiveState=inactive
SubState=dead
ActiveEnterTimestamp=
@processes
9 5000 L3Vzci9zYmluL2RoY3BkAC00AA==
10 5000
@journal
1772445610.250000 srv dhcpd[9]: /etc/dhcp/dhcpd.conf line 3: semicolon expected.
1772445611.250000 srv isc-dhcp-server: no pid
@end
`

// archive is what tar makes of two files.
func archive() string {
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	w := tar.NewWriter(packed)
	for _, f := range []struct {
		name, text string
		modified   time.Time
	}{
		{"/etc/dhcp/dhcpd.conf", "authoritative;\n", time.Unix(1772445600, 123456789)},
		{"/etc/with space", "", time.Unix(1772445600, 0)},
	} {
		w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.text)), ModTime: f.modified, Format: tar.FormatPAX, Typeflag: tar.TypeReg})
		w.Write([]byte(f.text))
	}
	w.Close()
	packed.Close()
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

func TestRead(t *testing.T) {
	run := func(_ context.Context, argv ...string) ([]byte, error) {
		if len(argv) != 3 || argv[0] != "/bin/sh" {
			t.Errorf("it runs %q", argv)
		}
		return []byte(readOutput), nil
	}
	got, err := mistake.Read(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	at := func(s int64, ns int64) time.Time { return time.Unix(s, ns).UTC() }
	want := mistake.Guest{
		Time: at(1772445660, 5e8),
		Files: map[string]mistake.File{
			"/etc/dhcp/dhcpd.conf": {Text: "authoritative;\n", Modified: at(1772445600, 123456789)},
			"/etc/with space":      {Modified: at(1772445600, 0)},
		},
		Links: []mistake.Link{
			{Name: "lo", MAC: mac("00:00:00:00:00:00"), Up: true, Carrier: true, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}},
			{Name: "eth1", MAC: mac("02:00:00:00:00:11")},
		},
		Sockets: []mistake.Socket{
			{Local: netip.MustParseAddrPort("0.0.0.0:67"), Interface: "eth1", Program: "dnsmasq", PID: 7},
			{Local: netip.MustParseAddrPort("192.168.1.1:67"), Program: "kea-dhcp4", PID: 8},
			{Packet: true, Interface: "eth1", Program: "dhcpd", PID: 9},
		},
		Units:     []mistake.Unit{{Name: "isc-dhcp-server.service", Active: "active", Exited: true, Since: at(1772445612, 25e7)}},
		Processes: []mistake.Process{{PID: 9, Started: at(1772445610, 25e7), Args: []string{"/usr/sbin/dhcpd", "-4"}}},
		Journal: []mistake.Entry{
			{Time: at(1772445610, 25e7), Program: "dhcpd", PID: 9, Text: "/etc/dhcp/dhcpd.conf line 3: semicolon expected."},
			{Time: at(1772445611, 25e7), Program: "isc-dhcp-server", Text: "no pid"},
		},
	}
	equal := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if d := cmp.Diff(want, got, equal, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// FuzzParse gives any output: a guest is the student's, who may have put another program in the place of ss.
func FuzzParse(f *testing.F) {
	f.Add([]byte(readOutput))
	f.Add([]byte("@time 1 2\n@files\nH4sIAAAA\n@links\n[{}]\n@udp\na b c :\n@packet\na b c d *:*\n@units\nId=\n\n@processes\n1 1 AA==\n@end\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		inBudget(t, len(out), func() {
			if guest, err := mistake.Parse(out); err == nil {
				mistake.Find(guest, task())
			}
		})
	})
}

func TestReadRefusesHalfAnOutput(t *testing.T) {
	for _, cut := range []int{0, 100, len(readOutput) - len("@end\n")} {
		if _, err := mistake.Parse([]byte(readOutput[:cut])); err == nil {
			t.Errorf("%d bytes are taken for all", cut)
		}
	}
	failure := errors.New("no agent")
	_, err := mistake.Read(t.Context(), func(context.Context, ...string) ([]byte, error) { return nil, failure })
	if !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

// FuzzFind gives any text for any of the files: nothing may be named at a place that is not there, and nothing may panic.
func FuzzFind(f *testing.F) {
	for _, text := range []string{
		goodDHCPD, goodKea, goodDnsmasq, goodInterfaces, goodDefaults, "subnet 1 netmask {\nrange\n}\nhost a { hardware ethernet ; fixed-address \"\"; }",
		`{"Dhcp4":{"subnet4":[{"subnet":"192.168.1.0/24","pools":[{"pool":"-"}],"reservations":[{"hw-address":"x"}]}]}}`,
		"dhcp-range=,\ndhcp-host=\ndomain=\n", "option \"\" \"\";\noption routers , ;\nmax-lease-time \"\";",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{dhcpdConf, defaults, interfaces, keaConf, "/etc/dnsmasq.conf", dnsmasqLab} {
			seen, want := well(), task()
			want.Reservations, want.Authoritative, want.Lease = reservation(), true, time.Minute
			seen.Files[name] = mistake.File{Text: text}
			switch name {
			case keaConf:
				want.Programs = []mistake.Program{mistake.Kea}
			case "/etc/dnsmasq.conf", dnsmasqLab:
				want.Programs = []mistake.Program{mistake.Dnsmasq}
			}
			var found diag.List
			inBudget(t, len(text), func() { found = mistake.Find(seen, want) })
			for _, d := range found {
				file, there := seen.Files[d.Pos.File]
				if d.Pos.Line > 0 && (!there || d.Pos.Line > strings.Count(file.Text, "\n")+1) {
					t.Errorf("%v is nowhere", d)
				}
				if strings.Contains(d.Summary+d.Hint, "{{") {
					t.Errorf("not filled in: %v", d)
				}
			}
		}
	})
}
