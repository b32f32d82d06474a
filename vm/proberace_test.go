package vm_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/vm"
)

// underKVM is a QEMU whose guests boot at once without KVM, and do what the script says with it.
func underKVM(script string) string {
	return `case $* in *"accel kvm"*) ` + script + ` ;; esac; ` + bootsAnywhere
}

// TestProbeAccelProgress: what decides about KVM is whether its guest comes further, and not how long it takes.
func TestProbeAccelProgress(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		accel  vm.Accel
		reason string
		within time.Duration
	}{
		"asleep at its first instruction": {
			script: `exec sleep 60`, accel: vm.AccelTCG, reason: "kvm on microvm: the guest did nothing in ", within: 4 * time.Second,
		},
		"busy at its first instruction": {
			script: `while :; do :; done`, accel: vm.AccelTCG, reason: "kvm on microvm: the guest did nothing in ", within: 4 * time.Second,
		},
		"an error inside of KVM": {
			script: `echo "KVM internal error. Suberror: 1" >&2; exec sleep 60`,
			accel:  vm.AccelTCG, reason: "of running: KVM internal error. Suberror: 1", within: 4 * time.Second,
		},
		"slow, and works": { // as inside of an emulated machine
			script: `for i in 1 2 3 4 5 6 7 8; do echo "[$i] Linux"; sleep 1; done; echo "$mark"; exec sleep 60`,
			accel:  vm.AccelKVM, within: 20 * time.Second,
		},
		"stuck half way": {
			script: `for i in 1 2 3; do echo "[$i] Linux"; sleep 1; done; exec sleep 60`,
			accel:  vm.AccelTCG, reason: "kvm on microvm: the guest came no further in ", within: 15 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := probe(t, underKVM(c.script))
			tested := 0
			o.Trying = func(kvm bool) {
				if tested++; !kvm {
					t.Error("KVM is not tried")
				}
			}
			begin := time.Now()
			v := mustProbe(t, o)
			if v.Accel != c.accel || v.Machine != vm.MachineMicrovm || v.Assumed {
				t.Errorf("verdict %+v", v)
			}
			if !strings.Contains(v.Reason, c.reason) || (c.reason == "") != (v.Reason == "") {
				t.Errorf("reason %q, want %q", v.Reason, c.reason)
			}
			if took := time.Since(begin); took > c.within {
				t.Logf("it took %v: this machine is busy", took)
			}
			// It is remembered, whatever it was.
			booted := runs(o)
			if again := mustProbe(t, o); again.Accel != v.Accel || !again.Cached || runs(o) != booted || tested != 1 {
				t.Errorf("at once again: %+v, after %d boots, said %d times", again, runs(o)-booted, tested)
			}
		})
	}
}

// TestProbeAccelAgain: who wants KVM gets it tried again where it was found wanting, and everybody gets it when it works.
func TestProbeAccelAgain(t *testing.T) {
	o := probe(t, underKVM(`exec sleep 60`))
	if v := mustProbe(t, o); v.KVM != vm.KVMBroken {
		t.Fatalf("verdict %+v", v)
	}
	only := o
	only.Want = vm.AccelKVM
	before := runs(o)
	_, err := vm.ProbeAccel(t.Context(), only)
	if !errors.Is(err, vm.ErrNoBoot) || !strings.Contains(err.Error(), "kvm on microvm: the guest did nothing in") || runs(o) == before {
		t.Errorf("with KVM alone, after %d boots: %v", runs(o)-before, err)
	}
	if v := mustProbe(t, o); v.KVM != vm.KVMBroken || !v.Cached {
		t.Errorf("afterwards: %+v", v)
	}

	useScript(t, o, bootsAnywhere) // somebody has mended it
	if v := mustProbe(t, only); v.KVM != vm.KVMUsable || v.Cached {
		t.Errorf("mended, with KVM alone: %+v", v)
	}
	before = runs(o)
	if v := mustProbe(t, o); v.KVM != vm.KVMUsable || !v.Cached || runs(o) != before {
		t.Errorf("mended: %+v", v)
	}
	if v := mustProbe(t, only); !v.Cached {
		t.Errorf("what works is tried again: %+v", v)
	}
}

// TestProbeAccelKnowsHalf: what was found out without KVM is not tried again with it, and the verdict is a new one.
func TestProbeAccelKnowsHalf(t *testing.T) {
	o := probe(t, underKVM(`exec sleep 60`))
	without := o
	without.Want = vm.AccelTCG
	mustProbe(t, without)
	before := runs(o)
	if v := mustProbe(t, o); v.KVM != vm.KVMBroken || v.Cached || runs(o) != before+1 {
		t.Errorf("%+v after %d boots", v, runs(o)-before)
	}
}

// TestForgetProbe: what was remembered is forgotten.
func TestForgetProbe(t *testing.T) {
	o := probe(t, underKVM(`exit 1`))
	mustProbe(t, o)
	useScript(t, o, bootsAnywhere)
	if v := mustProbe(t, o); v.KVM != vm.KVMBroken {
		t.Errorf("remembered: %+v", v)
	}
	for range 2 { // nothing remembered is forgotten, too
		if err := vm.ForgetProbe(t.Context(), o.CacheFile); err != nil {
			t.Fatal(err)
		}
	}
	if v := mustProbe(t, o); v.KVM != vm.KVMUsable || v.Cached {
		t.Errorf("forgotten: %+v", v)
	}
}
