package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// TestTable looks at the table itself: names by which a test can call them, each once, and words for each.
func TestTable(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[a-z]+/[a-z0-9-]+$`)
	seen := map[string]bool{}
	for _, a := range attacks() {
		usable := form.MatchString(a.name) && a.does != "" && a.run != nil && !strings.ContainsAny(a.does, "\t\n")
		if !usable || seen[a.name] {
			t.Errorf("a row that cannot be used: %q %q", a.name, a.does)
		}
		seen[a.name] = true
	}
	if len(seen) < 40 {
		t.Errorf("%d attacks", len(seen))
	}
}

// victim is a namespace with a bridge that trusts what comes, as a host's would without kvmlab's care, and one with
// the attacker's card.
type victim struct {
	host, evil *nstest.Namespace
	program    string
	args       []string
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{host: nstest.New(t), evil: nstest.New(t), program: filepath.Join(t.TempDir(), "attack")}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", v.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, line := range []string{
		"ip link add br1 type bridge",
		"sysctl -qw net.ipv6.conf.br1.accept_ra=2",
		"ip link add tap1 type veth peer name eth0 netns " + v.evil.Path(),
		"ip link set tap1 master br1 up",
		"ip addr add 192.168.1.1/24 dev br1",
		"ip link set br1 address 02:00:5e:00:53:01 up",
		"ip neigh add 192.168.1.9 lladdr 02:00:5e:00:53:09 dev br1 nud stale",
	} {
		v.host.Run(t, line)
	}
	v.evil.Run(t, "ip addr add 192.168.1.66/24 dev eth0")
	v.evil.Run(t, "ip link set eth0 up")
	v.args = []string{"host=192.168.1.1", "hostmac=02:00:5e:00:53:01"}
	v.args = append(v.args, "neighbour=192.168.1.9", "neighbourmac=02:00:5e:00:53:09")
	return v
}

// run makes an attack and returns what it printed.
func (v *victim) run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := v.evil.Command(ctx, v.program, append(append([]string{"run"}, args...), v.args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// shows waits until a command in the victim's namespace prints a text.
func (v *victim) shows(t *testing.T, text string, command ...string) {
	t.Helper()
	var out []byte
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); time.Sleep(100 * time.Millisecond) {
		out, _ = v.host.Command(t.Context(), command[0], command[1:]...).CombinedOutput()
		if bytes.Contains(out, []byte(text)) {
			return
		}
	}
	t.Errorf("%v does not show %q:\n%.600s", command, text, out)
}

// TestBite makes attacks where nothing stands in their way: one that does no harm there would prove nothing elsewhere.
func TestBite(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	v.run(t, "frames/ra")
	v.shows(t, "default via fe80::", "ip", "-6", "route", "show", "dev", "br1")
	v.shows(t, "2001:db8:bad:", "ip", "-6", "addr", "show", "dev", "br1")
	v.run(t, "frames/arp-gratuitous")
	evil := strings.Fields(v.evil.Run(t, "ip -br link show eth0"))[2]
	v.shows(t, "192.168.1.9 lladdr "+evil, "ip", "neigh", "show", "dev", "br1")
	v.run(t, "frames/mac-flood")
	v.shows(t, "02:a7:00:00:27:0f", "bridge", "fdb", "show", "br", "br1") // the last of ten thousand
	const targets = "targets=192.168.1.1,192.168.1.200"
	said := v.run(t, "scan/ping", targets) + v.run(t, "scan/arp", targets)
	if said != "answer ping 192.168.1.1\nanswer arp 192.168.1.1\n" {
		t.Errorf("scans say %q", said)
	}
	if said := v.run(t, "scan/tcp", "targets=192.168.1.1", "tcp=9"); said != "refused tcp 192.168.1.1:9\n" {
		t.Errorf("a scan of a closed port says %q", said)
	}
}

// TestFrames has another decoder read what is meant to be well formed, checksums included.
func TestFrames(t *testing.T) {
	t.Parallel()
	g, err := newGuest([]string{"host=192.168.1.1", "hostmac=02:00:5e:00:53:01", "neighbour=192.168.1.9"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.self, g.addr = numbered(1), sameSubnet(g.host, 64)
	for name, test := range map[string]struct {
		frame []byte
		layer gopacket.LayerType
	}{
		"a Router Advertisement": {routerAdvertisement(g)[0], layers.LayerTypeICMPv6RouterAdvertisement},
		"a DISCOVER":             {asClient(message{chaddr: g.self, options: kind(discover)}), layers.LayerTypeDHCPv4},
		"a ping":                 {ping(g.hostMAC, g.self, g.addr, g.host, 1, 1, 56), layers.LayerTypeICMPv4},
		"a connection":           {tcpSyn(g.hostMAC, g.self, g.addr, g.host, 4000, 22), layers.LayerTypeTCP},
		"ARP":                    {arp(broadcast, g.self, arpReply, g.self, g.host, g.self, g.host), layers.LayerTypeARP},
		"a BPDU":                 {bpdu(g.self), layers.LayerTypeSTP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := gopacket.NewPacket(test.frame, layers.LayerTypeEthernet, gopacket.DecodeOptions{})
			if p.Layer(test.layer) == nil || p.ErrorLayer() != nil {
				t.Fatalf("no %v in it:\n%v", test.layer, p)
			}
			for _, layer := range p.Layers() {
				if x, ok := layer.(interface {
					SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
				}); ok {
					if err := x.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err, wrong := p.VerifyChecksums(); err != nil || len(wrong) > 0 {
				t.Errorf("checksums: %v %v", err, wrong)
			}
		})
	}
}
