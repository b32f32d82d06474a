package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kvmlab/kvmlab/internal/state"
)

func TestLockIsHeldByOne(t *testing.T) {
	l := testLab(t, testDirs(t), "one")
	lock, err := l.Lock()
	if err != nil {
		t.Fatal(err)
	}
	var locked *state.LockedError
	if _, err := l.Lock(); !errors.As(err, &locked) || locked.Lab != "one" || locked.Path != l.LockFile() {
		t.Fatalf("second lock: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	lock, err = l.Lock()
	if err != nil {
		t.Fatalf("lock after release: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(l.RunDir())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock left its folder behind: %v", err)
	}
}

// Commands that remove the lab's state remove its lock file too. A lock on the removed file must protect nobody.
func TestLockSurvivesRemovalByOthers(t *testing.T) {
	l := testLab(t, testDirs(t), "one")
	var holders, most atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 200 {
				lock, err := l.Lock()
				if _, locked := errors.AsType[*state.LockedError](err); locked {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n > 1 {
					most.Store(n)
				}
				runtime.Gosched()
				holders.Add(-1)
				if n%2 == 0 {
					err = l.Remove()
				}
				if err := errors.Join(err, lock.Release()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if most.Load() > 1 {
		t.Errorf("%d held the lock at once", most.Load())
	}
}
