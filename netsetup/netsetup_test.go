package netsetup_test

import (
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup"
)

func TestMain(m *testing.M) {
	if ns := os.Getenv(builderEnv); ns != "" {
		buildForEver(ns)
	}
	if lab := os.Getenv(namespaceEnv); lab != "" {
		makeNamespaceForEver(lab)
	}
	goleak.VerifyTestMain(m)
}

// open returns a namespace with nothing of a lab in it, and a handle on it.
func open(tb testing.TB) (*nstest.Namespace, *netsetup.Handle) {
	tb.Helper()
	nstest.RequireTun(tb)
	ns := nstest.New(tb)
	h, err := netsetup.OpenPath(ns.Path())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(); err != nil {
			tb.Error(err)
		}
	})
	return ns, h
}

func owner(object string) netsetup.Owner { return netsetup.Owner{Lab: "three-taps", Object: object} }

// links returns all links but the loopback and what the kernel puts into every namespace, by name.
func links(tb testing.TB, h *netsetup.Handle) map[string]netsetup.Link {
	tb.Helper()
	list, err := h.Links(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	byName := make(map[string]netsetup.Link)
	for _, link := range list {
		if link.Name != "lo" && (link.Up || link.Kind != netsetup.KindOther) {
			byName[link.Name] = link
		}
	}
	return byName
}

func TestOpenErrors(t *testing.T) {
	if h, err := netsetup.OpenPath("/run/netns/no-such-namespace"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenPath of nothing = %v, %v", h, err)
	}
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if h, err := netsetup.OpenPath(file); err == nil {
		t.Errorf("OpenPath of a plain file = %v, nil", h)
	}
}

func TestOpenIsTheCallersNamespace(t *testing.T) {
	ns, _ := open(t)
	ns.Run(t, "ip link add mark type bridge")
	ns.Run(t, "ip link set mark up")
	ns.Must(t, func() error {
		h, err := netsetup.Open()
		if err != nil {
			return err
		}
		if _, ok := links(t, h)["mark"]; !ok {
			t.Error("the namespace's link is not there")
		}
		return h.Close()
	})
}

func TestNames(t *testing.T) {
	for name, want := range map[string]netsetup.NameProblem{
		"":                 netsetup.NameEmpty,
		"tap1":             0,
		"br-aula_1.2":      0,
		"fifteen-letters":  0,
		"sixteen--letters": netsetup.NameTooLong,
		"tap%d":            netsetup.NameCharacter,
		"tap 1":            netsetup.NameCharacter,
		"a/b":              netsetup.NameCharacter,
		"a:b":              netsetup.NameCharacter,
		"..":               netsetup.NameCharacter,
		"año":              netsetup.NameCharacter,
	} {
		var got netsetup.NameProblem
		if err := netsetup.ValidName(name); err != nil {
			problem, ok := errors.AsType[*netsetup.NameError](err)
			if !ok {
				t.Fatalf("ValidName(%q) = %T", name, err)
			}
			got = problem.Problem
		}
		if got != want {
			t.Errorf("ValidName(%q): %v, want %v", name, got, want)
		}
	}
}

func TestOwnerValidate(t *testing.T) {
	long := string(make([]byte, 127))
	for _, tt := range []struct {
		owner netsetup.Owner
		want  string
	}{
		{netsetup.Owner{Lab: "three-taps", Object: "tap1"}, ""},
		{netsetup.Owner{Lab: "", Object: "tap1"}, "lab"},
		{netsetup.Owner{Lab: "a/b", Object: "tap1"}, "lab"},
		{netsetup.Owner{Lab: "a:b", Object: "tap1"}, "lab"},
		{netsetup.Owner{Lab: long, Object: "tap1"}, "lab"},
		{netsetup.Owner{Lab: "lab", Object: "tap:1"}, "object"},
		{netsetup.Owner{Lab: "lab", Object: ""}, "object"},
	} {
		err := tt.owner.Validate()
		problem, _ := errors.AsType[*netsetup.NameError](err)
		if (tt.want == "") != (err == nil) || (problem != nil && problem.What != tt.want) {
			t.Errorf("%+v: %v, want a problem with %q", tt.owner, err, tt.want)
		}
	}
}

func TestCommands(t *testing.T) {
	bridge := netsetup.Bridge{Name: "br1", Address: prefix("192.168.1.1/24"), Owner: owner("br1")}
	tap := netsetup.Tap{Name: "tap1", Bridge: "br1", UID: 1000, GID: 1000, User: "ana", Owner: owner("tap1")}
	for _, tt := range []struct {
		name      string
		got, want []string
	}{
		{"bridge", netsetup.BridgeCommands(bridge), []string{
			"ip link add name br1 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
			"sysctl -qw net/ipv6/conf/br1/disable_ipv6=1 net/ipv6/conf/br1/accept_ra=0 net/ipv6/conf/br1/autoconf=0",
			"sysctl -qw net/ipv4/conf/br1/arp_ignore=1",
			"ip link set br1 addrgenmode none",
			"ip addr add 192.168.1.1/24 brd + dev br1",
			"ip link set br1 up",
		}},
		{"tap", netsetup.TapCommands(tap), []string{
			"ip tuntap add mode tap name tap1 user ana group 1000",
			"sysctl -qw net/ipv6/conf/tap1/disable_ipv6=1 net/ipv6/conf/tap1/accept_ra=0 net/ipv6/conf/tap1/autoconf=0",
			"sysctl -qw net/ipv4/conf/tap1/arp_ignore=1",
			"ip link set tap1 addrgenmode none",
			"ip link set tap1 master br1",
			"ip link set tap1 up",
		}},
		{"marks", netsetup.MarkCommands("tap1", owner("tap1")), []string{
			"ip link property add dev tap1 altname kvmlab:three-taps:tap1",
			"ip link set tap1 alias kvmlab:three-taps/tap1",
		}},
		{"remove tap", netsetup.RemoveCommands("tap1", netsetup.KindTap), []string{"ip tuntap del mode tap name tap1"}},
		{"remove bridge", netsetup.RemoveCommands("br1", netsetup.KindBridge), []string{"ip link del br1"}},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestCommandsDoTheSame runs the student's commands in one namespace and the Ensure functions in
// another: the outcome has to be the same, except for the bridge's MAC address.
func TestCommandsDoTheSame(t *testing.T) {
	nstest.RequireCommand(t, "ip")
	bridge := netsetup.Bridge{Name: "br1", Address: prefix("192.168.1.1/24"), Owner: owner("br1")}
	tap := netsetup.Tap{Name: "tap1", Bridge: "br1", UID: 1000, GID: 1000, Owner: owner("tap1")}
	byHand, typed := open(t)
	for _, commands := range [][]string{
		netsetup.BridgeCommands(bridge), netsetup.MarkCommands("br1", bridge.Owner),
		netsetup.TapCommands(tap), netsetup.MarkCommands("tap1", tap.Owner),
	} {
		for _, command := range commands {
			byHand.Run(t, command)
		}
	}
	built, made := open(t)
	mustEnsure(t, made, bridge, tap)
	want, got := links(t, typed), links(t, made)
	for name := range want {
		if d := diff(comparable(want[name]), comparable(got[name])); d != "" {
			t.Errorf("%s (-typed +made):\n%s", name, d)
		}
	}
	const show = "ip -o addr show dev br1"
	if diff := cmp.Diff(withoutIndex(byHand.Run(t, show)), withoutIndex(built.Run(t, show))); diff != "" {
		t.Errorf("%s (-typed +made):\n%s", show, diff)
	}
	for _, command := range append(netsetup.RemoveCommands("tap1", netsetup.KindTap), netsetup.RemoveCommands("br1", netsetup.KindBridge)...) {
		built.Run(t, command)
	}
	if left := links(t, made); len(left) != 0 {
		t.Errorf("left after the commands to remove: %v", left)
	}
}
