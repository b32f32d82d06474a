package vm_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/vm"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// server is a domain that uses everything.
func server() vm.Domain {
	return vm.Domain{
		Name: "three-taps-server", Owner: vm.Owner{Lab: "three-taps", Guest: "server"},
		Title:   "server of the lab <three-taps> & friends",
		Machine: vm.MachineMicrovm, Accel: vm.AccelTCG, MemoryKiB: 131072, CPUs: 2,
		Kernel: "/images/vmlinuz", Initrd: "/images/initrd", Cmdline: "console=ttyS0 quiet", TSCkHz: 2596096,
		NICs: []vm.NIC{
			{Name: "eth0", Tap: "tap1", MAC: macgen.MAC{2, 0, 0, 0, 0, 1}},
			{Name: "eth1", Tap: "tap2", MAC: macgen.MAC{2, 0, 0, 0, 0, 2}},
		},
		ConsoleLog: "/state/console/server.log", GuestAgent: true,
	}
}

// plain is a domain that uses as little as can be.
func plain() vm.Domain {
	return vm.Domain{
		Name: "l-pc1", UUID: uuid.MustParse("11111111-2222-4333-8444-555555555555"), Owner: vm.Owner{Lab: "l", Guest: "pc1"},
		Machine: vm.MachineQ35, Accel: vm.AccelKVM, MemoryKiB: 98304, Kernel: "/images/vmlinuz",
		NICs: []vm.NIC{{Name: "eth0", Tap: "tap1", MAC: macgen.MAC{2, 0, 0, 0, 0, 1}}},
	}
}

func TestXML(t *testing.T) {
	q35tcg := server()
	q35tcg.Machine = vm.MachineQ35
	q35tcg.Emulator = "/opt/qemu/bin/qemu-system-x86_64"
	disk := server()
	disk.Disk = &vm.Disk{Path: "/state/disks/server.qcow2", Base: "/images/debian/0123/disk.qcow2"}
	bios := server()
	bios.Machine, bios.Kernel, bios.Initrd, bios.Cmdline = vm.MachineQ35, "", "", ""
	bios.Disk, bios.Seed = disk.Disk, "/state/disks/server.seed"
	merging := server()
	merging.Merging = true
	for name, d := range map[string]vm.Domain{
		"microvm-merging": merging, "microvm-tcg": server(), "microvm-disk": disk, "q35-kvm": plain(), "q35-tcg": q35tcg, "q35-bios": bios,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := d.XML()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".xml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("XML differs from %s (-want +got):\n%s", file, diff)
			}
		})
	}
}

func TestXMLIncomplete(t *testing.T) {
	for name, spoil := range map[string]func(*vm.Domain){
		"name":         func(d *vm.Domain) { d.Name = "" },
		"lab":          func(d *vm.Domain) { d.Owner.Lab = "" },
		"guest":        func(d *vm.Domain) { d.Owner.Guest = "" },
		"machine":      func(d *vm.Domain) { d.Machine = 0 },
		"acceleration": func(d *vm.Domain) { d.Accel = 7 },
		"memory":       func(d *vm.Domain) { d.MemoryKiB = 0 },
		"kernel":       func(d *vm.Domain) { d.Kernel = "" },
		"BIOS":         func(d *vm.Domain) { d.Kernel, d.Disk = "", &vm.Disk{Path: "/disk"} },
	} {
		t.Run(name, func(t *testing.T) {
			d := server()
			spoil(&d)
			if _, err := d.XML(); !errors.Is(err, vm.ErrIncomplete) {
				t.Errorf("XML() = %v, want ErrIncomplete", err)
			}
		})
	}
}

// What is written must be read back, mark included.
func TestParseStateOfXML(t *testing.T) {
	d := server()
	text, err := d.XML()
	if err != nil {
		t.Fatal(err)
	}
	got, err := vm.ParseState(text)
	if err != nil {
		t.Fatal(err)
	}
	want := vm.State{
		Name: d.Name, UUID: vm.GuestUUID("three-taps", "server"), Owner: d.Owner, Owned: true, Digest: d.Digest(),
		Machine: d.Machine, Accel: d.Accel, MemoryKiB: d.MemoryKiB, CPUs: 2, Kernel: d.Kernel, Initrd: d.Initrd,
		NICs: []vm.NIC{{Tap: "tap1", MAC: d.NICs[0].MAC}, {Tap: "tap2", MAC: d.NICs[1].MAC}}, ConsoleLog: d.ConsoleLog,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state differs (-want +got):\n%s", diff)
	}
}

