//kvmlab:needs nftables iptables iputils-ping

package netsetup_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup"
)

// fireWorld is a host with a web server on another network and a lab, each in a network namespace of its own.
type fireWorld struct {
	t       *testing.T
	host    *nstest.Namespace
	h       *netsetup.Handle
	outside *nstest.Namespace
	guests  int
}

// The addresses of the outer network.
const (
	hostOutside = "203.0.113.1"
	server      = "203.0.113.2"
)

func newFireWorld(t *testing.T) *fireWorld {
	t.Helper()
	nstest.RequireCommand(t, "nft", "ip", "ping")
	ns, h := open(t)
	w := &fireWorld{t: t, host: ns, h: h, outside: nstest.New(t)}
	ns.Run(t, "ip link add wan type veth peer name eth0 netns "+w.outside.Path())
	ns.Run(t, "ip addr add "+hostOutside+"/30 dev wan")
	ns.Run(t, "ip link set wan up")
	w.outside.Run(t, "ip addr add "+server+"/30 dev eth0")
	w.outside.Run(t, "ip link set eth0 up")
	// So that what is not let in fails for no other reason.
	w.outside.Run(t, "ip route add default via "+hostOutside)
	ns.Run(t, "sysctl -qw net.ipv4.ip_forward=1")
	// A ruleset of somebody else's.
	ns.Run(t, "nft add table inet theirs")
	ns.Run(t, "nft add chain inet theirs forward { type filter hook forward priority 0 ; policy accept ; }")
	w.serve(w.outside, server)
	w.serve(w.host, hostOutside)
	return w
}

// serve says to everybody who connects where the connection comes from.
func (w *fireWorld) serve(ns *nstest.Namespace, address string) {
	w.t.Helper()
	var listener net.Listener
	ns.Must(w.t, func() (err error) {
		listener, err = net.Listen("tcp", address+":80")
		return err
	})
	w.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			from, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			_, _ = io.WriteString(conn, from)
			_ = conn.Close()
		}
	}()
}

// visit asks a server, at port 80 or the one that is given, who it sees; empty when it cannot be reached.
func (w *fireWorld) visit(from *nstest.Namespace, address string, patience time.Duration) string {
	w.t.Helper()
	if !strings.Contains(address, ":") {
		address += ":80"
	}
	var seen []byte
	err := from.Do(func() error {
		ctx, cancel := context.WithTimeout(w.t.Context(), patience)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp4", address)
		if err != nil {
			return err
		}
		seen, err = io.ReadAll(conn)
		return errors.Join(err, conn.Close())
	})
	if err != nil {
		return ""
	}
	return string(seen)
}

// guest plugs a station into a bridge of the lab, which is in the namespace at path.
func (w *fireWorld) guest(path, bridge, address, router string) *nstest.Namespace {
	w.t.Helper()
	w.guests++
	g := nstest.New(w.t)
	port := fmt.Sprintf("port%d", w.guests)
	g.Run(w.t, "ip link add eth0 type veth peer name "+port+" netns "+path)
	g.Run(w.t, "ip addr add "+address+"/24 dev eth0")
	g.Run(w.t, "ip link set eth0 up")
	g.Run(w.t, "ip route add default via "+router)
	g.Run(w.t, "nsenter --net="+path+" ip link set "+port+" master "+bridge+" up")
	return g
}

func (w *fireWorld) ruleset() string {
	w.t.Helper()
	return w.host.Run(w.t, "nft list ruleset")
}

func bridgeOf(lab, name, address string) netsetup.Bridge {
	b := netsetup.Bridge{Name: name, Owner: netsetup.Owner{Lab: lab, Object: name}}
	if address != "" {
		b.Address = netip.MustParsePrefix(address)
	}
	return b
}

// walled is a bridge as its lab's firewall knows it. taps are the number of cards that guests have on it.
func walled(b netsetup.Bridge, out bool, taps ...string) netsetup.FirewallBridge {
	return netsetup.FirewallBridge{Name: b.Name, Address: b.Address, DHCP: b.Address.IsValid(), Out: out, Taps: taps}
}

func (w *fireWorld) mustWall(want netsetup.Firewall, changes bool) {
	w.t.Helper()
	if changed, err := w.h.EnsureFirewall(w.t.Context(), want); changed != changes || err != nil {
		w.t.Fatalf("EnsureFirewall = %t, %v", changed, err)
	}
	if problem, err := w.h.FirewallDrift(w.t.Context(), want); problem != "" || err != nil {
		w.t.Fatalf("FirewallDrift after EnsureFirewall = %q, %v", problem, err)
	}
	if there, err := w.h.FindFirewall(w.t.Context(), want.Lab); !there || err != nil {
		w.t.Fatalf("FindFirewall after EnsureFirewall = %t, %v", there, err)
	}
}

