package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/supervisor"
)

// descriptors counts the open files of this process, in which the supervisor runs.
func descriptors(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(entries)
}

// TestReadersAreFew: three hundred readers that do not read cost the supervisor a bounded number of descriptors, and
// do not keep it from answering; when they are gone there is room again. Not in parallel: it counts this process's
// files.
func TestReadersAreFew(t *testing.T) { //nolint:paralleltest // see above
	w := newWired(t)
	w.supervise()
	w.send(10, 100)
	before := descriptors(t)
	ctx, cancel := context.WithCancel(t.Context())
	admitted, refused := 0, 0
	for range 300 {
		client := supervisor.NewClient(w.files.SupervisorSocket())
		_, err := client.Frames(ctx, "up")
		switch {
		case err == nil:
			admitted++
		case errors.Is(err, supervisor.ErrBusy):
			refused++
			client.Close()
		default:
			t.Fatal(err)
		}
	}
	if admitted != supervisor.MostReaders || refused != 300-supervisor.MostReaders {
		t.Errorf("%d readers admitted, %d refused", admitted, refused)
	}
	w.send(20000, 1400) // more than their sockets take
	if _, err := w.client.Status(t.Context()); err != nil {
		t.Errorf("a supervisor with readers that do not read says %v", err)
	}
	// A reader has its socket's two ends, since the test is both, and a file of the past at the most.
	if grown := descriptors(t) - before; grown > 4*supervisor.MostReaders {
		t.Errorf("%d more descriptors", grown)
	}
	cancel()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		stream, err := w.client.Frames(t.Context(), "")
		if err == nil {
			_ = stream.Close()
			return
		}
		if !errors.Is(err, supervisor.ErrBusy) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestReaderThatDoesNotRead loses its connection.
func TestReaderThatDoesNotRead(t *testing.T) {
	t.Parallel()
	w := newWired(t)
	w.patience = 200 * time.Millisecond
	w.supervise()
	conn, err := net.Dial("unix", w.files.SupervisorSocket())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "GET /v1/frames?since=up HTTP/1.1\r\nHost: supervisor\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	w.send(4000, 1400) // 5 MB: more than a socket takes
	w.await(4000)
	reads := func() (n int64) {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err = io.Copy(io.Discard, conn)
		return n
	}
	select { // the supervisor has to lose its patience, which nothing tells
	case <-time.After(2 * time.Second):
	case <-t.Context().Done():
	}
	if n := reads(); err != nil || n > 4<<20 {
		t.Errorf("read %d octets, and then: %v", n, err)
	}
}

// TestStrangersAreRefused: who is not root is not served, even if the socket's mode lets him connect.
func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	w := newWired(t)
	w.supervise()
	socket := w.files.SupervisorSocket()
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v (%v)", info.Mode(), err)
	}
	for dir := socket; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	as := func(uid uint32, program string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = append(os.Environ(), envRole+"=ask", envDir+"="+socket)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: 0}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if said, err := as(0, "/proc/self/exe"); err != nil {
		t.Fatalf("root is told %q (%v)", said, err)
	}
	const nobody = 65534
	if said, err := as(nobody, "test", "-w", socket); err != nil {
		t.Fatalf("the socket cannot be written to by a stranger: %s%v", said, err)
	}
	if said, err := as(nobody, "/proc/self/exe"); err == nil || !strings.Contains(said, "ask supervisor") {
		t.Errorf("a stranger is told %q (%v)", said, err)
	}
}
