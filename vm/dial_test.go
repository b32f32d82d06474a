package vm_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digitalocean/go-libvirt"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/kvmlab/kvmlab/vm"
)

// A daemon that hangs or dies in the middle of a call cannot be had from a
// real libvirt on demand, so a fake one stands in for it.

// fakeDaemon speaks as much of libvirt's protocol as opening a connection
// takes, and hands every other call to answer.
type fakeDaemon struct {
	socket string
	opened atomic.Int32 // connections
}

// The calls of the remote protocol (remote_protocol.x) that open a connection.
const (
	procOpen     = 1
	procAuthList = 66
)

func startFake(t *testing.T, answer func(conn net.Conn, call [6]uint32)) *fakeDaemon {
	t.Helper()
	verifyNoLeak(t)
	d := &fakeDaemon{socket: filepath.Join(t.TempDir(), "sock")}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			d.opened.Add(1)
			go serveFake(conn, answer)
		}
	}()
	return d
}

// serveFake reads calls: a length, then program, version, procedure, type,
// serial and status, then arguments.
func serveFake(conn net.Conn, answer func(net.Conn, [6]uint32)) {
	defer func() { _ = conn.Close() }()
	for {
		var head [7]uint32
		if binary.Read(conn, binary.BigEndian, &head) != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(head[0])-28); err != nil {
			return
		}
		call := [6]uint32(head[1:])
		switch call[2] {
		case procAuthList:
			reply(conn, call, 0, 1, 0) // one way to authenticate: none
		case procOpen:
			reply(conn, call, 0)
		default:
			answer(conn, call)
		}
	}
}

// reply answers a call with words of XDR.
func reply(conn net.Conn, call [6]uint32, status uint32, words ...uint32) {
	call[3], call[5] = 1, status
	packet := append([]uint32{uint32(28 + 4*len(words))}, call[:]...)
	_ = binary.Write(conn, binary.BigEndian, append(packet, words...))
}

func (d *fakeDaemon) uri() string { return "qemu:///system?socket=" + d.socket }

// verifyNoLeak fails the test if it leaves a goroutine behind when all else is
// cleaned up; so it comes first in a test.
func verifyNoLeak(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
}

func stall(net.Conn, [6]uint32) {}

func TestDialStalledDaemon(t *testing.T) {
	verifyNoLeak(t)
	// A socket with a backlog but nobody who accepts: what a stopped daemon looks like.
	socket := filepath.Join(t.TempDir(), "sock")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = vm.Dial(ctx, "qemu:///system?socket="+socket)
	if !errors.Is(err, vm.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial = %v, want ErrUnreachable for the deadline", err)
	}
}

func TestStalledCall(t *testing.T) {
	d := startFake(t, stall)
	conn, err := vm.Dial(t.Context(), d.uri())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := conn.Domains(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Domains = %v, want the deadline", err)
		}
	}
	if got := d.opened.Load(); got != 2 {
		t.Errorf("%d connections for two calls that were given up, want 2", got)
	}
}

func TestCancelledCall(t *testing.T) {
	called := make(chan struct{})
	d := startFake(t, func(net.Conn, [6]uint32) { close(called) })
	conn, err := vm.Dial(t.Context(), d.uri())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-called
		cancel()
	}()
	if err := conn.Start(ctx, "pc1"); !errors.Is(err, context.Canceled) {
		t.Errorf("Start = %v, want context.Canceled", err)
	}
}

func TestStalledEventsAndConsole(t *testing.T) {
	d := startFake(t, stall)
	conn, err := vm.Dial(t.Context(), d.uri())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := conn.Events(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Events = %v, want the deadline", err)
	}
	if _, err := conn.Console(ctx, "pc1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Console = %v, want the deadline", err)
	}
}

func TestDaemonDiesInCall(t *testing.T) {
	d := startFake(t, func(conn net.Conn, _ [6]uint32) { _ = conn.Close() })
	conn, err := vm.Dial(t.Context(), d.uri())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Domains(t.Context()); !errors.Is(err, vm.ErrUnreachable) {
		t.Errorf("Domains = %v, want ErrUnreachable", err)
	}
}

