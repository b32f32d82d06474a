package engine_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/vm"
)

// TestHalt switches a lab's guests off: those that listen and those that do not. Everything else stays, and the next up
// brings it back.
func TestHalt(t *testing.T) {
	for name, build := range bothIsolations() {
		t.Run(name, func(t *testing.T) {
			l := build()
			b := newBench(t)
			neighbours(b)
			b.mustUp(t, l)
			up := b.objects()
			b.blocked = func(op string) bool { return op == "shutdown class-pc2" }
			done, err := engine.New(b.cfg).Halt(t.Context(), l.Name, 50*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&engine.Halted{Off: []string{"pc1", "pc3"}, Cut: []string{"pc2"}}, done); diff != "" {
				t.Error(diff)
			}
			var want []string
			for _, object := range up {
				if strings.HasPrefix(object, "supervisor class") {
					continue
				}
				if strings.HasPrefix(object, "domain class-") {
					object = strings.Replace(object, "running", "shutoff", 1)
				}
				want = append(want, object)
			}
			if diff := cmp.Diff(want, b.objects()); diff != "" {
				t.Errorf("after the halt (-want +got):\n%s", diff)
			}
			if done, err := engine.New(b.cfg).Halt(t.Context(), l.Name, time.Minute); err != nil || len(done.Off)+len(done.Cut) > 0 {
				t.Errorf("a second halt: %+v, %v", done, err)
			}
			b.blocked = nil
			b.mustUp(t, l)
			if diff := cmp.Diff(up, b.objects()); diff != "" {
				t.Errorf("up again (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHaltErrors: a libvirt that refuses to switch a guest off does not keep the others on.
func TestHaltErrors(t *testing.T) {
	b := newBench(t)
	l := threeTaps("class", 0)
	b.mustUp(t, l)
	b.before = func(op string) error {
		if strings.HasSuffix(op, " class-pc2") {
			return errFault
		}
		return nil
	}
	done, err := engine.New(b.cfg).Halt(t.Context(), l.Name, time.Minute)
	if !errors.Is(err, errFault) || !strings.Contains(err.Error(), "pc2") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(&engine.Halted{Off: []string{"pc1", "pc3"}}, done); diff != "" {
		t.Error(diff)
	}
}

// TestHaltWaitsForUp halts a lab whose up is under way: it waits for the lock, and gives up with its context.
func TestHaltWaitsForUp(t *testing.T) {
	b := newBench(t)
	l := threeTaps("class", 0)
	b.mustUp(t, l)
	files, err := b.cfg.Dirs.Lab(l.Name)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := files.Lock()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var locked *state.LockedError
	if _, err := engine.New(b.cfg).Halt(ctx, l.Name, time.Minute); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &locked) {
		t.Errorf("got %v, want the deadline, for the lock", err)
	}
	for _, object := range b.objects() {
		if strings.Contains(object, "shutoff") {
			t.Errorf("%s, although another command has the lab", object)
		}
	}
	time.AfterFunc(50*time.Millisecond, func() {
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	})
	done, err := engine.New(b.cfg).Halt(t.Context(), l.Name, time.Minute)
	if err != nil || len(done.Off) != 3 {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestRestartedHost looks at a lab after the host was restarted: links, namespaces and supervisors are gone, domains are
// off. Status says why, and up brings back the same lab.
func TestRestartedHost(t *testing.T) {
	for name, build := range bothIsolations() {
		t.Run(name, func(t *testing.T) {
			l := build()
			b := newBench(t)
			b.mustUp(t, l)
			up := b.objects()
			checkRestarted(t, b, l.Name, engine.Up, false)

			files, err := b.cfg.Dirs.Lab(l.Name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(files.BootFile(), []byte("another\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			clear(b.links)
			clear(b.spaces)
			clear(b.supervisors)
			for _, d := range b.domains {
				d.Run, d.open = vm.RunShutoff, nil
			}
			checkRestarted(t, b, l.Name, engine.Degraded, true)
			b.mustUp(t, l)
			if diff := cmp.Diff(up, b.objects()); diff != "" {
				t.Errorf("up again (-want +got):\n%s", diff)
			}
			checkRestarted(t, b, l.Name, engine.Up, false)
			b.mustDown(t, l.Name)
			if left := b.files(t); len(left) > 0 {
				t.Errorf("down left %v", left)
			}
		})
	}
}

func checkRestarted(t *testing.T, b *bench, name string, condition engine.Condition, restarted bool) {
	t.Helper()
	st, err := engine.New(b.cfg).Status(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if st.Condition != condition || st.Restarted != restarted {
		t.Errorf("%v, restarted %v, want %v, %v: %v", st.Condition, st.Restarted, condition, restarted, st.Drift)
	}
}
