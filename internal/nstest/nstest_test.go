package nstest_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// inode names the network namespace of the calling thread.
func inode() (string, error) { return os.Readlink("/proc/thread-self/ns/net") }

func TestNamespaceIsEmptyAndOurOwn(t *testing.T) {
	nstest.CheckHostLeaks(t)
	ns := nstest.New(t)
	lines, err := ns.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		// Some kernels put fallback tunnel devices (sit0, …) into every namespace; they are down.
		if !strings.Contains(line, " lo ") && !strings.Contains(line, " dev lo") && !strings.Contains(line, "up=false") {
			t.Errorf("in a new namespace: %s", line)
		}
	}
	host, err := inode()
	if err != nil {
		t.Fatal(err)
	}
	ns.Must(t, func() error {
		inside, err := inode()
		if err == nil && inside == host {
			t.Errorf("inside: %s, the same as outside", inside)
		}
		return err
	})
	if out := ns.Run(t, "readlink /proc/self/ns/net"); strings.TrimSpace(out) == host {
		t.Errorf("a command ran in the host's namespace %s", out)
	}
}

func TestDoReturnsTheError(t *testing.T) {
	want := errors.New("inside")
	if err := nstest.New(t).Do(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("Do = %v, want %v", err, want)
	}
}

// TestThreadsAreNotPoisoned uses two namespaces from many goroutines, the main thread's among them,
// and looks at the namespace of every thread that the runtime has afterwards.
func TestThreadsAreNotPoisoned(t *testing.T) {
	host, err := inode()
	if err != nil {
		t.Fatal(err)
	}
	a, b := nstest.New(t), nstest.New(t)
	var wg sync.WaitGroup
	for i := range 64 {
		ns := []*nstest.Namespace{a, b}[i%2]
		wg.Go(func() {
			if err := ns.Do(func() error { runtime.Gosched(); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		got, err := os.Readlink(fmt.Sprintf("/proc/self/task/%s/ns/net", task.Name()))
		if err == nil && got != host {
			t.Errorf("thread %s is in %s, the host is in %s", task.Name(), got, host)
		}
	}
}

func TestCheckLeaksReportsWhatStays(t *testing.T) {
	ns := nstest.New(t)
	ns.Run(t, "ip link add gone type bridge")
	fake := &recorder{TB: t}
	ns.CheckLeaks(fake)
	ns.Must(t, func() error {
		return errors.Join(
			netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "stays"}}),
			netlink.LinkDel(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "gone"}}))
	})
	fake.finish()
	got := strings.Join(fake.messages, "\n")
	for _, want := range []string{"left behind: link stays bridge", "gone: link gone bridge"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func TestRequire(t *testing.T) {
	const command = "no-such-command"
	noCommand := func(tb testing.TB) { tb.Helper(); nstest.RequireCommand(tb, command) }
	shell := func(tb testing.TB) { tb.Helper(); nstest.RequireCommand(tb, "sh") }
	for _, tt := range []struct {
		name, require, want string
		call                func(testing.TB)
	}{
		{"command", "", "skip: missing: the command " + command, noCommand},
		{"command required", "1", "fatal: required but missing: the command " + command, noCommand},
		{"command there", "1", "", shell},
		{"sandbox", "", "skip: missing: a sandbox", nstest.RequireSandbox},
		{"sandbox required", "1", "fatal: required but missing: a sandbox", nstest.RequireSandbox},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KVMLAB_SANDBOX", "")
			t.Setenv("KVMLAB_REQUIRE", tt.require)
			fake := &recorder{TB: t}
			tt.call(fake)
			got := strings.Join(fake.messages, "\n")
			if !strings.HasPrefix(got, tt.want) || (tt.want == "" && got != "") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// recorder stands in for a test and keeps what is reported to it.
type recorder struct {
	testing.TB

	messages []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.messages = append(r.messages, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.messages = append(r.messages, "fatal: "+fmt.Sprintf(format, args...))
}

func (r *recorder) Skipf(format string, args ...any) {
	r.messages = append(r.messages, "skip: "+fmt.Sprintf(format, args...))
}

func (r *recorder) finish() {
	for _, f := range r.cleanups {
		f()
	}
}