func TestIdleConnectionIsReused(t *testing.T) {
	const status, noDomains = 0, 0
	d := startFake(t, func(conn net.Conn, call [6]uint32) { reply(conn, call, status, noDomains, 0) })
	conn, err := vm.Dial(t.Context(), d.uri())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got, err := conn.Domains(t.Context()); err != nil || len(got) != 0 {
			t.Fatalf("Domains = %v, %v", got, err)
		}
	}
	if got := d.opened.Load(); got != 1 {
		t.Errorf("%d connections for calls one after the other, want 1", got)
	}
	_ = conn.Close()
	if _, err := conn.Domains(t.Context()); !errors.Is(err, vm.ErrClosed) {
		t.Errorf("Domains after Close = %v, want ErrClosed", err)
	}
}

func TestDialNobodyThere(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = listener.Close()
	for name, socket := range map[string]string{"absent": filepath.Join(dir, "absent"), "stale": stale} {
		t.Run(name, func(t *testing.T) {
			_, err := vm.Dial(t.Context(), "qemu:///system?socket="+socket)
			var unreachable *vm.UnreachableError
			if !errors.As(err, &unreachable) || !errors.Is(err, vm.ErrUnreachable) {
				t.Fatalf("Dial = %v, want an UnreachableError", err)
			}
			if len(unreachable.Tried) != 1 || unreachable.Tried[0].Socket != socket || unreachable.Tried[0].Err == nil {
				t.Errorf("tried %+v", unreachable.Tried)
			}
			if !strings.Contains(err.Error(), socket) {
				t.Errorf("%q does not name the socket", err)
			}
		})
	}
	_, err = vm.Dial(t.Context(), "qemu:///system?socket="+filepath.Join(dir, "absent"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Dial = %v, want to see that the socket does not exist", err)
	}
}

func TestSockets(t *testing.T) {
	for uri, want := range map[string][]string{
		"":                                {"/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"},
		"qemu:///system":                  {"/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"},
		"qemu:///session":                 {"/run/user/1000/libvirt/virtqemud-sock", "/run/user/1000/libvirt/libvirt-sock"},
		"qemu+unix:///system?socket=/a/b": {"/a/b"},
	} {
		got, err := vm.Sockets(uri, 1000)
		if err != nil {
			t.Errorf("%q: %v", uri, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", uri, diff)
		}
	}
	for _, uri := range []string{"qemu+ssh://host/system", "qemu://host/system", "xen:///system", "qemu:///", "://", "test:///default"} {
		if _, err := vm.Dial(t.Context(), uri); !errors.Is(err, vm.ErrURI) {
			t.Errorf("Dial(%q) = %v, want ErrURI", uri, err)
		}
	}
}

func TestMappedErrors(t *testing.T) {
	for name, c := range map[string]struct {
		code libvirt.ErrorNumber
		want error
	}{
		"no domain":       {libvirt.ErrNoDomain, vm.ErrNotFound},
		"access denied":   {libvirt.ErrAccessDenied, vm.ErrDenied},
		"auth failed":     {libvirt.ErrAuthFailed, vm.ErrDenied},
		"auth cancelled":  {libvirt.ErrAuthCancelled, vm.ErrDenied},
		"no polkit agent": {libvirt.ErrAuthUnavailable, vm.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			said := libvirt.Error{Code: uint32(c.code), Message: "whatever it says"}
			err := vm.Mapped(said)
			if !errors.Is(err, c.want) || !errors.Is(err, said) {
				t.Errorf("mapped to %v, want %v and libvirt's own", err, c.want)
			}
		})
	}
	other := libvirt.Error{Code: uint32(libvirt.ErrInternalError), Message: "internal error"}
	if err := vm.Mapped(other); !errors.Is(err, other) || errors.Is(err, vm.ErrNotFound) {
		t.Errorf("an internal error is mapped to %v", err)
	}
	if err := vm.NoAnswer(time.Second); !errors.Is(err, vm.ErrNoAnswer) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is not both ErrNoAnswer and a deadline", err)
	}
}
