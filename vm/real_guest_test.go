package vm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/vm"
)

func TestRealConsole(t *testing.T) {
	l := newLab(t)
	ctx := limit(t)
	d := l.guest(t, "pc1")
	l.start(t, d)
	console, err := l.conn.Console(ctx, d.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = console.Close() }()
	if err := l.conn.Identify(ctx, d.Name, vm.Identity{Hostname: "pc1", MACs: []macgen.MAC{d.NICs[0].MAC}}); err != nil {
		t.Fatal(err)
	}
	// A shell may not be up yet when the first line is typed, but the terminal keeps it.
	if _, err := io.WriteString(console, "echo $((6*7))-answer\n"); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, console, "42-answer")

	if _, err := l.conn.Console(ctx, d.Name); !errors.Is(err, vm.ErrConsoleBusy) {
		t.Errorf("a second console: %v, want ErrConsoleBusy", err)
	}
	taken, err := l.conn.TakeConsole(ctx, d.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	if _, err := readAll(ctx, t, console); !errors.Is(err, vm.ErrConsoleTaken) {
		t.Errorf("the console that was taken over: %v, want ErrConsoleTaken", err)
	}
	if _, err := io.WriteString(taken, "echo $((6*9))-answer\n"); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, taken, "54-answer")
	if err := l.conn.Destroy(ctx, d.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(ctx, t, taken); err != nil {
		t.Errorf("the console of a guest that was destroyed: %v, want its end", err)
	}
	if err := errors.Join(taken.Close(), taken.Close()); err != nil {
		t.Error(err)
	}
}

// A console is taken over while the guest prints as fast as it can, from somebody who reads and from somebody who does
// not: whoever loses it is told so, although libvirt says nothing when output is on its way.
func TestRealConsoleTakenInFlood(t *testing.T) {
	l := newLab(t)
	ctx := limit(t)
	d := l.guest(t, "pc1")
	l.start(t, d)
	console, err := l.conn.Console(ctx, d.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = console.Close() }()
	if err := l.conn.Identify(ctx, d.Name, vm.Identity{Hostname: "pc1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(console, "while :; do echo all work and no play; done\n"); err != nil {
		t.Fatal(err)
	}
	for i, reads := range []bool{true, false, true, false, false} {
		await(ctx, t, console, "no play\r\nall work")
		ended := make(chan error, 1)
		if reads {
			go func() {
				_, err := io.Copy(io.Discard, console)
				ended <- err
			}()
		}
		taken, err := l.conn.TakeConsole(ctx, d.Name)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = taken.Close() }()
		if !reads {
			_, err := readAll(ctx, t, console)
			ended <- err
		}
		select {
		case err := <-ended:
			if !errors.Is(err, vm.ErrConsoleTaken) {
				t.Errorf("console %d: %v, want ErrConsoleTaken", i, err)
			}
		case <-ctx.Done():
			t.Fatalf("console %d did not end", i)
		}
		console = taken
	}
	if err := l.conn.Destroy(ctx, d.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(ctx, t, console); err != nil {
		t.Errorf("the console of a guest that was destroyed: %v, want its end", err)
	}
}

// Another program than this one takes a console over while output is on its way, and leaves no note: libvirt tells nobody,
// and who types learns of it.
func TestRealConsoleTakenByAnother(t *testing.T) {
	l := newLab(t)
	vm.SetLimits(l.conn, time.Hour, 3*time.Second)
	ctx := limit(t)
	d := l.guest(t, "pc1")
	l.start(t, d)
	console, err := l.conn.Console(ctx, d.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = console.Close() }()
	if err := l.conn.Identify(ctx, d.Name, vm.Identity{Hostname: "pc1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(console, "while :; do echo all work and no play; done\n"); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, console, "no play\r\nall work")
	// Nobody reads: the socket fills, and libvirt has a piece of output under way when it is taken over.
	time.Sleep(2 * time.Second)
	rival := exec.CommandContext(ctx, "script", "-qc", "virsh console --force "+d.Name, "/dev/null")
	keys, err := rival.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := rival.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := rival.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _, _ = keys.Close(), rival.Process.Kill(), rival.Wait() }()
	await(ctx, t, said, "no play")
	go func() { _, _ = io.Copy(io.Discard, said) }()
	typing := make(chan error, 1)
	go func() {
		for {
			if _, err := io.WriteString(console, "x"); err != nil {
				typing <- err
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	if _, err := readAll(ctx, t, console); !errors.Is(err, vm.ErrConsoleTaken) {
		t.Errorf("the console that was taken over: %v, want ErrConsoleTaken", err)
	}
	if err := nstest.Receive(t, typing); !errors.Is(err, vm.ErrConsoleTaken) {
		t.Errorf("typing on it: %v, want ErrConsoleTaken", err)
	}
}

// A caller who does not read must be able to leave while the guest floods.
func TestRealConsoleClosedUnread(t *testing.T) {
	l := newLab(t)
	ctx := limit(t)
	d := l.guest(t, "pc1")
	l.start(t, d)
	console, err := l.conn.Console(ctx, d.Name)
	if err != nil {
		t.Fatal(err)
	}
	await(ctx, t, console, vm.BootMark)
	if err := console.Close(); err != nil {
		t.Error(err)
	}
	if _, err := console.Write([]byte("x")); err == nil {
		t.Error("typing on a closed console is no error")
	}
	again, err := l.conn.Console(ctx, d.Name)
	if err != nil {
		t.Fatalf("the console is not free again: %v", err)
	}
	_ = again.Close()
}

func TestRealEvents(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancel(limit(t))
	events, err := l.conn.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d := l.guest(t, "pc1")
	if err := errors.Join(l.conn.Define(ctx, d), l.conn.Start(ctx, d.Name),
		l.conn.Destroy(ctx, d.Name), l.conn.Undefine(ctx, d.Name)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for e := range events {
		if e.Name != d.Name || e.UUID != vm.GuestUUID("lab", "pc1") {
			t.Fatalf("an event of %s %v", e.Name, e.UUID)
		}
		if e.Kind != vm.EventShutdown { // comes or not, depending on how fast QEMU ends
			got = append(got, fmt.Sprint(e.Kind))
		}
		if e.Kind == vm.EventStopped && e.Stop != vm.StopDestroyed {
			t.Errorf("it stopped because %v", e.Stop)
		}
		if e.Kind == vm.EventUndefined {
			break
		}
	}
	// libvirt starts QEMU stopped, so a start shows as two events.
	want := []string{"defined", "resumed", "started", "stopped", "undefined"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	cancel()
	for range events {
		continue
	}
}
