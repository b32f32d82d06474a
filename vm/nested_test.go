package vm_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/vm"
)

// envNested is set where the test runs inside of the machine that TestRealSlowKVM makes, and, on the machine itself, by
// whoever has two minutes for that test.
const envNested = "KVMLAB_NESTED"

// TestRealSlowKVM boots a machine whose processor, AMD's SVM and all, is emulated. In it KVM is real, and a hundred times
// slower than on a PC. The probe runs there, and accepts it.
func TestRealSlowKVM(t *testing.T) {
	if os.Getenv(envNested) != "1" {
		t.Skipf("set %s=1: it takes two minutes of two processors", envNested)
	}
	nstest.RequireCommand(t, "qemu-system-x86_64", "busybox", "ldd")
	kernel, initrd := testImage(t)
	disk := filepath.Join(t.TempDir(), "initrd.cpio")
	packMachine(t, disk, kernel, initrd)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048M",
		"-kernel", kernel, "-initrd", disk, "-append", "console=ttyS0 quiet mitigations=off",
		"-chardev", "stdio,id=serial,signal=off", "-device", "isa-serial,chardev=serial")
	serial, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	passed := false
	for lines := bufio.NewScanner(serial); lines.Scan() && !strings.Contains(lines.Text(), "the test has ended"); {
		t.Log(lines.Text())
		passed = passed || strings.HasPrefix(lines.Text(), "--- PASS: TestProbeInside")
	}
	if !passed {
		t.Error("it was not accepted")
	}
	cancel()
	_ = cmd.Wait() // it was killed
}

// TestProbeInside is what runs in that machine.
func TestProbeInside(t *testing.T) {
	if os.Getenv(envNested) != "inside" {
		t.Skip("it runs inside of the machine of TestRealSlowKVM")
	}
	begin := time.Now()
	v, err := vm.ProbeAccel(t.Context(), vm.ProbeOptions{
		Emulator: "/usr/bin/qemu-system-x86_64", Kernel: "/image/kernel", Initrd: "/image/initrd",
		Cmdline: "console=ttyS0 quiet", MemoryKiB: 128 << 10, CacheFile: "/accel.json",
	})
	took := time.Since(begin)
	t.Logf("%+v, %v after %v", v, err, took.Round(time.Second))
	if err != nil || v.KVM != vm.KVMUsable {
		t.Error("a KVM that works was refused")
	}
}

// packMachine writes the machine's whole file system: busybox, KVM's modules, QEMU, this test, and the image to try.
func packMachine(t *testing.T, to, kernel, initrd string) {
	t.Helper()
	file, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(file)
	p := &packer{t: t, w: cpio.NewWriter(out), made: map[string]bool{}}
	p.add("init", 0o755, []byte(`#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for module in irqbypass kvm kvm-amd; do insmod /modules/$module.ko; done
cd /tmp; TMPDIR=/tmp `+envNested+`=inside /vm.test -test.v -test.run '^TestProbeInside$'
echo the test has ended
sleep 1000
`))
	for _, dir := range []string{"proc", "sys", "dev", "tmp", "etc"} {
		p.dir(dir)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	p.copy("bin/busybox", busybox)
	p.program("vm.test", self)
	p.program("usr/bin/qemu-system-x86_64", "/usr/bin/qemu-system-x86_64")
	p.copy("image/kernel", kernel)
	p.copy("image/initrd", initrd)
	for _, pattern := range []string{"/usr/share/qemu/*.bin", "/usr/share/qemu/*.rom", "/usr/share/seabios/*.bin"} {
		roms, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, rom := range roms {
			p.copy(rom[1:], rom)
		}
	}
	p.modules("irqbypass.ko", "kvm.ko", "kvm-amd.ko")
	if err := errors.Join(p.w.Close(), out.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// packer writes an initramfs.
type packer struct {
	t    *testing.T
	w    *cpio.Writer
	made map[string]bool
}

func (p *packer) write(h *cpio.Header, content []byte) {
	p.t.Helper()
	if err := p.w.WriteHeader(h); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.w.Write(content); err != nil {
		p.t.Fatal(err)
	}
}

func (p *packer) dir(name string) {
	p.t.Helper()
	if name == "." || p.made[name] {
		return
	}
	p.made[name] = true
	p.dir(path.Dir(name))
	p.write(&cpio.Header{Name: name, Mode: cpio.TypeDir | 0o755}, nil)
}

func (p *packer) add(name string, mode cpio.FileMode, content []byte) {
	p.t.Helper()
	if p.made[name] {
		return
	}
	p.made[name] = true
	p.dir(path.Dir(name))
	p.write(&cpio.Header{Name: name, Mode: cpio.TypeReg | mode, Size: int64(len(content))}, content)
}

func (p *packer) copy(name, from string) {
	p.t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		p.t.Fatal(err)
	}
	p.add(name, 0o755, content)
}

// program copies a program and the libraries that ldd names.
func (p *packer) program(name, from string) {
	p.t.Helper()
	p.copy(name, from)
	out, err := exec.CommandContext(p.t.Context(), "ldd", from).CombinedOutput()
	if err != nil && !bytes.Contains(out, []byte("not a dynamic executable")) {
		p.t.Fatalf("ldd %s: %v: %s", from, err, out)
	}
	for _, lib := range regexp.MustCompile(`(/\S+) \(0x`).FindAllSubmatch(out, -1) {
		p.copy(string(lib[1][1:]), string(lib[1]))
	}
}

// modules takes modules out of the kernel's package, which the image store keeps.
func (p *packer) modules(names ...string) {
	p.t.Helper()
	debs, err := filepath.Glob(filepath.Join(state.DirsFromEnv(os.Getenv).ImagesDir(), "debs", "linux-image-6*.deb"))
	if err != nil || len(debs) == 0 {
		p.t.Fatalf("no package of the kernel: %v", err)
	}
	out, err := exec.CommandContext(p.t.Context(), "dpkg-deb", "--fsys-tarfile", debs[0]).Output()
	if err != nil {
		p.t.Fatal(err)
	}
	for r := tar.NewReader(bytes.NewReader(out)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.t.Fatal(err)
		}
		for _, name := range names {
			if path.Base(h.Name) == name {
				content, err := io.ReadAll(r)
				if err != nil {
					p.t.Fatal(fmt.Errorf("%s: %w", h.Name, err))
				}
				p.add("modules/"+name, 0o644, content)
			}
		}
	}
}
