package vm

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// The structs below are the part of libvirt's domain format that kvmlab
// writes; https://libvirt.org/formatdomain.html describes the whole. Reading
// uses its own, smaller structs (observe.go), because libvirt adds much that
// is of no interest here.

type xmlDomain struct {
	XMLName    xml.Name     `xml:"domain"`
	Type       string       `xml:"type,attr"`
	Name       string       `xml:"name"`
	UUID       string       `xml:"uuid"`
	Title      string       `xml:"title,omitempty"`
	Metadata   *xmlMetadata `xml:"metadata"`
	Memory     xmlMemory    `xml:"memory"`
	Pages      *xmlPages    `xml:"memoryBacking"`
	VCPU       int          `xml:"vcpu"`
	OS         xmlOS        `xml:"os"`
	ACPI       struct{}     `xml:"features>acpi"`
	CPU        *xmlCPU      `xml:"cpu"`
	OnPoweroff string       `xml:"on_poweroff"`
	OnReboot   string       `xml:"on_reboot"`
	OnCrash    string       `xml:"on_crash"`
	Devices    xmlDevices   `xml:"devices"`
	QEMU       string       `xml:"xmlns:qemu,attr"`
	Without    []xmlCap     `xml:"qemu:capabilities>qemu:del"`
	Arguments  *xmlArgs     `xml:"qemu:commandline"`
}

// xmlArgs are arguments of QEMU that libvirt has no word for.
type xmlArgs struct {
	List []xmlArg `xml:"qemu:arg"`
}

type xmlArg struct {
	Value string `xml:"value,attr"`
}

// xmlCap is a capability of QEMU that libvirt is to do without.
type xmlCap struct {
	Name string `xml:"capability,attr"`
}

type xmlMetadata struct {
	Mark xmlMark
}

// xmlMark is the ownership mark. encoding/xml cannot write a prefix by itself,
// so element and attribute carry it in their names.
type xmlMark struct {
	XMLName xml.Name `xml:"kvmlab:guest"`
	NS      string   `xml:"xmlns:kvmlab,attr"`
	Lab     string   `xml:"lab,attr"`
	Guest   string   `xml:"name,attr"`
	Spec    string   `xml:"spec,attr"`
}

type xmlMemory struct {
	Unit string `xml:"unit,attr"`
	KiB  uint64 `xml:",chardata"`
}

type xmlPages struct {
	Source xmlPagesSource `xml:"source"`
	Access xmlPagesAccess `xml:"access"`
}

type xmlPagesSource struct {
	Type string `xml:"type,attr"`
}

type xmlPagesAccess struct {
	Mode string `xml:"mode,attr"`
}

type xmlOS struct {
	Type    xmlOSType `xml:"type"`
	Kernel  string    `xml:"kernel,omitempty"`
	Initrd  string    `xml:"initrd,omitempty"`
	Cmdline string    `xml:"cmdline,omitempty"`
	Boot    *xmlBoot  `xml:"boot"`
}

type xmlBoot struct {
	Dev string `xml:"dev,attr"`
}

type xmlOSType struct {
	Arch    string `xml:"arch,attr"`
	Machine string `xml:"machine,attr"`
	Type    string `xml:",chardata"`
}

type xmlCPU struct {
	Mode    string       `xml:"mode,attr"`
	Match   string       `xml:"match,attr,omitempty"`
	Check   string       `xml:"check,attr"`
	Model   *xmlCPUModel `xml:"model"`
	Feature []xmlFeature `xml:"feature"`
}

type xmlFeature struct {
	Policy string `xml:"policy,attr"`
	Name   string `xml:"name,attr"`
}

type xmlCPUModel struct {
	Fallback string `xml:"fallback,attr"`
	Name     string `xml:",chardata"`
}