// The files are libvirt's own XML: of a running guest, and of domains that
// only look like ours.
func TestParseStateOfLibvirt(t *testing.T) {
	for name, want := range map[string]vm.State{
		"libvirt-running.xml": {
			Name: "lab-pc1", UUID: uuid.MustParse("528423d9-ee54-5f11-8108-a5b47b4cb9c0"),
			Owner: vm.Owner{Lab: "lab", Guest: "pc1"}, Owned: true, Digest: "sha256:01",
			Machine: vm.MachineQ35, Accel: vm.AccelTCG, MemoryKiB: 131072, CPUs: 1,
			Kernel: "/images/vmlinuz", Initrd: "/images/initrd", NICs: []vm.NIC{{Tap: "tap1", MAC: macgen.MAC{2, 0, 0, 0, 0, 1}}},
			ConsoleLog: "/state/pc1.log",
			Channel:    "/var/lib/libvirt/qemu/channel/target/domain-1-lab-pc1/org.kvmlab.id",
			Agent:      "/var/lib/libvirt/qemu/channel/target/domain-1-lab-pc1/org.qemu.guest_agent.0",
		},
		"libvirt-foreign.xml": {
			Name: "debian12", UUID: uuid.MustParse("11111111-2222-4333-8444-555555555555"),
			MemoryKiB: 4194304, CPUs: 4, Accel: vm.AccelKVM, NICs: []vm.NIC{{MAC: macgen.MAC{0x52, 0x54, 0, 1, 2, 3}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			got, err := vm.ParseState(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("state differs (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseState(f *testing.F) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := vm.ParseState(text)
		if err == nil && s.Owned && !bytes.Contains(text, []byte(vm.MetadataURI)) {
			t.Errorf("owned without the mark: %+v", s)
		}
	})
}

func TestDigest(t *testing.T) {
	base := server()
	same := map[string]func(*vm.Domain){
		"the host's clock rate": func(d *vm.Domain) { d.TSCkHz = 1 },
		"a default spelled out": func(d *vm.Domain) { d.UUID = vm.GuestUUID("three-taps", "server") },
	}
	other := map[string]func(*vm.Domain){
		"memory": func(d *vm.Domain) { d.MemoryKiB++ },
		"tap":    func(d *vm.Domain) { d.NICs = []vm.NIC{d.NICs[0], {Name: "eth1", Tap: "tap9", MAC: d.NICs[1].MAC}} },
		"order":  func(d *vm.Domain) { d.NICs = []vm.NIC{d.NICs[1], d.NICs[0]} },
		"accel":  func(d *vm.Domain) { d.Accel = vm.AccelKVM },
		"kernel": func(d *vm.Domain) { d.Kernel += "2" },
		"owner":  func(d *vm.Domain) { d.Owner.Guest = "pc1" },
	}
	for name, change := range same {
		d := server()
		if change(&d); d.Digest() != base.Digest() {
			t.Errorf("%s changes the digest", name)
		}
	}
	for name, change := range other {
		d := server()
		if change(&d); d.Digest() == base.Digest() {
			t.Errorf("%s does not change the digest", name)
		}
	}
}

func TestGuestUUID(t *testing.T) {
	// Domains on users' machines carry this value: it must never change.
	if got := vm.GuestUUID("three-taps", "pc1").String(); got != "d765e704-86b1-5774-bf5f-f3306b84617e" {
		t.Errorf("GuestUUID(three-taps, pc1) = %s", got)
	}
	name := rapid.StringMatching(`[a-z][a-z0-9-]{0,20}`)
	rapid.Check(t, func(t *rapid.T) {
		lab, guest := name.Draw(t, "lab"), name.Draw(t, "guest")
		id := vm.GuestUUID(lab, guest)
		if id.Version() != 5 || id.Variant() != uuid.RFC4122 {
			t.Fatalf("GuestUUID(%q, %q) = %v, version %v variant %v", lab, guest, id, id.Version(), id.Variant())
		}
		if other := name.Draw(t, "other"); other != guest && vm.GuestUUID(lab, other) == id {
			t.Fatalf("%q and %q share %v", guest, other, id)
		}
	})
}

// Names with any characters must survive XML.
func TestXMLEscapes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := plain()
		d.Owner.Guest = rapid.StringMatching(`[ -~]{1,20}`).Draw(t, "guest")
		d.ConsoleLog = "/" + rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "log")
		text, err := d.XML()
		if err != nil {
			t.Fatal(err)
		}
		s, err := vm.ParseState(text)
		if err != nil || s.Owner != d.Owner || s.ConsoleLog != d.ConsoleLog {
			t.Fatalf("%+v, %v read back from %+v", s, err, d)
		}
	})
}

func TestKinds(t *testing.T) {
	if m, err := vm.ParseMachine("q35"); m != vm.MachineQ35 || err != nil {
		t.Errorf("ParseMachine(q35) = %v, %v", m, err)
	}
	if _, err := vm.ParseAccel("auto"); err == nil {
		t.Error("ParseAccel(auto) has no error")
	}
	if got, err := vm.Accel(0).MarshalText(); err != nil || len(got) != 0 {
		t.Errorf("the zero Accel is %q, %v", got, err)
	}
	var a vm.Accel
	if err := a.UnmarshalText([]byte("tcg")); err != nil || a != vm.AccelTCG {
		t.Errorf("UnmarshalText(tcg) = %v, %v", a, err)
	}
	if got := vm.Machine(0).String(); got != "Machine(0)" {
		t.Errorf("the zero Machine is %q", got)
	}
}
