package vm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/vm"
)

// What QEMU does on hosts that are not at hand is played by a shell script,
// which sees QEMU's arguments as $*.

// probe is a set of options whose QEMU is a script and whose KVM is a file.
func probe(t *testing.T, script string) vm.ProbeOptions {
	t.Helper()
	dir := t.TempDir()
	o := vm.ProbeOptions{
		Emulator: filepath.Join(dir, "qemu"), QEMUVersion: "7.2.0", MemoryKiB: 128 << 10,
		Kernel: "/images/vmlinuz", Initrd: "/images/initrd", Cmdline: "console=ttyS0", TSCkHz: 1000,
		User: vm.User{UID: os.Getuid(), GID: os.Getgid()}, KVMDevice: filepath.Join(dir, "kvm"),
		CacheFile: filepath.Join(dir, "accel.json"),
	}
	writeFile(t, o.KVMDevice, "", 0o666)
	useScript(t, o, script)
	return o
}

// useScript makes script the probe's QEMU. Each run adds a line to a file, see runs.
func useScript(t *testing.T, o vm.ProbeOptions, script string) {
	t.Helper()
	// Renamed into place: the kernel refuses to run a file that a process forked just now has open.
	writeFile(t, o.Emulator+".new", "#!/bin/sh\necho run >>"+o.Emulator+".runs\nmark='"+vm.BootMark+"'\n"+script, 0o755)
	if err := os.Rename(o.Emulator+".new", o.Emulator); err != nil {
		t.Fatal(err)
	}
}

func runs(o vm.ProbeOptions) int {
	text, _ := os.ReadFile(o.Emulator + ".runs")
	return strings.Count(string(text), "run")
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

const (
	bootsAnywhere = `echo "[0.1] Linux"; echo "$mark"; exec sleep 60`
	noKVM         = `case $* in *"accel kvm"*) echo "qemu-system-x86_64: warning: x" >&2; echo "qemu-system-x86_64: error: failed to set MSR 0x10a" >&2; exit 1;; esac; ` + bootsAnywhere
	noMicrovm     = `case $* in *microvm*) echo "qemu-system-x86_64: unsupported machine type" >&2; exit 1;; esac; ` + bootsAnywhere
	neverBoots    = `echo "qemu: could not load kernel" >&2; exit 1`
)

func TestProbeAccel(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		change func(*vm.ProbeOptions)
		want   vm.Verdict
		reason string
		runs   int
	}{
		"everything works": {
			script: bootsAnywhere, want: vm.Verdict{Accel: vm.AccelKVM, Machine: vm.MachineMicrovm, KVM: vm.KVMUsable}, runs: 2,
		},
		"KVM opens but runs no guest": {
			script: noKVM, want: vm.Verdict{Accel: vm.AccelTCG, Machine: vm.MachineMicrovm, KVM: vm.KVMBroken}, runs: 3,
			reason: "kvm on microvm: QEMU stopped: error: failed to set MSR 0x10a",
		},
		"KVM missing": {
			script: bootsAnywhere, want: vm.Verdict{Accel: vm.AccelTCG, Machine: vm.MachineMicrovm, KVM: vm.KVMMissing}, runs: 1,
			change: func(o *vm.ProbeOptions) { o.KVMDevice += "-absent" }, reason: "no KVM on this host",
		},
		"TCG wanted": {
			script: bootsAnywhere, want: vm.Verdict{Accel: vm.AccelTCG, Machine: vm.MachineMicrovm, KVM: vm.KVMUntried}, runs: 1,
			change: func(o *vm.ProbeOptions) { o.Want = vm.AccelTCG },
		},
		"a QEMU without microvm": {
			script: noMicrovm, want: vm.Verdict{Accel: vm.AccelKVM, Machine: vm.MachineQ35, KVM: vm.KVMUsable}, runs: 4,
			reason: "kvm on microvm: QEMU stopped: unsupported machine type",
		},
	} {
		t.Run(name, func(t *testing.T) {
			verifyNoLeak(t)
			o := probe(t, c.script)
			if c.change != nil {
				c.change(&o)
			}
			got, err := vm.ProbeAccel(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if (c.reason == "") != (got.Reason == "") || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("reason %q, want %q", got.Reason, c.reason)
			}
			got.Reason = ""
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			// A guest without KVM boots beside the other, unless that one is faster.
			booted := runs(o)
			if booted > c.runs {
				t.Errorf("%d trial boots, want %d at the most", booted, c.runs)
			}
			// The second time nothing is booted, and the verdict is the same.
			again, err := vm.ProbeAccel(t.Context(), o)
			again.Reason, c.want.Cached = "", true
			if diff := cmp.Diff(c.want, again); err != nil || diff != "" || runs(o) != booted {
				t.Errorf("from the cache after %d boots: %v (-want +got):\n%s", runs(o), err, diff)
			}
		})
	}
}

