package main_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// natLab is a lab whose guest wants to go out.
const natLab = `
version: 1
name: NAME
isolation: ISOLATION
bridges:
  - name: br1
    address: 10.9.0.1/24
    internet: INTERNET
    REACH
    dhcp: {range: [10.9.0.100-10.9.0.120]}
guests:
  - name: NAME-pc
    nics: [{bridge: br1}]
`

// TestNAT lets guests look for a web server that is in a network of its own behind the host: from a lab in the host's
// namespace and from an isolated one, and from one that asks for no way out.
func TestNAT(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.run("sh", "-ec", `
		ip netns add web
		ip link add wan type veth peer name eth0 netns web
		ip addr add 203.0.113.1/30 dev wan
		ip link set wan addrgenmode none
		ip link set wan up
		ip -n web addr add 203.0.113.2/30 dev eth0
		ip -n web link set eth0 up
		mkdir /run/web
		echo "the page of the outside" >/run/web/index.html
		nft add table inet theirs
		nft add chain inet theirs forward '{ type filter hook forward priority 0; policy accept; }'
		ip netns exec web busybox httpd -p 203.0.113.2:80 -h /run/web`)
	// The server is in a network of the host's, which has to be named.
	const named = "reach: 203.0.113.2"
	labs := []struct{ name, isolation, internet, reach string }{
		{"own", "netns", "nat", named}, {"shut", "netns", "none", ""}, {"open", "host", "nat", named}, {"timid", "netns", "nat", ""},
	}
	files := map[string]string{}
	for _, l := range labs {
		files[l.name] = s.writeFile(l.name+".yaml", strings.NewReplacer(
			"NAME", l.name, "ISOLATION", l.isolation, "INTERNET", l.internet, "REACH", l.reach).Replace(natLab))
	}
	before, rules := s.footprint(), s.run("nft", "list", "ruleset")
	s.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
	for _, name := range []string{"own", "open"} {
		r := s.try("kvmlab", "up", files[name])
		if r.status != 4 || !strings.Contains(r.err, "KL212") || !strings.Contains(r.err, "sysctl") {
			t.Errorf("%s on a host that forwards nothing: exit status %d\n%s", name, r.status, r.err)
		}
	}
	s.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("what was refused left something (-before +after):\n%s", d)
	}
	for _, l := range labs {
		s.run("kvmlab", "up", files[l.name])
		said := s.browse(l.name + "-pc")
		if got := strings.Contains(said, "the page of the outside"); got != (l.reach != "") {
			t.Errorf("%s (%s, internet: %s): reaches the server: %t\n%s", l.name, l.isolation, l.internet, got, said)
		}
		if st := s.statusOf(l.name); st.State != "up" {
			t.Errorf("%s: %+v", l.name, st)
		}
	}
	if s.run("sysctl", "-n", "net.ipv4.ip_forward") != "1\n" {
		t.Error("the host's forwarding was changed")
	}
	s.run("nft", "delete", "table", "inet", "kvmlab-own")
	if st := s.statusOf("own"); st.State != "degraded" {
		t.Errorf("own without its table: %+v", st)
	}
	s.run("kvmlab", "up", "own")
	if st := s.statusOf("own"); st.State != "up" {
		t.Errorf("own after it was mended: %+v", st)
	}
	s.run("rm", "-rf", "/var/lib/kvmlab/labs") // the marks tell what is whose
	s.run("kvmlab", "down", "--all")
	if d := cmp.Diff(rules, s.run("nft", "list", "ruleset")); d != "" {
		t.Errorf("ruleset (-before +after):\n%s", d)
	}
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("down left something (-before +after):\n%s", d)
	}
}

// browse sits down at a guest, asks the web server for its page, and returns what is on the console then.
func (s *sandbox) browse(guest string) string {
	s.t.Helper()
	return s.run("sh", "-c", `
		{
			echo "printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 5 203.0.113.2 80; echo DO''NE"
			timeout 60 sh -c 'until grep -q DONE /run/said; do sleep 0.1; done'
		} | `+s.kvmlab+` console `+guest+` >/run/said
		cat /run/said; rm /run/said`)
}
