package vm

import (
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
)

// StartCause is why a guest did not start, as far as it can be established.
type StartCause int

const (
	// StartOther is anything else: the Message tells.
	StartOther StartCause = iota + 1
	// StartFileMissing is a kernel or initrd that is not there; the Path names it.
	StartFileMissing
	// StartTapMissing is a tap that is not in the host's network namespace; the Path names it.
	StartTapMissing
	// StartMemory is a memory size that cannot hold kernel and initrd, or that the host does not have.
	StartMemory
	// StartKVM is a guest set to KVM on a host whose /dev/kvm QEMU cannot open.
	StartKVM
)

// String is a short English phrase.
func (c StartCause) String() string {
	switch c {
	case StartOther:
		return "other"
	case StartFileMissing:
		return "file missing"
	case StartTapMissing:
		return "tap missing"
	case StartMemory:
		return "memory does not fit"
	case StartKVM:
		return "KVM not usable"
	default:
		return fmt.Sprintf("StartCause(%d)", int(c))
	}
}

// StartError is a domain that libvirt or QEMU refused to start.
type StartError struct {
	Domain string
	Cause  StartCause
	// Path is the file or the tap that is missing.
	Path string
	// Message is QEMU's own complaint, or libvirt's when QEMU did not get that far.
	Message string
	// Err is libvirt's error; nil when it was not even asked.
	Err error
}

// Error gives the cause and QEMU's words.
func (e *StartError) Error() string {
	switch e.Cause {
	case StartFileMissing, StartTapMissing:
		return fmt.Sprintf("start domain %q: %v: %s", e.Domain, e.Cause, e.Path)
	case StartMemory, StartKVM:
		return fmt.Sprintf("start domain %q: %v: %s", e.Domain, e.Cause, e.Message)
	default:
		return fmt.Sprintf("start domain %q: %s", e.Domain, e.Message)
	}
}

// Unwrap gives libvirt's error.
func (e *StartError) Unwrap() error { return e.Err }

// startError finds out why a domain did not start. libvirt reports all that
// goes wrong inside QEMU under one number, so the cause is established from
// the facts on the host, and the words are left to QEMU.
func (c *Conn) startError(ctx context.Context, s State, err error) *StartError {
	e := &StartError{Domain: s.Name, Cause: StartOther, Message: complaint(err.Error()), Err: err}
	for _, path := range []string{s.Kernel, s.Initrd, s.Disk} {
		if _, statErr := os.Stat(path); path != "" && statErr != nil {
			e.Cause, e.Path = StartFileMissing, path
			return e
		}
	}
	for _, nic := range s.NICs {
		if _, linkErr := net.InterfaceByName(nic.Tap); linkErr != nil {
			e.Cause, e.Path = StartTapMissing, nic.Tap
			return e
		}
	}
	host, hostErr := c.Host(ctx)
	switch {
	case hostErr != nil:
	case s.Accel == AccelKVM && CheckKVM(DefaultKVM, host.QEMUUser) != nil:
		e.Cause = StartKVM
	case s.MemoryKiB > host.AvailableKiB:
		e.Cause = StartMemory
	}
	return e
}

// imageKiB is the size of the files that are loaded into a guest's memory
// before its first instruction; 0 for those that are missing.
func imageKiB(s State) uint64 {
	var size uint64
	for _, path := range []string{s.Kernel, s.Initrd} {
		if info, err := os.Stat(path); err == nil {
			size += uint64(info.Size())
		}
	}
	return size >> 10
}

// tooSmall is the StartError of a guest that cannot hold its image.
func tooSmall(s State) *StartError {
	return &StartError{
		Domain: s.Name, Cause: StartMemory,
		Message: fmt.Sprintf("%d KiB cannot hold kernel and initrd of %d KiB", s.MemoryKiB, imageKiB(s)),
	}
}

// qemuPrefix is what QEMU puts in front of its messages: a time and its name,
// which libvirt quotes after words of its own.
var qemuPrefix = regexp.MustCompile(`^.*?\bqemu(-system-\w+)?: `)

// complaint is QEMU's first complaint in what it, or libvirt about it, has
// said: usually the cause of those that follow.
func complaint(text string) string {
	for line := range strings.Lines(text) {
		line = qemuPrefix.ReplaceAllString(strings.TrimSpace(line), "")
		if line != "" && !strings.HasPrefix(line, "warning: ") {
			return line
		}
	}
	return ""
}
