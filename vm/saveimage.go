package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// errSaveImage means a file that is not a save image as this libvirt writes them.
var errSaveImage = errors.New("not a save image that can be read")

// What begins a file of virDomainSave (struct _virQEMUSaveHeader in
// src/qemu/qemu_saveimage.h, in the host's byte order): the description of the
// domain and libvirt's notes on it ("cookie") follow, then QEMU's migration
// stream. The description is padded, so its length is not the text's.
const (
	saveMagic      = "LibvirtQemudSave"
	saveVersion    = 2
	saveHeaderSize = 92
	// maxDescription bounds what is read of a file that is damaged.
	maxDescription = 1 << 20
)

// saveHeader is the part of the header that matters. What follows it in a file
// is reserved, and zero.
type saveHeader struct {
	Magic        [len(saveMagic)]byte
	Version      uint32
	Length       uint32 // of description, cookie and padding
	Running      uint32 // whether the guest ran when it was saved
	Compressed   uint32 // 0: it is not
	CookieOffset uint32 // from the end of the header; 0: there is none
}

// saveImage is an open save image.
type saveImage struct {
	file   *os.File
	cookie []byte
	memory int64 // where the migration stream begins
}

// openSaveImage reads the beginning of a file of virDomainSave.
func openSaveImage(path string) (_ *saveImage, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	raw := make([]byte, saveHeaderSize)
	if _, err := io.ReadFull(file, raw); err != nil {
		return nil, fmt.Errorf("%w: %w", errSaveImage, err)
	}
	var h saveHeader
	if err := binary.Read(bytes.NewReader(raw), binary.NativeEndian, &h); err != nil {
		return nil, fmt.Errorf("%w: %w", errSaveImage, err)
	}
	if string(h.Magic[:]) != saveMagic || h.Version != saveVersion || h.Compressed != 0 ||
		h.Length > maxDescription || h.CookieOffset >= h.Length {
		return nil, fmt.Errorf("%w: header %+v", errSaveImage, h)
	}
	description := make([]byte, h.Length)
	if _, err := io.ReadFull(file, description); err != nil {
		return nil, fmt.Errorf("%w: %w", errSaveImage, err)
	}
	image := &saveImage{file: file, memory: saveHeaderSize + int64(h.Length)}
	if h.CookieOffset != 0 {
		image.cookie, _, _ = bytes.Cut(description[h.CookieOffset:], []byte{0})
	}
	return image, nil
}

// head is the beginning of a save image of the same memory for another domain.
func (s *saveImage) head(domainXML string) ([]byte, error) {
	h := saveHeader{Version: saveVersion, Running: 1}
	copy(h.Magic[:], saveMagic)
	description := append([]byte(domainXML), 0)
	if s.cookie != nil {
		h.CookieOffset = uint32(len(description))
		description = append(append(description, s.cookie...), 0)
	}
	h.Length = uint32(len(description))
	head, err := binary.Append(nil, binary.NativeEndian, h)
	if err != nil {
		return nil, err
	}
	head = append(head, make([]byte, saveHeaderSize-len(head))...)
	return append(head, description...), nil
}

// splicePiece is the most that is moved from a file to a pipe at once.
const splicePiece = 1 << 20

// pour writes the image for another domain into a pipe. The memory goes there
// from the page cache as it is (splice(2)): guests of one template share the
// file, and nobody copies it.
func (s *saveImage) pour(pipe *os.File, domainXML string) error {
	head, err := s.head(domainXML)
	if err != nil {
		return err
	}
	raw, err := pipe.SyscallConn()
	if err != nil {
		return err
	}
	if _, err := pipe.Write(head); err != nil {
		return err
	}
	offset, moved := s.memory, 1
	for moved > 0 && err == nil {
		var spliceErr error
		err = raw.Write(func(fd uintptr) bool {
			var n int64
			n, spliceErr = unix.Splice(int(s.file.Fd()), &offset, int(fd), nil, splicePiece, unix.SPLICE_F_MORE)
			moved = int(n)
			return !errors.Is(spliceErr, unix.EAGAIN)
		})
		err = errors.Join(err, os.NewSyscallError("splice", spliceErr))
	}
	return err
}

// Close closes the file.
func (s *saveImage) Close() error { return s.file.Close() }
