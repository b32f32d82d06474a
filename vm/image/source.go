package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// sourceDisk is a file that can be imported: a copy of the one that was named, which nobody else can change.
type sourceDisk struct {
	name   string // of the file that was named
	path   string // of the copy
	format string // "qcow2" or "raw", as qemu-img calls it
	size   int64  // as a guest sees it, in bytes
	need   uint64 // what a copy of it takes on disk, in bytes
}

const (
	// bootCodeSize is the room for a boot loader in the first sector; the table of partitions follows, and 55 AA.
	bootCodeSize = 440
	// headSize is enough of a file to tell what it is: ISO 9660 has its name at 32 KiB.
	headSize = 34 << 10
)

// otherKinds are files that somebody may take for a disk image, and what to do about them.
var otherKinds = []struct {
	at     int
	magic  string
	reason string
}{
	{0, "\x1f\x8b", "it is packed with gzip: unpack it (gunzip) first"},
	{0, "\xfd7zXZ", "it is packed with xz: unpack it (unxz) first"},
	{0, "\x28\xb5\x2f\xfd", "it is packed with zstd: unpack it (unzstd) first"},
	{0, "BZh", "it is packed with bzip2: unpack it (bunzip2) first"},
	{0, "PK\x03\x04", "it is a zip archive: unpack it first"},
	{0, "KDMV", "it is a VMDK: convert it (qemu-img convert -O qcow2) first"},
	{0, "# Disk DescriptorFile", "it is a VMDK: convert it (qemu-img convert -O qcow2) first"},
	{0, "vhdxfile", "it is a VHDX: convert it (qemu-img convert -O qcow2) first"},
	{0, "conectix", "it is a VHD: convert it (qemu-img convert -O qcow2) first"},
	{64, "\x7f\x10\xda\xbe", "it is a VDI: convert it (qemu-img convert -O qcow2) first"},
	{32769, "CD001", "it is a CD, such as one to install from: a system that is installed already is needed"},
}

// inspect tells what a file is by its first bytes, before QEMU sees it: QEMU
// would follow what a hostile one says to other files of the host. Errors: those
// of reading; *NotImageError.
func (d *sourceDisk) inspect(ctx context.Context) error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	format, size, err := kindOf(f, d.name)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	d.format, d.size = format, size
	reason, err := d.ask(ctx)
	if err == nil && reason != "" {
		err = &NotImageError{File: d.name, Reason: reason}
	}
	return err
}

// kindOf reads the beginning of a file, and says what it is, as qemu-img calls it, and how long. name is what it is
// called. Errors: *NotImageError.
func kindOf(f *os.File, name string) (format string, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, &NotImageError{File: name, Reason: "it is no plain file"}
	}
	head := make([]byte, headSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", 0, err
	}
	head = head[:n]
	reason := ""
	for _, kind := range otherKinds {
		if kind.at < len(head) && bytes.HasPrefix(head[kind.at:], []byte(kind.magic)) {
			reason = kind.reason
		}
	}
	format = "raw"
	switch {
	case reason != "":
	case bytes.HasPrefix(head, []byte(qcow2Magic)):
		format = "qcow2"
		reason = qcow2Problem(head)
	default:
		reason = rawProblem(head, info.Size())
	}
	if reason != "" {
		return "", 0, &NotImageError{File: name, Reason: reason}
	}
	return format, info.Size(), nil
}

