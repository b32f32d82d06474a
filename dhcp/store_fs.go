package dhcp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is the little of a file system that the store needs. Tests put one in its place that fails.
type disk interface {
	List() ([]string, error)
	Read(name string) ([]byte, error)
	Create(name string) (diskFile, error) // empty, for writing
	Open(name string) (diskFile, error)   // existing, for writing
	Rename(from, to string) error
	Remove(name string) error
	SyncDir() error
}

// diskFile is an open journal.
type diskFile interface {
	WriteAt(b []byte, at int64) (int, error)
	Datasync() error // fdatasync: the octets, and the size if it changed
	Close() error
}

// directory is the disk of real servers.
type directory string

// List returns the names in the directory.
func (d directory) List() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Read returns a whole file.
func (d directory) Read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(d), name))
}

// Create makes an empty file that only its owner and group can read: leases name people's machines.
func (d directory) Create(name string) (diskFile, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	return osFile{f}, err
}

// Open opens an existing file for writing.
func (d directory) Open(name string) (diskFile, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_WRONLY, 0)
	return osFile{f}, err
}

// Rename replaces the target if it exists.
func (d directory) Rename(from, to string) error {
	return os.Rename(filepath.Join(string(d), from), filepath.Join(string(d), to))
}

// Remove deletes a file.
func (d directory) Remove(name string) error { return os.Remove(filepath.Join(string(d), name)) }

// SyncDir makes created, renamed and removed names durable.
func (d directory) SyncDir() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type osFile struct{ *os.File }

// errDeleted is for a journal that has no name any more: what is written to it goes with the process.
var errDeleted = errors.New("it was deleted")

// Datasync is fdatasync(2). A file that was deleted meanwhile, or whose directory was, is no longer durable.
func (f osFile) Datasync() error {
	fd := int(f.Fd())
	err := unix.Fdatasync(fd)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fdatasync(fd)
	}
	if err != nil {
		return err
	}

	var about unix.Stat_t
	if err := unix.Fstat(fd, &about); err != nil {
		return err
	}
	if about.Nlink == 0 {
		return errDeleted
	}
	return nil
}

// lockDirectory makes the directory, and locks it for as long as the returned file is open. The kernel drops the
// lock when the process ends, however it ends.
func lockDirectory(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create lease directory: %w", err)
	}
	if err := directory(filepath.Dir(dir)).SyncDir(); err != nil { // its name has to survive a power cut as well
		return nil, fmt.Errorf("sync parent of lease directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open lock of lease directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock lease directory %s: %w", dir, ErrLocked)
		}
		return nil, fmt.Errorf("lock lease directory %s: %w", dir, err)
	}
	return f, nil
}
