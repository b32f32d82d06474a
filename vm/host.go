package vm

import (
	"bufio"
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/digitalocean/go-libvirt"
)

// User is the user and group that libvirt runs QEMU as.
type User struct {
	UID, GID int
}

// HostInfo is what libvirt knows of the host and of its QEMU.
type HostInfo struct {
	// Libvirt and QEMU are versions, as "9.0.0".
	Libvirt, QEMU string
	// Emulator is the path of the QEMU for x86-64 guests.
	Emulator string
	// Microvm and KVM tell what that QEMU offers; whether either works is for ProbeAccel to say.
	Microvm, KVM bool
	// TSCkHz is the frequency of the time stamp counter in kHz. libvirt knows it when it can open
	// /dev/kvm; otherwise it is measured.
	TSCkHz uint64
	// Merging says that the kernel looks for equal pages of memory and keeps them once (KSM).
	Merging bool
	// CPUs is the number of logical CPUs; memory sizes are in KiB. Available is what programs can
	// still get without swapping (MemAvailable in proc(5)).
	CPUs                    int
	MemoryKiB, AvailableKiB uint64
	// QEMUUser is whom QEMU runs as.
	QEMUUser User
}

// readCapabilities is the part of libvirt's capabilities XML that HostInfo holds.
type readCapabilities struct {
	Counters []struct {
		Name string `xml:"name,attr"`
		Hz   uint64 `xml:"frequency,attr"`
	} `xml:"host>cpu>counter"`
	Models []struct {
		Model  string   `xml:"model"`
		Labels []string `xml:"baselabel"`
	} `xml:"host>secmodel"`
	Guests []struct {
		OS   string `xml:"os_type"`
		Arch struct {
			Name     string   `xml:"name,attr"`
			Emulator string   `xml:"emulator"`
			Machines []string `xml:"machine"`
			Domains  []struct {
				Type string `xml:"type,attr"`
			} `xml:"domain"`
		} `xml:"arch"`
	} `xml:"guest"`
}

// Host asks libvirt about the host.
func (c *Conn) Host(ctx context.Context) (HostInfo, error) {
	var h HostInfo
	err := c.call(ctx, func(rpc *libvirt.Libvirt) error {
		text, err := rpc.ConnectGetCapabilities()
		if err != nil {
			return err
		}
		if h, err = parseHost([]byte(text)); err != nil {
			return err
		}
		lib, err := rpc.ConnectGetLibVersion()
		if err != nil {
			return err
		}
		qemu, err := rpc.ConnectGetVersion()
		if err != nil {
			return err
		}
		h.Libvirt, h.QEMU = version(lib), version(qemu)
		_, kib, cpus, _, _, _, _, _, err := rpc.NodeGetInfo()
		h.MemoryKiB, h.CPUs = kib, int(cpus)
		return err
	})
	if err == nil {
		h.AvailableKiB, err = availableKiB("/proc/meminfo")
	}
	if err != nil {
		return HostInfo{}, fmt.Errorf("ask libvirt about the host: %w", err)
	}
	if h.TSCkHz == 0 {
		h.TSCkHz = measureTSC()
	}
	h.Merging, _ = Merging()
	return h, nil
}

// Merging tells whether the kernel keeps equal pages of memory once, and whether it could: a host's administrator
// switches it on (KSM, Documentation/admin-guide/mm/ksm.rst).
func Merging() (on, possible bool) {
	text, err := os.ReadFile("/sys/kernel/mm/ksm/run")
	return strings.TrimSpace(string(text)) == "1", err == nil
}

// parseHost reads libvirt's capabilities.
func parseHost(capabilities []byte) (HostInfo, error) {
	var caps readCapabilities
	if err := xml.Unmarshal(capabilities, &caps); err != nil {
		return HostInfo{}, fmt.Errorf("read capabilities: %w", err)
	}
	h := HostInfo{QEMUUser: caps.qemuUser()}
	for _, counter := range caps.Counters {
		if counter.Name == "tsc" {
			h.TSCkHz = counter.Hz / 1000
		}
	}
	for _, g := range caps.Guests {
		if g.OS != "hvm" || g.Arch.Name != "x86_64" {
			continue
		}
		h.Emulator = g.Arch.Emulator
		h.Microvm = slices.Contains(g.Arch.Machines, MachineMicrovm.String())
		for _, domain := range g.Arch.Domains {
			h.KVM = h.KVM || domain.Type == "kvm"
		}
	}
	return h, nil
}

// qemuUser is whom the DAC security driver runs QEMU as. Without that driver
// it is whoever runs libvirt: a session's own user.
func (caps readCapabilities) qemuUser() User {
	for _, model := range caps.Models {
		if model.Model != "dac" || len(model.Labels) == 0 {
			continue
		}
		if u, ok := parseUser(model.Labels[0]); ok {
			return u
		}
	}
	return User{UID: os.Getuid(), GID: os.Getgid()}
}

// parseUser reads a DAC label, "+64055:+64055".
func parseUser(label string) (User, bool) {
	user, group, _ := strings.Cut(label, ":")
	uid, err1 := strconv.Atoi(strings.TrimPrefix(user, "+"))
	gid, err2 := strconv.Atoi(strings.TrimPrefix(group, "+"))
	return User{UID: uid, GID: gid}, err1 == nil && err2 == nil
}

// version undoes libvirt's packing: major*1000000 + minor*1000 + release.
func version(v uint64) string {
	return fmt.Sprintf("%d.%d.%d", v/1000000, v/1000%1000, v%1000)
}

// availableKiB reads MemAvailable from a file in the format of /proc/meminfo.
func availableKiB(path string) (uint64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if rest, found := strings.CutPrefix(lines.Text(), "MemAvailable:"); found {
			return strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s: no MemAvailable", path)
}
