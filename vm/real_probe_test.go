package vm_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/vm"
)

// realProbe are the options of a first `kvmlab up` on this machine.
func (l *lab) realProbe(t *testing.T) vm.ProbeOptions {
	t.Helper()
	kernel, initrd := testImage(t)
	return vm.ProbeOptions{
		Emulator: l.host.Emulator, QEMUVersion: l.host.QEMU, Kernel: kernel, Initrd: initrd,
		Cmdline: "console=ttyS0 quiet", MemoryKiB: 128 << 10, TSCkHz: l.host.TSCkHz, User: l.host.QEMUUser,
	}
}

// On a machine whose /dev/kvm opens and runs no guest this takes the trial
// boots that a first `kvmlab up` makes.
func TestRealProbe(t *testing.T) {
	l := newLab(t)
	begin := time.Now()
	v, err := vm.ProbeAccel(limit(t), l.realProbe(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v after %v", v, time.Since(begin).Round(time.Millisecond))
	if err := vm.CheckKVM(vm.DefaultKVM, l.host.QEMUUser); (err == nil) != (v.KVM == vm.KVMUsable || v.KVM == vm.KVMBroken) {
		t.Errorf("CheckKVM = %v", err)
	}
	if v.Machine != vm.MachineMicrovm || (v.Accel == vm.AccelKVM) != (v.KVM == vm.KVMUsable) || (v.Reason == "") != (v.Accel == vm.AccelKVM) {
		t.Errorf("verdict %+v", v)
	}
}

// TestRealProbeHangs: a KVM that opens, takes a guest, and never gets through its first instructions. On a machine whose
// KVM lacks one register, a guest that is not told of it starts, and hangs so. It is given up when a guest without KVM has
// booted; where KVM works, that one works, too.
func TestRealProbeHangs(t *testing.T) {
	l := newLab(t)
	o := l.realProbe(t)
	if err := vm.CheckKVM(vm.DefaultKVM, o.User); err != nil {
		t.Skipf("there is no KVM to hang: %v", err)
	}
	dir, err := os.MkdirTemp("/run", "qemu-") //nolint:usetesting // QEMU's user goes there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/bash\nfor a; do [[ $a != host ]] || a=host,-arch-capabilities; b+=(\"$a\"); done\nexec " + o.Emulator + " \"${b[@]}\"\n"
	o.Emulator = filepath.Join(dir, "qemu")
	writeFile(t, o.Emulator, script, 0o755)
	begin := time.Now()
	v, err := vm.ProbeAccel(limit(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v after %v", v, time.Since(begin).Round(time.Millisecond))
	if v.Assumed || v.Machine != vm.MachineMicrovm || v.KVM == vm.KVMBroken && strings.Contains(v.Reason, "q35") {
		t.Errorf("verdict %+v", v)
	}
}
