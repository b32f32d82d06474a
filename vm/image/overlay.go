package image

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// ErrNotQcow2 means a file that is not a qcow2 disk, or a damaged one.
var ErrNotQcow2 = errors.New("not a qcow2 disk")

// Where the header of a qcow2 file has what (QEMU's docs/interop/qcow2.txt).
const (
	qcow2Magic      = "QFI\xfb"
	qcow2HeaderSize = 32
	offBackingFile  = 8  // offset of the backing file's name, 8 bytes
	offBackingSize  = 16 // its length, 4 bytes
	offVirtualSize  = 24 // 8 bytes
	maxBackingName  = 1023
	overlayRoom     = 256 << 20 // what a guest's disk should find free at its start, in bytes
)

// Overlay is a guest's own disk: what differs from the base that it lies on.
type Overlay struct {
	Path string
	// Base is the file that it lies on. An image's disk has the image's digest in
	// its path, so this tells the base by its content.
	Base string
	Size int64 // as the guest sees it, in bytes
}

// ReadOverlay reads the header of a guest's disk. Errors: fs.ErrNotExist;
// ErrNotQcow2.
func ReadOverlay(path string) (Overlay, error) {
	f, err := os.Open(path)
	if err != nil {
		return Overlay{}, err
	}
	defer f.Close() //nolint:errcheck // opened to be read
	header := make([]byte, qcow2HeaderSize)
	if _, err := io.ReadFull(f, header); err != nil || string(header[:4]) != qcow2Magic {
		return Overlay{}, fmt.Errorf("%s: %w", path, ErrNotQcow2)
	}
	o := Overlay{Path: path, Size: int64(binary.BigEndian.Uint64(header[offVirtualSize:]))}
	at := binary.BigEndian.Uint64(header[offBackingFile:])
	size := binary.BigEndian.Uint32(header[offBackingSize:])
	if at == 0 {
		return o, nil
	}
	if size > maxBackingName || at > 1<<30 {
		return Overlay{}, fmt.Errorf("%s: %w", path, ErrNotQcow2)
	}
	name := make([]byte, size)
	if _, err := f.ReadAt(name, int64(at)); err != nil {
		return Overlay{}, fmt.Errorf("%s: %w", path, ErrNotQcow2)
	}
	o.Base = string(name)
	return o, nil
}

// CreateOverlay makes a fresh disk on a base, a qcow2 file. size is what the
// guest sees, in bytes; 0 is the base's. It appears whole or not at all. Errors:
// *NoRoomError; *ProgramError.
func CreateOverlay(ctx context.Context, path, base string, size int64) error {
	dir := filepath.Dir(path)
	if err := makeDirs(dir); err != nil {
		return err
	}
	if err := checkRoom(dir, overlayRoom); err != nil {
		return err
	}
	part := path + ".part"
	args := []string{"qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", part}
	if size != 0 {
		args = append(args, strconv.FormatInt(size, 10))
	}
	if err := runTool(ctx, args...); err != nil {
		return errors.Join(fmt.Errorf("make the disk %s: %w", path, err), removeIfThere(part))
	}
	// What a student has on it is nobody else's. While the guest runs, libvirt makes it QEMU's user's.
	if err := os.Chmod(part, 0o600); err != nil {
		return errors.Join(fmt.Errorf("make the disk %s: %w", path, err), removeIfThere(part))
	}
	return os.Rename(part, path)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// LookupBase finds the image that a disk lies on: an earlier one of that name,
// if the store still has it. Errors: ErrNoImage; *CorruptError.
func LookupBase(store, name, base string) (Image, error) {
	digest := filepath.Base(filepath.Dir(base))
	dir := filepath.Join(store, name, digest)
	if _, err := os.Stat(dir); err != nil {
		return Image{}, fmt.Errorf("image %q with digest %s: %w", name, digest, ErrNoImage)
	}
	img, err := load(dir)
	if err != nil {
		return Image{}, fmt.Errorf("find image %q: %w", name, err)
	}
	return img, nil
}