func (w *fireWorld) mustUnwall(lab string) {
	w.t.Helper()
	if removed, err := w.h.RemoveFirewall(w.t.Context(), lab); !removed || err != nil {
		w.t.Errorf("RemoveFirewall = %t, %v", removed, err)
	}
	if removed, err := w.h.RemoveFirewall(w.t.Context(), lab); removed || err != nil {
		w.t.Errorf("RemoveFirewall again = %t, %v", removed, err)
	}
	if there, err := w.h.FindFirewall(w.t.Context(), lab); there || err != nil {
		w.t.Errorf("FindFirewall after RemoveFirewall = %t, %v", there, err)
	}
}

// visit is one attempt to reach something, and who is seen there; empty when it fails.
type visit struct {
	what string
	from *nstest.Namespace
	to   string
	want string
}

// try makes the attempts at the same time: each failure takes its time.
func (w *fireWorld) try(when string, visits ...visit) {
	w.t.Helper()
	got := make([]string, len(visits))
	var all sync.WaitGroup
	for i, v := range visits {
		patience := inVain
		if v.want != "" {
			patience = atLast
		}
		all.Go(func() { got[i] = w.visit(v.from, v.to, patience) })
	}
	all.Wait()
	for i, v := range visits {
		if got[i] != v.want {
			w.t.Errorf("%s: from %s to %s: seen as %q, want %q", when, v.what, v.to, got[i], v.want)
		}
	}
}

// How long is waited for what should not come, and for what should.
const inVain, atLast = 400 * time.Millisecond, 20 * time.Second

// pings reports whether an address answers, as it should or should not.
func (w *fireWorld) pings(from *nstest.Namespace, address string, should bool) bool {
	w.t.Helper()
	seconds := "1"
	if should {
		seconds = "20"
	}
	return from.Command(w.t.Context(), "ping", "-c1", "-w"+seconds, address).Run() == nil
}