func TestProbeAccelDenied(t *testing.T) {
	nstest.RequireRoot(t)
	o := probe(t, bootsAnywhere)
	writeFile(t, o.KVMDevice, "", 0o600)
	// t.TempDir is closed to others, and nobody must be able to reach the device and the script.
	for dir := filepath.Dir(o.KVMDevice); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	o.User = vm.User{UID: 65534, GID: 65534}
	got, err := vm.ProbeAccel(t.Context(), o)
	if err != nil || got.KVM != vm.KVMDenied || got.Accel != vm.AccelTCG {
		t.Errorf("ProbeAccel = %+v, %v, want TCG because KVM is denied", got, err)
	}
	o.Want = vm.AccelKVM
	if _, err := vm.ProbeAccel(t.Context(), o); !errors.Is(err, vm.ErrKVMDenied) {
		t.Errorf("ProbeAccel for KVM alone = %v, want ErrKVMDenied", err)
	}
	// The rights were taken on by one thread: this one is still root.
	if err := vm.CheckKVM(o.KVMDevice, vm.User{}); err != nil {
		t.Errorf("root cannot open the device: %v", err)
	}
}

func TestProbeAccelNoBoot(t *testing.T) {
	o := probe(t, neverBoots)
	_, err := vm.ProbeAccel(t.Context(), o)
	if !errors.Is(err, vm.ErrNoBoot) || !strings.Contains(err.Error(), "tcg on q35: QEMU stopped: could not load kernel") {
		t.Fatalf("ProbeAccel = %v, want ErrNoBoot and QEMU's words", err)
	}
	// Nothing was cached: a mended image gets its chance.
	useScript(t, o, bootsAnywhere)
	if got, err := vm.ProbeAccel(t.Context(), o); err != nil || got.Accel != vm.AccelKVM {
		t.Errorf("with a mended image: %+v, %v", got, err)
	}
}

func TestProbeAccelCacheKey(t *testing.T) {
	o := probe(t, bootsAnywhere)
	mustProbe(t, o)
	for name, change := range map[string]func(*vm.ProbeOptions){
		"QEMU":  func(o *vm.ProbeOptions) { o.QEMUVersion = "8.0.0" },
		"image": func(o *vm.ProbeOptions) { o.Initrd = "/images/initrd2" },
	} {
		t.Run(name, func(t *testing.T) {
			other := o
			change(&other)
			if v := mustProbe(t, other); v.Cached {
				t.Errorf("the verdict for another %s came from the cache", name)
			}
		})
	}
	writeFile(t, o.CacheFile, "{", 0o644)
	if v := mustProbe(t, o); v.Cached {
		t.Error("a verdict came from a broken cache")
	}
	o.CacheFile = filepath.Join(t.TempDir(), "absent", "accel.json")
	mustProbe(t, o) // a cache that cannot be written is nobody's error
}

func mustProbe(t *testing.T, o vm.ProbeOptions) vm.Verdict {
	t.Helper()
	v, err := vm.ProbeAccel(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A guest that hangs and a caller who gives up: QEMU must be gone, and nothing
// may be remembered of it.
func TestProbeAccelCancelled(t *testing.T) {
	verifyNoLeak(t)
	o := probe(t, `echo "[0.1] Linux"; exec sleep 60`)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := vm.ProbeAccel(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ProbeAccel = %v, want the deadline", err)
	}
	if spent := time.Since(start); spent > 2*time.Second {
		t.Errorf("it took %v to give up", spent)
	}
	if _, err := os.Stat(o.CacheFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a trial that was given up left a cache: %v", err)
	}
}

func TestProbeAccelNoEmulator(t *testing.T) {
	o := probe(t, bootsAnywhere)
	o.Emulator += "-absent"
	if _, err := vm.ProbeAccel(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ProbeAccel = %v, want to hear that QEMU does not exist", err)
	}
}

func TestComplaint(t *testing.T) {
	for said, want := range map[string]string{
		"internal error: process exited while connecting to monitor: 2026-11-24T05:09:03.193134Z qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\n" +
			"qemu-system-x86_64: ../../target/i386/kvm/kvm.c:3183: Assertion failed.": "error: failed to set MSR 0x10a to 0x69",
		"internal error: process exited while connecting to monitor: qemu: linux kernel too old to load a ram disk": "linux kernel too old to load a ram disk",
		"Unable to create tap device tap1: Device or resource busy":                                                 "Unable to create tap device tap1: Device or resource busy",
		"qemu-system-x86_64: warning: no pni\n":                                                                     "",
		"":                                                                                                          "",
	} {
		if got := vm.Complaint(said); got != want {
			t.Errorf("complaint in %q is %q, want %q", said, got, want)
		}
	}
}