type xmlDevices struct {
	Emulator    string          `xml:"emulator,omitempty"`
	Disks       []xmlDisk       `xml:"disk"`
	Controllers []xmlController `xml:"controller"`
	Interfaces  []xmlInterface  `xml:"interface"`
	Serial      xmlSerial       `xml:"serial"`
	Console     xmlSerial       `xml:"console"`
	Channels    []xmlChannel    `xml:"channel"`
	RNG         *xmlRNG         `xml:"rng"`
	Balloon     xmlModel        `xml:"memballoon"`
}

type xmlController struct {
	Type    string      `xml:"type,attr"`
	Index   int         `xml:"index,attr"`
	Model   string      `xml:"model,attr,omitempty"`
	Ports   int         `xml:"ports,attr,omitempty"`
	Address *xmlAddress `xml:"address"`
}

type xmlAddress struct {
	Type string `xml:"type,attr"`
}

type xmlInterface struct {
	Type    string      `xml:"type,attr"`
	MAC     xmlMAC      `xml:"mac"`
	Source  *xmlSocket  `xml:"source"`
	Target  *xmlTap     `xml:"target"`
	Model   xmlNICModel `xml:"model"`
	ROM     *xmlROM     `xml:"rom"`
	Address *xmlAddress `xml:"address"`
}

type xmlMAC struct {
	Address string `xml:"address,attr"`
}

// xmlSocket is where a card of type "server" waits for another. Port 0 is any that is free.
type xmlSocket struct {
	Address string `xml:"address,attr"`
	Port    int    `xml:"port,attr"`
}

type xmlTap struct {
	Dev     string `xml:"dev,attr"`
	Managed string `xml:"managed,attr"`
}

type xmlNICModel struct {
	Type string `xml:"type,attr"`
}

type xmlROM struct {
	Enabled string `xml:"enabled,attr"`
}

type xmlModel struct {
	Model string `xml:"model,attr"`
}

type xmlRNG struct {
	Model   string      `xml:"model,attr"`
	Backend xmlBackend  `xml:"backend"`
	Address *xmlAddress `xml:"address"`
}

type xmlBackend struct {
	Model string `xml:"model,attr"`
	Path  string `xml:",chardata"`
}

type xmlSerial struct {
	Type   string          `xml:"type,attr"`
	Log    *xmlLog         `xml:"log"`
	Target xmlSerialTarget `xml:"target"`
}

type xmlLog struct {
	File   string `xml:"file,attr"`
	Append string `xml:"append,attr"`
}

type xmlSerialTarget struct {
	Type string `xml:"type,attr"`
	Port int    `xml:"port,attr"`
}

type xmlChannel struct {
	Type   string           `xml:"type,attr"`
	Source xmlChannelSource `xml:"source"`
	Target xmlChannelTarget `xml:"target"`
}

type xmlChannelSource struct {
	Mode string `xml:"mode,attr"`
}

type xmlChannelTarget struct {
	Type string `xml:"type,attr"`
	Name string `xml:"name,attr"`
}

// XML renders the domain for libvirt. Its errors are of the domain itself (an
// incomplete one).
func (d Domain) XML() ([]byte, error) {
	if err := d.validate(); err != nil {
		return nil, err
	}
	return d.xml().text()
}

// serialPorts is how many virtio-serial ports there may be: ours, and the one of number 0, which is kept for consoles.
// The guest makes two queues for each that may be, of QEMU's default 31.
const serialPorts = 5

const (
	qemuNamespace = "http://libvirt.org/schemas/domain/qemu/1.0"
	// slowFeatures is the capability by which libvirt asks QEMU for each of the processor's four hundred features by
	// itself as soon as it runs (qemuMonitorJSONGetGuestCPU, one qom-get after another), which takes a third of what a
	// resumed guest needs until it has its lease. Without it libvirt asks for all at once. A libvirt that has no other
	// way any more knows the name and is as slow.
	slowFeatures = "cpu-unavailable-features"
)

