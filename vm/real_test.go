//kvmlab:needs @guests @micro

package vm_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/vm"
)

// The tests in this file speak to the libvirt of scripts/sandbox and start
// real guests, without hardware virtualisation.

// lab is a sandbox with an open connection and an image to boot.
type lab struct {
	conn *vm.Conn
	host vm.HostInfo
	logs string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	nstest.RequireSandbox(t)
	nstest.RequireTun(t)
	verifyNoLeak(t)
	conn, err := vm.Dial(limit(t), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	host, err := conn.Host(limit(t))
	if err != nil {
		t.Fatal(err)
	}
	return &lab{conn: conn, host: host, logs: t.TempDir()}
}

// guest describes a guest with one card on a tap of its own.
func (l *lab) guest(t *testing.T, name string) vm.Domain {
	t.Helper()
	tap := "t" + name
	ip(t, "tuntap", "add", "mode", "tap", tap)
	ip(t, "link", "set", tap, "up")
	t.Cleanup(func() { ip(t, "link", "del", tap) })
	mac, err := macgen.Derive([]byte("vm"), name, func(macgen.MAC) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	kernel, initrd := testImage(t)
	return vm.Domain{
		Name: "lab-" + name, Owner: vm.Owner{Lab: "lab", Guest: name}, Title: "a test guest",
		Machine: vm.MachineMicrovm, Accel: vm.AccelTCG, MemoryKiB: 128 << 10,
		Kernel: kernel, Initrd: initrd, Cmdline: "console=ttyS0 quiet", TSCkHz: l.host.TSCkHz,
		NICs:       []vm.NIC{{Name: "eth0", Tap: tap, MAC: mac}},
		ConsoleLog: filepath.Join(l.logs, name+".log"),
	}
}

// define defines a guest for the length of the test.
func (l *lab) define(t *testing.T, d vm.Domain) {
	t.Helper()
	if err := l.conn.Define(limit(t), d); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := nstest.Limit(t)
		if err := errors.Join(l.conn.Destroy(ctx, d.Name), l.conn.Undefine(ctx, d.Name)); err != nil {
			t.Error(err)
		}
	})
}

func (l *lab) start(t *testing.T, d vm.Domain) {
	t.Helper()
	l.define(t, d)
	if err := l.conn.Start(limit(t), d.Name); err != nil {
		t.Fatal(err)
	}
}

