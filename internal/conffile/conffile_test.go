package conffile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/conffile"
	"github.com/kvmlab/kvmlab/internal/diag"
)

const dhcpdText = `# the class note
option domain-name "aula.lan";
default-lease-time 600;
AUTHORITATIVE;
include "/etc/dhcp/more.conf";
shared-network aula {
  subnet 192.168.1.0 netmask 255.255.255.0 {
    option routers 192.168.1.1;
    option domain-name-servers 192.168.1.1 , 9.9.9.9;
    pool { range 192.168.1.2 192.168.1.5; range
      192.168.1.7; }
    host pc1 { hardware ethernet 02:0:0:0:0:1; fixed-address 192.168.1.9; }
  }
}
subnet 10.0.0.0 netmask 255.0.0.0 { default-lease-time 60; }
`

func TestLookup(t *testing.T) {
	files := map[string]string{
		"/etc/dhcp/dhcpd.conf": dhcpdText,
		"/etc/dhcp/more.conf":  "max-lease-time 7200;\n",
		"/etc/kea/kea-dhcp4.conf": `// Kea
{ "Dhcp4": { # comment
  "interfaces-config": { "interfaces": ["eth1", "eth2"] },
  "valid-lifetime": 600, /* and
  more */ "subnet4": [ { "subnet": "192.168.1.0/24", "pools": [ { "pool": "192.168.1.2 - 192.168.1.10" }, {"pool": "192.168.1.12/30"} ] } ] } }`,
		"/etc/dnsmasq.conf":        "interface = eth1 # ours\n#interface=eth0\ndhcp-option=option:router,192.168.1.1\nconf-dir=/etc/dnsmasq.d/,*.conf\n",
		"/etc/dnsmasq.d/lab.conf":  "dhcp-range=192.168.1.2 , 192.168.1.10,10m\nbind-interfaces\n",
		"/etc/dnsmasq.d/lab.conf~": "dhcp-range=10.0.0.2,10.0.0.9\n",
		"/etc/network/interfaces":  "auto lo eth1\nallow-hotplug eth0\niface lo inet loopback\nsource interfaces.d/*\n",
		"/etc/network/interfaces.d/eth1": "iface eth1 inet static\n\taddress 192.168.1.1\n\tnetmask 255.255.255.0\n" +
			"\tup ip route add 10.0.0.0/8 via 192.168.1.9\niface eth1 inet6 auto\n",
		"/etc/default/isc-dhcp-server": "# x\nINTERFACESv4=\"\"\nINTERFACESv4=\"eth1 eth2\" # both\nINTERFACESv6=''\n",
	}
	tests := []struct {
		format conffile.Format
		file   string
		path   string
		want   []string
	}{
		{conffile.DHCPDFormat, "/etc/dhcp/dhcpd.conf", "subnet 192.168.1.0/range", []string{
			"/etc/dhcp/dhcpd.conf:10:18 192.168.1.2 192.168.1.5", "/etc/dhcp/dhcpd.conf:11:7 192.168.1.7",
		}},
		{conffile.DHCPDFormat, "/etc/dhcp/dhcpd.conf", "subnet 192.168.1.0/option domain-name-servers", []string{"/etc/dhcp/dhcpd.conf:9:32 192.168.1.1, 9.9.9.9"}},
		{conffile.DHCPDFormat, "/etc/dhcp/dhcpd.conf", "subnet 192.168.1.0/default-lease-time", []string{"/etc/dhcp/dhcpd.conf:3:20 600"}},
		{conffile.DHCPDFormat, "/etc/dhcp/dhcpd.conf", "subnet 192.168.1.0/max-lease-time", []string{"/etc/dhcp/more.conf:1:16 7200"}},
		{conffile.DHCPDFormat, "/etc/dhcp/dhcpd.conf", "subnet 10.0.0.0/default-lease-time", []string{"/etc/dhcp/dhcpd.conf:15:56 60"}},
		{conffile.DHCPDFormat, "/etc/dhcp/dhcpd.conf", "subnet 192.168.1.0/option domain-name", []string{"/etc/dhcp/dhcpd.conf:2:20 aula.lan"}},
		{conffile.DHCPDFormat, "/etc/dhcp/dhcpd.conf", "authoritative", []string{"/etc/dhcp/dhcpd.conf:4:1 "}},
		{conffile.DHCPDFormat, "/etc/dhcp/dhcpd.conf", "host pc1/fixed-address", []string{"/etc/dhcp/dhcpd.conf:12:62 192.168.1.9"}},
		{conffile.DHCPDFormat, "/etc/dhcp/dhcpd.conf", "subnet 10.0.0.0/range", nil},
		{conffile.KeaFormat, "/etc/kea/kea-dhcp4.conf", "Dhcp4.subnet4[0].pools[*].pool", []string{
			"/etc/kea/kea-dhcp4.conf:5:75 192.168.1.2 - 192.168.1.10", "/etc/kea/kea-dhcp4.conf:5:116 192.168.1.12/30",
		}},
		{conffile.KeaFormat, "/etc/kea/kea-dhcp4.conf", "Dhcp4.interfaces-config.interfaces", []string{`/etc/kea/kea-dhcp4.conf:3:40 ["eth1", "eth2"]`}},
		{conffile.KeaFormat, "/etc/kea/kea-dhcp4.conf", "Dhcp4.valid-lifetime", []string{"/etc/kea/kea-dhcp4.conf:4:21 600"}},
		{conffile.DnsmasqFormat, "/etc/dnsmasq.conf", "interface", []string{"/etc/dnsmasq.conf:1:13 eth1"}},
		{conffile.DnsmasqFormat, "/etc/dnsmasq.conf", "dhcp-range", []string{"/etc/dnsmasq.d/lab.conf:1:12 192.168.1.2 , 192.168.1.10,10m"}},
		{conffile.DnsmasqFormat, "/etc/dnsmasq.conf", "dhcp-option/option:router", []string{"/etc/dnsmasq.conf:3:27 192.168.1.1"}},
		{conffile.InterfacesFormat, "/etc/network/interfaces", "auto", []string{"/etc/network/interfaces:1:6 lo", "/etc/network/interfaces:1:9 eth1"}},
		{conffile.InterfacesFormat, "/etc/network/interfaces", "eth1.address", []string{"/etc/network/interfaces.d/eth1:2:10 192.168.1.1"}},
		{conffile.InterfacesFormat, "/etc/network/interfaces", "eth1.up", []string{"/etc/network/interfaces.d/eth1:4:5 ip route add 10.0.0.0/8 via 192.168.1.9"}},
		{conffile.InterfacesFormat, "/etc/network/interfaces", "eth1.method", []string{"/etc/network/interfaces.d/eth1:1:17 static"}},
		{conffile.DefaultsFormat, "/etc/default/isc-dhcp-server", "INTERFACESv4", []string{"/etc/default/isc-dhcp-server:3:14 eth1 eth2"}},
		{conffile.DefaultsFormat, "/etc/default/isc-dhcp-server", "INTERFACESv6", []string{"/etc/default/isc-dhcp-server:4:14 "}},
		{conffile.DefaultsFormat, "/etc/default/isc-dhcp-server", "OPTIONS", nil},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			values, err := conffile.Parse(tt.format, tt.file, files).Lookup(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range values {
				got = append(got, v.Pos.String()+" "+v.Text)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestBadPaths(t *testing.T) {
	for format, path := range map[conffile.Format]string{
		conffile.DHCPDFormat: "subnet 1.2.3.4//range", conffile.KeaFormat: "Dhcp4.subnet4[x]", conffile.DnsmasqFormat: "/x",
		conffile.InterfacesFormat: "address", conffile.DefaultsFormat: "",
	} {
		_, err := conffile.Parse(format, "f", map[string]string{"f": `{"Dhcp4":{}}`}).Lookup(path)
		if err == nil {
			t.Errorf("format %d takes %q", format, path)
		}
	}
}

// kinds names the problems as the tables below do.
var kinds = map[conffile.Kind]string{
	conffile.ForeignCharacter: "foreign", conffile.WrongBracket: "bracket", conffile.MissingSemicolon: "semicolon",
	conffile.MissingOpening: "opening", conffile.MissingClosing: "closing", conffile.StrayClosing: "stray",
	conffile.StraySemicolon: "stray semicolon", conffile.UnclosedString: "string", conffile.MissingFile: "file",
	conffile.IncludeLoop: "loop", conffile.TrailingComma: "trailing", conffile.MissingComma: "comma",
	conffile.BadSyntax: "syntax", conffile.SpacedAssignment: "spaced",
}

func brief(problems []conffile.Problem) string {
	var parts []string
	for _, p := range problems {
		parts = append(parts, fmt.Sprintf("%s %d:%d", kinds[p.Kind], p.Pos.Line, p.Pos.Column))
	}
	return strings.Join(parts, ", ")
}

func TestDHCPDProblems(t *testing.T) {
	const subnet = "subnet 192.168.1.0 netmask 255.255.255.0 "
	tests := []struct{ name, text, want string }{
		{"well", dhcpdText[:strings.Index(dhcpdText, "include")], ""},
		{"all on one line", subnet + "{range 192.168.1.2 192.168.1.10;option routers 192.168.1.1;}", ""},
		{"words on lines of their own", "subnet\n192.168.1.0\nnetmask\n255.255.255.0\n{\nrange\n192.168.1.2\n192.168.1.10\n;\noption\nrouters\n192.168.1.1\n,\n192.168.1.2;}", ""},
		{"expressions", "if (option dhcp-message-type = 1) { log(info, concat(\"x\", option host-name)); } else { deny booting; }\n", ""},
		{"class", "class \"a\" { match if substring (option vendor-class-identifier, 0, 3) = \"abc\"; }\nsubclass \"a\" 1:2;\n", ""},
		{"parentheses", subnet + "(\n range 192.168.1.2 192.168.1.10;\n)\n", "bracket 1:42, bracket 3:1"},
		{"semicolon at the end of a line", "default-lease-time 600\nmax-lease-time 7200;\n", "semicolon 1:23"},
		{"semicolon within a line", "default-lease-time 600 max-lease-time 7200;\n", "semicolon 1:23"},
		{"semicolon before a brace", subnet + "{\n range 192.168.1.2 192.168.1.10\n}\n", "semicolon 2:32"},
		{"semicolon at the end", "authoritative", "semicolon 1:14"},
		{"semicolon before a block", "authoritative\n" + subnet + "{ }", "semicolon 1:14"},
		{"closing brace", subnet + "{\n range 192.168.1.2 192.168.1.10;\n", "closing 1:1"},
		{"inner closing brace", subnet + "{\n host a {\n  hardware ethernet 02:0:0:0:0:1;\n}\n", "closing 2:2"},
		{"closing brace before another subnet", subnet + "{\n range 192.168.1.2 192.168.1.10;\nsubnet 10.0.0.0 netmask 255.0.0.0 {\n}\n", "closing 1:1"},
		{"opening brace", subnet + "\n range 192.168.1.2 192.168.1.10;\n}\n", "opening 1:41"},
		{"brace too many", subnet + "{ }\n}\n", "stray 2:1"},
		{"semicolon behind a block", subnet + "{ };\n", "stray semicolon 1:45"},
		{"soft hyphen", "default-lease\u00ad-time 600;\n", "foreign 1:14"},
		{"no-break space", "default-lease-time\u00a0600;\n", "foreign 1:19"},
		{"curly quotation marks", "option domain-name “aula”;\n", "foreign 1:20"},
		{"accents in a comment and a string", "# año\noption domain-name \"año\";\n", ""},
		{"string", "option domain-name \"aula.lan;\nauthoritative;\n", "string 1:20"},
		{"missing include", "include \"/nowhere\";\n", "file 1:9"},
		{"loop", "include \"f\";\n", "loop 1:9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := conffile.ParseDHCPD("f", map[string]string{"f": tt.text})
			if got := brief(d.Problems); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestKeaProblems(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"well", `{"a": [1, -2.5e3, true, null, "x\"y"], "b": {}}`, ""},
		{"trailing commas", "{\"a\": [1,],\n}", "trailing 1:9, trailing 1:11"},
		{"two commas", "[1,,2]", "trailing 1:4"},
		{"missing comma", "{\"a\": 1\n\"b\": 2}", "comma 1:8"},
		{"missing brace", `{"a": [ {"b": 1 ] }`, "closing 1:9"},
		{"end", `{"a": [`, "closing 1:7, closing 1:1"},
		{"no quotation marks", `{a: eth1}`, "syntax 1:2, syntax 1:5"},
		{"open string", "{\"a\": \"b\n}", "string 1:7"},
		{"curly quotation marks", "{“a”: 1}", "foreign 1:2, foreign 1:4, syntax 1:2"},
		{"something behind", "{} }", "syntax 1:4"},
		{"no colon", `{"a" 1}`, "syntax 1:6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := brief(conffile.ParseKea("f", tt.text).Problems); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDefaultsProblems(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"INTERFACESv4=eth1\n", ""},
		{"export INTERFACESv4='eth1 eth2'\n", ""},
		{"INTERFACESv4= # none\n", ""},
		{"INTERFACESv4=eth1\r\n", "foreign 1:14"},
		{"INTERFACESv4 = \"eth1\"\n", "spaced 1:1"},
		{"INTERFACESv4= \"eth1\"\n", "spaced 1:1"},
		{"INTERFACESv4 =\"eth1\"\n", "spaced 1:1"},
		{"INTERFACESv4: eth1\n", "syntax 1:1"},
	} {
		if got := brief(conffile.ParseDefaults("f", tt.text).Problems); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestStanzaAddress(t *testing.T) {
	for _, tt := range []struct{ options, want string }{
		{"address 192.168.1.1/24", "192.168.1.1/24"},
		{"address 192.168.1.1\n netmask 255.255.255.0", "192.168.1.1/24"},
		{"address 192.168.1.1\n netmask 24", "192.168.1.1/24"},
		{"address 192.168.1.1", "192.168.1.1/32"},
		{"address 192.168.1", ""},
		{"address 192.168.1.1\n netmask 255.0.255.0", ""},
	} {
		f := conffile.ParseInterfaces("f", map[string]string{"f": "iface eth1 inet static\n " + tt.options})
		prefix, _, ok := f.Stanza("eth1").Address()
		if got := prefix.String(); ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("%q: %s, %v", tt.options, got, ok)
		}
	}
}

// within says whether a position lies in the text that was parsed.
func within(t *testing.T, texts map[string]string, pos diag.Pos) {
	t.Helper()
	lines := strings.Split(texts[pos.File], "\n")
	line := ""
	if pos.Line >= 1 && pos.Line <= len(lines) {
		line = strings.TrimRight(lines[pos.Line-1], "\r")
	}
	quoted := pos.Text == line || pos.Text == "" && len(line) > 4096
	if pos.Line < 1 || pos.Line > len(lines) || !quoted || pos.Column < 1 || pos.Column > len([]rune(line))+1 || pos.Width < 1 {
		t.Errorf("%+v is no place of %q", pos, texts[pos.File])
	}
}

// inBudget fails when reading a text has cost more than a text of its length may.
func inBudget(t *testing.T, text string, read func()) {
	t.Helper()
	if took, bytes := cost(read); took > 2*time.Second || bytes > uint64(16<<20+4096*len(text)) {
		t.Errorf("%d octets take %v and %d MiB", len(text), took, bytes>>20)
	}
}

func FuzzDHCPD(f *testing.F) {
	f.Add(dhcpdText)
	f.Add("subnet 1.2.3.4 netmask (\n range 1-2 }\n;{\"\\\"")
	f.Add("option domain-name servers \u00ad“x;}}{ ) include \"f\";")
	f.Add("include \"g\"; a { include \"h\"; include \"g\"; }")
	f.Fuzz(func(t *testing.T, text string) {
		files := map[string]string{"f": text, "g": text, "h": text}
		var d *conffile.DHCPD
		inBudget(t, text, func() { d = conffile.ParseDHCPD("f", files) })
		for _, p := range d.Problems {
			within(t, files, p.Pos)
		}
		d.All(func(s *conffile.Statement) bool {
			for _, w := range s.Words {
				within(t, files, w.Pos)
				if line := []rune(w.Pos.Text); !w.Quoted && len(line) > 0 && !strings.HasPrefix(string(line[w.Pos.Column-1:]), string([]rune(w.Text))) {
					t.Errorf("%q is not at %+v", w.Text, w.Pos)
				}
			}
			_ = d.Effective(s, "default-lease-time")
			return true
		})
		if _, err := d.Lookup("subnet 192.168.1.0/option routers"); err != nil {
			t.Error(err)
		}
	})
}

func FuzzKea(f *testing.F) {
	f.Add(`{ "Dhcp4": { "subnet4": [ { "pools": [ { "pool": "a - b", } ], }, ] /* x */ } } // y`)
	f.Add("{[,:}]\"\\")
	f.Add("<?include \"x\"?>{\"a\":[[[[{\"b\":1 2")
	f.Fuzz(func(t *testing.T, text string) {
		var k *conffile.KeaFile
		inBudget(t, text, func() { k = conffile.ParseKea("f", text) })
		for _, p := range k.Problems {
			within(t, map[string]string{"f": text}, p.Pos)
		}
		values, err := k.Lookup("Dhcp4.subnet4[*].pools[0].pool")
		if err != nil {
			t.Error(err)
		}
		for _, v := range values {
			within(t, map[string]string{"f": text}, v.Pos)
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add("interface = eth1 # x\ndhcp-range=1,2,3\nconf-dir=/d,*.conf\nconf-file=f\n")
	f.Add("auto lo\niface eth1 inet static\n address 1.2.3.4/24\nsource f\n up x\n")
	f.Add("INTERFACESv4 = \"eth1\nX='a b' ; y\\\n")
	f.Fuzz(func(t *testing.T, text string) {
		files := map[string]string{"f": text, "/d/a.conf": text, "/d/b.conf": text}
		var (
			dnsmasq    *conffile.DnsmasqFile
			interfaces *conffile.InterfacesFile
			defaults   *conffile.DefaultsFile
		)
		inBudget(t, text, func() {
			dnsmasq = conffile.ParseDnsmasq("f", files, "/d,.bak")
			interfaces = conffile.ParseInterfaces("f", files)
			defaults = conffile.ParseDefaults("f", text)
		})
		for _, p := range dnsmasq.Problems {
			if p.Kind == conffile.ForeignCharacter {
				within(t, files, p.Pos)
			}
		}
		for _, p := range append(interfaces.Problems, defaults.Problems...) {
			within(t, files, p.Pos)
		}
		for _, l := range dnsmasq.Lines {
			within(t, files, l.Name.Pos)
		}
		for _, a := range defaults.Assignments {
			within(t, files, a.Value.Pos)
		}
		for _, s := range interfaces.Stanzas {
			_, _, _ = s.Address()
			for _, o := range s.Options {
				within(t, files, o.Value.Pos)
			}
		}
	})
}
