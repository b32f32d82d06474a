package netsetup_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup"
)

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func bridge1() netsetup.Bridge {
	return netsetup.Bridge{Name: "br1", Address: prefix("192.168.1.1/24"), Owner: owner("br1")}
}

func tap(name string) netsetup.Tap {
	return netsetup.Tap{Name: name, Bridge: "br1", Owner: owner(name)}
}

// comparable leaves out what differs from run to run.
func comparable(link netsetup.Link) netsetup.Link {
	var clean netsetup.Link
	clean.Name, clean.Kind, clean.Up = link.Name, link.Kind, link.Up // The carrier follows a little later.
	clean.Master, clean.Addresses, clean.Ports = link.Master, link.Addresses, link.Ports
	clean.Owner, clean.Alias, clean.Altnames = link.Owner, link.Alias, link.Altnames
	clean.STP, clean.ForwardDelay, clean.MulticastSnooping = link.STP, link.ForwardDelay, link.MulticastSnooping
	return clean
}

func withoutIndex(line string) string {
	_, rest, _ := strings.Cut(line, ":")
	return rest
}

func mustEnsure(tb testing.TB, h *netsetup.Handle, bridge netsetup.Bridge, taps ...netsetup.Tap) (changed int) {
	tb.Helper()
	count := func(did bool, err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		if did {
			changed++
		}
	}
	count(h.EnsureBridge(tb.Context(), bridge))
	for _, tap := range taps {
		count(h.EnsureTap(tb.Context(), tap))
	}
	return changed
}

// diff compares links, or maps of them, by what the outside sees of them.
func diff(want, got any) string {
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(netsetup.Link{}), cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty())
}

func TestEnsure(t *testing.T) {
	ns, h := open(t)
	if changed := mustEnsure(t, h, bridge1(), tap("tap1"), tap("tap2")); changed != 3 {
		t.Errorf("%d of 3 changed at first", changed)
	}
	want := map[string]netsetup.Link{
		"br1": {
			Name: "br1", Kind: netsetup.KindBridge, Up: true, Addresses: []netip.Prefix{prefix("192.168.1.1/24")}, Ports: []string{"tap1", "tap2"},
			Owner: owner("br1"), Alias: "kvmlab:three-taps/br1", Altnames: []string{"kvmlab:three-taps:br1"},
		},
		"tap1": {
			Name: "tap1", Kind: netsetup.KindTap, Up: true, Master: "br1",
			Owner: owner("tap1"), Alias: "kvmlab:three-taps/tap1", Altnames: []string{"kvmlab:three-taps:tap1"},
		},
		"tap2": {
			Name: "tap2", Kind: netsetup.KindTap, Up: true, Master: "br1",
			Owner: owner("tap2"), Alias: "kvmlab:three-taps/tap2", Altnames: []string{"kvmlab:three-taps:tap2"},
		},
	}
	first := links(t, h)
	got := make(map[string]netsetup.Link)
	for name, link := range first {
		got[name] = comparable(link)
	}
	if d := diff(want, got); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
	mac := first["br1"].MAC
	if derived, err := macgen.Derive([]byte("three-taps"), "br1", nil); err != nil || mac != derived {
		t.Errorf("br1 has the MAC %v, want %v derived from its owner", mac, derived)
	}

	if changed := mustEnsure(t, h, bridge1(), tap("tap1"), tap("tap2")); changed != 0 {
		t.Errorf("%d changed the second time", changed)
	}
	for name, link := range links(t, h) {
		if d := diff(comparable(first[name]), comparable(link)); d != "" {
			t.Errorf("%s after the second time (-before +after):\n%s", name, d)
		}
	}
	nstest.RequireCommand(t, "ip")
	if out := ns.Run(t, "ip -6 addr show scope link"); out != "" {
		t.Errorf("IPv6 addresses appeared by themselves:\n%s", out)
	}
	if out := ns.Run(t, "ip -d link show tap1"); !strings.Contains(out, "user root group root") || !strings.Contains(out, "persist on") {
		t.Errorf("tap1 is not a persistent tap of root's:\n%s", out)
	}
	if out := ns.Run(t, "ip -d link show kvmlab:three-taps:br1"); !strings.Contains(out, "stp_state 0") || !strings.Contains(out, "forward_delay 0 ") {
		t.Errorf("br1's options:\n%s", out)
	}
}

