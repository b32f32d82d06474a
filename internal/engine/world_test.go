package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// world is a host in memory: its links, its libvirt and the supervisors on it. It behaves as the real ones do where
// the engine can see it, ownership and dead tap files included.
type world struct {
	mu          sync.Mutex
	links       map[string]netsetup.Link            // of the host's network namespace
	spaces      map[string]map[string]netsetup.Link // of the isolated labs' namespaces
	walls       map[string]netsetup.Firewall        // by lab
	domains     map[string]*domain
	supervisors map[string]string // by lab: the lab.json that it serves
	index       int               // the last one given to a link
	// before, when set, is called before every operation that changes something; its error is the operation's, which
	// then does nothing.
	before func(op string) error
	// blocked makes every operation wait for its context.
	blocked func(op string) bool
	// noForwarding makes the host no router.
	noForwarding bool
	// networks are the host's own.
	networks []netip.Prefix
}

// domain is a domain in libvirt. open are the indexes of the taps that its QEMU has open.
type domain struct {
	vm.State
	open []int
}

func newWorld() *world {
	return &world{
		links: map[string]netsetup.Link{}, spaces: map[string]map[string]netsetup.Link{},
		walls: map[string]netsetup.Firewall{}, domains: map[string]*domain{}, supervisors: map[string]string{},
	}
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
	return w.start(ctx, name, vm.RunRunning)
}

func (w *world) StartPaused(ctx context.Context, name string) error {
	return w.start(ctx, name, vm.RunPaused)
}

func (w *world) start(ctx context.Context, name string, as vm.RunState) error {
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
		if as == vm.RunRunning {
			d.Run = as
		}
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
	d.Run = as
	return nil
}

// Shutdown is what a guest that listens does. One that is told not to (see blocked) waits for its context.
func (w *world) Shutdown(ctx context.Context, name string) error {
	end, err := w.begin(ctx, "shutdown "+name)
	if err != nil {
		return err
	}
	end()
	return w.Destroy(ctx, name)
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