// xml is the domain as libvirt wants to have it written.
func (d Domain) xml() xmlDomain {
	d = d.normal()
	return xmlDomain{
		QEMU: qemuNamespace, Without: []xmlCap{{slowFeatures}},
		Type:  map[Accel]string{AccelKVM: "kvm", AccelTCG: "qemu"}[d.Accel],
		Name:  d.Name,
		UUID:  d.UUID.String(),
		Title: d.Title,
		Metadata: &xmlMetadata{xmlMark{
			NS: MetadataURI, Lab: d.Owner.Lab, Guest: d.Owner.Guest, Spec: d.Digest(),
		}},
		Memory:     xmlMemory{Unit: "KiB", KiB: d.MemoryKiB},
		Pages:      d.pages(),
		VCPU:       d.CPUs,
		OS:         d.os(),
		CPU:        d.cpu(),
		OnPoweroff: "destroy", OnReboot: "restart", OnCrash: "destroy",
		Devices:   d.devices(),
		Arguments: d.arguments(),
	}
}

func (x xmlDomain) text() ([]byte, error) {
	out, err := xml.MarshalIndent(x, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("render domain %q: %w", x.Name, err)
	}
	return append(out, '\n'), nil
}

// pages asks for memory that is taken page by page. What QEMU takes by itself comes in huge pages, whose rest a small
// guest never uses: resumed from a template it would have 45 MiB more, and the host would spend longer on clearing them
// than on the guest. Where the host merges equal pages it is left at that, though: it only looks at private memory.
func (d Domain) pages() *xmlPages {
	if !d.Lean() || d.Merging {
		return nil
	}
	return &xmlPages{xmlPagesSource{"memfd"}, xmlPagesAccess{"shared"}}
}

// arguments switches the timer chip (i8253) of an emulated microvm off. The kernel leaves it as it was at the start, and
// QEMU serves it 36 times a second for as long as the guest runs, which is half of what an idle guest costs.
func (d Domain) arguments() *xmlArgs {
	if d.Machine != MachineMicrovm || d.Accel != AccelTCG {
		return nil
	}
	return &xmlArgs{[]xmlArg{{"-machine"}, {"pit=off"}}}
}

// os is how the guest starts: with a kernel of ours, or from its disk.
func (d Domain) os() xmlOS {
	x := xmlOS{Type: xmlOSType{Arch: "x86_64", Machine: d.Machine.String(), Type: "hvm"}}
	if d.Kernel == "" {
		x.Boot = &xmlBoot{Dev: "hd"}
		return x
	}
	x.Kernel, x.Initrd, x.Cmdline = d.Kernel, d.Initrd, kernelArgs(d.Cmdline, d.Accel, d.TSCkHz)
	return x
}

// cpu is the host's own CPU under KVM. Under TCG it is QEMU's basic model,
// named so that it does not change with libvirt's default: it boots a little
// faster than "max", whose extra features are all emulated. A system that was
// not made for it may need these: some distributions' programs run on
// x86-64-v2 and later only.
func (d Domain) cpu() *xmlCPU {
	if d.Accel == AccelKVM {
		return &xmlCPU{Mode: "host-passthrough", Check: "none"}
	}
	if d.Kernel == "" {
		return &xmlCPU{Mode: "maximum", Check: "none"}
	}
	return &xmlCPU{
		Mode: "custom", Match: "exact", Check: "none",
		Model:   &xmlCPUModel{Fallback: "forbid", Name: tcgCPU},
		Feature: []xmlFeature{{Policy: "require", Name: tcgRandom}, {Policy: "require", Name: tcgTimer}},
	}
}

const (
	// tcgCPU is the CPU model of guests without hardware virtualisation.
	tcgCPU = "qemu64"
	// tcgRandom is the instruction that gives the guest's kernel the host's randomness before its first program
	// starts. Without it a program that needs some waits for a second or more until the kernel has gathered it.
	tcgRandom = "rdrand"
	// tcgTimer promises that the local APIC's timer never stops. Without the promise, and with no other timer in a
	// microvm to stand in, Linux dares not switch the periodic tick off (tick_is_oneshot_available): 250 interrupts a
	// second keep an idle guest at 4 % of a processor.
	tcgTimer = "arat"
)