// state is the domain as libvirt has it now.
func (l *lab) state(t *testing.T, name string) vm.State {
	t.Helper()
	s, err := l.conn.Domain(limit(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	run(t, append([]string{"ip"}, args...)...)
}

func run(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(nstest.Limit(t), args[0], args[1:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// await reads until the text comes. The reader is closed when ctx ends.
func await(ctx context.Context, t *testing.T, r io.ReadCloser, text string) {
	t.Helper()
	stop := context.AfterFunc(ctx, func() { _ = r.Close() })
	defer stop()
	var seen strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(seen.String(), text) {
		n, err := r.Read(buf)
		seen.Write(buf[:n])
		if err != nil {
			t.Fatalf("%q never came: %v\n%s", text, err, seen.String())
		}
	}
}

// limit bounds what a real guest does.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// Three guests at once, as a lab has them: each boots, learns its name over
// its port, and all are gone at the end.
func TestRealThreeGuests(t *testing.T) {
	l := newLab(t)
	ctx := limit(t)
	guests := []vm.Domain{l.guest(t, "pc1"), l.guest(t, "pc2"), l.guest(t, "pc3")}
	guests[2].Machine = vm.MachineQ35
	begin := time.Now()
	var all errgroup.Group
	for _, d := range guests {
		all.Go(func() error {
			return errors.Join(l.conn.Define(ctx, d), l.conn.Start(ctx, d.Name))
		})
	}
	t.Cleanup(func() {
		for _, d := range guests {
			_ = l.conn.Destroy(nstest.Limit(t), d.Name)
			_ = l.conn.Undefine(nstest.Limit(t), d.Name)
		}
	})
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("three guests defined and started after %v", time.Since(begin).Round(time.Millisecond))
	for _, d := range guests {
		all.Go(func() error {
			defer l.conn.AwaitClosed(ctx, d.Name)
			return l.conn.Identify(ctx, d.Name, vm.Identity{
				Hostname: d.Owner.Guest, Seed: []byte("randomness"), MACs: []macgen.MAC{d.NICs[0].MAC},
			})
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("three guests know who they are after %v", time.Since(begin).Round(time.Millisecond))

	states, err := l.conn.Domains(ctx)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(states, func(a, b vm.State) int { return strings.Compare(a.Name, b.Name) })
	for i, d := range guests {
		want := vm.State{
			Name: d.Name, UUID: vm.GuestUUID("lab", d.Owner.Guest), Run: vm.RunRunning, Owner: d.Owner, Owned: true,
			Digest: d.Digest(), Machine: d.Machine, Accel: d.Accel, MemoryKiB: d.MemoryKiB, CPUs: 1, Kernel: d.Kernel,
			Initrd: d.Initrd, NICs: []vm.NIC{{Tap: d.NICs[0].Tap, MAC: d.NICs[0].MAC}}, ConsoleLog: d.ConsoleLog,
			Channel: states[i].Channel, Window: states[i].Window, Data: states[i].Data,
		}
		if diff := cmp.Diff(want, states[i]); diff != "" {
			t.Errorf("state of %s (-want +got):\n%s", d.Name, diff)
		}
		log, err := os.ReadFile(d.ConsoleLog)
		if err != nil || !strings.Contains(string(log), vm.BootMark) {
			t.Errorf("the console log of %s has no %q: %v\n%s", d.Name, vm.BootMark, err, log)
		}
	}

	begin = time.Now()
	for _, d := range guests {
		all.Go(func() error {
			return errors.Join(l.conn.Destroy(ctx, d.Name), l.conn.Undefine(ctx, d.Name))
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("three guests gone after %v", time.Since(begin).Round(time.Millisecond))
	if states, err = l.conn.Domains(ctx); err != nil || len(states) != 0 {
		t.Errorf("left: %+v, %v", states, err)
	}
}

func TestRealLifecycleIsIdempotent(t *testing.T) {
	l := newLab(t)
	ctx := limit(t)
	d := l.guest(t, "pc1")
	for step, err := range map[string]error{
		"destroy of nothing":  l.conn.Destroy(ctx, d.Name),
		"undefine of nothing": l.conn.Undefine(ctx, d.Name),
	} {
		if err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	if err := l.conn.Start(ctx, d.Name); !errors.Is(err, vm.ErrNotFound) {
		t.Errorf("start of nothing: %v, want ErrNotFound", err)
	}
	l.define(t, d)
	l.define(t, d)
	if err := l.conn.Identify(ctx, d.Name, vm.Identity{Hostname: "pc1"}); !errors.Is(err, vm.ErrNotRunning) {
		t.Errorf("identify of a guest that is off: %v, want ErrNotRunning", err)
	}
	if _, err := l.conn.Console(ctx, d.Name); !errors.Is(err, vm.ErrNotRunning) {
		t.Errorf("console of a guest that is off: %v, want ErrNotRunning", err)
	}
	steps := []struct {
		name string
		do   func() error
		want vm.RunState
	}{
		{"start", func() error { return l.conn.Start(ctx, d.Name) }, vm.RunRunning},
		{"start again", func() error { return l.conn.Start(ctx, d.Name) }, vm.RunRunning},
		{"suspend by hand", func() error { run(t, "virsh", "suspend", d.Name); return nil }, vm.RunPaused},
		{"start when paused", func() error { return l.conn.Start(ctx, d.Name) }, vm.RunRunning},
		{"destroy", func() error { return l.conn.Destroy(ctx, d.Name) }, vm.RunShutoff},
		{"destroy again", func() error { return l.conn.Destroy(ctx, d.Name) }, vm.RunShutoff},
		{"start once more", func() error { return l.conn.Start(ctx, d.Name) }, vm.RunRunning},
		{"undefine while it runs", func() error { return l.conn.Undefine(ctx, d.Name) }, vm.RunRunning},
		{"undefine what has no definition", func() error { return l.conn.Undefine(ctx, d.Name) }, vm.RunRunning},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := l.state(t, d.Name).Run; got != step.want {
			t.Fatalf("after %s: %v, want %v", step.name, got, step.want)
		}
	}
	if err := l.conn.Destroy(ctx, d.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := l.conn.Domain(ctx, d.Name); !errors.Is(err, vm.ErrNotFound) {
		t.Errorf("at the end: %v, want ErrNotFound", err)
	}
}

// A libvirt that stops answering ends a call with its context, and the next
// call finds it well again.
func TestRealStalledDaemon(t *testing.T) {
	l := newLab(t)
	pid := daemonPID(t)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := l.conn.Domains(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Domains of a stopped daemon = %v, want the deadline", err)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if _, err := l.conn.Domains(limit(t)); err != nil {
		t.Errorf("Domains after it went on: %v", err)
	}
}

// A libvirt that is restarted keeps its guests, and the connection its user.
func TestRealDaemonRestart(t *testing.T) {
	l := newLab(t)
	ctx := limit(t)
	d := l.guest(t, "pc1")
	l.start(t, d)
	events, err := l.conn.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pid := daemonPID(t)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for range events { // until the daemon closes the connection
		continue
	}
	for syscall.Kill(pid, 0) == nil {
		if ctx.Err() != nil {
			t.Fatal("the daemon does not end")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := l.conn.Domains(ctx); !errors.Is(err, vm.ErrUnreachable) {
		t.Errorf("Domains without a daemon = %v, want ErrUnreachable", err)
	}
	run(t, "libvirtd", "-d", "-p", daemonPIDFile)
	if got := l.state(t, d.Name); got.Run != vm.RunRunning || got.Channel == "" {
		t.Errorf("after the restart: %+v", got)
	}
}

// daemonPIDFile is where scripts/sandbox has libvirtd write its process id.
const daemonPIDFile = "/run/libvirtd.pid"

func daemonPID(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(daemonPIDFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
