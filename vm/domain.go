package vm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/kvmlab/kvmlab/macgen"
)

// MetadataURI is the XML namespace of the element in a domain's <metadata>
// that marks the domain as kvmlab's.
const MetadataURI = "https://github.com/kvmlab/kvmlab/xmlns/guest/1"

// The names of the virtio-serial ports that guests see under
// /sys/class/virtio-ports/*/name.
const (
	// IdentityPort carries a guest's identity, see [Conn.Identify].
	IdentityPort = "org.kvmlab.id"
	// WindowPort carries the size of the terminal that shows the console, see [Conn.Window].
	WindowPort = "org.kvmlab.tty"
	// DataPort carries the content of a file that is copied into the guest, see [Agent.Upload].
	DataPort = "org.kvmlab.data"
	// AgentPort is the QEMU guest agent's.
	AgentPort = "org.qemu.guest_agent.0"
)

// ErrIncomplete means that a Domain lacks something that it cannot start without.
var ErrIncomplete = errors.New("incomplete domain")

// Owner is the lab and the guest in it that a domain belongs to.
type Owner struct {
	Lab   string `json:"lab"`
	Guest string `json:"guest"`
}

// NIC is one network card of a guest, on a tap that already exists.
type NIC struct {
	// Name is what the guest calls it ("eth0"); cards come up in the order of the list.
	Name string `json:"name"`
	// Tap is the host's tap link, at most 15 characters.
	Tap string `json:"tap"`
	// MAC is the card's address.
	MAC macgen.MAC `json:"mac"`
}

// Disk is a guest's disk: a qcow2 file of its own on a base that several share.
// Both must be files that QEMU's user can reach; libvirt makes the first one
// that user's while the guest runs, and leaves the base alone.
type Disk struct {
	Path string `json:"path"`
	// Base is the qcow2 file that Path lies on; empty when it lies on none.
	Base string `json:"base,omitempty"`
}

// Domain is everything that defines a guest to libvirt.
type Domain struct {
	// Name is libvirt's name of the domain, unique on the host.
	Name string `json:"name"`
	// UUID defaults to GuestUUID of the owner.
	UUID uuid.UUID `json:"uuid"`
	// Owner goes into the ownership mark.
	Owner Owner `json:"owner"`
	// Title is one line for people, shown by `virsh list --title`.
	Title string `json:"title,omitempty"`
	// Machine and Accel are what ProbeAccel found to work.
	Machine Machine `json:"machine"`
	Accel   Accel   `json:"accel"`
	// MemoryKiB is the guest's memory in KiB.
	MemoryKiB uint64 `json:"memory_kib"`
	// CPUs is the number of virtual CPUs; 0 means 1.
	CPUs int `json:"cpus"`
	// Kernel and Initrd are absolute paths that QEMU's user can reach; Cmdline is the kernel's. Without
	// a kernel the guest boots from its disk by a BIOS, which MachineQ35 has.
	Kernel  string `json:"kernel"`
	Initrd  string `json:"initrd"`
	Cmdline string `json:"cmdline"`
	// TSCkHz is the host's time stamp counter frequency, see HostInfo. Under TCG it becomes the
	// kernel argument tsc_early_khz, without which a guest on a busy host may hang while it
	// measures. 0 leaves it out. It does not count in the Digest: it is the host's, not the guest's.
	TSCkHz uint64 `json:"-"`
	// Merging says that the host merges equal pages of memory, see HostInfo.
	Merging bool `json:"-"`
	// NICs in the guest's order.
	NICs []NIC `json:"nics"`
	// Disk is the guest's disk, vda; nil for a guest that lives in memory.
	Disk *Disk `json:"disk,omitempty"`
	// Seed is a small volume that tells the guest who it is, vdb, which it only reads; empty for none.
	// libvirt makes it QEMU's user's while the guest runs.
	Seed string `json:"seed,omitempty"`
	// ConsoleLog is the file that keeps what the guest writes on its serial console. Its directory
	// must exist. libvirt's log daemon writes it (mode 0600, root) and rotates it at 2 MiB.
	ConsoleLog string `json:"console_log,omitempty"`
	// GuestAgent adds the port of the QEMU guest agent.
	GuestAgent bool `json:"guest_agent,omitempty"`
	// Emulator is QEMU's path; empty is libvirt's default.
	Emulator string `json:"emulator,omitempty"`
}

// guestSpace is the URL whose version 5 UUID is the name space of GuestUUID.
// Domains carry the result: it must never change.
const guestSpace = "https://kvmlab.org/lab"

// GuestUUID is the UUID of a lab's guest: version 5 (RFC 9562 section 5.5) of
// "<lab>/<guest>" in kvmlab's own name space. Neither name can hold a slash, so
// no two guests share it.
func GuestUUID(lab, guest string) uuid.UUID {
	space := uuid.NewSHA1(uuid.NameSpaceURL, []byte(guestSpace))
	return uuid.NewSHA1(space, []byte(lab+"/"+guest))
}

// Digest identifies what the domain was asked to be. It is stored in the
// ownership mark; a State whose Digest differs was defined from something else.
func (d Domain) Digest() string {
	text, err := json.Marshal(d.normal())
	if err != nil {
		// Every field is a string, a number or has a MarshalText that cannot fail.
		panic(fmt.Sprintf("digest of domain %q: %v", d.Name, err))
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// normal fills the defaults, so that a default written out and one left out
// are the same domain.
func (d Domain) normal() Domain {
	if d.UUID == uuid.Nil {
		d.UUID = GuestUUID(d.Owner.Lab, d.Owner.Guest)
	}
	if d.CPUs == 0 {
		d.CPUs = 1
	}
	return d
}

// Lean reports whether the guest is a kernel and its initramfs and nothing else: it lives in memory, and can be resumed
// from a template.
func (d Domain) Lean() bool { return d.Kernel != "" && d.Disk == nil && d.Seed == "" }

// validate names the first thing that is missing. Names and addresses are
// checked where they are made; libvirt checks the rest.
func (d Domain) validate() error {
	missing := ""
	switch {
	case d.Name == "":
		missing = "name"
	case d.Owner.Lab == "" || d.Owner.Guest == "":
		missing = "owner"
	case d.Machine != MachineMicrovm && d.Machine != MachineQ35:
		missing = "machine"
	case d.Accel != AccelKVM && d.Accel != AccelTCG:
		missing = "acceleration"
	case d.MemoryKiB == 0:
		missing = "memory"
	case d.Kernel == "" && (d.Disk == nil || d.Machine != MachineQ35):
		missing = "kernel, and no disk to boot from"
	}
	if missing != "" {
		return fmt.Errorf("domain %q: %w: no %s", d.Name, ErrIncomplete, missing)
	}
	return nil
}
