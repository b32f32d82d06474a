package vm_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/digitalocean/go-libvirt"
	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/vm"
)

func TestHostOfCapabilities(t *testing.T) {
	text, err := os.ReadFile("testdata/capabilities.xml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := vm.HostOf(text)
	if err != nil {
		t.Fatal(err)
	}
	want := vm.HostInfo{
		Emulator: "/usr/bin/qemu-system-x86_64", Microvm: true, KVM: true, TSCkHz: 2596096,
		QEMUUser: vm.User{UID: 64055, GID: 108},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("host (-want +got):\n%s", diff)
	}
	// A session's libvirt has no DAC driver, and a host without /dev/kvm no counter.
	got, err = vm.HostOf([]byte("<capabilities><host/></capabilities>"))
	want = vm.HostInfo{QEMUUser: vm.User{UID: os.Getuid(), GID: os.Getgid()}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("bare host: %v (-want +got):\n%s", err, diff)
	}
	if _, err := vm.HostOf([]byte("<capabilities>")); err == nil {
		t.Error("half a document is no error")
	}
}

func FuzzHostOf(f *testing.F) {
	text, err := os.ReadFile("testdata/capabilities.xml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		if h, err := vm.HostOf(text); err == nil && h.Microvm && !bytes.Contains(text, []byte("x86_64")) {
			t.Errorf("a host without x86-64 guests gave %+v", h)
		}
	})
}

func TestAvailable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "meminfo")
	writeFile(t, file, "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    8192 kB\n", 0o644)
	if got, err := vm.AvailableIn(file); got != 8192 || err != nil {
		t.Errorf("available = %d, %v", got, err)
	}
	writeFile(t, file, "MemTotal: 16384 kB\n", 0o644)
	if _, err := vm.AvailableIn(file); err == nil {
		t.Error("no MemAvailable is no error")
	}
}

// Two measurements of the same counter must agree to one part in a thousand:
// a guest that is told a wrong frequency has a wrong clock.
func TestMeasureTSC(t *testing.T) {
	a, b := vm.MeasureTSC(), vm.MeasureTSC()
	if a == 0 || max(a, b)-min(a, b) > a/1000 {
		t.Errorf("measured %d and %d kHz", a, b)
	}
}

func TestEventOf(t *testing.T) {
	for _, c := range []struct {
		event  libvirt.DomainEventType
		detail int32
		want   vm.DomainEvent
	}{
		{libvirt.DomainEventDefined, 0, vm.DomainEvent{Kind: vm.EventDefined}},
		{libvirt.DomainEventUndefined, 0, vm.DomainEvent{Kind: vm.EventUndefined}},
		{libvirt.DomainEventStarted, 0, vm.DomainEvent{Kind: vm.EventStarted}},
		{libvirt.DomainEventSuspended, 1, vm.DomainEvent{Kind: vm.EventPaused}},
		{libvirt.DomainEventResumed, 1, vm.DomainEvent{Kind: vm.EventResumed}},
		{libvirt.DomainEventShutdown, 0, vm.DomainEvent{Kind: vm.EventShutdown}},
		{libvirt.DomainEventCrashed, 0, vm.DomainEvent{Kind: vm.EventCrashed}},
		{libvirt.DomainEventPmsuspended, 0, vm.DomainEvent{Kind: vm.EventOther}},
		{libvirt.DomainEventStopped, 0, vm.DomainEvent{Kind: vm.EventStopped, Stop: vm.StopPoweroff}},
		{libvirt.DomainEventStopped, 1, vm.DomainEvent{Kind: vm.EventStopped, Stop: vm.StopDestroyed}},
		{libvirt.DomainEventStopped, 2, vm.DomainEvent{Kind: vm.EventStopped, Stop: vm.StopCrashed}},
		{libvirt.DomainEventStopped, 3, vm.DomainEvent{Kind: vm.EventStopped, Stop: vm.StopOther}},
		{libvirt.DomainEventStopped, 5, vm.DomainEvent{Kind: vm.EventStopped, Stop: vm.StopFailed}},
	} {
		c.want.Name = "pc1"
		msg := libvirt.DomainEventLifecycleMsg{Dom: libvirt.Domain{Name: "pc1"}, Event: int32(c.event), Detail: c.detail}
		if diff := cmp.Diff(c.want, vm.EventOf(msg)); diff != "" {
			t.Errorf("event %d detail %d (-want +got):\n%s", c.event, c.detail, diff)
		}
	}
}
