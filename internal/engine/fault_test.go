package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// changing reports whether an operation of the world changes it.
func changing(op string) bool { return !strings.HasPrefix(op, "read ") }

// counter calls at for the n-th time that it is stepped, counting from 1.
type counter struct {
	mu   sync.Mutex
	n    int
	at   int
	then func()
}

func (c *counter) step() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.n == c.at && c.then != nil {
		c.then()
	}
	return c.n == c.at
}

func (c *counter) reached() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n >= c.at
}

// neighbours plants strangers' objects beside the lab and returns how everything is without the lab.
func neighbours(b *bench) []string {
	b.plant(netsetup.Link{Name: "br9", Kind: netsetup.KindBridge, Up: true})
	b.plant(netsetup.Link{Name: "tap9", Kind: netsetup.KindTap, Master: "br9"})
	b.byHand(func(w *world) {
		w.domains["class"] = &domain{State: vm.State{Name: "class", Run: vm.RunRunning}}
	})
	return b.objects()
}

// Every operation fails once, in turn. Whatever it was, Up takes back what it did.
func TestUpRollsBackAfterEveryFailure(t *testing.T) {
	for name, build := range bothIsolations() {
		t.Run(name, func(t *testing.T) {
			l := build()
			for at := 1; ; at++ {
				b := newBench(t)
				before := neighbours(b)
				fails := &counter{at: at}
				b.before = func(op string) error {
					if changing(op) && fails.step() {
						return errFault
					}
					return nil
				}
				_, err := b.up(t.Context(), l)
				if !fails.reached() {
					if err != nil {
						t.Fatal(err)
					}
					// 1 bridge, 3 taps, 1 firewall, 1 supervisor, 3 times define and start, and none; isolated also the namespace, and
					// for each guest its tap staged (twice), moved and mended, and a second start.
					want := map[lab.Isolation]int{lab.Host: 13, lab.Netns: 29}
					if at != want[l.Isolation] {
						t.Errorf("%d operations were tried", at-1)
					}
					return
				}
				if !errors.Is(err, errFault) || !errors.Is(err, diag.New(diag.RolledBack, nil)) || diag.ExitCode(err) != diag.ExitFailed {
					t.Errorf("operation %d: error %v", at, err)
				}
				if diff := cmp.Diff(before, b.objects()); diff != "" {
					t.Errorf("operation %d: %s", at, diff)
				}
				if left := b.files(t); len(left) > 0 {
					t.Errorf("operation %d left %v", at, left)
				}
				if diff := cmp.Diff(b.told(engine.Started), b.told(engine.Undone)); diff != "" {
					t.Errorf("operation %d: begun and not undone: %s", at, diff)
				}
			}
		})
	}
}

// The caller gives up when a record of the journal is written, each in turn.
func TestUpRollsBackWhenInterruptedAtEveryRecord(t *testing.T) {
	for name, build := range bothIsolations() {
		t.Run(name, func(t *testing.T) {
			l := build()
			for at := 1; ; at++ {
				b := newBench(t)
				before := neighbours(b)
				ctx, cancel := context.WithCancel(t.Context())
				interrupts := &counter{at: at, then: cancel}
				b.cfg.AfterRecord = func(state.Record) { interrupts.step() }
				_, err := b.up(ctx, l)
				cancel()
				if !interrupts.reached() {
					want := map[lab.Isolation]int{lab.Host: 19, lab.Netns: 21} // begin and done of nine changes, or ten, and none
					if err != nil || at != want[l.Isolation] {
						t.Errorf("%d records, %v", at-1, err)
					}
					return
				}
				if diag.ExitCode(err) != diag.ExitCancelled || !errors.Is(err, context.Canceled) {
					t.Errorf("record %d: error %v", at, err)
				}
				if diff := cmp.Diff(before, b.objects()); diff != "" {
					t.Errorf("record %d: %s", at, diff)
				}
				if left := b.files(t); len(left) > 0 {
					t.Errorf("record %d left %v", at, left)
				}
			}
		})
	}
}

// crashAt makes the process die when it steps: from then on nothing that it does has an effect, on the world or on
// the files, which revive puts back as they were then.
func (b *bench) crashAt(t interface{ Fatal(...any) }, at int) (dies *counter, revive func()) {
	root := filepath.Dir(b.cfg.Dirs.State)
	saved := root + ".crash"
	dies = &counter{at: at}
	dies.then = func() {
		if err := os.CopyFS(saved, os.DirFS(root)); err != nil {
			t.Fatal(err)
		}
	}
	b.cfg.AfterRecord = func(state.Record) { dies.step() }
	b.before = func(op string) error {
		if changing(op) {
			dies.step()
		}
		if dies.reached() {
			return errCrashed
		}
		return nil
	}
	return dies, func() {
		b.cfg.AfterRecord, b.before = nil, nil
		if !dies.reached() {
			return
		}
		if err := errors.Join(os.RemoveAll(root), os.Rename(saved, root)); err != nil {
			t.Fatal(err)
		}
	}
}

