package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

const (
	lockFile    = ".build.lock"
	lockRetry   = 100 * time.Millisecond
	scratchGlob = ".build-*" // directories of builds under way
	// digestLength is how many hex digits of a content's SHA-256 name it: enough
	// for any number of images, and short enough to be read.
	digestLength = 16
)

// checkFile compares a file with its size and SHA-256. Errors: *CorruptError;
// fs.ErrNotExist.
func checkFile(path string, size int64, sum string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // opened to be read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != size {
		return &CorruptError{File: path, Want: sum}
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		return &CorruptError{File: path, Want: sum, Got: got}
	}
	return nil
}

// checkRoom refuses when dir's file system has less than need bytes for us.
func checkRoom(dir string, need uint64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if free := st.Bavail * uint64(st.Bsize); free < need {
		return &NoRoomError{Path: dir, Need: need, Free: free}
	}
	return nil
}

// filledUp turns a failure on a file system that has filled up meanwhile into a *NoRoomError: a program that cannot write
// says so in words of its own, if at all. There was room when the build began, and it needs far less than three quarters
// of it at any time.
func filledUp(dir string, room uint64, err error) error {
	if err == nil || errors.As(err, new(*NoRoomError)) {
		return err
	}
	var st unix.Statfs_t
	if statErr := unix.Statfs(dir, &st); statErr != nil {
		return err
	}
	if free := st.Bavail * uint64(st.Bsize); errors.Is(err, unix.ENOSPC) || free < room/4 {
		return &NoRoomError{Path: dir, Need: room, Free: free, Err: err}
	}
	return err
}

// lockBuilds waits until no other build works in dir, then clears away what a
// killed one may have left. waiting, if set, is called when there is another. The kernel
// gives the lock back when its holder dies.
func lockBuilds(ctx context.Context, dir string, waiting func()) (unlock func() error, err error) {
	lock := flock.New(filepath.Join(dir, lockFile))
	locked, err := lock.TryLock()
	if err == nil && !locked {
		if waiting != nil {
			waiting()
		}
		_, err = lock.TryLockContext(ctx, lockRetry)
	}
	if err != nil {
		return nil, fmt.Errorf("wait for another build: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, scratchGlob))
	for _, scratch := range left {
		err = errors.Join(err, os.RemoveAll(scratch))
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock.Close, nil
}

// content is an image before it lies in a store. One without a kernel boots from
// its disk.
type content struct {
	kernelName     string
	kernel, initrd []byte
	cmdline        string
	minMemory      int64
	disk           string // a qcow2 file on the store's file system, which is moved there; empty for none
	diskSize       int64  // as a guest sees it, in bytes
	keys           []string
	recipe         string
	packages       []Package
}

// manifest describes the content; its digest covers all that makes a difference
// to a guest.
func (c content) manifest(name string) (manifest, error) {
	m := manifest{
		Version: manifestVersion, Name: name, Cmdline: c.cmdline, MinMemory: c.minMemory, Recipe: c.recipe, Packages: c.packages, Keys: c.keys,
	}
	if c.kernelName != "" {
		m.Kernel = storedFile{Name: c.kernelName, Size: int64(len(c.kernel)), SHA256: sum(c.kernel)}
		m.Initrd = storedFile{Name: "initrd.cpio", Size: int64(len(c.initrd)), SHA256: sum(c.initrd)}
	}
	text := fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%d\n", m.Kernel.Name, m.Kernel.SHA256, m.Initrd.SHA256, m.Cmdline, m.MinMemory)
	if c.disk != "" {
		disk, err := storedDisk(c.disk)
		if err != nil {
			return manifest{}, err
		}
		m.Disk, m.DiskSize = &disk, c.diskSize
		text = fmt.Appendf(text, "%s\n", disk.SHA256)
	}
	m.Digest = sum(text)[:digestLength]
	return m, nil
}

// storedDisk reads a disk and describes it.
func storedDisk(path string) (storedFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return storedFile{}, err
	}
	defer f.Close() //nolint:errcheck // opened to be read
	h := sha256.New()
	size, err := io.Copy(h, f)
	return storedFile{Name: diskFile, Size: size, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// publish writes the content into dir under its digest and makes it the current
// one. The files are synced and appear by a rename.
func (c content) publish(dir, name string) (Image, error) {
	m, err := c.manifest(name)
	if err != nil {
		return Image{}, err
	}
	final := filepath.Join(dir, m.Digest)
	switch img, err := load(final); {
	case err == nil && img.Verify() == nil && img.Recipe == m.Recipe:
	case err == nil && img.Verify() == nil:
		// The same files by another recipe: guests may be using them.
		if err := writeManifest(final, m); err != nil {
			return Image{}, err
		}
	default:
		// Nothing there yet, or a damaged one: no guest can be using that.
		if err := os.RemoveAll(final); err != nil {
			return Image{}, err
		}
		if err := c.write(dir, final, m); err != nil {
			return Image{}, err
		}
	}
	if err := renameio.Symlink(m.Digest, filepath.Join(dir, currentLink)); err != nil {
		return Image{}, err
	}
	if err := syncDir(dir); err != nil {
		return Image{}, err
	}
	img, err := load(final)
	if err != nil {
		return Image{}, err
	}
	return img, img.note()
}

// writeManifest replaces the manifest of an image.
func writeManifest(dir string, m manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, manifestFile), append(text, '\n'), 0o644)
}

func (c content) write(dir, final string, m manifest) (err error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(dir, scratchGlob)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(scratch))
		}
	}()
	files := map[string][]byte{manifestFile: append(text, '\n')}
	if c.kernelName != "" {
		files[m.Kernel.Name], files[m.Initrd.Name] = c.kernel, c.initrd
	}
	for name, content := range files {
		if err := writeSynced(filepath.Join(scratch, name), content); err != nil {
			return err
		}
	}
	if c.disk != "" {
		if err := moveSynced(c.disk, filepath.Join(scratch, diskFile)); err != nil {
			return err
		}
	}
	// QEMU's user goes through here; MkdirTemp lets only the owner in.
	if err := os.Chmod(scratch, 0o755); err != nil {
		return err
	}
	if err := syncDir(scratch); err != nil {
		return err
	}
	return os.Rename(scratch, final)
}

// writeSynced writes a file that all may read, down to the disk. The mode is set
// apart, for the umask may be any.
func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
}

// moveSynced moves a file that all may read, and nobody write, down to the disk.
func moveSynced(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o444), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
