package vm_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/vm"
)

// tooSlow is a probe on a host without KVM that is too busy for any trial.
func tooSlow(t *testing.T) vm.ProbeOptions {
	t.Helper()
	o := probe(t, `echo "[0.1] Linux"; exec sleep 60`)
	o.TCGLimit = 200 * time.Millisecond
	if err := os.Remove(o.KVMDevice); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestProbeAccelTooSlow: when the time is up, TCG is assumed, said, and not tried again for a while.
func TestProbeAccelTooSlow(t *testing.T) {
	o := tooSlow(t)
	first := mustProbe(t, o)
	if !first.Assumed || first.Cached || first.Accel != vm.AccelTCG || first.Machine != vm.MachineQ35 || first.KVM != vm.KVMMissing {
		t.Errorf("the verdict is %+v", first)
	}
	if !regexp.MustCompile("no sign of user space after 200ms").MatchString(first.Reason) {
		t.Errorf("the reason is %q", first.Reason)
	}
	if again := mustProbe(t, o); !again.Assumed || !again.Cached || again.Reason != first.Reason || runs(o) != 2 {
		t.Errorf("at once again: %+v after %d runs", again, runs(o))
	}
	only := o
	only.Want = vm.AccelKVM
	if _, err := vm.ProbeAccel(t.Context(), only); !errors.Is(err, vm.ErrKVMMissing) {
		t.Errorf("with KVM alone: %v", err)
	}
	text, err := os.ReadFile(o.CacheFile)
	if err != nil {
		t.Fatal(err)
	}
	old := regexp.MustCompile(`"at": "[^"]*"`).ReplaceAll(text, []byte(`"at": "2020-01-01T00:00:00Z"`))
	writeFile(t, o.CacheFile, string(old), 0o644)
	useScript(t, o, bootsAnywhere)
	o.TCGLimit = 0
	if later := mustProbe(t, o); later.Assumed || later.Machine != vm.MachineMicrovm {
		t.Errorf("later, when the host is idle: %+v", later)
	}
}

// TestProbeAccelOneAtATime: probes that are asked for together boot one guest.
func TestProbeAccelOneAtATime(t *testing.T) {
	o := probe(t, bootsAnywhere)
	var all sync.WaitGroup
	var mu sync.Mutex
	cached := 0
	for range 8 {
		all.Go(func() {
			v, err := vm.ProbeAccel(t.Context(), o)
			if err != nil || v.Accel != vm.AccelKVM {
				t.Errorf("%+v, %v", v, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if v.Cached {
				cached++
			}
		})
	}
	all.Wait()
	if runs(o) > 2 || cached != 7 { // one with KVM and one without
		t.Errorf("%d guests were booted, %d verdicts came from the cache", runs(o), cached)
	}
}

// TestProbeAccelWaits: whoever waits for another probe can be told not to.
func TestProbeAccelWaits(t *testing.T) {
	o := probe(t, bootsAnywhere)
	other, err := os.Create(o.CacheFile + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := vm.ProbeAccel(ctx, o); !errors.Is(err, context.DeadlineExceeded) || runs(o) != 0 {
		t.Errorf("%v after %d runs", err, runs(o))
	}
}
