package vm

import "fmt"

// Machine is QEMU's machine type, as far as kvmlab uses them.
type Machine int

const (
	// MachineMicrovm is QEMU's microvm: no PCI bus, virtio over MMIO, no firmware menu. It boots
	// fastest.
	MachineMicrovm Machine = iota + 1
	// MachineQ35 is the PC with PCI Express, the fall back when microvm is missing or does not boot.
	MachineQ35
)

// String is the name that libvirt and QEMU use.
func (m Machine) String() string {
	switch m {
	case MachineMicrovm:
		return "microvm"
	case MachineQ35:
		return "q35"
	default:
		return fmt.Sprintf("Machine(%d)", int(m))
	}
}

// MarshalText is String, for JSON; the zero value is empty.
func (m Machine) MarshalText() ([]byte, error) { return marshalKind(m) }

// UnmarshalText is ParseMachine; empty is the zero value.
func (m *Machine) UnmarshalText(text []byte) error { return unmarshalKind(m, text, ParseMachine) }

// ParseMachine reads "microvm" or "q35".
func ParseMachine(s string) (Machine, error) {
	return parseKind(s, "machine", MachineMicrovm, MachineQ35)
}

// Accel says what executes a guest's instructions.
type Accel int

const (
	// AccelKVM is hardware virtualisation through /dev/kvm.
	AccelKVM Accel = iota + 1
	// AccelTCG is QEMU's translator: slower, but it runs everywhere.
	AccelTCG
)

// String is "kvm" or "tcg".
func (a Accel) String() string {
	switch a {
	case AccelKVM:
		return "kvm"
	case AccelTCG:
		return "tcg"
	default:
		return fmt.Sprintf("Accel(%d)", int(a))
	}
}

// MarshalText is String, for JSON; the zero value is empty.
func (a Accel) MarshalText() ([]byte, error) { return marshalKind(a) }

// UnmarshalText is ParseAccel; empty is the zero value.
func (a *Accel) UnmarshalText(text []byte) error { return unmarshalKind(a, text, ParseAccel) }

// ParseAccel reads "kvm" or "tcg".
func ParseAccel(s string) (Accel, error) {
	return parseKind(s, "acceleration", AccelKVM, AccelTCG)
}

// RunState is what a domain does now; libvirt's virDomainState, less the
// states that QEMU never reports.
type RunState int

const (
	// RunRunning is a guest whose CPUs run or wait for an interrupt.
	RunRunning RunState = iota + 1
	// RunPaused is a guest whose CPUs are stopped but whose QEMU lives.
	RunPaused
	// RunShutdown is a guest that has been told to power off and has not finished.
	RunShutdown
	// RunShutoff is a domain with no QEMU process.
	RunShutoff
	// RunCrashed is a guest that QEMU or the guest's own panic ended.
	RunCrashed
	// RunSuspended is a guest in its own power-managed sleep.
	RunSuspended
)

// String is the word that `virsh list` shows, as one word.
func (r RunState) String() string {
	switch r {
	case RunRunning:
		return "running"
	case RunPaused:
		return "paused"
	case RunShutdown:
		return "shutdown"
	case RunShutoff:
		return "shutoff"
	case RunCrashed:
		return "crashed"
	case RunSuspended:
		return "suspended"
	default:
		return fmt.Sprintf("RunState(%d)", int(r))
	}
}

// Active reports whether the domain has a QEMU process.
func (r RunState) Active() bool {
	return r == RunRunning || r == RunPaused || r == RunShutdown || r == RunSuspended
}

// kind is one of this package's enumerations.
type kind interface {
	~int
	fmt.Stringer
}

// parseKind finds the value whose String is s.
func parseKind[K kind](s, what string, values ...K) (K, error) {
	for _, v := range values {
		if v.String() == s {
			return v, nil
		}
	}
	return 0, fmt.Errorf("unknown %s %q", what, s)
}

// marshalKind writes the zero value as the empty string, so that a JSON field
// that is not known does not carry an invented word.
func marshalKind[K kind](k K) ([]byte, error) {
	if k == 0 {
		return nil, nil
	}
	return []byte(k.String()), nil
}

// unmarshalKind is the inverse of marshalKind.
func unmarshalKind[K kind](k *K, text []byte, parse func(string) (K, error)) error {
	if len(text) == 0 {
		*k = 0
		return nil
	}
	v, err := parse(string(text))
	if err != nil {
		return err
	}
	*k = v
	return nil
}