func TestFirewallInTheHostsNamespace(t *testing.T) {
	w := newFireWorld(t)
	lan, dmz := bridgeOf("class", "br1", "192.168.1.1/24"), bridgeOf("class", "br2", "192.168.2.1/24")
	bare, other := bridgeOf("class", "br3", ""), bridgeOf("other", "br9", "192.168.9.1/24")
	for _, b := range []netsetup.Bridge{lan, dmz, bare, other} {
		mustEnsure(t, w.h, b)
	}
	host := w.host.Path()
	pc1 := w.guest(host, "br1", "192.168.1.2", "192.168.1.1")
	pc2 := w.guest(host, "br1", "192.168.1.3", "192.168.1.1")
	pc3 := w.guest(host, "br2", "192.168.2.2", "192.168.2.1")
	pc4 := w.guest(host, "br3", "192.168.1.4", "192.168.1.1") // A liar: there is no host on his bridge.
	stranger := w.guest(host, "br9", "192.168.9.2", "192.168.9.1")
	for ns, address := range map[*nstest.Namespace]string{pc1: "192.168.1.2", stranger: "192.168.9.2", w.host: "192.168.1.1"} {
		w.serve(ns, address)
	}
	w.host.Run(t, "ip neigh replace 192.168.1.4 dev br3 lladdr 02:00:00:00:00:04") // The host would know the way back.
	pc4.Run(t, "ip neigh replace 192.168.1.1 dev eth0 lladdr "+strings.TrimSpace(w.host.Run(t, "cat /sys/class/net/lo/address")))
	before := w.ruleset()
	w.try("without a firewall",
		visit{"a guest", pc1, server, "192.168.1.2"}, visit{"a guest", pc1, hostOutside, "192.168.1.2"},
		visit{"another lab", stranger, "192.168.1.2", "192.168.9.2"}, visit{"the outside", w.outside, "192.168.1.2", server})

	want := netsetup.Firewall{Lab: "class", Bridges: []netsetup.FirewallBridge{walled(lan, true), walled(dmz, false), walled(bare, false)}}
	w.mustWall(want, true)
	w.mustWall(want, false)
	for _, filtered := range []string{"0", "1"} { // With br_netfilter the bridge's own frames meet the rules, too.
		w.host.Run(t, "sysctl -qw net.bridge.bridge-nf-call-iptables="+filtered)
		w.try("br_netfilter "+filtered,
			visit{"a guest on the bridge", pc1, server, hostOutside},
			visit{"a guest on a bridge without NAT", pc3, server, ""},
			visit{"a guest of the same bridge", pc2, "192.168.1.2", "192.168.1.3"},
			visit{"the outside", w.outside, "192.168.1.2", ""},
			visit{"the other bridge", pc3, "192.168.1.2", ""},
			visit{"a guest to another lab", pc1, "192.168.9.2", ""},
			visit{"another lab to a guest", stranger, "192.168.1.2", ""},
			visit{"the host", w.host, "192.168.1.2", "192.168.1.1"},
			visit{"a guest to the host", pc1, "192.168.1.1", ""},
			visit{"a guest to the host's other address", pc1, hostOutside, ""},
			visit{"a guest to the host's other bridge", pc1, "192.168.2.1", ""},
		)
		for _, p := range []struct {
			what    string
			from    *nstest.Namespace
			address string
			want    bool
		}{
			{"a guest to the host", pc1, "192.168.1.1", true},
			{"a guest to its own bridge", pc3, "192.168.2.1", true},
			{"a guest to the host's other bridge", pc1, "192.168.2.1", false},
			{"a guest to the host's other address", pc1, hostOutside, false},
			{"a guest on a bare bridge to the host", pc4, "192.168.1.1", false},
			{"the host to a guest", w.host, "192.168.1.2", true},
		} {
			if got := w.pings(p.from, p.address, p.want); got != p.want {
				t.Errorf("br_netfilter %s: ping from %s (%s): %t", filtered, p.what, p.address, got)
			}
		}
	}

	want.Services = []netsetup.Service{{Protocol: "tcp", Port: 80}}
	w.mustWall(want, true)
	w.try("with a service",
		visit{"a guest to the host", pc1, "192.168.1.1", "192.168.1.2"},
		visit{"a guest to the host's other address", pc1, hostOutside, ""},
		visit{"a guest to the host's other bridge", pc3, "192.168.1.1", ""})

	// The host's own networks, once they are known, and those that are named.
	var err error
	if want.Own, err = w.h.Networks(t.Context(), "class"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"203.0.113.0/30"}, texts(want.Own)); diff != "" {
		t.Errorf("networks (-want +got):\n%s", diff)
	}
	w.mustWall(want, true)
	w.try("to the host's own network", visit{"a guest", pc1, server, ""})
	want.Bridges[0].Reach = []netip.Prefix{netip.MustParsePrefix(server + "/32")}
	w.mustWall(want, true)
	w.try("to a network that is named", visit{"a guest", pc1, server, hostOutside})

	for _, harm := range []string{
		"flush chain inet kvmlab-class from-br1", "delete element inet kvmlab-class host { \"br1\" }",
		"delete table inet kvmlab-class", "delete table arp kvmlab-class",
	} {
		if out, err := w.host.Command(t.Context(), "nft", harm).CombinedOutput(); err != nil {
			t.Fatalf("%s: %s", harm, out)
		}
		if problem, err := w.h.FirewallDrift(t.Context(), want); problem == "" || err != nil {
			t.Errorf("FirewallDrift after %s = %q, %v", harm, problem, err)
		}
		w.mustWall(want, true)
	}
	if labs, err := w.h.FirewallLabs(t.Context()); err != nil || !slices.Equal(labs, []string{"class"}) {
		t.Errorf("FirewallLabs = %v, %v", labs, err)
	}
	w.mustUnwall("class")
	if d := cmp.Diff(before, w.ruleset()); d != "" {
		t.Errorf("ruleset (-before +after):\n%s", d)
	}
}

func texts(prefixes []netip.Prefix) []string {
	var list []string
	for _, p := range prefixes {
		list = append(list, p.String())
	}
	return list
}

// linksOf lists links and IPv4 addresses; those of IPv6 come when they like.
func linksOf(t *testing.T, ns *nstest.Namespace) string {
	t.Helper()
	return ns.Run(t, "ip -br link") + ns.Run(t, "ip -br -4 addr")
}

