package vm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// BootMark is what a micro guest prints on its serial console as soon as its
// user space runs. To see it is the proof that a way to run guests works.
const BootMark = "kvmlab-micro: user space"

const (
	// kvmBootLimit and tcgBootLimit bound a trial boot. With hardware virtualisation user space is
	// there in half a second, without it in less than two on an idle machine. A guest under KVM that
	// comes no further is given up long before: see silenceLimit.
	kvmBootLimit = 5 * time.Minute
	tcgBootLimit = 30 * time.Second
	// conclusiveCPU is the CPU time after which a guest without KVM that has not shown its mark was
	// not just waiting for its turn on a busy host.
	conclusiveCPU = 2 * time.Second
)

// ErrNoBoot means that the micro image booted in no way that was tried.
var ErrNoBoot = errors.New("the image does not boot")

// NoBootError is ErrNoBoot, with what each trial gave.
type NoBootError struct{ Reason string }

func (e *NoBootError) Error() string { return fmt.Sprintf("%v: %s", ErrNoBoot, e.Reason) }

// Unwrap gives ErrNoBoot.
func (e *NoBootError) Unwrap() error { return ErrNoBoot }

// KVMState is what became of KVM on this host.
type KVMState int

const (
	// KVMUntried is a KVM that nobody asked for.
	KVMUntried KVMState = iota + 1
	// KVMUsable runs guests.
	KVMUsable
	// KVMMissing is a host without /dev/kvm.
	KVMMissing
	// KVMDenied is a /dev/kvm that QEMU's user cannot open.
	KVMDenied
	// KVMBroken is a /dev/kvm that opens, but on which no guest runs.
	KVMBroken
)

// String is one word.
func (k KVMState) String() string {
	switch k {
	case KVMUntried:
		return "untried"
	case KVMUsable:
		return "usable"
	case KVMMissing:
		return "missing"
	case KVMDenied:
		return "denied"
	case KVMBroken:
		return "broken"
	default:
		return fmt.Sprintf("KVMState(%d)", int(k))
	}
}

// ProbeOptions says what to boot and how.
type ProbeOptions struct {
	// Emulator is QEMU's path; QEMUVersion tells one QEMU from the next in the cache. HostInfo has
	// both, and User and TSCkHz too.
	Emulator    string
	QEMUVersion string
	// Kernel, Initrd, Cmdline and MemoryKiB are the micro image's.
	Kernel, Initrd, Cmdline string
	MemoryKiB               uint64
	TSCkHz                  uint64
	// User is whom QEMU runs as; only root can choose.
	User User
	// Want narrows the choice: 0 takes KVM when it works and TCG otherwise.
	Want Accel
	// CacheFile keeps what was found; empty keeps nothing.
	CacheFile string
	// KVMDevice defaults to DefaultKVM.
	KVMDevice string
	// TCGLimit bounds a trial without hardware virtualisation; 0 is half a minute.
	TCGLimit time.Duration
	// Trying, if set, is called before the first guest is booted, and told whether KVM is tried.
	Trying func(kvm bool)
}

// Verdict is the best way to run guests that was seen to work.
type Verdict struct {
	Accel   Accel
	Machine Machine
	KVM     KVMState
	// Reason says, in one sentence, why it is not KVM, or not microvm; empty when it is both.
	Reason string
	// Assumed means that no guest booted in its time, so that this is a guess.
	Assumed bool
	// Cached means that no guest was booted for it.
	Cached bool
}

// Attempt is one trial boot.
type Attempt struct {
	Accel   Accel   `json:"accel"`
	Machine Machine `json:"machine"`
	Booted  bool    `json:"booted"`
	// Reason is why it did not boot.
	Reason string `json:"reason,omitempty"`
	// CPU is the processor time that the boot took.
	CPU time.Duration `json:"cpu_ns,omitempty"`

	stalled bool // it came no further
	late    bool // its time was up before that could be said
}

// String is the attempt in one clause.
func (a Attempt) String() string {
	if a.Booted {
		return fmt.Sprintf("%v on %v boots", a.Accel, a.Machine)
	}
	return fmt.Sprintf("%v on %v: %s", a.Accel, a.Machine, a.Reason)
}

