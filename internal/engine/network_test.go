//kvmlab:needs nftables

package engine_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/songgao/water"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

var (
	_ engine.Network    = (*netsetup.Handle)(nil)
	_ engine.Hypervisor = (*vm.Conn)(nil)
)

// kernelBench is a bench whose links are real ones, in a network namespace of its own. Its guests hold their taps
// open, as QEMU does, and do nothing else.
type kernelBench struct {
	*bench
	ns    *nstest.Namespace
	cards map[string][]io.Closer // by domain
}

func newKernelBench(t *testing.T) *kernelBench {
	t.Helper()
	nstest.RequireNetAdmin(t)
	nstest.RequireTun(t)
	k := &kernelBench{bench: newBench(t), ns: nstest.New(t), cards: map[string][]io.Closer{}}
	h, err := netsetup.OpenPath(k.ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for name := range k.cards {
			k.unplug(name)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	k.cfg.Network, k.cfg.Hypervisor = h, k
	return k
}

// Start opens the guest's taps. It fails where QEMU would: when there is no such tap.
func (k *kernelBench) Start(ctx context.Context, name string) error {
	k.byHand(func(w *world) { // the world checks that the taps exist; here the kernel does
		for _, nic := range w.domains[name].NICs {
			w.links[nic.Tap] = netsetup.Link{Name: nic.Tap}
		}
	})
	if err := k.bench.Start(ctx, name); err != nil {
		return err
	}
	links, err := k.cfg.Network.Links(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, nic := range k.domains[name].NICs {
		if !slices.ContainsFunc(links, func(l netsetup.Link) bool { return l.Name == nic.Tap }) {
			return &vm.StartError{Domain: name, Cause: vm.StartTapMissing, Path: nic.Tap}
		}
		config := water.Config{DeviceType: water.TAP}
		config.Name, config.Persist = nic.Tap, true
		if err := k.ns.Do(func() error {
			card, err := water.New(config)
			if err == nil {
				k.cards[name] = append(k.cards[name], card)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// Destroy closes the guest's taps.
func (k *kernelBench) Destroy(ctx context.Context, name string) error {
	k.unplug(name)
	return k.bench.Destroy(ctx, name)
}

func (k *kernelBench) unplug(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, card := range k.cards[name] {
		_ = card.Close() // its tap may be gone already
	}
	delete(k.cards, name)
}

func (k *kernelBench) snapshot(t *testing.T) []string {
	t.Helper()
	lines, err := k.ns.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	nstest.RequireCommand(t, "nft")
	return append(lines, strings.Split(k.ns.Run(t, "nft list tables"), "\n")...)
}

func TestLabOnRealLinks(t *testing.T) {
	k := newKernelBench(t)
	l := threeTaps("class", 0)
	k.ns.Run(t, "ip link add br9 type bridge")
	k.ns.Run(t, "ip tuntap add mode tap name tap9")
	k.ns.Run(t, "ip link set tap9 master br9")
	before := k.snapshot(t)

	k.mustUp(t, l)
	if plan := k.mustUp(t, l); len(plan.Changes) > 0 {
		t.Fatalf("second up:\n%s", plan.Text(false))
	}
	for _, test := range []struct {
		command string
		planned []string
	}{
		{"ip link del tap2", []string{"~ domain.pc2", "+ tap.tap2"}},
		{"ip link set tap1 nomaster", []string{"~ tap.tap1"}},
		{"ip link set tap3 down", []string{"~ tap.tap3"}},
		{"ip addr flush dev br1", []string{"~ bridge.br1"}},
		{"ip link set br1 down", []string{"~ bridge.br1"}},
		{"sysctl -qw net.ipv6.conf.br1.disable_ipv6=0", []string{"~ bridge.br1"}},
		{"sysctl -qw net.ipv6.conf.tap2.disable_ipv6=0", []string{"~ tap.tap2"}},
		{"sysctl -qw net.ipv4.conf.br1.arp_ignore=0", []string{"~ bridge.br1"}},
		{"ip link set br1 type bridge stp_state 1", []string{"~ bridge.br1"}},
		{"nft delete table inet kvmlab-class", []string{"~ firewall"}},
		{"nft delete table arp kvmlab-class", []string{"~ firewall"}},
		{"nft flush chain inet kvmlab-class to-host-br1", []string{"~ firewall"}},
		{"ip link del br1", []string{"+ bridge.br1", "~ supervisor", "~ tap.tap1", "~ tap.tap2", "~ tap.tap3"}},
	} {
		k.ns.Run(t, test.command)
		var planned []string
		for _, c := range k.mustUp(t, l).Changes {
			planned = append(planned, c.Action.Symbol()+" "+c.Address.String())
		}
		slices.SortFunc(planned, func(a, b string) int { return slices.Compare([]string{a[2:]}, []string{b[2:]}) })
		if diff := cmp.Diff(test.planned, planned); diff != "" {
			t.Errorf("after %s: %s", test.command, diff)
		}
		if plan := k.mustUp(t, l); len(plan.Changes) > 0 {
			t.Errorf("after %s: not mended:\n%s", test.command, plan.Text(false))
		}
	}
	k.mustDown(t, l.Name)
	if diff := cmp.Diff(before, k.snapshot(t)); diff != "" {
		t.Error(diff)
	}
}

// TestMovingHost takes a lab with a way out to another network. The way out does not lead there either.
func TestMovingHost(t *testing.T) {
	k := newKernelBench(t)
	l := threeTaps("class", 0)
	l.Bridges[0].Internet = lab.NAT
	k.ns.Run(t, "sysctl -qw net.ipv4.ip_forward=1")
	k.mustUp(t, l)
	k.ns.Run(t, "ip link add eth0 type bridge")
	k.ns.Run(t, "ip link set eth0 up")
	k.ns.Run(t, "ip addr add 203.0.113.7/24 dev eth0")
	plan := k.mustUp(t, l)
	if c, ok := plan.Change(engine.Address{Kind: engine.KindFirewall}); !ok || len(plan.Changes) != 1 || c.Action != engine.Update {
		t.Errorf("with another network:\n%s", plan.Text(false))
	}
	if rules := k.ns.Run(t, "nft list chain inet kvmlab-class from-br1"); !strings.Contains(rules, "ip daddr 203.0.113.0/24 drop") {
		t.Error(rules)
	}
	if plan := k.mustUp(t, l); len(plan.Changes) > 0 {
		t.Errorf("not mended:\n%s", plan.Text(false))
	}
	k.mustDown(t, l.Name)
}

func TestRealLinksAfterInterruptsAndCrashes(t *testing.T) {
	for at := 1; at <= 16; at++ {
		k := newKernelBench(t)
		before := k.snapshot(t)
		l := threeTaps("class", 0)
		ctx, cancel := context.WithCancel(t.Context())
		interrupts := &counter{at: at, then: cancel}
		k.cfg.AfterRecord = func(state.Record) { interrupts.step() }
		if _, err := k.up(ctx, l); diag.ExitCode(err) != diag.ExitCancelled {
			t.Errorf("record %d: %v", at, err)
		}
		cancel()
		if diff := cmp.Diff(before, k.snapshot(t)); diff != "" {
			t.Errorf("interrupted at record %d: %s", at, diff)
		}

		dies := &counter{at: at}
		k.cfg.AfterRecord = func(state.Record) { dies.step() }
		k.before = func(string) error {
			if dies.reached() {
				return errCrashed
			}
			return nil
		}
		alive := k.cfg.Network
		k.cfg.Network = mortal{alive, dies}
		_, _ = k.up(t.Context(), l) // its error is a dead process's
		k.cfg.Network, k.cfg.AfterRecord, k.before = alive, nil, nil
		k.mustDown(t, l.Name)
		if diff := cmp.Diff(before, k.snapshot(t)); diff != "" {
			t.Errorf("crashed at record %d: %s", at, diff)
		}
		if left := k.files(t); len(left) > 0 {
			t.Errorf("crashed at record %d: left %v", at, left)
		}
	}
}

// mortal is a network that does nothing once its process is dead.
type mortal struct {
	engine.Network
	dies *counter
}

func (m mortal) EnsureBridge(ctx context.Context, b netsetup.Bridge) (bool, error) {
	if m.dies.reached() {
		return false, errCrashed
	}
	return m.Network.EnsureBridge(ctx, b)
}

func (m mortal) EnsureTap(ctx context.Context, t netsetup.Tap) (bool, error) {
	if m.dies.reached() {
		return false, errCrashed
	}
	return m.Network.EnsureTap(ctx, t)
}

func (m mortal) RemoveLink(ctx context.Context, name string, o netsetup.Owner) (bool, error) {
	if m.dies.reached() {
		return false, errCrashed
	}
	return m.Network.RemoveLink(ctx, name, o)
}
