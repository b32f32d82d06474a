package main_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reachLab is a lab that allows one service of its host, on a port that Docker's rules send nowhere else.
const reachLab = `
version: 1
name: NAME
isolation: ISOLATION
host: {allow: tcp/8888}
bridges:
  - name: BRIDGE
    address: SUBNET.1/24
    dhcp: {range: [SUBNET.100-SUBNET.120]}
guests:
  - name: pc
    nics: [{bridge: BRIDGE, tap: TAP}]
`

// scan tries, from inside a guest and all at once, the targets "tcp ADDRESS PORT" and "ping ADDRESS", and prints those that
// answer.
const scan = `
try() {
	case $1 in
	tcp) printf 'GET / HTTP/1.0\r\n\r\n' | timeout 6 nc -w 4 "$2" "$3" | grep -q HTTP && echo "tcp $2 $3" ;;
	ping) ping -c 2 -W 2 "$2" >/dev/null 2>&1 && echo "ping $2" ;;
	esac
}
TARGETS
wait
true`

// TestReach scans the host, its networks and other labs from real guests, in the host's namespace and in one of their
// own, on a host that forwards: by itself, beside Docker's rules, and beside ufw's, with which every guest still gets its
// address. Only what the lab file names is open.
func TestReach(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.run("sh", "-ec", `
		sysctl -qw net.ipv4.ip_forward=1
		[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || sysctl -qw net.bridge.bridge-nf-call-iptables=0
		ip netns add school
		ip link add wan type veth peer name eth0 netns school
		ip addr add 203.0.113.1/24 dev wan
		ip link set wan addrgenmode none
		ip link set wan up
		ip -n school addr add 203.0.113.2/24 dev eth0
		ip -n school link set eth0 up
		ip -n school route add default via 203.0.113.1
		mkdir /run/web
		echo "the page" >/run/web/index.html
		for port in 22 80 8888; do busybox httpd -p 0.0.0.0:$port -h /run/web; done
		ip netns exec school busybox httpd -p 0.0.0.0:80 -h /run/web`)
	rules := func(name string) string {
		path, err := filepath.Abs("../../netsetup/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return "iptables-restore <" + path
	}
	labs := []struct{ name, isolation, bridge, tap, subnet string }{
		{"open", "host", "br1", "tap1", "10.9.1"}, {"other", "host", "br2", "tap2", "10.9.2"}, {"own", "netns", "br1", "tap1", "10.9.3"},
	}
	before := s.footprint()
	files := map[string]string{}
	for _, l := range labs {
		files[l.name] = s.writeFile(l.name+".yaml", strings.NewReplacer("NAME", l.name, "ISOLATION", l.isolation,
			"BRIDGE", l.bridge, "SUBNET", l.subnet, "TAP", l.tap).Replace(reachLab))
	}
	for _, beside := range []struct {
		name, load string
		service    bool // What the lab file allows is not dropped by somebody else.
	}{
		{"nothing else", "true", true}, {"Docker", rules("docker.iptables"), true}, {"ufw", rules("ufw.iptables"), false},
	} {
		s.run("sh", "-ec", beside.load)
		addresses := map[string]string{}
		for _, l := range labs {
			s.run("kvmlab", "up", files[l.name])
			addresses[l.name] = s.statusOf(l.name).Guests[0].NICs[0].Lease.Address
		}
		for _, l := range labs {
			var targets []string
			for _, address := range []string{
				l.subnet + ".1", "203.0.113.1", "203.0.113.2", "172.17.0.1", "10.9.1.1", "10.9.2.1", addresses["open"], addresses["other"], addresses["own"],
			} {
				if address == addresses[l.name] {
					continue // Itself.
				}
				targets = append(targets, "ping "+address)
				for _, port := range []int{22, 80, 8888} {
					targets = append(targets, fmt.Sprintf("tcp %s %d", address, port))
				}
			}
			want := []string{"ping " + l.subnet + ".1"}
			if beside.service && l.isolation == "host" { // Nobody listens in the other's namespace.
				want = append(want, "tcp "+l.subnet+".1 8888")
			}
			script := strings.Replace(scan, "TARGETS", "try "+strings.Join(targets, " & try ")+" &", 1)
			answered := strings.TrimSpace(s.run("kvmlab", "exec", "-n", "--wait", "2m", "--lab", l.name, "pc", "--", "sh", "-c", script))
			if diff := cmp.Diff(want, slices.Compact(slices.Sorted(strings.SplitSeq(answered, "\n")))); diff != "" {
				t.Errorf("beside %s: what the guest of %s reaches (-want +got):\n%s", beside.name, l.name, diff)
			}
		}
		for _, l := range labs {
			s.run("kvmlab", "down", l.name)
		}
	}
	if r := s.try("sh", "-c", "nft list tables | grep kvmlab"); r.status == 0 {
		t.Errorf("down left tables:\n%s", r.out)
	}
	s.run("nft", "flush", "ruleset") // Of the others; the labs are down.
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("down left something (-before +after):\n%s", d)
	}
}