func TestFirewallOfIsolatedLabs(t *testing.T) {
	nstest.RequireSandbox(t)
	w := newFireWorld(t)
	before, linksBefore := w.ruleset(), linksOf(t, w.host)
	var guests []*nstest.Namespace
	for _, lab := range []string{"nt-nat-ana", "nt-nat-luis"} {
		lan, dmz := bridgeOf(lab, "br1", "192.168.1.1/24"), bridgeOf(lab, "br2", "192.168.2.1/24")
		mustEnsureNamespace(t, lab, true)
		t.Cleanup(func() {
			if _, err := netsetup.RemoveNamespace(context.Background(), lab); err != nil {
				t.Error(err)
			}
		})
		inside := mustOpenNamespace(t, lab)
		mustEnsure(t, inside, lan)
		mustEnsure(t, inside, dmz)
		want := netsetup.Firewall{Lab: lab, Isolated: true, Bridges: []netsetup.FirewallBridge{walled(lan, false), walled(dmz, false)}}
		path := netsetup.NamespacePath(lab)
		pc1 := w.guest(path, "br1", "192.168.1.2", "192.168.1.1")
		pc2 := w.guest(path, "br1", "192.168.1.3", "192.168.1.1")
		pc3 := w.guest(path, "br2", "192.168.2.2", "192.168.2.1")
		w.serve(pc1, "192.168.1.2")
		w.mustWall(want, true)
		w.mustWall(want, false)
		w.try(lab+" without a way out", visit{"a guest", pc1, server, ""}, visit{"a guest of the same bridge", pc2, "192.168.1.2", "192.168.1.3"})
		if !w.pings(pc1, "192.168.1.1", true) || w.pings(pc1, "192.168.2.1", false) {
			t.Error("a guest does not reach its bridge's address alone")
		}
		if d := cmp.Diff(linksBefore, linksOf(t, w.host)); lab == "nt-nat-ana" && d != "" {
			t.Errorf("links without a way out (-before +after):\n%s", d)
		}

		want.Bridges[0].Out = true
		w.mustWall(want, true)
		w.mustWall(want, false)
		uplink := strings.Fields(ip(t, "-n "+netsetup.NamespaceName(lab)+" -br -4 addr show "+netsetup.UplinkName))[2]
		address, _, _ := strings.Cut(uplink, "/")
		hostEnd := netip.MustParseAddr(address).Prev().String()
		w.serve(w.host, hostEnd)
		w.try(lab,
			visit{"a guest on the bridge", pc1, server, hostOutside},
			visit{"a guest on a bridge without NAT", pc3, server, ""},
			visit{"a guest of the same bridge", pc2, "192.168.1.2", "192.168.1.3"},
			visit{"the other bridge", pc3, "192.168.1.2", ""},
			visit{"a guest to the host", pc1, hostEnd, ""},
			visit{"a guest to the host's other address", pc1, hostOutside, ""},
			visit{"the host", w.host, "192.168.1.2", ""},
			visit{"the outside", w.outside, "192.168.1.2", ""},
			visit{"the outside to the cable", w.outside, address, ""},
		)
		if out := w.host.Run(t, "ip -6 addr show up") + ip(t, "-n "+netsetup.NamespaceName(lab)+" -6 addr show"); strings.Contains(out, "kvmlab") {
			t.Errorf("IPv6 on the cable:\n%s", out)
		}
		if len(guests) > 0 && w.pings(guests[0], address, false) { // An address answers to ping by itself, unless something is in the way.
			t.Error("the neighbour's guest reaches this lab")
		}
		guests = append(guests, pc1)

		for _, harm := range []string{
			"link del " + netsetup.UplinkName,
			"route del default",
			"netns exec " + netsetup.NamespaceName(lab) + " nft flush chain inet kvmlab-" + lab + " from-br1",
		} {
			if !strings.HasPrefix(harm, "netns") {
				harm = "-n " + netsetup.NamespaceName(lab) + " " + harm
			}
			ip(t, harm)
			if problem, err := w.h.FirewallDrift(t.Context(), want); problem == "" || err != nil {
				t.Errorf("FirewallDrift after %s = %q, %v", harm, problem, err)
			}
			w.mustWall(want, true)
			w.try("after "+harm, visit{"a guest", pc1, server, hostOutside})
		}
		want.Own = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/30")}
		w.mustWall(want, true)
		w.try("to the host's own network", visit{"a guest", pc1, server, ""})
		want.Bridges[0].Reach = want.Own
		w.mustWall(want, true)
		w.try("to a network that is named", visit{"a guest", pc1, server, hostOutside})
	}
	for _, lab := range []string{"nt-nat-ana", "nt-nat-luis"} {
		w.mustUnwall(lab)
	}
	w.try("without a firewall", visit{"a guest", guests[0], server, ""})
	if d := cmp.Diff(before, w.ruleset()); d != "" {
		t.Errorf("ruleset (-before +after):\n%s", d)
	}
	if d := cmp.Diff(linksBefore, linksOf(t, w.host)); d != "" {
		t.Errorf("links (-before +after):\n%s", d)
	}
}