// devices is the shortest list that makes a lab guest: each device costs
// start-up time in QEMU, in the firmware and in the guest's kernel. USB and
// the balloon are named to keep libvirt from adding them.
func (d Domain) devices() xmlDevices {
	serial := xmlSerial{Type: "pty", Target: xmlSerialTarget{Type: "isa-serial"}}
	if d.ConsoleLog != "" {
		serial.Log = &xmlLog{File: d.ConsoleLog, Append: "on"}
	}
	devices := xmlDevices{
		Emulator: d.Emulator,
		Controllers: []xmlController{
			{Type: "usb", Model: "none"},
			{Type: "virtio-serial", Ports: serialPorts, Address: d.address()},
		},
		Serial:  serial,
		Console: xmlSerial{Type: "pty", Target: xmlSerialTarget{Type: "serial"}},
		// The socket's path is left to libvirt: it makes a private directory for each start.
		Channels: []xmlChannel{port(IdentityPort)},
		Balloon:  xmlModel{Model: "none"},
	}
	if d.GuestAgent {
		devices.Channels = append(devices.Channels, port(AgentPort))
	}
	if d.Kernel != "" {
		// A system that is not ours does not know of them.
		devices.Channels = append(devices.Channels, port(WindowPort), port(DataPort))
	}
	if d.Lean() {
		devices.RNG = &xmlRNG{Model: "virtio", Backend: xmlBackend{Model: "random", Path: "/dev/urandom"}, Address: d.address()}
	}
	devices.Disks = d.disks()
	for _, nic := range d.NICs {
		devices.Interfaces = append(devices.Interfaces, d.nic(nic))
	}
	return devices
}

// nic is a virtio card on a tap that somebody else made: managed='no' keeps
// libvirt from creating it, and from taking it down at the end.
func (d Domain) nic(n NIC) xmlInterface {
	x := xmlInterface{
		Type:    "ethernet",
		MAC:     xmlMAC{Address: n.MAC.String()},
		Target:  &xmlTap{Dev: n.Tap, Managed: "no"},
		Model:   xmlNICModel{Type: "virtio"},
		Address: d.address(),
	}
	if d.Machine == MachineQ35 {
		// Guests boot from their kernel: loading the network boot ROM is time lost.
		x.ROM = &xmlROM{Enabled: "no"}
	}
	return x
}

// address is where a virtio device sits: microvm has no PCI bus, and libvirt
// does not work that out by itself.
func (d Domain) address() *xmlAddress {
	if d.Machine == MachineMicrovm {
		return &xmlAddress{Type: "virtio-mmio"}
	}
	return nil
}

// port is a virtio-serial port whose host side is a UNIX socket on which QEMU
// listens.
func port(name string) xmlChannel {
	return xmlChannel{
		Type:   "unix",
		Source: xmlChannelSource{Mode: "bind"},
		Target: xmlChannelTarget{Type: "virtio", Name: name},
	}
}

// kernelArgs adds to a command line what depends on the host: under TCG a
// guest's time stamp counter is the host's, and a guest that is told its
// frequency need not measure it, which on a busy host can take for ever. It is
// also told that the counter is good: measured against the timer's interrupts,
// which come late on a busy host, it would be given up for these, and the clock
// would be wrong. Code against the leaks of real processors (Spectre and its kin)
// is left out: an emulated one has none of them, and a tenth of the time goes there.
func kernelArgs(cmdline string, accel Accel, tscKHz uint64) string {
	if accel != AccelTCG {
		return cmdline
	}
	if !strings.Contains(cmdline, "mitigations=") {
		cmdline += " mitigations=off"
	}
	if tscKHz != 0 && !strings.Contains(cmdline, "tsc_early_khz=") {
		cmdline += fmt.Sprintf(" tsc=reliable tsc_early_khz=%d", tscKHz)
	}
	return strings.TrimSpace(cmdline)
}
