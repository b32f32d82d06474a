package supervisor_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/internal/supervisor"
	"github.com/kvmlab/kvmlab/vm"
)

// The test binary is also the supervisor that the tests start: envRole says what it is to do.
const (
	envRole = "KVMLAB_TEST_ROLE"
	envDir  = "KVMLAB_TEST_DIR"
	envNet  = "KVMLAB_TEST_NETNS"
)

func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "":
		os.Exit(m.Run())
	case "supervise":
		os.Exit(superviseBare())
	case "wired":
		os.Exit(superviseWired())
	case "ask": // the supervisor whose socket envDir names
		client := supervisor.NewClient(os.Getenv(envDir))
		if _, err := client.Status(context.Background()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "refuse":
		_ = supervisor.InheritedReady().Tell(errors.New("no, and here is why"))
		os.Exit(1)
	case "hang": // before the lock is taken, deaf to everything but SIGKILL
		signal.Ignore(syscall.SIGTERM)
		fmt.Fprintln(os.Stderr, "hanging", os.Getpid())
		_ = unix.Pause() // until it is killed
	case "start": // a parent that is killed while it waits for its child
		p := processIn(os.Getenv(envDir), "hang")
		_ = p.Start(context.Background())
	}
}

// superviseWired runs the supervisor of a lab that has one bridge, without DHCP.
func superviseWired() int {
	cfg := bareConfig(os.Getenv(envDir), supervisor.InheritedReady().Tell)
	files, err := state.Dirs{
		Run: filepath.Join(os.Getenv(envDir), "run"), State: filepath.Join(os.Getenv(envDir), "state"),
	}.Lab("wired")
	if err != nil {
		panic(err)
	}
	cfg.Lab = &lab.Lab{Version: 1, Name: "wired", Bridges: []lab.Bridge{{Name: "br1"}}}
	cfg.Files, cfg.NetNS, cfg.Detach = files, os.Getenv(envNet), false
	if err := supervisor.Run(context.Background(), cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startTestRole starts this test binary in a role, with a ready pipe as its file 3.
func startTestRole(tb testing.TB, role, dir, netns string) (*exec.Cmd, *bufio.Reader) {
	tb.Helper()
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(nstest.Limit(tb), "/proc/self/exe")
	cmd.Env = append(os.Environ(), envRole+"="+role, envDir+"="+dir, envNet+"="+netns)
	cmd.ExtraFiles, cmd.Stderr = []*os.File{readyWrite}, os.Stderr
	if err := errors.Join(cmd.Start(), readyWrite.Close()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = readyRead.Close()
	})
	return cmd, bufio.NewReader(readyRead)
}

// superviseBare runs the supervisor of a lab without bridges to serve and without guests.
func superviseBare() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := supervisor.Run(ctx, bareConfig(os.Getenv(envDir), supervisor.InheritedReady().Tell))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func bareConfig(dir string, ready func(error) error) supervisor.Config {
	files, err := state.Dirs{Run: filepath.Join(dir, "run"), State: filepath.Join(dir, "state")}.Lab("bare")
	if err == nil {
		err = files.Create()
	}
	if err != nil {
		panic(err)
	}
	return supervisor.Config{
		Lab: &lab.Lab{Version: 1, Name: "bare"}, Files: files, Wire: quietWire{}, Guests: noGuests{},
		Log: slog.New(slog.DiscardHandler), Ready: ready, Detach: true,
	}
}

// quietWire has no links and never a change.
type quietWire struct{}

func (quietWire) ForeignPorts(context.Context, string, string) ([]string, error) { return nil, nil }

func (quietWire) Watch(ctx context.Context) (<-chan struct{}, error) {
	return closedBy[struct{}](ctx), nil
}

// noGuests is a libvirt without domains.
type noGuests struct{}

func (noGuests) Domain(context.Context, string) (vm.State, error) {
	return vm.State{}, vm.ErrNotFound
}

func (noGuests) Events(ctx context.Context) (<-chan vm.DomainEvent, error) {
	return closedBy[vm.DomainEvent](ctx), nil
}

func (noGuests) Identify(context.Context, string, vm.Identity) error { return vm.ErrNotFound }

func (noGuests) AwaitClosed(context.Context, string) {}

func closedBy[T any](ctx context.Context) <-chan T {
	c := make(chan T)
	context.AfterFunc(ctx, func() { close(c) })
	return c
}

func processIn(dir, role string) *supervisor.Process {
	if err := os.MkdirAll(filepath.Join(dir, "run", "bare"), 0o755); err != nil {
		panic(err)
	}
	return &supervisor.Process{
		Lock: filepath.Join(dir, "run", "bare", "supervisor.lock"),
		Log:  filepath.Join(dir, "log"),
		Command: func(ctx context.Context) *exec.Cmd {
			cmd := exec.CommandContext(ctx, "/proc/self/exe")
			cmd.Env = append(os.Environ(), envRole+"="+role, envDir+"="+dir)
			return cmd
		},
	}
}

func TestProcessLife(t *testing.T) {
	dir := t.TempDir()
	p := processIn(dir, "supervise")
	ctx := nstest.Limit(t)
	checkRunning(t, p, false)
	if err := p.Stop(ctx); err != nil {
		t.Errorf("stop of none: %v", err)
	}
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	pid := checkRunning(t, p, true)

	client := supervisor.NewClient(filepath.Join(dir, "run", "bare", "supervisor.sock"))
	defer client.Close()
	st, err := client.Status(ctx)
	if err != nil || st.PID != pid {
		t.Errorf("status %+v, %v; the lock says process %d", st, err, pid)
	}
	if err := p.Start(ctx); err != nil {
		t.Errorf("start of a running one: %v", err)
	}
	if again := checkRunning(t, p, true); again != pid {
		t.Errorf("a second start made process %d beside %d", again, pid)
	}
	ready := make(chan error, 1)
	err = supervisor.Run(ctx, bareConfig(dir, func(err error) error { ready <- err; return nil }))
	if !errors.Is(err, supervisor.ErrRunning) || !errors.Is(nstest.Receive(t, ready), supervisor.ErrRunning) {
		t.Errorf("a second supervisor: %v", err)
	}
	if err := p.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	checkRunning(t, p, false)
	if _, err := os.Stat(filepath.Join(dir, "run", "bare", "supervisor.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func checkRunning(t *testing.T, p *supervisor.Process, want bool) int {
	t.Helper()
	running, pid, err := p.Observe(nstest.Limit(t))
	if err != nil || running != want || (pid != 0) != want {
		t.Fatalf("observe: %v, %d, %v; want running %v", running, pid, err, want)
	}
	return pid
}

func TestProcessKilledLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	p := processIn(dir, "supervise")
	if err := p.Start(nstest.Limit(t)); err != nil {
		t.Fatal(err)
	}
	pid := checkRunning(t, p, true)
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitPidfd(t, pidfd)
	checkRunning(t, p, false)
	if err := p.Start(nstest.Limit(t)); err != nil {
		t.Fatalf("start over the killed one's socket: %v", err)
	}
	if err := p.Stop(nstest.Limit(t)); err != nil {
		t.Fatal(err)
	}
}

func awaitPidfd(t *testing.T, pidfd int) {
	t.Helper()
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 10_000)
	for errors.Is(err, unix.EINTR) { // SIGURG, by which the runtime preempts, or the SIGCHLD of a parent that ended
		n, err = unix.Poll(poll, 10_000)
	}
	if err != nil || n != 1 {
		t.Fatalf("wait for a process to end: %d, %v", n, err)
	}
}

func TestProcessThatRefuses(t *testing.T) {
	err := processIn(t.TempDir(), "refuse").Start(nstest.Limit(t))
	if err == nil || !strings.Contains(err.Error(), "no, and here is why") {
		t.Errorf("got %v", err)
	}
}

func TestProcessThatNeverGetsReady(t *testing.T) {
	ctx, cancel := context.WithTimeout(nstest.Limit(t), 300*time.Millisecond)
	defer cancel()
	if err := processIn(t.TempDir(), "hang").Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestOrphanBeforeTheLock kills a parent while its child has not taken the lock: the child must go with it, because
// nothing could find it later.
func TestOrphanBeforeTheLock(t *testing.T) {
	dir := t.TempDir()
	parent := exec.CommandContext(nstest.Limit(t), "/proc/self/exe")
	parent.Env = append(os.Environ(), envRole+"=start", envDir+"="+dir)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	child := awaitHanging(t, filepath.Join(dir, "log"))
	pidfd, err := unix.PidfdOpen(child, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitPidfd(t, pidfd)
	_ = parent.Wait() // it was killed
}

// awaitHanging reads the child's pid from what it says in its log.
func awaitHanging(t *testing.T, log string) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		data, _ := os.ReadFile(log)
		if text, ok := strings.CutPrefix(string(data), "hanging "); ok && strings.HasSuffix(text, "\n") {
			pid, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("the child never started")
	return 0
}