// The process dies at every record of the journal and before every operation. Down leaves nothing, a stranger's
// objects beside it stay; Up again, in its place, brings the lab up.
func TestDownAfterACrashAnywhere(t *testing.T) {
	for name, build := range bothIsolations() {
		t.Run(name, func(t *testing.T) {
			l := build()
			for at, crashed := 1, true; crashed; at++ {
				for _, again := range []bool{false, true} {
					b := newBench(t)
					before := neighbours(b)
					dies, revive := b.crashAt(t, at)
					_, _ = b.up(t.Context(), l) // its error is a dead process's
					crashed = dies.reached()
					revive()
					if again {
						b.mustUp(t, l)
						if plan := b.mustUp(t, l); len(plan.Changes) > 0 {
							t.Fatalf("point %d: not mended: %s", at, plan.Text(false))
						}
					}
					b.mustDown(t, l.Name)
					if diff := cmp.Diff(before, b.objects()); diff != "" {
						t.Fatalf("point %d: %s", at, diff)
					}
					if left := b.files(t); len(left) > 0 {
						t.Fatalf("point %d left %v", at, left)
					}
				}
			}
		})
	}
}

func TestDownAfterADownThatCrashedAnywhere(t *testing.T) {
	for name, build := range bothIsolations() {
		t.Run(name, func(t *testing.T) {
			l := build()
			for at, crashed := 1, true; crashed; at++ {
				b := newBench(t)
				before := neighbours(b)
				b.mustUp(t, l)
				dies, revive := b.crashAt(t, at)
				_, _ = engine.New(b.cfg).Down(t.Context(), l.Name)
				crashed = dies.reached()
				revive()
				b.mustDown(t, l.Name)
				if diff := cmp.Diff(before, b.objects()); diff != "" {
					t.Fatalf("point %d: %s", at, diff)
				}
				if left := b.files(t); len(left) > 0 {
					t.Fatalf("point %d left %v", at, left)
				}
			}
		})
	}
}

// Down goes on after an error, keeps the state, says what is left, and finishes when it is called again.
// The guests keep their MAC addresses when the lab's state is lost.
// What lost its mark is not the lab's any more. Down leaves it and says so.
func TestReadyDecides(t *testing.T) {
	noLease := errors.New("no lease")
	b := newBench(t)
	l := threeTaps("class", 0)
	ready := func(context.Context, *lab.Lab) error {
		if len(b.objects()) != 9 {
			t.Errorf("ready was asked of %v", b.objects())
		}
		return noLease
	}
	_, err := engine.New(b.cfg).Up(t.Context(), l.Name, fixed(l), engine.UpOptions{Ready: ready})
	if !errors.Is(err, noLease) || len(b.objects()) > 0 || len(b.files(t)) > 0 {
		t.Errorf("%v, left %v", err, b.objects())
	}

	// A lab that was up stays up: only what this run did is taken back.
	b.mustUp(t, l)
	if _, err := engine.New(b.cfg).Up(t.Context(), l.Name, fixed(l), engine.UpOptions{Ready: ready}); !errors.Is(err, noLease) {
		t.Error(err)
	}
	b.byHand(func(w *world) { w.domains["class-pc3"].Run = vm.RunShutoff })
	if _, err := engine.New(b.cfg).Up(t.Context(), l.Name, fixed(l), engine.UpOptions{Ready: ready}); !errors.Is(err, noLease) {
		t.Error(err)
	}
	if got := b.objects(); len(got) != 9 || !slices.Contains(got, "domain class-pc3 class shutoff") {
		t.Errorf("after a heal that was taken back: %v", got)
	}
}

// A lab that could not be changed is stored as it was.
func TestAFailedChangeKeepsTheStoredLab(t *testing.T) {
	b := newBench(t)
	l := threeTaps("class", 0)
	b.mustUp(t, l)
	files, err := b.cfg.Dirs.Lab(l.Name)
	if err != nil {
		t.Fatal(err)
	}
	before, err := files.ReadLabFile()
	if err != nil {
		t.Fatal(err)
	}
	l.Bridges[0].DHCP.Lease *= 2
	b.before = func(op string) error {
		if op == "stop supervisor" {
			return errFault
		}
		return nil
	}
	if _, err := b.up(t.Context(), l); diag.CodeOf(err) != diag.RolledBack {
		t.Error(err)
	}
	if after, err := files.ReadLabFile(); string(after) != string(before) || err != nil {
		t.Errorf("stored lab: %s, %v", after, err)
	}
	b.before = nil
	b.mustUp(t, l)
	if after, _ := files.ReadLabFile(); !strings.Contains(string(after), "20m") || b.supervisors["class"] != string(after) {
		t.Errorf("the supervisor serves %s", b.supervisors["class"])
	}
}

