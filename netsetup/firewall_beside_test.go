package netsetup_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup"
)

// TestFirewallBesideOthers loads the rules of the firewalls that hosts have: Docker's with a container that publishes a
// port, as iptables-save shows them, and those that ufw and firewalld of Debian 12 make when they are switched on.
func TestFirewallBesideOthers(t *testing.T) {
	nstest.RequireCommand(t, "iptables-restore", "iptables")
	for _, other := range []struct {
		file, load string
		pass       []string // What lets the lab's bridge out there.
	}{
		{"docker.iptables", "iptables-restore", []string{
			"iptables -I DOCKER-USER -i br1 -j ACCEPT",
			"iptables -I DOCKER-USER -o br1 -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		}},
		{"ufw.iptables", "iptables-restore", []string{"iptables -A ufw-user-forward -i br1 -j ACCEPT"}}, // ufw route allow in on br1
		{"firewalld.nft", "nft -f -", nil},
	} {
		t.Run(other.file, func(t *testing.T) {
			w := newFireWorld(t)
			lan, stranger := bridgeOf("class", "br1", "192.168.1.1/24"), bridgeOf("other", "br9", "192.168.9.1/24")
			mustEnsure(t, w.h, lan)
			mustEnsure(t, w.h, stranger)
			// Else all of these swallow the frames of bridges; doctor tells.
			w.host.Run(t, "sysctl -qw net.bridge.bridge-nf-call-iptables=0")
			w.host.Run(t, "ip link add docker0 type bridge")
			w.host.Run(t, "ip addr add 172.17.0.1/16 dev docker0")
			w.host.Run(t, "ip link set docker0 up")
			pc1 := w.guest(w.host.Path(), "br1", "192.168.1.2", "192.168.1.1")
			pc2 := w.guest(w.host.Path(), "br1", "192.168.1.3", "192.168.1.1")
			theirs := w.guest(w.host.Path(), "br9", "192.168.9.2", "192.168.9.1")
			container := w.guest(w.host.Path(), "docker0", "172.17.0.2", "172.17.0.1")
			for ns, address := range map[*nstest.Namespace]string{
				pc1: "192.168.1.2", theirs: "192.168.9.2", container: "172.17.0.2", w.host: "192.168.1.1",
			} {
				w.serve(ns, address)
			}
			rules, err := os.Open("testdata/" + other.file)
			if err != nil {
				t.Fatal(err)
			}
			defer rules.Close()
			words := strings.Fields(other.load)
			load := w.host.Command(t.Context(), words[0], words[1:]...)
			load.Stdin = rules
			if out, err := load.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", other.file, err, out)
			}
			before := w.ruleset()

			w.mustWall(netsetup.Firewall{Lab: "class", Bridges: []netsetup.FirewallBridge{walled(lan, true)}}, true)
			for _, pass := range append([]string{""}, other.pass...) {
				if pass != "" {
					w.host.Run(t, pass)
				}
				w.try(other.file+" "+pass,
					visit{"a guest to the host", pc1, "192.168.1.1", ""},
					visit{"a guest to the host's other address", pc1, hostOutside, ""},
					visit{"a guest to another lab", pc1, "192.168.9.2", ""},
					visit{"a guest to a container", pc1, "172.17.0.2", ""},
					visit{"a guest to a published port", pc1, "192.168.1.1:8080", ""},
					visit{"another lab to a guest", theirs, "192.168.1.2", ""},
					visit{"a container to a guest", container, "192.168.1.2", ""},
					visit{"the outside to a guest", w.outside, "192.168.1.2", ""},
					visit{"a guest of the same bridge", pc2, "192.168.1.2", "192.168.1.3"},
				)
				if !w.pings(pc1, "192.168.1.1", true) || w.pings(pc1, hostOutside, false) || w.pings(pc1, "172.17.0.1", false) {
					t.Error("a guest does not reach its bridge's address alone")
				}
			}
			if other.pass != nil {
				w.try(other.file, visit{"a guest that is let out", pc1, server, hostOutside})
			} else {
				w.mustUnwall("class")
				if diff := cmp.Diff(before, w.ruleset()); diff != "" {
					t.Errorf("ruleset (-before +after):\n%s", diff)
				}
			}
		})
	}
}
