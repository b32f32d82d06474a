package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// world is a host in memory: its links, its libvirt and the supervisors on it. It behaves as the real ones do where
// the engine can see it, ownership and dead tap files included.
type world struct {
	mu          sync.Mutex
	links       map[string]netsetup.Link
	domains     map[string]*domain
	supervisors map[string]string // by lab: the lab.json that it serves
	index       int               // the last one given to a link
	// before, when set, is called before every operation that changes something; its error is the operation's, which
	// then does nothing.
	before func(op string) error
	// blocked makes every operation wait for its context.
	blocked func(op string) bool
}

// domain is a domain in libvirt. open are the indexes of the taps that its QEMU has open.
type domain struct {
	vm.State
	open []int
}

func newWorld() *world {
	return &world{links: map[string]netsetup.Link{}, domains: map[string]*domain{}, supervisors: map[string]string{}}
}

var (
	errCrashed = errors.New("the process is dead")
	errFault   = errors.New("injected fault")
)

// begin locks the world for one operation.
func (w *world) begin(ctx context.Context, op string) (func(), error) {
	if w.blocked != nil && w.blocked(op) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if w.before != nil {
		if err := w.before(op); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	return w.mu.Unlock, nil
}

func (w *world) Links(ctx context.Context) ([]netsetup.Link, error) {
	end, err := w.begin(ctx, "read links")
	if err != nil {
		return nil, err
	}
	defer end()
	var links []netsetup.Link
	for _, l := range w.links {
		l.Carrier = false
		for _, d := range w.domains {
			l.Carrier = l.Carrier || l.Up && d.Run.Active() && slices.Contains(d.open, l.Index)
		}
		links = append(links, l)
	}
	slices.SortFunc(links, func(a, b netsetup.Link) int { return strings.Compare(a.Name, b.Name) })
	return links, nil
}

func (w *world) Overlaps(ctx context.Context, prefix netip.Prefix, ignore ...string) ([]netsetup.Overlap, error) {
	end, err := w.begin(ctx, "read overlaps")
	if err != nil {
		return nil, err
	}
	defer end()
	var found []netsetup.Overlap
	for _, l := range w.links {
		for _, a := range l.Addresses {
			if a.Overlaps(prefix) && !slices.Contains(ignore, l.Name) {
				found = append(found, netsetup.Overlap{Prefix: a, Link: l.Name, Kind: netsetup.OverlapAddress})
			}
		}
	}
	return found, nil
}

// claim finds or makes the link of an owner.
func (w *world) claim(name string, kind netsetup.Kind, owner netsetup.Owner) (netsetup.Link, error) {
	if l, ok := w.links[name]; ok {
		if l.Owner != owner || l.Kind != kind {
			return l, &netsetup.ForeignError{Name: name, Kind: l.Kind, Owner: l.Owner}
		}
		return l, nil
	}
	for _, l := range w.links {
		if l.Owner == owner {
			delete(w.links, l.Name)
			l.Name = name
			return l, nil
		}
	}
	w.index++
	return netsetup.Link{Name: name, Index: w.index, Kind: kind, Owner: owner}, nil
}

func (w *world) EnsureBridge(ctx context.Context, b netsetup.Bridge) (bool, error) {
	end, err := w.begin(ctx, "ensure "+b.Name)
	if err != nil {
		return false, err
	}
	defer end()
	l, err := w.claim(b.Name, netsetup.KindBridge, b.Owner)
	if err != nil {
		return false, err
	}
	l.Up, l.Addresses = true, nil
	if b.Address.IsValid() {
		l.Addresses = []netip.Prefix{b.Address}
	}
	w.links[b.Name] = l
	return true, nil
}

func (w *world) EnsureTap(ctx context.Context, t netsetup.Tap) (bool, error) {
	end, err := w.begin(ctx, "ensure "+t.Name)
	if err != nil {
		return false, err
	}
	defer end()
	if b, ok := w.links[t.Bridge]; !ok || b.Owner.Lab != t.Owner.Lab {
		return false, netsetup.ErrNotFound
	}
	l, err := w.claim(t.Name, netsetup.KindTap, t.Owner)
	if err != nil {
		return false, err
	}
	l.Up, l.Master = true, t.Bridge
	w.links[t.Name] = l
	return true, nil
}

func (w *world) RemoveLink(ctx context.Context, name string, owner netsetup.Owner) (bool, error) {
	end, err := w.begin(ctx, "remove "+name)
	if err != nil {
		return false, err
	}
	defer end()
	l, ok := w.links[name]
	if !ok {
		return false, nil
	}
	if l.Owner != owner {
		return false, &netsetup.ForeignError{Name: name, Kind: l.Kind, Owner: l.Owner}
	}
	w.deleteLink(name)
	return true, nil
}

// deleteLink does what the kernel does: a bridge lets go of its ports.
func (w *world) deleteLink(name string) {
	delete(w.links, name)
	for other, l := range w.links {
		if l.Master == name {
			l.Master = ""
			w.links[other] = l
		}
	}
}

func (w *world) Domains(ctx context.Context) ([]vm.State, error) {
	end, err := w.begin(ctx, "read domains")
	if err != nil {
		return nil, err
	}
	defer end()
	var states []vm.State
	for _, d := range w.domains {
		states = append(states, d.State)
	}
	// In no order, as libvirt has none that it promises.
	return states, nil
}

func (w *world) Domain(ctx context.Context, name string) (vm.State, error) {
	end, err := w.begin(ctx, "read "+name)
	if err != nil {
		return vm.State{}, err
	}
	defer end()
	d, ok := w.domains[name]
	if !ok {
		return vm.State{}, vm.ErrNotFound
	}
	return d.State, nil
}

func (w *world) Define(ctx context.Context, def vm.Domain) error {
	end, err := w.begin(ctx, "define "+def.Name)
	if err != nil {
		return err
	}
	defer end()
	d, ok := w.domains[def.Name]
	if ok && (!d.Owned || d.Owner != def.Owner) {
		return &vm.ForeignError{Domain: def.Name, Owner: d.Owner}
	}
	if !ok {
		d = &domain{State: vm.State{Run: vm.RunShutoff}}
		w.domains[def.Name] = d
	}
	d.State = vm.State{
		Name: def.Name, UUID: def.UUID, Run: d.Run, Owner: def.Owner, Owned: true, MemoryKiB: def.MemoryKiB,
		CPUs: max(def.CPUs, 1), NICs: slices.Clone(def.NICs), Kernel: def.Kernel, ConsoleLog: def.ConsoleLog,
	}
	return nil
}

func (w *world) Start(ctx context.Context, name string) error {
	end, err := w.begin(ctx, "start "+name)
	if err != nil {
		return err
	}
	defer end()
	d, ok := w.domains[name]
	if !ok {
		return vm.ErrNotFound
	}
	if !d.Owned {
		return &vm.ForeignError{Domain: name}
	}
	if d.Run.Active() {
		return nil
	}
	d.open = nil
	for _, nic := range d.NICs {
		tap, ok := w.links[nic.Tap]
		if !ok {
			return &vm.StartError{Domain: name, Cause: vm.StartTapMissing, Path: nic.Tap, Err: os.ErrNotExist}
		}
		d.open = append(d.open, tap.Index)
	}
	d.Run = vm.RunRunning
	return nil
}

func (w *world) Destroy(ctx context.Context, name string) error {
	end, err := w.begin(ctx, "destroy "+name)
	if err != nil {
		return err
	}
	defer end()
	d, ok := w.domains[name]
	switch {
	case !ok:
		return nil
	case !d.Owned:
		return &vm.ForeignError{Domain: name}
	}
	d.Run, d.open = vm.RunShutoff, nil
	return nil
}

func (w *world) Undefine(ctx context.Context, name string) error {
	end, err := w.begin(ctx, "undefine "+name)
	if err != nil {
		return err
	}
	defer end()
	d, ok := w.domains[name]
	switch {
	case !ok:
		return nil
	case !d.Owned:
		return &vm.ForeignError{Domain: name}
	}
	delete(w.domains, name)
	return nil
}

// supervisor is one lab's supervisor in a world.
type supervisor struct {
	w     *world
	files state.Lab
}

func (s supervisor) Observe(ctx context.Context) (bool, int, error) {
	end, err := s.w.begin(ctx, "read supervisor")
	if err != nil {
		return false, 0, err
	}
	defer end()
	if _, ok := s.w.supervisors[s.files.Name()]; ok {
		return true, 4711, nil
	}
	return false, 0, nil
}

func (s supervisor) Start(ctx context.Context) error {
	end, err := s.w.begin(ctx, "start supervisor")
	if err != nil {
		return err
	}
	defer end()
	data, err := os.ReadFile(s.files.LabFile())
	if err != nil {
		return fmt.Errorf("a supervisor without its lab: %w", err)
	}
	if _, running := s.w.supervisors[s.files.Name()]; !running {
		s.w.supervisors[s.files.Name()] = string(data)
	}
	return nil
}

func (s supervisor) Stop(ctx context.Context) error {
	end, err := s.w.begin(ctx, "stop supervisor")
	if err != nil {
		return err
	}
	defer end()
	delete(s.w.supervisors, s.files.Name())
	return nil
}
