package vm

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"

	"github.com/kvmlab/kvmlab/macgen"
)

// State is a domain as libvirt has it, kvmlab's or not. For a running guest it
// is what runs, not what is defined for the next start.
type State struct {
	Name string
	UUID uuid.UUID
	Run  RunState
	// Owner is whose the domain is, when Owned: it carries kvmlab's mark.
	Owner Owner
	Owned bool
	// Digest is the mark's, see Domain.Digest.
	Digest    string
	Machine   Machine
	Accel     Accel
	MemoryKiB uint64
	CPUs      int
	Kernel    string
	Initrd    string
	// Disk is the file behind the guest's first disk; empty when it has none.
	Disk string
	// NICs without their names, which only the guest knows.
	NICs       []NIC
	ConsoleLog string
	// Channel is the host's end of the guest's org.kvmlab.id port while it runs; ChannelOpen tells that a
	// program in the guest has opened the other.
	Channel     string
	ChannelOpen bool
	// Window is that of its org.kvmlab.tty port; empty when it has none.
	Window string
	// Data is that of its org.kvmlab.data port; empty when it has none.
	Data string
	// Agent is the host's end of the guest agent's port while it runs; AgentOpen tells that a program in
	// the guest has opened the other.
	Agent     string
	AgentOpen bool
}

// readDomain is the part of libvirt's domain XML that State holds.
type readDomain struct {
	Type string `xml:"type,attr"`
	Name string `xml:"name"`
	UUID string `xml:"uuid"`
	Meta struct {
		// The name space is MetadataURI; a tag cannot name a constant.
		Mark *readMark `xml:"https://github.com/kvmlab/kvmlab/xmlns/guest/1 guest"`
	} `xml:"metadata"`
	// libvirt writes every memory size in KiB, whatever the unit was when it was defined.
	Memory  uint64 `xml:"memory"`
	VCPU    int    `xml:"vcpu"`
	Machine struct {
		Name string `xml:"machine,attr"`
	} `xml:"os>type"`
	Kernel string `xml:"os>kernel"`
	Initrd string `xml:"os>initrd"`
	Disks  []struct {
		Source struct {
			File string `xml:"file,attr"`
		} `xml:"source"`
	} `xml:"devices>disk"`
	Interfaces []readInterface `xml:"devices>interface"`
	Serial     []struct {
		Log xmlLog `xml:"log"`
	} `xml:"devices>serial"`
	Channels []readChannel `xml:"devices>channel"`
}

// readMark is the ownership mark that xmlMark wrote.
type readMark struct {
	Lab   string `xml:"lab,attr"`
	Guest string `xml:"name,attr"`
	Spec  string `xml:"spec,attr"`
}

type readInterface struct {
	MAC    xmlMAC `xml:"mac"`
	Target struct {
		Dev string `xml:"dev,attr"`
	} `xml:"target"`
}

type readChannel struct {
	Source struct {
		Path string `xml:"path,attr"`
	} `xml:"source"`
	Target struct {
		Name  string `xml:"name,attr"`
		State string `xml:"state,attr"`
	} `xml:"target"`
}

// ParseState reads a domain's XML as libvirt writes it. Run stays unknown: the
// XML does not hold it.
func ParseState(domainXML []byte) (State, error) {
	var d readDomain
	if err := xml.Unmarshal(domainXML, &d); err != nil {
		return State{}, fmt.Errorf("read domain XML: %w", err)
	}
	id, err := uuid.Parse(d.UUID)
	if err != nil {
		return State{}, fmt.Errorf("read domain XML: uuid of %q: %w", d.Name, err)
	}
	s := State{
		Name: d.Name, UUID: id, MemoryKiB: d.Memory, CPUs: d.VCPU,
		Kernel: d.Kernel, Initrd: d.Initrd,
		Accel:   map[string]Accel{"kvm": AccelKVM, "qemu": AccelTCG}[d.Type],
		Machine: machineOf(d.Machine.Name),
	}
	if mark := d.Meta.Mark; mark != nil {
		s.Owned = true
		s.Owner = Owner{Lab: mark.Lab, Guest: mark.Guest}
		s.Digest = mark.Spec
	}
	if len(d.Disks) > 0 {
		s.Disk = d.Disks[0].Source.File
	}
	for _, i := range d.Interfaces {
		// A foreign domain may hold anything; a card without a readable address has the zero MAC.
		mac, _ := macgen.Parse(i.MAC.Address)
		s.NICs = append(s.NICs, NIC{Tap: i.Target.Dev, MAC: mac})
	}
	if len(d.Serial) > 0 {
		s.ConsoleLog = d.Serial[0].Log.File
	}
	for _, ch := range d.Channels {
		switch ch.Target.Name {
		case IdentityPort:
			s.Channel, s.ChannelOpen = ch.Source.Path, ch.Target.State == "connected"
		case WindowPort:
			s.Window = ch.Source.Path
		case DataPort:
			s.Data = ch.Source.Path
		case AgentPort:
			s.Agent, s.AgentOpen = ch.Source.Path, ch.Target.State == "connected"
		}
	}
	return s, nil
}

