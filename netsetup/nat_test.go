//kvmlab:needs nftables iputils-ping

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
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup"
)

// natWorld is a host with a web server on another network and a lab, each in a network namespace of its own.
type natWorld struct {
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

func newNATWorld(t *testing.T) *natWorld {
	t.Helper()
	nstest.RequireCommand(t, "nft", "ip", "ping")
	ns, h := open(t)
	w := &natWorld{t: t, host: ns, h: h, outside: nstest.New(t)}
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
func (w *natWorld) serve(ns *nstest.Namespace, address string) {
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

// visit asks a server who it sees; empty when it cannot be reached.
func (w *natWorld) visit(from *nstest.Namespace, address string) string {
	w.t.Helper()
	var seen []byte
	err := from.Do(func() error {
		ctx, cancel := context.WithTimeout(w.t.Context(), 400*time.Millisecond)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp4", address+":80")
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
func (w *natWorld) guest(path, bridge, address, router string) *nstest.Namespace {
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

func (w *natWorld) ruleset() string {
	w.t.Helper()
	return w.host.Run(w.t, "nft list ruleset")
}

func bridgeOf(lab, name, address string) netsetup.Bridge {
	return netsetup.Bridge{
		Name: name, Address: netip.MustParsePrefix(address), Owner: netsetup.Owner{Lab: lab, Object: name},
	}
}

func natBridge(b netsetup.Bridge, out bool) netsetup.NATBridge {
	return netsetup.NATBridge{Name: b.Name, Subnet: b.Address.Masked(), Out: out}
}

func (w *natWorld) mustNAT(want netsetup.NAT, changes bool) {
	w.t.Helper()
	if changed, err := w.h.EnsureNAT(w.t.Context(), want); changed != changes || err != nil {
		w.t.Fatalf("EnsureNAT = %t, %v", changed, err)
	}
	if problem, err := w.h.NATDrift(w.t.Context(), want); problem != "" || err != nil {
		w.t.Fatalf("NATDrift after EnsureNAT = %q, %v", problem, err)
	}
	if there, err := w.h.FindNAT(w.t.Context(), want.Lab); !there || err != nil {
		w.t.Fatalf("FindNAT after EnsureNAT = %t, %v", there, err)
	}
}

func (w *natWorld) mustRemoveNAT(lab string) {
	w.t.Helper()
	if removed, err := w.h.RemoveNAT(w.t.Context(), lab); !removed || err != nil {
		w.t.Errorf("RemoveNAT = %t, %v", removed, err)
	}
	if removed, err := w.h.RemoveNAT(w.t.Context(), lab); removed || err != nil {
		w.t.Errorf("RemoveNAT again = %t, %v", removed, err)
	}
	if there, err := w.h.FindNAT(w.t.Context(), lab); there || err != nil {
		w.t.Errorf("FindNAT after RemoveNAT = %t, %v", there, err)
	}
}

func TestNATInTheHostsNamespace(t *testing.T) {
	w := newNATWorld(t)
	lan, dmz := bridgeOf("class", "br1", "192.168.1.1/24"), bridgeOf("class", "br2", "192.168.2.1/24")
	mustEnsure(t, w.h, lan)
	mustEnsure(t, w.h, dmz)
	pc1 := w.guest(w.host.Path(), "br1", "192.168.1.2", "192.168.1.1")
	pc2 := w.guest(w.host.Path(), "br1", "192.168.1.3", "192.168.1.1")
	pc3 := w.guest(w.host.Path(), "br2", "192.168.2.2", "192.168.2.1")
	w.serve(pc1, "192.168.1.2")
	before := w.ruleset()
	// Without NAT the server sees the guest's own address; a real one would have no way back.
	if got := w.visit(pc1, server); got != "192.168.1.2" {
		t.Errorf("without NAT the server sees %q", got)
	}
	want := netsetup.NAT{Lab: "class", Bridges: []netsetup.NATBridge{natBridge(lan, true), natBridge(dmz, false)}}
	w.mustNAT(want, true)
	w.mustNAT(want, false)
	w.host.Run(t, "sysctl -qw net.bridge.bridge-nf-call-iptables=1") // The bridge's own frames meet the rules, too.
	for _, test := range []struct {
		what string
		from *nstest.Namespace
		to   string
		want string
	}{
		{"a guest on the bridge", pc1, server, hostOutside},
		{"a guest on a bridge without NAT", pc3, server, "192.168.2.2"},
		{"a guest of the same bridge", pc2, "192.168.1.2", "192.168.1.3"},
		{"the outside", w.outside, "192.168.1.2", ""},
		{"the other bridge", pc3, "192.168.1.2", ""},
		{"the host", w.host, "192.168.1.2", "192.168.1.1"},
	} {
		if got := w.visit(test.from, test.to); got != test.want {
			t.Errorf("from %s to %s: seen as %q, want %q", test.what, test.to, got, test.want)
		}
	}
	w.host.Run(t, "nft flush chain ip kvmlab-class forward")
	if problem, err := w.h.NATDrift(t.Context(), want); problem == "" || err != nil {
		t.Errorf("NATDrift without rules = %q, %v", problem, err)
	}
	w.mustNAT(want, true)
	if got := w.visit(w.outside, "192.168.1.2"); got != "" {
		t.Errorf("not mended: the outside is seen as %q", got)
	}
	if labs, err := w.h.NATLabs(t.Context()); err != nil || !slices.Equal(labs, []string{"class"}) {
		t.Errorf("NATLabs = %v, %v", labs, err)
	}
	w.mustRemoveNAT("class")
	if d := cmp.Diff(before, w.ruleset()); d != "" {
		t.Errorf("ruleset (-before +after):\n%s", d)
	}
}

func TestNATOfIsolatedLabs(t *testing.T) {
	nstest.RequireSandbox(t)
	w := newNATWorld(t)
	before, linksBefore := w.ruleset(), w.host.Run(t, "ip -br addr")
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
		want := netsetup.NAT{Lab: lab, Isolated: true, Bridges: []netsetup.NATBridge{natBridge(lan, true), natBridge(dmz, false)}}
		w.mustNAT(want, true)
		w.mustNAT(want, false)
		path := netsetup.NamespacePath(lab)
		pc1 := w.guest(path, "br1", "192.168.1.2", "192.168.1.1")
		pc2 := w.guest(path, "br1", "192.168.1.3", "192.168.1.1")
		pc3 := w.guest(path, "br2", "192.168.2.2", "192.168.2.1")
		w.serve(pc1, "192.168.1.2")
		uplink := strings.Fields(ip(t, "-n "+netsetup.NamespaceName(lab)+" -br -4 addr show "+netsetup.UplinkName))[2]
		address, _, _ := strings.Cut(uplink, "/")
		hostEnd := netip.MustParseAddr(address).Prev().String()
		w.serve(w.host, hostEnd)
		for _, test := range []struct {
			what string
			from *nstest.Namespace
			to   string
			want string
		}{
			{"a guest on the bridge", pc1, server, hostOutside},
			{"a guest on a bridge without NAT", pc3, server, ""},
			{"a guest of the same bridge", pc2, "192.168.1.2", "192.168.1.3"},
			{"the other bridge", pc3, "192.168.1.2", ""},
			{"a guest to the host", pc1, hostEnd, ""},
			{"a guest to the host's other address", pc1, hostOutside, ""},
			{"the host", w.host, "192.168.1.2", ""},
			{"the outside", w.outside, "192.168.1.2", ""},
			{"the outside to the cable", w.outside, address, ""},
		} {
			if got := w.visit(test.from, test.to); got != test.want {
				t.Errorf("%s: from %s to %s: seen as %q, want %q", lab, test.what, test.to, got, test.want)
			}
		}
		if len(guests) > 0 { // An address answers to ping by itself, unless something is in the way.
			if err := guests[0].Command(t.Context(), "ping", "-c1", "-W1", address).Run(); err == nil {
				t.Error("the neighbour's guest reaches this lab")
			}
		}
		guests = append(guests, pc1)

		for _, harm := range []string{
			"link del " + netsetup.UplinkName,
			"route del default",
			"netns exec " + netsetup.NamespaceName(lab) + " nft flush chain ip kvmlab-" + lab + " forward",
		} {
			if !strings.HasPrefix(harm, "netns") {
				harm = "-n " + netsetup.NamespaceName(lab) + " " + harm
			}
			ip(t, harm)
			if problem, err := w.h.NATDrift(t.Context(), want); problem == "" || err != nil {
				t.Errorf("NATDrift after %s = %q, %v", harm, problem, err)
			}
			w.mustNAT(want, true)
			if got := w.visit(pc1, server); got != hostOutside {
				t.Errorf("after %s: not mended", harm)
			}
		}
	}
	for _, lab := range []string{"nt-nat-ana", "nt-nat-luis"} {
		w.mustRemoveNAT(lab)
	}
	if got := w.visit(guests[0], server); got != "" {
		t.Errorf("without NAT the server sees %q", got)
	}
	if d := cmp.Diff(before, w.ruleset()); d != "" {
		t.Errorf("ruleset (-before +after):\n%s", d)
	}
	if d := cmp.Diff(linksBefore, w.host.Run(t, "ip -br addr")); d != "" {
		t.Errorf("links (-before +after):\n%s", d)
	}
}

func TestNATRefused(t *testing.T) {
	w := newNATWorld(t)
	lan := bridgeOf("class", "br1", "192.168.1.1/24")
	want := netsetup.NAT{Lab: "class", Bridges: []netsetup.NATBridge{natBridge(lan, true)}}
	w.host.Run(t, "sysctl -qw net.ipv4.ip_forward=0")
	if _, err := w.h.EnsureNAT(t.Context(), want); !errors.Is(err, netsetup.ErrNotForwarding) {
		t.Errorf("on a host that forwards nothing: %v", err)
	}
	w.host.Run(t, "sysctl -qw net.ipv4.ip_forward=1")
	w.host.Run(t, "nft add table ip kvmlab-class")
	before := w.ruleset()
	foreign := new(netsetup.ForeignTableError)
	if _, err := w.h.EnsureNAT(t.Context(), want); !errors.As(err, &foreign) || foreign.Name != "kvmlab-class" {
		t.Errorf("with a stranger's table: %v", err)
	}
	if removed, err := w.h.RemoveNAT(t.Context(), "class"); removed || err != nil {
		t.Errorf("RemoveNAT of a stranger's table = %t, %v", removed, err)
	}
	if d := cmp.Diff(before, w.ruleset()); d != "" {
		t.Errorf("ruleset (-before +after):\n%s", d)
	}
}

// The commands that a student would type make the same rules.
func TestNATCommandsDoTheSame(t *testing.T) {
	w := newNATWorld(t)
	lan := bridgeOf("class", "br1", "192.168.1.1/24")
	want := netsetup.NAT{Lab: "class", Bridges: []netsetup.NATBridge{natBridge(lan, true)}}
	w.mustNAT(want, true)
	made := w.ruleset()
	w.mustRemoveNAT("class")
	for _, command := range netsetup.NATCommands(want) {
		if out, err := w.host.Command(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	typed := w.ruleset()
	w.host.Run(t, "nft delete table ip kvmlab-class")
	// The mark is not typed.
	lines := slices.DeleteFunc(strings.Split(made, "\n"), func(line string) bool {
		return strings.Contains(line, "kvmlab:class")
	})
	made = strings.Replace(strings.Join(lines, "\n"), "\tchain kvmlab {\n\t}\n\n", "", 1)
	if d := cmp.Diff(made, typed); d != "" {
		t.Errorf("ruleset (-made +typed):\n%s", d)
	}
}