// openSource opens the file that is to be imported, once. A FIFO would wait for its writer, so it must not.
func openSource(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if _, _, err := kindOf(f, path); err != nil { // before anything is copied
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// takeCopy copies a file into a folder of ours, and returns the SHA-256 of what was copied: whoever can write to the
// file could change it after it has been looked at. Zeros take no room. Errors: *NoRoomError; the context's.
func takeCopy(ctx context.Context, f *os.File, path string) (sum []byte, err error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	const sector = 512 // the unit of st_blocks (stat(2))
	if err := checkRoom(filepath.Dir(path), uint64(stat.Blocks)*sector); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	hash, block, zeros := sha256.New(), make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); ; {
		n, err := io.ReadFull(f, block)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return nil, err
		}
		hash.Write(block[:n])
		if !bytes.Equal(block[:n], zeros[:n]) {
			if _, err := out.WriteAt(block[:n], at); err != nil {
				return nil, err
			}
		}
		at += int64(n)
		if last {
			return hash.Sum(nil), out.Truncate(at)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// The rest of a qcow2 header, as far as it can lead out of the file.
const (
	offVersion      = 4  // 4 bytes
	offCrypt        = 32 // 4 bytes; 0 is none
	offIncompatible = 72 // 8 bytes of features, in version 3
	featureDataFile = 1 << 2
)

// qcow2Problem reads a qcow2 header (QEMU's docs/interop/qcow2.txt): "" when the
// disk stands by itself.
func qcow2Problem(head []byte) string {
	if len(head) < offIncompatible+8 {
		return "it is cut short"
	}
	version := binary.BigEndian.Uint32(head[offVersion:])
	switch {
	case version != 2 && version != 3:
		return fmt.Sprintf("it is a qcow2 of version %d, and only 2 and 3 are known", version)
	case binary.BigEndian.Uint64(head[offBackingFile:]) != 0:
		return "it lies on another file, a backing file: make it one (qemu-img convert -O qcow2) first"
	case version == 3 && binary.BigEndian.Uint64(head[offIncompatible:])&featureDataFile != 0:
		return "its data are in another file: make it one (qemu-img convert -O qcow2) first"
	case binary.BigEndian.Uint32(head[offCrypt:]) != 0:
		return "it is encrypted"
	}
	return ""
}

// rawProblem looks for a table of partitions, and whether the disk is as long as
// that says: "" when it is one.
func rawProblem(head []byte, size int64) string {
	if len(head) < sectorSize || head[510] != 0x55 || head[511] != 0xaa {
		return "it is neither a qcow2 nor a disk with partitions"
	}
	sectors := uint64(size) / sectorSize
	if len(head) >= 2*sectorSize && bytes.HasPrefix(head[sectorSize:], []byte("EFI PART")) {
		// GPT: the header tells where its copy is, in the last sector.
		if binary.LittleEndian.Uint64(head[sectorSize+32:]) >= sectors {
			return "it is cut short"
		}
		return ""
	}
	for at := 446; at < 510; at += 16 {
		first, count := binary.LittleEndian.Uint32(head[at+8:]), binary.LittleEndian.Uint32(head[at+12:])
		if head[at+4] != 0 && uint64(first)+uint64(count) > sectors {
			return "it is cut short"
		}
	}
	return ""
}

// diskInfo is the part of `qemu-img info --output=json` that matters.
type diskInfo struct {
	Size      int64  `json:"virtual-size"`
	Backing   string `json:"backing-filename"`
	Encrypted bool   `json:"encrypted"`
	Specific  struct {
		Data struct {
			DataFile string `json:"data-file"`
			Corrupt  bool   `json:"corrupt"`
		} `json:"data"`
	} `json:"format-specific"`
}

// ask lets qemu-img, told the format, say the same, and how large a copy is.
func (d *sourceDisk) ask(ctx context.Context) (problem string, err error) {
	var info diskInfo
	if problem, err := d.output(ctx, &info, "info", d.path); problem != "" || err != nil {
		return problem, err
	}
	if info.Backing != "" || info.Specific.Data.DataFile != "" || info.Encrypted {
		return "it does not stand by itself", nil
	}
	d.size = info.Size
	if d.format == "qcow2" {
		// A check reads the tables only. One that was cut short reads as zeros where it ends.
		if problem, err := d.output(ctx, &struct{}{}, "check", d.path); problem != "" || err != nil {
			return problem, err
		}
	}
	var measured struct {
		Required uint64 `json:"required"`
	}
	problem, err = d.output(ctx, &measured, "measure", "-O", "qcow2", d.path)
	d.need = measured.Required
	return problem, err
}

// output runs one of qemu-img's commands; what it does not like is a problem of the file.
func (d *sourceDisk) output(ctx context.Context, into any, command string, args ...string) (problem string, err error) {
	cmd := exec.CommandContext(ctx, "qemu-img", append([]string{command, "-f", d.format, "--output=json"}, args...)...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	switch failed := new(exec.ExitError); {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.As(err, &failed) && command == "check" && failed.ExitCode() == 3:
		return "", nil // clusters that nothing uses do no harm
	case errors.As(err, &failed):
		return "it is damaged: " + firstLine(said.String()+"\nqemu-img "+command+": "+err.Error()), nil
	case err != nil:
		return "", err
	}
	return "", json.Unmarshal(out, into)
}

// checkBootable reads the first sector of a qcow2 as a guest's BIOS does.
func checkBootable(ctx context.Context, disk, scratch string) error {
	sector := filepath.Join(scratch, "sector")
	err := runTool(ctx, "qemu-img", "dd", "-f", "qcow2", "-O", "raw", fmt.Sprintf("bs=%d", sectorSize), "count=1", "if="+disk, "of="+sector)
	if err != nil {
		return err
	}
	head, err := os.ReadFile(sector)
	switch {
	case err != nil:
		return err
	case len(head) < sectorSize || head[510] != 0x55 || head[511] != 0xaa:
		return errors.New("there is no disk with partitions in it")
	case bytes.Equal(head[:bootCodeSize], make([]byte, bootCodeSize)):
		return errors.New("it has no boot loader for a BIOS; one for UEFI alone does not start here")
	}
	return nil
}
