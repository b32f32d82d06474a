package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// What the header of a bzImage says, by offset in the file
// (Documentation/arch/x86/boot.rst, protocol 2.08 and later).
const (
	offSetupSects    = 0x1f1 // sectors of real-mode code, less one
	offMagic         = 0x202 // "HdrS"
	offPayload       = 0x248 // the compressed kernel, from the end of the real-mode code
	offPayloadLength = 0x24c
	sectorSize       = 512

	// maxKernel bounds what is unpacked: no distribution's kernel is near it.
	maxKernel = 256 << 20
	// lz4Block is the most that a block of the legacy LZ4 frame, which kernels
	// use, unpacks to.
	lz4Block = 8 << 20
)

// unpackKernel gives the ELF kernel inside a bzImage, when QEMU can start it
// directly (it has a PVH entry note), and false when the bzImage is to be booted
// as it is. A guest then need not unpack its own kernel, which takes a tenth of
// its boot without hardware virtualisation, and QEMU maps one file for all guests.
func unpackKernel(bzImage []byte) ([]byte, bool) {
	payload, err := kernelPayload(bzImage)
	if err != nil {
		return nil, false
	}
	kernel, err := unpackPayload(payload)
	if err != nil || !hasPVHEntry(kernel) {
		return nil, false
	}
	return kernel, true
}

// kernelPayload is the compressed part of a bzImage.
func kernelPayload(b []byte) ([]byte, error) {
	if len(b) < offPayloadLength+4 || string(b[offMagic:offMagic+4]) != "HdrS" {
		return nil, fmt.Errorf("not a bzImage")
	}
	begin := (int64(b[offSetupSects])+1)*sectorSize + int64(binary.LittleEndian.Uint32(b[offPayload:]))
	end := begin + int64(binary.LittleEndian.Uint32(b[offPayloadLength:]))
	if end > int64(len(b)) {
		return nil, io.ErrUnexpectedEOF
	}
	return b[begin:end], nil
}

// unpackPayload undoes any of the compressions of today's kernels. All but gzip
// are followed by the unpacked size, which says where to stop.
func unpackPayload(payload []byte) ([]byte, error) {
	if bytes.HasPrefix(payload, []byte("\x02\x21\x4c\x18")) {
		return unpackLZ4(payload[4:])
	}
	r, err := decompress(bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	size := int64(maxKernel)
	if !bytes.HasPrefix(payload, []byte("\x1f\x8b")) && len(payload) >= 4 {
		size = min(size, int64(binary.LittleEndian.Uint32(payload[len(payload)-4:])))
	}
	kernel, err := io.ReadAll(io.LimitReader(r, size))
	if err != nil && int64(len(kernel)) < size {
		return nil, err
	}
	return kernel, nil
}

// unpackLZ4 undoes the legacy LZ4 frame: blocks, each with its length in front,
// and the unpacked size at the end.
func unpackLZ4(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	size := int(binary.LittleEndian.Uint32(b[len(b)-4:]))
	if size > maxKernel {
		return nil, fmt.Errorf("unpacks to %d bytes", size)
	}
	out := make([]byte, 0, min(size, len(b)*256)) // LZ4 packs at most 255 to 1
	block := make([]byte, lz4Block)
	for len(out) < size {
		if len(b) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		length := int64(binary.LittleEndian.Uint32(b))
		if length > int64(len(b)-4) {
			return nil, io.ErrUnexpectedEOF
		}
		n, err := lz4.UncompressBlock(b[4:4+length], block)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		out = append(out, block[:n]...)
		b = b[4+length:]
	}
	return out, nil
}

// pvhEntry is the type of the ELF note that holds a kernel's 32-bit entry for
// PVH boot (XEN_ELFNOTE_PHYS32_ENTRY).
const pvhEntry = 18

// hasPVHEntry says whether QEMU can boot this ELF kernel directly.
func hasPVHEntry(kernel []byte) bool {
	f, err := elf.NewFile(bytes.NewReader(kernel))
	if err != nil || f.Machine != elf.EM_X86_64 {
		return false
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > 1<<20 {
			continue
		}
		notes, err := io.ReadAll(p.Open())
		if err == nil && hasNote(notes, pvhEntry) {
			return true
		}
	}
	return false
}

// hasNote looks for a note of owner Xen in the content of a PT_NOTE segment.
func hasNote(b []byte, kind uint32) bool {
	pad := func(n uint32) uint64 { return (uint64(n) + 3) &^ 3 }
	for len(b) >= 12 {
		nameSize, descSize := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		next := 12 + pad(nameSize) + pad(descSize)
		if next > uint64(len(b)) {
			return false
		}
		if binary.LittleEndian.Uint32(b[8:]) == kind && bytes.HasPrefix(b[12:], []byte("Xen\x00")) {
			return true
		}
		b = b[next:]
	}
	return false
}