// machineOf undoes libvirt's expansion of "q35" to a versioned name such as
// "pc-q35-7.2". Other machines are unknown, the zero value.
func machineOf(name string) Machine {
	switch {
	case name == MachineMicrovm.String():
		return MachineMicrovm
	case name == MachineQ35.String() || strings.HasPrefix(name, "pc-q35-"):
		return MachineQ35
	default:
		return 0
	}
}

// runOf maps virDomainState.
func runOf(state int32) RunState {
	return map[libvirt.DomainState]RunState{
		libvirt.DomainRunning: RunRunning,
		// "Blocked" is Xen's word for a guest that waits.
		libvirt.DomainBlocked:     RunRunning,
		libvirt.DomainPaused:      RunPaused,
		libvirt.DomainShutdown:    RunShutdown,
		libvirt.DomainShutoff:     RunShutoff,
		libvirt.DomainCrashed:     RunCrashed,
		libvirt.DomainPmsuspended: RunSuspended,
	}[libvirt.DomainState(state)]
}

// Domains observes every domain of the daemon, in libvirt's order, foreign
// ones included. One that vanishes meanwhile is left out.
func (c *Conn) Domains(ctx context.Context) ([]State, error) {
	var states []State
	err := c.call(ctx, func(rpc *libvirt.Libvirt) error {
		all := libvirt.ConnectListDomainsActive | libvirt.ConnectListDomainsInactive
		domains, _, err := rpc.ConnectListAllDomains(1, all)
		if err != nil {
			return err
		}
		for _, d := range domains {
			s, err := stateOf(rpc, d)
			if hasCode(err, libvirt.ErrNoDomain) {
				continue
			}
			if err != nil {
				return fmt.Errorf("domain %q: %w", d.Name, err)
			}
			states = append(states, s)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	return states, nil
}

// Domain observes one domain. Errors: ErrNotFound.
func (c *Conn) Domain(ctx context.Context, name string) (State, error) {
	var s State
	err := c.call(ctx, func(rpc *libvirt.Libvirt) error {
		var err error
		_, s, err = lookup(rpc, name)
		return err
	})
	if err != nil {
		return State{}, fmt.Errorf("look at domain %q: %w", name, err)
	}
	return s, nil
}

// lookup finds a domain by name, with its state.
func lookup(rpc *libvirt.Libvirt, name string) (libvirt.Domain, State, error) {
	d, err := rpc.DomainLookupByName(name)
	if err != nil {
		return d, State{}, err
	}
	s, err := stateOf(rpc, d)
	return d, s, err
}

// owned is lookup for a caller who is about to change the domain: one without
// kvmlab's mark is a ForeignError.
func owned(rpc *libvirt.Libvirt, name string) (libvirt.Domain, State, error) {
	d, s, err := lookup(rpc, name)
	if err == nil && !s.Owned {
		err = &ForeignError{Domain: name}
	}
	return d, s, err
}

// stateOf observes one domain: its XML and its state are two calls, so a
// domain that stops in between may show its live socket beside "shutoff".
func stateOf(rpc *libvirt.Libvirt, d libvirt.Domain) (State, error) {
	text, err := rpc.DomainGetXMLDesc(d, 0)
	if err != nil {
		return State{}, err
	}
	s, err := ParseState([]byte(text))
	if err != nil {
		return State{}, err
	}
	run, _, err := rpc.DomainGetState(d, 0)
	s.Run = runOf(run)
	return s, err
}
