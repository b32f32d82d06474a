package engine_test

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// threeTaps is the class's lab. number tells labs apart that are to share nothing.
func threeTaps(name string, number int) *lab.Lab {
	bridge := func(i int) string { return "br" + string(rune('0'+number*2+i)) }
	subnet := netip.AddrFrom4([4]byte{192, 168, byte(number), 1})
	l := &lab.Lab{
		Version: lab.Version, Name: name, Isolation: lab.Host,
		Bridges: []lab.Bridge{{
			Name: bridge(1), Address: netip.PrefixFrom(subnet, 24), Internet: lab.NoInternet,
			DHCP: &lab.DHCP{
				Ranges: []lab.Range{{First: subnet.Next(), Last: subnet.Next().Next()}},
				Lease:  10 * time.Minute, DNS: []netip.Addr{subnet}, Router: subnet,
			},
		}},
	}
	for i, pc := range []string{"pc1", "pc2", "pc3"} {
		n := byte(number*3 + i + 1)
		l.Guests = append(l.Guests, lab.Guest{
			Name: pc, Image: "micro", Memory: 128 << 20, CPUs: 1, UUID: lab.GuestUUID(name, pc),
			NICs: []lab.NIC{{
				Name: "eth0", Bridge: bridge(1), Tap: "tap" + string(rune('0'+n)), MAC: macgen.MAC{2, 0, 0, 0, 0, n},
			}},
		})
	}
	return l
}

// isolated gives a lab a network namespace of its own.
func isolated(l *lab.Lab) *lab.Lab {
	l.Isolation = lab.Netns
	return l
}

// bothIsolations are builders of the class's lab: in the host's namespace, and in one of its own.
func bothIsolations() map[string]func() *lab.Lab {
	return map[string]func() *lab.Lab{
		"host":  func() *lab.Lab { return threeTaps("class", 0) },
		"netns": func() *lab.Lab { return isolated(threeTaps("class", 0)) },
	}
}

// fixed is a Resolver that always gives l.
func fixed(l *lab.Lab) engine.Resolver {
	return func(*lab.Lab, func(macgen.MAC) bool) (*lab.Lab, error) { return l, nil }
}

// bench is a world, the state files, and an engine on both.
type bench struct {
	*world
	cfg    engine.Config
	mu     sync.Mutex
	events []engine.Event
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return benchIn(filepath.Join(memoryDir(t), "host"))
}

// memoryDir is a folder in memory where there is one: these tests write thousands of records, each with its fsync, and
// what a disk makes of those is tested with the journal.
func memoryDir(t *testing.T) string {
	t.Helper()
	const shm = "/dev/shm"
	dir, err := os.MkdirTemp(shm, "kvmlab-engine-") //nolint:usetesting // t.TempDir is on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func benchIn(root string) *bench {
	b := &bench{world: newWorld()}
	b.cfg = engine.Config{
		Dirs:       state.Dirs{Run: filepath.Join(root, "run"), State: filepath.Join(root, "state")},
		Network:    space{b.world, ""},
		Namespaces: namespaces{b.world},
		Hypervisor: b.world,
		Supervisor: func(files state.Lab) engine.Supervisor { return supervisor{b.world, files} },
		Image: func(_ context.Context, name string) (engine.Image, error) {
			return engine.Image{Kernel: "/images/" + name + "/vmlinuz"}, nil
		},
		Platform: func(context.Context) (engine.Platform, error) {
			return engine.Platform{Machine: vm.MachineMicrovm, Accel: vm.AccelTCG}, nil
		},
		Log: slog.New(slog.DiscardHandler),
		Now: time.Now,
		Sink: func(ev engine.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, ev)
		},
	}
	return b
}

func (b *bench) up(ctx context.Context, l *lab.Lab) (*engine.Result, error) {
	return engine.New(b.cfg).Up(ctx, l.Name, fixed(l), engine.UpOptions{})
}

func (b *bench) mustUp(t *testing.T, l *lab.Lab) *engine.Plan {
	t.Helper()
	res, err := b.up(t.Context(), l)
	if err != nil {
		t.Fatalf("up: %v", err)
	}
	return res.Plan
}

func (b *bench) mustDown(t *testing.T, name string) {
	t.Helper()
	if _, err := engine.New(b.cfg).Down(t.Context(), name); err != nil {
		t.Fatalf("down: %v", err)
	}
}

// told lists the events of a kind by address, sorted.
func (b *bench) told(kind engine.EventKind) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var addresses []string
	for _, ev := range b.events {
		if ev.Kind == kind {
			addresses = append(addresses, ev.Change.Address.String())
		}
	}
	slices.Sort(addresses)
	return addresses
}

// objects lists everything in the world with its owner and state, sorted.
func (b *bench) objects() []string {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	found := []string{}
	for _, l := range b.links {
		found = append(found, strings.TrimSpace("link "+l.Name+" "+l.Owner.Lab))
	}
	for name, links := range b.spaces {
		found = append(found, "netns "+name)
		for _, l := range links {
			found = append(found, "link "+name+"/"+l.Name+" "+l.Owner.Lab)
		}
	}
	for lab := range b.walls {
		found = append(found, "firewall "+lab)
	}
	for _, d := range b.domains {
		found = append(found, "domain "+d.Name+" "+d.Owner.Lab+" "+d.Run.String())
	}
	for name := range b.supervisors {
		found = append(found, "supervisor "+name)
	}
	slices.Sort(found)
	return found
}

// files lists every file below the state's roots.
func (b *bench) files(t *testing.T) []string {
	t.Helper()
	found := []string{}
	for _, root := range []string{b.cfg.Dirs.Run, b.cfg.Dirs.State} {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && path != root && path != filepath.Join(b.cfg.Dirs.State, "labs") {
				found = append(found, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// plant puts a foreign link into the world.
func (b *bench) plant(l netsetup.Link) {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	b.index++
	l.Index = b.index
	b.links[l.Name] = l
}

// byHand changes the world behind the engine's back.
func (b *bench) byHand(change func(w *world)) {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	change(b.world)
}
