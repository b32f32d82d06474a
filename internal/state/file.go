package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// WriteFile replaces path by data so that a reader, and a machine that loses its power, sees the old content or the
// new and never a part: temporary file, fsync, rename, fsync of the folder.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	if err := renameio.WriteFile(path, data, mode, renameio.WithTempDir(dir)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(dir)
}

// ReadLabFile returns the stored lab as it was written, nil when there is none.
func (l Lab) ReadLabFile() ([]byte, error) {
	data, err := os.ReadFile(l.LabFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read stored lab %q: %w", l.name, err)
	}
	return data, nil
}

// WriteLabFile stores the resolved lab. No data removes it.
func (l Lab) WriteLabFile(data []byte) error {
	if len(data) > 0 {
		return WriteFile(l.LabFile(), data, FileMode)
	}
	if err := os.Remove(l.LabFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stored lab %q: %w", l.name, err)
	}
	return nil
}

// WriteScenario keeps the files of the lab's scenario, by their names, in place of those that were kept before.
func (l Lab) WriteScenario(files map[string][]byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep scenario of lab %q: %w", l.name, err)
		}
	}()
	next := l.ScenarioDir() + newSuffix
	if err := errors.Join(os.RemoveAll(next), os.Mkdir(next, privateMode)); err != nil {
		return err
	}
	for name, text := range files {
		if err := WriteFile(filepath.Join(next, name), text, FileMode); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(l.ScenarioDir()), os.Rename(next, l.ScenarioDir()), syncDir(l.dir))
}

// WriteSeed writes the volume that tells a guest who it is. It may hold what the lab file puts into the guest, so only
// root and, while the guest runs, QEMU read it.
func (l Lab) WriteSeed(guest string, volume []byte) error {
	if err := makeDir(l.DiskDir(), labMode); err != nil {
		return fmt.Errorf("write seed of %q in lab %q: %w", guest, l.name, err)
	}
	return WriteFile(l.Seed(guest), volume, FileMode)
}

// syncDir makes the names inside dir durable: fsync of a file does not cover its entry in the folder (fsync(2)).
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// removeEmpty removes dir when it is there and empty.
func removeEmpty(dir string) error {
	err := os.Remove(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EBUSY) {
		return nil // EBUSY: a mount point, as /run/kvmlab may be in a container
	}
	return err
}
