package engine_test

import (
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// TestPlans goes through what can be found on a host. Each case starts from a lab that is up.
func TestPlans(t *testing.T) {
	link := func(w *world, name string, change func(*netsetup.Link)) {
		l := w.links[name]
		change(&l)
		w.links[name] = l
	}
	for _, test := range []struct {
		name   string
		change func(w *world)
		want   func(l *lab.Lab)
	}{
		{"nothing", func(*world) {}, nil},
		{"tap-deleted", func(w *world) { space{w, ""}.deleteLink("tap2") }, nil},
		{"tap-replaced-under-the-guest", func(w *world) { link(w, "tap2", func(l *netsetup.Link) { l.Index = 99 }) }, nil},
		{"tap-down-and-unplugged", func(w *world) {
			link(w, "tap1", func(l *netsetup.Link) { l.Up = false })
			link(w, "tap3", func(l *netsetup.Link) { l.Master = "" })
		}, nil},
		{"tap-with-a-temporary-name", func(w *world) {
			l := w.links["tap2"]
			delete(w.links, "tap2")
			l.Name = "kvmlab7"
			w.links[l.Name] = l
		}, nil},
		{"bridge-deleted", func(w *world) { space{w, ""}.deleteLink("br1") }, nil},
		{"bridge-without-address", func(w *world) { link(w, "br1", func(l *netsetup.Link) { l.Addresses = nil }) }, nil},
		{"bridge-down", func(w *world) { link(w, "br1", func(l *netsetup.Link) { l.Up = false }) }, nil},
		{"guest-off", func(w *world) { w.domains["class-pc3"].Run = vm.RunShutoff }, nil},
		{"guest-crashed", func(w *world) { w.domains["class-pc3"].Run = vm.RunCrashed }, nil},
		{"guest-paused", func(w *world) { w.domains["class-pc3"].Run = vm.RunPaused }, nil},
		{"guest-undefined", func(w *world) { delete(w.domains, "class-pc3") }, nil},
		{"supervisor-dead", func(w *world) { delete(w.supervisors, "class") }, nil},
		{"everything-deleted", func(w *world) {
			clear(w.links)
			clear(w.domains)
			clear(w.supervisors)
		}, nil},
		{"range-changed", func(*world) {}, func(l *lab.Lab) { l.Bridges[0].DHCP.Lease *= 2 }},
		{"guest-added", func(*world) {}, func(l *lab.Lab) {
			l.Guests = append(l.Guests, lab.Guest{
				Name: "pc4", Image: "micro", Memory: 64 << 20, CPUs: 1,
				NICs: []lab.NIC{{Name: "eth0", Bridge: "br1", Tap: "tap4", MAC: macgen.MAC{2, 0, 0, 0, 0, 9}}},
			})
		}},
		{"guest-dropped-that-is-off", func(w *world) { w.domains["class-pc3"].Run = vm.RunShutoff }, func(l *lab.Lab) {
			l.Guests = l.Guests[:2]
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			l := threeTaps("class", 0)
			b.mustUp(t, l)
			b.byHand(test.change)
			if test.want != nil {
				test.want(l)
			}
			plan, _, err := engine.New(b.cfg).Plan(t.Context(), l.Name, fixed(l))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, test.name+".txt", plan.Text(true))

			b.events = nil
			b.mustUp(t, l)
			var want []string
			for _, c := range plan.Changes {
				want = append(want, c.Address.String())
			}
			if diff := cmp.Diff(len(want), len(b.told(engine.Done))); diff != "" {
				t.Errorf("not what was planned: %v, %v", want, b.told(engine.Done))
			}
			if again := b.mustUp(t, l); len(again.Changes) > 0 {
				t.Errorf("not mended:\n%s", again.Text(false))
			}
			b.mustDown(t, l.Name)
			if left := append(b.objects(), b.files(t)...); len(left) > 0 {
				t.Errorf("left after down: %v", left)
			}
		})
	}
}

func TestPlanOfAFreshLab(t *testing.T) {
	b := newBench(t)
	b.cfg.TapOwner = engine.TapOwner{UID: 1000, GID: 1000, User: "ana", Group: "ana"}
	l := threeTaps("three-taps", 0)
	l.Bridges = append(l.Bridges, lab.Bridge{Name: "br2", Internet: lab.NoInternet})
	l.Guests[2].NICs = append(l.Guests[2].NICs, lab.NIC{
		Name: "eth1", Bridge: "br2", Tap: "tap4", MAC: macgen.MAC{2, 0, 0, 0, 0, 4},
	})
	plan, resolved, err := engine.New(b.cfg).Plan(t.Context(), l.Name, fixed(l))
	if err != nil || resolved != l {
		t.Fatal(resolved, err)
	}
	golden(t, "fresh.txt", plan.Text(true))
	data, err := json.MarshalIndent(plan, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "fresh.json", string(data)+"\n")
	if left := append(b.objects(), b.files(t)...); len(left) > 0 {
		t.Errorf("a dry run left %v", left)
	}
	b.mustUp(t, l)
	down, err := engine.New(b.cfg).PlanDown(t.Context(), l.Name)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "down.txt", down.Text(true))
}

func TestEmptyPlanInJSON(t *testing.T) {
	data, err := json.Marshal(&engine.Plan{Lab: "x"})
	if want := `{"version":1,"lab":"x","changes":[]}`; string(data) != want || err != nil {
		t.Errorf("%s, %v", data, err)
	}
}

