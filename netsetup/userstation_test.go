package netsetup_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup"
)

// TestOpenStation plugs two stations into a bridge: they hear each other, the bridge counts them as the lab's own, and
// nothing is left of them when they are closed.
func TestOpenStation(t *testing.T) {
	nstest.RequireCommand(t, "ip")
	ns, h := open(t)
	mustEnsure(t, h, bridge1())
	var cards [2]*netsetup.Card
	for i := range cards {
		var err error
		if cards[i], err = h.OpenStation(t.Context(), "br1", "three-taps"); err != nil {
			t.Fatal(err)
		}
	}
	foreign, err := h.ForeignPorts(t.Context(), "br1", "three-taps")
	if diff := cmp.Diff([]string{}, foreign); diff != "" || err != nil {
		t.Errorf("foreign ports: %v (-want +got):\n%s", err, diff)
	}
	if owner := (netsetup.Owner{Lab: "three-taps", Object: cards[0].Name()}); !owner.Station() {
		t.Errorf("%+v is not taken for a station", owner)
	}
	frame := append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 0x88, 0xb5}, "anybody there?"...)
	if _, err := cards[0].Write(frame); err != nil {
		t.Fatal(err)
	}
	heard := make([]byte, 2048)
	for n := 0; !bytes.HasPrefix(heard[:n], frame); { // the kernel may send something of its own
		if n, err = cards[1].Read(heard); err != nil {
			t.Fatal(err)
		}
	}
	for _, card := range cards {
		if err := card.Close(); err != nil {
			t.Error(err)
		}
	}
	if out := ns.Run(t, "ip -o link"); strings.Contains(out, "station") {
		t.Errorf("left behind:\n%s", out)
	}
	if _, err := h.OpenStation(t.Context(), "br9", "three-taps"); !errors.Is(err, netsetup.ErrNotFound) {
		t.Errorf("no such bridge: %v", err)
	}
	if _, err := h.OpenStation(t.Context(), "br1", "other"); !isForeign(err) {
		t.Errorf("the bridge of another lab: %v", err)
	}
}

func isForeign(err error) bool {
	_, ok := errors.AsType[*netsetup.ForeignError](err)
	return ok
}

// TestWhoOpensATap lets the owner of a tap that nobody has open take the guest's place. The group decides.
func TestWhoOpensATap(t *testing.T) {
	nstest.RequireSandbox(t) // There everybody may open /dev/net/tun, as on Debian.
	nstest.RequireCommand(t, "setpriv", "ip")
	ns, h := open(t)
	mustEnsure(t, h, bridge1())
	for name, group := range map[string]int{"tap1": 0, "tap2": 1000} {
		mustEnsure(t, h, bridge1(), netsetup.Tap{Name: name, Bridge: "br1", UID: 1000, GID: group, Owner: owner(name)})
		take := ns.Command(t.Context(), "setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--inh-caps=-all",
			"ip", "tuntap", "del", "mode", "tap", "name", name) // Which has to open it first.
		if out, err := take.CombinedOutput(); (err == nil) != (group == 1000) {
			t.Errorf("the owner of a tap of group %d: %v\n%s", group, err, out)
		}
	}
}