// TestEnsureHeals disturbs one thing by hand, in the words of `ip`, and has it mended; nothing else
// changes meanwhile.
func TestEnsureHeals(t *testing.T) {
	nstest.RequireCommand(t, "ip")
	for _, tt := range []struct{ disturb, drift string }{
		{"link set br1 down", "is down"},
		{"link set tap1 down", "is down"},
		{"link set br1 type bridge stp_state 1", "has STP on, has a forwarding delay of 2s"},
		{"link set br1 type bridge forward_delay 1500", "has a forwarding delay of 15s"},
		{"link set br1 type bridge mcast_snooping 1", "has multicast snooping on"},
		{"addr del 192.168.1.1/24 dev br1", "has no address 192.168.1.1/24"},
		{"addr flush dev br1", "has no address 192.168.1.1/24"},
		{"link set tap1 nomaster", "is not a port of br1"},
		{"link set tap1 alias none-of-yours", "lost its mark (the alias)"},
		{"link property del dev tap1 altname kvmlab:three-taps:tap1", "lost its mark (the alternative name)"},
		{"link property del dev br1 altname kvmlab:three-taps:br1", "lost its mark (the alternative name)"},
		{"link set tap1 name tapX", "is called tapX"},
		{"link set br1 name brX", "is called brX"},
		{"link set tap1 addrgenmode eui64", "makes IPv6 addresses by itself"},
		{"link del tap1", ""},
	} {
		t.Run(tt.disturb, func(t *testing.T) {
			ns, h := open(t)
			mustEnsure(t, h, bridge1(), tap("tap1"))
			before := links(t, h)
			ns.Run(t, "ip "+tt.disturb)
			var drift []string
			for _, link := range links(t, h) {
				switch link.Owner {
				case owner("br1"):
					drift = append(drift, netsetup.BridgeDrift(link, bridge1())...)
				case owner("tap1"):
					drift = append(drift, netsetup.TapDrift(link, tap("tap1"))...)
				}
			}
			// A bridge that goes by another name is missing for its ports.
			drift = slices.DeleteFunc(drift, func(s string) bool { return s == "is not a port of br1" && strings.Contains(tt.disturb, "brX") })
			if got := strings.Join(drift, ", "); got != tt.drift {
				t.Errorf("drift %q, want %q", got, tt.drift)
			}
			if changed := mustEnsure(t, h, bridge1(), tap("tap1")); changed != 1 {
				t.Errorf("%d changed, want 1", changed)
			}
			after := links(t, h)
			for name := range before {
				if d := diff(comparable(before[name]), comparable(after[name])); d != "" {
					t.Errorf("%s (-before +after):\n%s", name, d)
				}
			}
			if changed := mustEnsure(t, h, bridge1(), tap("tap1")); changed != 0 {
				t.Errorf("%d changed again", changed)
			}
		})
	}
}

