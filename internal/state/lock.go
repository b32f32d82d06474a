package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// LockedError says that another command is changing the lab.
type LockedError struct {
	Lab  string
	Path string // the lock file
}

// Error implements error.
func (e *LockedError) Error() string {
	return fmt.Sprintf("lab %q is being changed by another kvmlab command", e.Lab)
}

// Lock is the right to change one lab. It ends with Release or with the process, however that ends: flock(2) locks
// belong to the open file, so there is no stale lock to clean up.
type Lock struct {
	lab  Lab
	file *flock.Flock
}

// lockAttempts bounds the retries against others that remove the lab's run folder meanwhile; each retry needs
// another command to have finished in between.
const lockAttempts = 100

// Lock takes the lab's lock, creating its run folder, and returns *LockedError at once when another holds it.
func (l Lab) Lock() (*Lock, error) {
	for range lockAttempts {
		lock, err := l.tryLock()
		if err != nil {
			return nil, err
		}
		if lock != nil {
			return lock, nil
		}
	}
	return nil, &LockedError{Lab: l.name, Path: l.LockFile()}
}

// Sweep removes what commands that were killed at their very beginning have left: run folders with nothing in them but
// a lock that nobody holds.
func (d Dirs) Sweep() error {
	locks, err := filepath.Glob(filepath.Join(d.Run, "*", lockName))
	if err != nil {
		return fmt.Errorf("look for old locks: %w", err)
	}
	var errs []error
	for _, path := range locks {
		dir := filepath.Dir(path)
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) > 1 {
			continue
		}
		l, err := d.Lab(filepath.Base(dir))
		if err != nil {
			continue // a folder of somebody else's
		}
		if lock, err := l.tryLock(); err == nil && lock != nil {
			errs = append(errs, lock.Release())
		}
	}
	return errors.Join(errs...)
}

// tryLock returns nil and no error when the lock file was removed while it was being locked: the lock is then on a
// file that nobody else can find any more, and protects nothing.
func (l Lab) tryLock() (*Lock, error) {
	err := os.MkdirAll(filepath.Dir(l.run), dirMode)
	if err == nil {
		err = makeDir(l.run, privateMode)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return nil, nil // others removed a folder between two steps of MkdirAll
	}
	if err != nil {
		return nil, fmt.Errorf("lock lab %q: %w", l.name, err)
	}
	file := flock.New(l.LockFile(), flock.SetPermissions(FileMode))
	got, err := file.TryLock()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("lock lab %q: %w", l.name, err)
	case !got:
		return nil, errors.Join(&LockedError{Lab: l.name, Path: l.LockFile()}, file.Close())
	}
	lock := &Lock{lab: l, file: file}
	if !lock.findable() {
		return nil, file.Close()
	}
	return lock, nil
}

// findable reports whether the locked file is the one that others would lock.
func (l *Lock) findable() bool {
	mine, err := l.file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(l.lab.LockFile())
	return err == nil && os.SameFile(mine, now)
}

// Release gives the lock back, and removes its file and the folders that are then empty: a command that found
// nothing to do leaves nothing behind.
func (l *Lock) Release() error {
	var errs []error
	// Only who holds the lock removes the file, so between the look and the removal it cannot become another's.
	if l.findable() {
		errs = append(errs, os.Remove(l.lab.LockFile()), removeEmpty(l.lab.run), removeEmpty(l.lab.root.Run))
	}
	if err := errors.Join(append(errs, l.file.Close())...); err != nil {
		return fmt.Errorf("release lock of lab %q: %w", l.lab.name, err)
	}
	return nil
}
