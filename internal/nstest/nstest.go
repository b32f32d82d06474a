// Package nstest gives a test a network namespace of its own, so that nothing a test sends can reach
// the machine it runs on, and nothing it creates can stay behind.
//
// A namespace lives as long as a file descriptor refers to it. Code enters it on an operating system
// thread that is locked for the call; a thread whose way back fails is thrown away together with its
// goroutine, so no other goroutine can ever run in the wrong namespace.
package nstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace made for one test, with its loopback up and nothing else in it.
type Namespace struct {
	file *os.File
}

// New makes a network namespace and throws it away when the test ends. The test is skipped when the
// process may not make one (see [RequireNetAdmin]).
func New(tb testing.TB) *Namespace {
	tb.Helper()
	RequireNetAdmin(tb)
	var ns Namespace
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare the network namespace: %w", err)
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return fmt.Errorf("open the new network namespace: %w", err)
		}
		ns.file = file
		return loopbackUp()
	})
	if ns.file != nil {
		tb.Cleanup(func() {
			if err := ns.file.Close(); err != nil {
				tb.Errorf("close the network namespace: %v", err)
			}
		})
	}
	if err != nil {
		tb.Fatalf("make a network namespace: %v", err)
	}
	return &ns
}

// Path names the namespace for this process and for its children, as `nsenter --net=PATH` and
// netsetup.OpenPath take it. It is valid until the test ends.
func (ns *Namespace) Path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.file.Fd())
}

// Do runs fn inside the namespace and returns its error. Only the calling thread is inside: a
// goroutine that fn starts is not, but a socket that fn opens stays in the namespace for good.
func (ns *Namespace) Do(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return fn()
	})
}

// Must runs fn inside the namespace and ends the test on an error.
func (ns *Namespace) Must(tb testing.TB, fn func() error) {
	tb.Helper()
	if err := ns.Do(fn); err != nil {
		tb.Fatal(err)
	}
}

// Command prepares a command that will run inside the namespace; /sys still shows the machine's own
// devices. The command is killed when ctx ends.
func (ns *Namespace) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + ns.Path(), "--", name}, args...)...)
}

// Run runs a command line, split at white space, inside the namespace, returns what it wrote to
// stdout, and ends the test when it does not exit with 0.
func (ns *Namespace) Run(tb testing.TB, line string) string {
	tb.Helper()
	words := strings.Fields(line)
	if len(words) == 0 {
		tb.Fatal("nstest: an empty command")
	}
	RequireCommand(tb, "nsenter", words[0])
	out, err := ns.Command(tb.Context(), words[0], words[1:]...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		tb.Fatalf("%s: %v\n%s", line, err, exit.Stderr)
	}
	if err != nil {
		tb.Fatalf("%s: %v", line, err)
	}
	return string(out)
}

// onThread runs fn on a locked thread of its own goroutine. fn may move the thread to another network
// namespace: afterwards the thread is moved back, or, if that fails, thrown away.
//
// The main thread is never used: the kernel takes /proc/self, which much code reads, to be that
// thread, and the Go runtime cannot throw it away.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- onThread(fn) // Runs elsewhere, because this thread stays locked meanwhile.
			runtime.UnlockOSThread()
			return
		}
		done <- onLockedThread(fn)
	}()
	return <-done
}

func onLockedThread(fn func() error) (err error) {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("open the current network namespace: %w", err)
	}
	defer func() {
		back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
		if back == nil {
			runtime.UnlockOSThread()
		} else {
			// The goroutine ends with its thread locked: the runtime ends the thread, too.
			back = fmt.Errorf("leave the network namespace: %w", back)
		}
		err = errors.Join(err, back, home.Close())
	}()
	return fn()
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	return nil
}