func TestBridgeAddressIsReplacedOrLeftAlone(t *testing.T) {
	_, h := open(t)
	mustEnsure(t, h, bridge1())
	moved := bridge1()
	moved.Address = prefix("10.9.0.1/16")
	for _, step := range []struct {
		name   string
		bridge netsetup.Bridge
		want   []netip.Prefix
	}{
		{"another address", moved, []netip.Prefix{moved.Address}},
		{"a bare switch keeps what it has", netsetup.Bridge{Name: "br1", Owner: owner("br1")}, []netip.Prefix{moved.Address}},
		{"back", bridge1(), []netip.Prefix{bridge1().Address}},
	} {
		mustEnsure(t, h, step.bridge)
		if got := links(t, h)["br1"].Addresses; !slices.Equal(got, step.want) {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
	v6 := netsetup.Bridge{Name: "br1", Address: prefix("fd00::1/64"), Owner: owner("br1")}
	if _, err := h.EnsureBridge(t.Context(), v6); !errors.Is(err, netsetup.ErrAddress) {
		t.Errorf("an IPv6 address: %v", err)
	}
}

// TestForeignLinksStay has links of somebody else where the lab's should be.
func TestForeignLinksStay(t *testing.T) {
	nstest.RequireCommand(t, "ip")
	another := netsetup.Owner{Lab: "another", Object: "br1"}
	ns, h := open(t)
	ns.Run(t, "ip link add br1 type bridge")
	ns.Run(t, "ip link add veth1 type veth peer name veth2")
	ns.Run(t, "ip tuntap add mode tap name tap1")
	ns.Run(t, "ip link set veth1 up")
	if _, err := h.EnsureBridge(t.Context(), netsetup.Bridge{Name: "br2", Owner: another}); err != nil {
		t.Fatal(err)
	}
	before, err := ns.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	bridge := func(name string) func() error {
		return func() error {
			_, err := h.EnsureBridge(t.Context(), netsetup.Bridge{Name: name, Address: prefix("10.0.0.1/24"), Owner: owner(name)})
			return err
		}
	}
	onBridge := func(name, bridge string) func() error {
		return func() error {
			_, err := h.EnsureTap(t.Context(), netsetup.Tap{Name: name, Bridge: bridge, Owner: owner(name)})
			return err
		}
	}
	remove := func(name string, owner netsetup.Owner) func() error {
		return func() error { _, err := h.RemoveLink(t.Context(), name, owner); return err }
	}
	for _, tt := range []struct {
		name string
		call func() error
		want netsetup.ForeignError
	}{
		{"a bridge over a bridge", bridge("br1"), netsetup.ForeignError{Name: "br1", Kind: netsetup.KindBridge}},
		{"a bridge over a veth", bridge("veth1"), netsetup.ForeignError{Name: "veth1", Kind: netsetup.KindOther}},
		{"a bridge over another lab's", bridge("br2"), netsetup.ForeignError{Name: "br2", Kind: netsetup.KindBridge, Owner: another}},
		{"a tap over a tap", onBridge("tap1", ""), netsetup.ForeignError{Name: "tap1", Kind: netsetup.KindTap}},
		{"a tap on a foreign bridge", onBridge("tap9", "br1"), netsetup.ForeignError{Name: "br1", Kind: netsetup.KindBridge}},
		{"a tap on another lab's bridge", onBridge("tap9", "br2"), netsetup.ForeignError{Name: "br2", Kind: netsetup.KindBridge, Owner: another}},
		{"a tap on a tap", onBridge("tap9", "tap1"), netsetup.ForeignError{Name: "tap1", Kind: netsetup.KindTap}},
		{"remove a foreign bridge", remove("br1", owner("br1")), netsetup.ForeignError{Name: "br1", Kind: netsetup.KindBridge}},
		{"remove another lab's", remove("br2", owner("br2")), netsetup.ForeignError{Name: "br2", Kind: netsetup.KindBridge, Owner: another}},
		{"remove lo", remove("lo", owner("lo")), netsetup.ForeignError{Name: "lo", Kind: netsetup.KindOther}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := errors.AsType[*netsetup.ForeignError](tt.call())
			if !ok || *got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	after, err := ns.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the namespace changed (-before +after):\n%s", diff)
	}
}

// TestRenamedAwayAndTaken has the lab's tap renamed, and a foreign one made in its place.
func TestRenamedAwayAndTaken(t *testing.T) {
	nstest.RequireCommand(t, "ip")
	ns, h := open(t)
	mustEnsure(t, h, bridge1(), tap("tap1"))
	ns.Run(t, "ip link set tap1 name mine")
	ns.Run(t, "ip tuntap add mode tap name tap1")
	_, err := h.EnsureTap(t.Context(), tap("tap1"))
	if foreign, ok := errors.AsType[*netsetup.ForeignError](err); !ok || foreign.Name != "tap1" {
		t.Errorf("EnsureTap: %v", err)
	}
	if removed, err := h.RemoveLink(t.Context(), "tap1", owner("tap1")); err != nil || !removed {
		t.Errorf("RemoveLink = %t, %v", removed, err)
	}
	left := links(t, h)
	if _, ok := left["mine"]; ok || left["tap1"].Owned() || left["tap1"].Name == "" {
		t.Errorf("left: %v", left)
	}
}

func TestRemove(t *testing.T) {
	ns, h := open(t)
	ns.CheckLeaks(t)
	mustEnsure(t, h, bridge1(), tap("tap1"))
	for _, object := range []string{"tap1", "br1"} {
		for _, want := range []bool{true, false} {
			if removed, err := h.RemoveLink(t.Context(), object, owner(object)); err != nil || removed != want {
				t.Errorf("RemoveLink(%s) = %t, %v; want %t", object, removed, err, want)
			}
		}
	}
}

// TestRemoveLinks removes one lab's links in one go, beside another lab's and foreign ones, some of them
// in the group that would have been used.
func TestRemoveLinks(t *testing.T) {
	nstest.RequireCommand(t, "ip")
	ns, h := open(t)
	ns.Run(t, "ip link add foreign group 1802923372 type bridge")
	if _, err := h.EnsureBridge(t.Context(), netsetup.Bridge{Name: "br2", Owner: netsetup.Owner{Lab: "another", Object: "br1"}}); err != nil {
		t.Fatal(err)
	}
	ns.CheckLeaks(t)
	owners := []netsetup.Owner{owner("br1"), owner("no-such-tap")}
	mustEnsure(t, h, bridge1())
	const taps = 100 // More than one send takes.
	for i := range taps {
		name := fmt.Sprintf("tap%d", i)
		mustEnsure(t, h, bridge1(), tap(name))
		owners = append(owners, owner(name))
	}
	ns.Run(t, "ip link set tap7 name renamed")
	for _, want := range []int{taps + 1, 0} {
		if removed, err := h.RemoveLinks(t.Context(), owners...); err != nil || removed != want {
			t.Errorf("RemoveLinks = %d, %v; want %d", removed, err, want)
		}
	}
	if removed, err := h.RemoveLinks(t.Context()); err != nil || removed != 0 {
		t.Errorf("RemoveLinks of nobody = %d, %v", removed, err)
	}
}

func TestEnsureErrors(t *testing.T) {
	_, h := open(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	check := func(name string, err error, is func(error) bool) {
		t.Helper()
		if !is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	isName := func(err error) bool { _, ok := errors.AsType[*netsetup.NameError](err); return ok }
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	_, err := h.EnsureBridge(t.Context(), netsetup.Bridge{Name: "a-name-of-sixteen", Owner: owner("x")})
	check("a long name", err, isName)
	_, err = h.EnsureBridge(t.Context(), netsetup.Bridge{Name: "br1"})
	check("no owner", err, isName)
	_, err = h.EnsureTap(t.Context(), netsetup.Tap{Name: "tap%d", Owner: owner("tap1")})
	check("a name that the kernel fills in", err, isName)
	_, err = h.EnsureTap(t.Context(), tap("tap1"))
	check("no bridge", err, is(netsetup.ErrNotFound))
	_, err = h.EnsureTap(t.Context(), netsetup.Tap{Name: "tap1", UID: -1, Owner: owner("tap1")})
	check("nobody's tap", err, is(os.ErrInvalid))
	_, err = h.EnsureBridge(ended, bridge1())
	check("a context that ended", err, is(context.Canceled))
	_, err = h.Links(ended)
	check("links in a context that ended", err, is(context.Canceled))
	if left := links(t, h); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestManyAtOnce(t *testing.T) {
	ns, h := open(t)
	ns.CheckLeaks(t)
	mustEnsure(t, h, bridge1())
	const taps = 24
	each := func(do func(name string) error) {
		errs := make(chan error, taps)
		for i := range taps {
			go func() { errs <- do(fmt.Sprintf("tap%d", i)) }()
		}
		for range taps {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	}
	each(func(name string) error { _, err := h.EnsureTap(t.Context(), tap(name)); return err })
	if got := len(links(t, h)["br1"].Ports); got != taps {
		t.Errorf("%d ports, want %d", got, taps)
	}
	each(func(name string) error { _, err := h.RemoveLink(t.Context(), name, owner(name)); return err })
	if _, err := h.RemoveLink(t.Context(), "br1", owner("br1")); err != nil {
		t.Error(err)
	}
}

// TestTapIsMadeOnce lets a stranger make a tap of the same name at the same moment: one of both comes first, and the
// other leaves that one alone.
func TestTapIsMadeOnce(t *testing.T) {
	nstest.RequireCommand(t, "ip")
	ns, h := open(t)
	for i := range 40 {
		name := fmt.Sprintf("tap%d", i)
		stranger := ns.Command(t.Context(), "ip", "tuntap", "add", "dev", name, "mode", "tap")
		if err := stranger.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 200 * time.Microsecond) // ip takes some milliseconds to start
		_, err := h.EnsureTap(t.Context(), netsetup.Tap{Name: name, Owner: owner(name)})
		lost := stranger.Wait() != nil
		_, isForeign := errors.AsType[*netsetup.ForeignError](err)
		if lost != (err == nil) || isForeign == lost {
			t.Errorf("%s: the stranger was refused: %t; EnsureTap: %v", name, lost, err)
		}
		links, err := h.Links(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		made := links[slices.IndexFunc(links, func(l netsetup.Link) bool { return l.Name == name })]
		if made.Owned() != lost {
			t.Errorf("%s has the mark: %t, and the stranger was refused: %t", name, made.Owned(), lost)
		}
	}
}

// TestTapIsNotInherited makes taps while other goroutines start programs that outlive them: none of those may keep a
// tap open, for then QEMU could not open it.
func TestTapIsNotInherited(t *testing.T) {
	ns, h := open(t)
	const taps = 40
	var children []*exec.Cmd
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range taps {
			child := exec.Command("cat")
			if _, err := child.StdinPipe(); err != nil {
				t.Error(err)
			}
			if err := child.Start(); err != nil {
				t.Error(err)
			}
			children = append(children, child)
		}
	}()
	for i := range taps {
		name := fmt.Sprintf("tap%d", i)
		if _, err := h.EnsureTap(t.Context(), netsetup.Tap{Name: name, Owner: owner(name)}); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	for i := range taps {
		if err := openTap(t, ns, fmt.Sprintf("tap%d", i)).Close(); err != nil {
			t.Error(err)
		}
	}
	for _, child := range children {
		if err := child.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = child.Wait() // it was killed
	}
}