func TestNothingIsChangedWithoutAnImage(t *testing.T) {
	b := newBench(t)
	missing := errors.New("no such image")
	b.cfg.Image = func(context.Context, string) (engine.Image, error) { return engine.Image{}, missing }
	if _, err := b.up(t.Context(), threeTaps("class", 0)); !errors.Is(err, missing) {
		t.Error(err)
	}
	if left := append(b.objects(), b.files(t)...); len(left) > 0 || len(b.events) > 0 {
		t.Errorf("left %v, told %v", left, b.events)
	}
}

// A change in flight gets its grace when the caller gives up, and no more; taking back has its own time.
func TestAStuckLibvirt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.blocked = func(op string) bool { return op == "start class-pc2" }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		time.AfterFunc(10*time.Second, cancel)
		began := time.Now()
		_, err := b.up(ctx, threeTaps("class", 0))
		if took := time.Since(began); took != 15*time.Second { // 10 s until Ctrl-C, and the grace of 5 s
			t.Errorf("gave up after %v", took)
		}
		if diag.ExitCode(err) != diag.ExitCancelled || len(b.objects()) > 0 {
			t.Errorf("%v, left %v", err, b.objects())
		}
	})
}

func TestAChangeHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.blocked = func(op string) bool { return op == "ensure tap2" }
		began := time.Now()
		_, err := b.up(t.Context(), threeTaps("class", 0))
		if took := time.Since(began); took != time.Minute {
			t.Errorf("gave up after %v", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) || diag.ExitCode(err) != diag.ExitFailed || len(b.objects()) > 0 {
			t.Errorf("%v, left %v", err, b.objects())
		}
	})
}

// What cannot be taken back is named, and found by Down later.
func TestRollbackThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		pc1Starts := make(chan struct{})
		b.before = func(op string) error {
			switch op {
			case "start class-pc1":
				close(pc1Starts)
			case "start class-pc3":
				<-pc1Starts // a guest that is not begun has nothing to take back
				return errFault
			case "remove tap1":
				return errFault
			}
			return nil
		}
		b.blocked = func(op string) bool { return op == "undefine class-pc1" }
		began := time.Now()
		_, err := b.up(t.Context(), threeTaps("class", 0))
		if took := time.Since(began); took != time.Minute {
			t.Errorf("gave up after %v", took)
		}
		d, ok := errors.AsType[*diag.Diagnostic](err)
		if !ok || d.Code != diag.RollbackIncomplete {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"domain.pc1", "tap.tap1"}, d.Args["left"]); diff != "" {
			t.Error(diff)
		}
		want := []string{"domain class-pc1 class shutoff", "link tap1 class"}
		if diff := cmp.Diff(want, b.objects()); diff != "" {
			t.Error(diff)
		}
		b.before, b.blocked = nil, nil
		b.mustDown(t, "class")
		if left := append(b.objects(), b.files(t)...); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
}

// What goes wrong below has the code of what a person can do about it.
func TestErrorsHaveCodes(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		op   string
		err  error
		code diag.Code // of the cause
		exit int
	}{
		{"read links", netsetup.ErrPermission, diag.NetworkDenied, diag.ExitHost},
		{"read domains", &vm.UnreachableError{URI: "qemu:///system"}, diag.LibvirtUnreachable, diag.ExitHost},
		{"read domains", vm.ErrDenied, diag.LibvirtDenied, diag.ExitHost},
		{"ensure br1", broken, diag.NetworkFailed, diag.ExitFailed},
		{"ensure tap1", netsetup.ErrNoTun, diag.NoTun, diag.ExitHost},
		{"ensure tap1", &netsetup.ForeignError{Name: "tap1", Kind: netsetup.KindTap}, diag.ForeignLink, diag.ExitHost},
		{"define class-pc1", broken, diag.GuestDefineFailed, diag.ExitFailed},
		{"define class-pc1", &vm.ForeignError{Domain: "class-pc1"}, diag.ForeignDomain, diag.ExitHost},
		{"start class-pc1", &vm.StartError{Domain: "class-pc1", Cause: vm.StartMemory}, diag.GuestStartFailed, diag.ExitFailed},
		{"start supervisor", broken, diag.SupervisorStart, diag.ExitFailed},
	} {
		t.Run(test.op+" "+string(test.code), func(t *testing.T) {
			b := newBench(t)
			b.before = func(op string) error {
				if op == test.op {
					return test.err
				}
				return nil
			}
			_, err := b.up(t.Context(), threeTaps("class", 0))
			checkArgs(t, err)
			cause := err
			if d, ok := errors.AsType[*diag.Diagnostic](err); ok && d.Code == diag.RolledBack {
				cause = d.Cause
			}
			checkArgs(t, cause)
			if got := diag.CodeOf(cause); got != test.code || diag.ExitCode(err) != test.exit || !errors.Is(err, test.err) {
				t.Errorf("code %s, exit %d: %v", got, diag.ExitCode(err), err)
			}
			if left := append(b.objects(), b.files(t)...); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}