func TestFirewallRefused(t *testing.T) {
	w := newFireWorld(t)
	lan := bridgeOf("class", "br1", "192.168.1.1/24")
	want := netsetup.Firewall{Lab: "class", Bridges: []netsetup.FirewallBridge{walled(lan, true)}}
	w.host.Run(t, "sysctl -qw net.ipv4.ip_forward=0")
	if _, err := w.h.EnsureFirewall(t.Context(), want); !errors.Is(err, netsetup.ErrNotForwarding) {
		t.Errorf("on a host that forwards nothing: %v", err)
	}
	w.host.Run(t, "sysctl -qw net.ipv4.ip_forward=1")
	for _, family := range []string{"inet", "arp"} {
		w.host.Run(t, "nft add table "+family+" kvmlab-class")
		before := w.ruleset()
		foreign := new(netsetup.ForeignTableError)
		if _, err := w.h.EnsureFirewall(t.Context(), want); !errors.As(err, &foreign) || foreign.Name != "kvmlab-class" {
			t.Errorf("with a stranger's table: %v", err)
		}
		if removed, err := w.h.RemoveFirewall(t.Context(), "class"); removed || err != nil {
			t.Errorf("RemoveFirewall of a stranger's table = %t, %v", removed, err)
		}
		if d := cmp.Diff(before, w.ruleset()); d != "" {
			t.Errorf("ruleset (-before +after):\n%s", d)
		}
		w.host.Run(t, "nft delete table "+family+" kvmlab-class")
	}
}

// The commands that a student would type make the same rules.
func TestFirewallCommandsDoTheSame(t *testing.T) {
	w := newFireWorld(t)
	want := netsetup.Firewall{
		Lab: "class", Services: []netsetup.Service{{Protocol: "tcp", Port: 80}, {Protocol: "udp", Port: 123}},
		Own: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/30")},
		Bridges: []netsetup.FirewallBridge{
			walled(bridgeOf("class", "br1", "192.168.1.1/24"), true, "tap1", "tap2"),
			walled(bridgeOf("class", "br2", "10.20.64.1/19"), false, "tap3"), walled(bridgeOf("class", "br3", ""), false),
		},
	}
	want.Bridges[0].Reach = []netip.Prefix{netip.MustParsePrefix("10.0.0.53/32"), netip.MustParsePrefix("10.1.0.0/16")}
	w.mustWall(want, true)
	made := w.ruleset()
	w.mustUnwall("class")
	for _, command := range netsetup.FirewallCommands(want) {
		if out, err := w.host.Command(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	typed := w.ruleset()
	for _, command := range netsetup.RemoveFirewallCommands("class") {
		w.host.Run(t, command)
	}
	// The mark is not typed.
	lines := slices.DeleteFunc(strings.Split(made, "\n"), func(line string) bool {
		return strings.Contains(line, "kvmlab:class")
	})
	made = strings.ReplaceAll(strings.Join(lines, "\n"), "\tchain kvmlab {\n\t}\n\n", "")
	if d := cmp.Diff(made, typed); d != "" {
		t.Errorf("ruleset (-made +typed):\n%s", d)
	}
}

// TestFirewallOfTheLargestLab makes and removes the tables of as many bridges and cards as a lab file can have.
func TestFirewallOfTheLargestLab(t *testing.T) {
	w := newFireWorld(t)
	before := w.ruleset()
	largest := netsetup.Firewall{Lab: "largest"}
	for i := range 64 {
		b := walled(bridgeOf("largest", fmt.Sprintf("br%d", i), fmt.Sprintf("10.%d.0.1/16", i)), i%2 == 0)
		for card := range 32 {
			b.Taps = append(b.Taps, fmt.Sprintf("tap%d", 32*i+card))
		}
		largest.Bridges = append(largest.Bridges, b)
	}
	w.mustWall(largest, true)
	w.mustWall(largest, false)
	w.mustUnwall("largest")
	if d := cmp.Diff(before, w.ruleset()); d != "" {
		t.Errorf("ruleset (-before +after):\n%s", d)
	}
}
