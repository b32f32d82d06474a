package engine

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// Network is one network namespace; *netsetup.Handle is one.
type Network interface {
	Links(ctx context.Context) ([]netsetup.Link, error)
	Overlaps(ctx context.Context, prefix netip.Prefix, ignore ...string) ([]netsetup.Overlap, error)
	EnsureBridge(ctx context.Context, b netsetup.Bridge) (changed bool, err error)
	EnsureTap(ctx context.Context, t netsetup.Tap) (changed bool, err error)
	RemoveLink(ctx context.Context, name string, owner netsetup.Owner) (removed bool, err error)
	// MoveTap takes a staged tap to the namespace of a lab and names it.
	MoveTap(ctx context.Context, owner netsetup.Owner, lab, name string) error
	Border
}

// Border is the part of a Network between labs and what is outside of them. It is asked of the host's only.
type Border interface {
	FindFirewall(ctx context.Context, lab string) (there bool, err error)
	FirewallLabs(ctx context.Context) ([]string, error)
	FirewallDrift(ctx context.Context, want netsetup.Firewall) (problem string, err error)
	EnsureFirewall(ctx context.Context, want netsetup.Firewall) (changed bool, err error)
	RemoveFirewall(ctx context.Context, lab string) (removed bool, err error)
	// Networks are the host's own, but for the lab's.
	Networks(ctx context.Context, lab string) ([]netip.Prefix, error)
	CheckForwarding() error
}

// Inside is the network namespace of an isolated lab, which is open for as long as it is used.
type Inside interface {
	Network
	Close() error
}

// Namespaces are the network namespaces of isolated labs, by lab.
type Namespaces interface {
	// Labs lists the labs that have one, or its remains.
	Labs(ctx context.Context) ([]string, error)
	// Open fails with netsetup.ErrNoNamespace, netsetup.ErrBareNamespace or *netsetup.ForeignNamespaceError.
	Open(ctx context.Context, lab string) (Inside, error)
	Ensure(ctx context.Context, lab string) (changed bool, err error)
	Remove(ctx context.Context, lab string) (removed bool, err error)
}

// Hypervisor is a libvirt daemon; *vm.Conn is one.
type Hypervisor interface {
	Domains(ctx context.Context) ([]vm.State, error)
	Domain(ctx context.Context, name string) (vm.State, error)
	Define(ctx context.Context, d vm.Domain) error
	Start(ctx context.Context, name string) error // a paused one resumes
	StartPaused(ctx context.Context, name string) error
	// Shutdown asks a guest to switch itself off and returns when it is off.
	Shutdown(ctx context.Context, name string) error
	Destroy(ctx context.Context, name string) error
	Undefine(ctx context.Context, name string) error
}

// Templates are saved guests which others are resumed from, in place of a boot; *vm.Templates are some.
type Templates interface {
	// Prepare makes the template that d needs, unless it is there.
	Prepare(ctx context.Context, d vm.Domain) error
	// Resume starts d, which is defined and off, and leaves it paused. After an error d is off.
	Resume(ctx context.Context, d vm.Domain) error
}

// Supervisor is the process beside a lab, seen from outside.
type Supervisor interface {
	Observe(ctx context.Context) (running bool, pid int, err error)
	// Start is idempotent and returns when the supervisor serves the stored lab.
	Start(ctx context.Context) error
	// Stop returns when the supervisor is gone; it is no error when none runs.
	Stop(ctx context.Context) error
}

// Image is what a guest boots.
type Image struct {
	// Kernel and Initrd are absolute paths that QEMU's user can reach. An image without a kernel boots from its disk,
	// and its guests are told who they are by a seed.
	Kernel, Initrd string
	Cmdline        string
	GuestAgent     bool
	Disk           string   // the base of the guests' disks, absolute; empty when guests live in memory
	DiskSize       int64    // as a guest sees it, in bytes
	Keys           []string // SSH public keys for the seed
}

// Platform is how guests run on this host.
type Platform struct {
	Machine  vm.Machine
	Accel    vm.Accel
	TSCkHz   uint64
	Merging  bool
	Emulator string // empty: libvirt's default
}

// TapOwner is whose the taps are, like `ip tuntap add … user ana`. He may open them without privileges if he is in the group.
type TapOwner struct {
	UID, GID    int
	User, Group string // their names, for the equivalent commands
}

// Config is what an Engine works with.
type Config struct {
	Dirs       state.Dirs
	Network    Network // the host's own namespace
	Namespaces Namespaces
	Hypervisor Hypervisor
	Supervisor func(state.Lab) Supervisor
	// Image and Platform are asked only when a guest has to be started, and before anything is changed.
	Image    func(ctx context.Context, name string) (Image, error)
	Platform func(ctx context.Context) (Platform, error)
	// OldImage finds the image whose disk is base, for a guest whose disk lies on it and not on the present one. Nil
	// makes such a guest an error.
	OldImage func(ctx context.Context, name, base string) (Image, error)
	// Templates are asked for guests that live in memory. Nil boots them all.
	Templates Templates
	// Cold is told that a guest boots because its template did not serve. Nil is told nothing.
	Cold     func(guest string, reason error)
	TapOwner TapOwner
	Log      *slog.Logger
	Now      func() time.Time
	// Sink gets an event for every step, one at a time. It must not block. Nil drops them.
	Sink func(Event)
	// AfterRecord is called when a journal record is durable, one call at a time within a command. For tests.
	AfterRecord func(state.Record)
	// Passed is called at points within a change that matter to whoever is killed there. For tests.
	Passed func(point string)
	// Parallel is how many changes run at once; 0 is 8.
	Parallel int
	// Grace is how long a change in flight may go on after the caller gave up; 0 is 5 s. libvirt finishes what it was
	// asked for even when nobody waits, and what is not known to be finished cannot be taken back reliably.
	Grace time.Duration
	// ChangeTimeout limits one change, UndoTimeout taking one back; 0 is 60 s.
	ChangeTimeout, UndoTimeout time.Duration
}

// The defaults of Config.
const (
	defaultParallel = 8
	defaultGrace    = 5 * time.Second
	defaultTimeout  = time.Minute
)

// Engine brings labs up and down on one host. It may be used for several labs at once.
type Engine struct {
	cfg  Config
	sink sync.Mutex // one event at a time
}

// New returns an engine. Nothing is opened or read before it is asked to do something.
func New(cfg Config) *Engine {
	if cfg.Parallel == 0 {
		cfg.Parallel = defaultParallel
	}
	if cfg.Grace == 0 {
		cfg.Grace = defaultGrace
	}
	if cfg.ChangeTimeout == 0 {
		cfg.ChangeTimeout = defaultTimeout
	}
	if cfg.UndoTimeout == 0 {
		cfg.UndoTimeout = defaultTimeout
	}
	return &Engine{cfg: cfg}
}

// Resolver fixes what is yet open in a lab. It is called under the lab's lock, with the lab as it was brought up
// before (nil when it was not), whose MAC addresses are to be kept, and a function that tells which MAC addresses
// the host already uses.
type Resolver func(previous *lab.Lab, taken func(macgen.MAC) bool) (*lab.Lab, error)

// Result is what Up or Down did.
type Result struct {
	Lab  *lab.Lab // nil for Down
	Plan *Plan    // no changes: there was nothing to do
	// Left are objects under the lab's names that Down did not touch, because they do not carry its mark.
	Left []Drift
}
