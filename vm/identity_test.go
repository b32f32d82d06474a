package vm_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/vm"
)

// guestPort plays QEMU's socket with a guest behind it.
func guestPort(t *testing.T, guest func(net.Conn)) (path string) {
	t.Helper()
	verifyNoLeak(t)
	path = filepath.Join(t.TempDir(), vm.IdentityPort)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		guest(conn)
		_ = conn.Close()
	}()
	return path
}

func TestDeliver(t *testing.T) {
	got := make(chan []string, 1)
	path := guestPort(t, func(conn net.Conn) {
		var lines []string
		in := bufio.NewScanner(conn)
		for in.Scan() {
			lines = append(lines, in.Text())
			if in.Text() == "end" {
				break
			}
		}
		got <- lines
		_, _ = io.WriteString(conn, "left over from an earlier boot\nok\n")
	})
	text, err := vm.Identity{
		Hostname: "pc1", Seed: []byte{0xca, 0xfe}, MACs: []macgen.MAC{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}},
		Files: []vm.File{{Path: "/etc/motd", Mode: 0o644, Content: []byte("hello\n")}},
	}.Lines()
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.Deliver(limit(t), path, text); err != nil {
		t.Fatal(err)
	}
	want := []string{"hostname=pc1", "seed=cafe", "mac0=02:00:00:00:00:01", "mac1=02:00:00:00:00:02", "file=0644:/etc/motd:aGVsbG8K:", "end"}
	if diff := cmp.Diff(want, nstest.Receive(t, got)); diff != "" {
		t.Errorf("the guest read (-want +got):\n%s", diff)
	}
}

func TestDeliverFaults(t *testing.T) {
	t.Run("the guest never reads", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		path := guestPort(t, func(net.Conn) { <-ctx.Done() })
		// More than any socket buffer holds, so that even the write has to wait.
		text := []byte(strings.Repeat("x", 8<<20))
		if err := vm.Deliver(ctx, path, text); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Deliver = %v, want the deadline", err)
		}
	})
	t.Run("the guest never says ok", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		path := guestPort(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 100))
			cancel()
		})
		if err := vm.Deliver(ctx, path, []byte("end\n")); !errors.Is(err, context.Canceled) {
			t.Errorf("Deliver = %v, want context.Canceled", err)
		}
	})
	t.Run("QEMU ends", func(t *testing.T) {
		path := guestPort(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 100)) })
		if err := vm.Deliver(limit(t), path, []byte("end\n")); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Deliver = %v, want io.ErrUnexpectedEOF", err)
		}
	})
	t.Run("no path that fits a line", func(t *testing.T) {
		for _, path := range []string{"", "etc/motd", "/a:b", "/a\nend"} {
			id := vm.Identity{Hostname: "pc1", Files: []vm.File{{Path: path}}}
			if _, err := id.Lines(); !errors.Is(err, vm.ErrIdentity) {
				t.Errorf("path %q: %v, want ErrIdentity", path, err)
			}
		}
	})
	t.Run("no hostname that fits a line", func(t *testing.T) {
		for _, name := range []string{"", "pc 1", "pc1\nroot=1"} {
			if _, err := (vm.Identity{Hostname: name}).Lines(); !errors.Is(err, vm.ErrIdentity) {
				t.Errorf("hostname %q: %v, want ErrIdentity", name, err)
			}
		}
	})
}