// ProbeAccel finds out by booting, not by looking, how guests run best on this
// host: KVM before TCG, microvm before q35. It needs no libvirt. Conclusive
// trials are cached for as long as boot, kernel, QEMU and image stay the same,
// unless all failed: then the fault is likely the image's, and can be mended.
// When only KVM is wanted, it is tried anew unless it was seen to work. One
// probe at a time boots guests; others wait for what it finds.
//
// A guest with KVM and one without boot side by side. KVM is taken however slow
// it is, as inside of another emulated machine, as long as its guest comes
// further; what the other guest needs for its whole boot is the measure of how
// long one may be silent.
//
// A host that is too busy to boot a guest in the time of a trial is no reason
// to have no lab: then TCG on q35 is assumed, which works wherever QEMU does, and
// the verdict says so.
//
// Errors: *NoBootError; ErrKVMMissing and ErrKVMDenied
// when only KVM was wanted; the context's.
func ProbeAccel(ctx context.Context, o ProbeOptions) (Verdict, error) {
	if o.KVMDevice == "" {
		o.KVMDevice = DefaultKVM
	}
	if o.TCGLimit == 0 {
		o.TCGLimit = tcgBootLimit
	}
	unlock, err := lockProbe(ctx, o.CacheFile)
	if err != nil {
		return Verdict{}, fmt.Errorf("probe acceleration: %w", err)
	}
	defer unlock()
	v, kvm, failed, err := lookAtKVM(o)
	if err != nil {
		return Verdict{}, fmt.Errorf("probe acceleration: %w", err)
	}
	cache := openCache(o)
	if reason, ok := cache.assumed(o.Want); ok {
		return v.assume(reason, true), nil
	}
	tries, err := cache.tries(ctx, o, kvm)
	if err != nil {
		return Verdict{}, fmt.Errorf("probe acceleration: %w", err)
	}
	return v.conclude(cache, tries, failed)
}

// conclude takes the best way that works out of what was tried.
func (v Verdict) conclude(cache *probeCache, tries []try, failed []string) (Verdict, error) {
	late := false
	v.Cached = true
	for _, t := range tries {
		v.Cached = v.Cached && t.cached
		for _, a := range t.attempts {
			if a.Booted {
				v.Accel, v.Machine, v.Reason = a.Accel, a.Machine, strings.Join(failed, "; ")
				if a.Accel == AccelKVM {
					v.KVM = KVMUsable
				}
				cache.save()
				return v, nil
			}
			failed = append(failed, a.String())
			late = late || a.late && a.Accel == AccelTCG
		}
	}
	reason := strings.Join(failed, "; ")
	if !late {
		return Verdict{}, fmt.Errorf("probe acceleration: %w", &NoBootError{Reason: reason})
	}
	cache.assume(reason)
	return v.assume(reason, false), nil
}

// assume is the verdict when the time was up before any guest was.
func (v Verdict) assume(reason string, cached bool) Verdict {
	v.Accel, v.Machine, v.Reason, v.Assumed, v.Cached = AccelTCG, MachineQ35, reason, true, cached
	return v
}

// lookAtKVM says what is known of KVM before any guest boots: whether it is to be tried, and why not. One that opens counts
// as broken until a guest has run on it.
func lookAtKVM(o ProbeOptions) (v Verdict, kvm bool, failed []string, err error) {
	v.KVM = KVMUntried
	if o.Want == AccelTCG {
		return v, false, nil, nil
	}
	err = CheckKVM(o.KVMDevice, o.User)
	v.KVM = kvmStateOf(err)
	if err != nil && o.Want != AccelKVM {
		return v, false, []string{err.Error()}, nil
	}
	return v, err == nil, nil, err
}

// kvmStateOf maps CheckKVM's errors.
func kvmStateOf(err error) KVMState {
	switch {
	case errors.Is(err, ErrKVMMissing):
		return KVMMissing
	case errors.Is(err, ErrKVMDenied):
		return KVMDenied
	default:
		return KVMBroken
	}
}