// TestConflicts checks that Up refuses, changes nothing, and says why.
func TestConflicts(t *testing.T) {
	other := netsetup.Owner{Lab: "other", Object: "tap2"}
	for _, test := range []struct {
		name  string
		isUp  bool // the lab is up before
		plant func(w *world)
		want  func(l *lab.Lab)
		codes []diag.Code
	}{
		{"foreign bridge and tap", false, func(w *world) {
			w.links["br1"] = netsetup.Link{Name: "br1", Index: 100, Kind: netsetup.KindBridge}
			w.links["tap2"] = netsetup.Link{Name: "tap2", Index: 101, Kind: netsetup.KindTap}
		}, nil, []diag.Code{diag.ForeignLink, diag.ForeignLink}},
		{"another lab's tap", false, func(w *world) {
			w.links["tap2"] = netsetup.Link{Name: "tap2", Index: 101, Kind: netsetup.KindTap, Owner: other}
		}, nil, []diag.Code{diag.ForeignLink}},
		{"foreign domain", false, func(w *world) {
			w.domains["class-pc2"] = &domain{State: vm.State{Name: "class-pc2", Run: vm.RunShutoff}}
		}, nil, []diag.Code{diag.ForeignDomain}},
		{"another lab's domain of that name", false, func(w *world) {
			w.domains["class-pc2"] = &domain{State: vm.State{
				Name: "class-pc2", Run: vm.RunRunning, Owned: true, Owner: vm.Owner{Lab: "cl", Guest: "ass-pc2"},
			}}
		}, nil, []diag.Code{diag.ForeignDomain}},
		{"subnet in use", false, func(w *world) {
			w.links["eth0"] = netsetup.Link{
				Name: "eth0", Index: 100, Kind: netsetup.KindOther,
				Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.0.77/16")},
			}
		}, nil, []diag.Code{diag.SubnetOverlap}},
		{"marked link of another kind", false, func(w *world) {
			w.links["br1"] = netsetup.Link{
				Name: "br1", Index: 100, Kind: netsetup.KindTap, Owner: netsetup.Owner{Lab: "class", Object: "br1"},
			}
		}, nil, []diag.Code{diag.LinkWrongKind}},
		{"foreign port", true, func(w *world) {
			w.links["eth0"] = netsetup.Link{Name: "eth0", Index: 100, Kind: netsetup.KindOther, Master: "br1"}
		}, nil, []diag.Code{diag.ForeignPort}},
		{"memory of a running guest", true, nil, func(l *lab.Lab) { l.Guests[0].Memory *= 2 }, []diag.Code{diag.LabChanged}},
		{"CPUs of a running guest", true, nil, func(l *lab.Lab) { l.Guests[0].CPUs = 2 }, []diag.Code{diag.LabChanged}},
		{"image of a running guest", true, nil, func(l *lab.Lab) { l.Guests[0].Image = "debian" }, []diag.Code{diag.LabChanged}},
		{"MAC of a running guest", true, nil, func(l *lab.Lab) { l.Guests[0].NICs[0].MAC[5] = 77 }, []diag.Code{diag.LabChanged}},
		{"NIC more", true, nil, func(l *lab.Lab) {
			l.Guests[0].NICs = append(l.Guests[0].NICs, lab.NIC{Name: "eth1", Bridge: "br1", Tap: "tap9"})
		}, []diag.Code{diag.LabChanged}},
		{"running guest dropped", true, nil, func(l *lab.Lab) { l.Guests = l.Guests[:2] }, []diag.Code{diag.LabChanged}},
		{"foreign namespace", false, func(w *world) { w.spaces["class"] = nil }, func(l *lab.Lab) { isolated(l) }, []diag.Code{diag.ForeignNamespace}},
		{"isolation of a lab that is up", true, nil, func(l *lab.Lab) { isolated(l) }, []diag.Code{
			diag.LabChanged, diag.LabChanged, diag.LabChanged, diag.LabChanged, // a bridge and three taps
			diag.LabChanged, diag.LabChanged, diag.LabChanged, // and the guests on them
		}},
		{"namespace of a lab that wants none", false, func(w *world) {
			w.spaces["class"] = map[string]netsetup.Link{"lo": {Name: "lo", Owner: netsetup.Owner{Lab: "class", Object: "lo"}}}
		}, nil, []diag.Code{diag.LabChanged}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			l := threeTaps("class", 0)
			l.Bridges[0].Address = netip.MustParsePrefix("192.168.1.1/24")
			if test.isUp {
				b.mustUp(t, l)
			}
			if test.plant != nil {
				b.byHand(test.plant)
			}
			if test.want != nil {
				test.want(l)
			}
			objects, files := b.objects(), b.files(t)
			b.before = func(op string) error {
				if !strings.HasPrefix(op, "read ") {
					t.Errorf("tried to %s", op)
				}
				return nil
			}
			res, err := b.up(t.Context(), l)
			var codes []diag.Code
			for _, c := range res.Plan.Conflicts {
				codes = append(codes, diag.CodeOf(c.Err))
				checkArgs(t, c.Err)
			}
			if diff := cmp.Diff(test.codes, codes); diff != "" || err == nil {
				t.Errorf("%v: %s", err, diff)
			}
			if diff := cmp.Diff(objects, b.objects()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(files, b.files(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// checkArgs checks that err has a code, and every argument that the code's texts name.
func checkArgs(t *testing.T, err error) {
	t.Helper()
	d, ok := errors.AsType[*diag.Diagnostic](err)
	if !ok {
		t.Errorf("no code: %v", err)
		return
	}
	entry, _ := diag.Lookup(d.Code)
	for _, name := range entry.Args {
		if d.Args[name] == nil {
			t.Errorf("%s lacks the argument %q", d.Code, name)
		}
	}
}
