package image

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// isoFile is a file of a volume.
type isoFile struct {
	name    string
	content []byte
}

const (
	isoSector = 2048
	// Where a volume has what, in sectors (ECMA-119). The first sixteen are not its own.
	isoDescriptor = 16
	isoEnd        = 17
	isoPathLE     = 18
	isoPathBE     = 19
	isoRoot       = 20
	isoData       = 21

	isoPathSize = 10 // of a path table that holds the root alone, in bytes
)

// isoVolume is an ISO 9660 volume (ECMA-119) with a few files in its root, sorted
// by name, all made at no time. Their names are in Rock Ridge entries (IEEE
// P1282), for the volume's own are of eight capital letters. The label is written
// as it is, though the standard knows capitals only: cloud-init asks for
// "cidata", and everybody writes it so.
func isoVolume(label string, files []isoFile) []byte {
	b := make([]byte, isoData*isoSector)
	root := isoEntry("\x00", isoRoot, isoSector, true, isoDot())
	root = append(root, isoEntry("\x01", isoRoot, isoSector, true, rockRidge("", true))...)
	for i, f := range files {
		at := len(b) / isoSector
		root = append(root, isoEntry(isoName(i), at, len(f.content), false, rockRidge(f.name, false))...)
		b = append(b, f.content...)
		b = append(b, make([]byte, (isoSector-len(f.content)%isoSector)%isoSector)...)
	}
	copy(b[isoRoot*isoSector:], root)
	copy(b[isoDescriptor*isoSector:], isoPrimary(label, len(b)/isoSector))
	copy(b[isoEnd*isoSector:], "\xffCD001\x01")
	// The path tables: a directory's name, place and parent.
	copy(b[isoPathLE*isoSector:], []byte{1, 0, isoRoot, 0, 0, 0, 1, 0, 0, 0})
	copy(b[isoPathBE*isoSector:], []byte{1, 0, 0, 0, 0, isoRoot, 0, 1, 0, 0})
	return b
}

// isoName is the plain name of the file with that number: names come in order.
func isoName(i int) string { return fmt.Sprintf("FILE%04d.;1", i) }

// isoPrimary is the primary volume descriptor (ECMA-119 8.4).
func isoPrimary(label string, sectors int) []byte {
	b := make([]byte, isoSector)
	copy(b, "\x01CD001\x01")
	text := func(at, size int, s string) { copy(b[at:at+size], s+strings.Repeat(" ", size)) }
	text(8, 32, "")     // the system that it is for
	text(40, 32, label) // the volume's name
	copy(b[80:], both32(sectors))
	copy(b[120:], both16(1)) // volumes in the set
	copy(b[124:], both16(1)) // this one's number
	copy(b[128:], both16(isoSector))
	copy(b[132:], both32(isoPathSize))
	binary.LittleEndian.PutUint32(b[140:], isoPathLE)
	binary.BigEndian.PutUint32(b[148:], isoPathBE)
	copy(b[156:], isoEntry("\x00", isoRoot, isoSector, true, nil))
	text(190, 623, "") // of what set it is, by whom, with which files about it
	for at := 813; at < 881; at += 17 {
		copy(b[at:], strings.Repeat("0", 16)) // four times: at no time
	}
	b[881] = 1 // the version of the directory's format
	return b
}

// isoEntry is a directory record (ECMA-119 9.1) with what Rock Ridge adds.
func isoEntry(name string, sector, size int, dir bool, more []byte) []byte {
	b := make([]byte, 33, 128)
	copy(b[2:], both32(sector))
	copy(b[10:], both32(size))
	copy(b[18:], "\x46\x01\x01") // the first of January 1970, the first moment that Unix knows
	if dir {
		b[25] = 2
	}
	copy(b[28:], both16(1))
	b[32] = byte(len(name))
	b = append(b, name...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	b = append(b, more...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	b[0] = byte(len(b))
	return b
}

// isoDot is what the root's own record adds: that Rock Ridge is used here.
func isoDot() []byte {
	b := append([]byte("SP\x07\x01\xbe\xef\x00"), rockRidge("", true)...)
	return append(b, "ER\x12\x01\x0a\x00\x00\x01RRIP_1991A"...)
}

// rockRidge is a file's mode, owner (root) and real name.
func rockRidge(name string, dir bool) []byte {
	mode, links := 0o100444, 1
	if dir {
		mode, links = 0o040555, 2
	}
	b := []byte("PX\x24\x01")
	for _, n := range []int{mode, links, 0, 0} {
		b = append(b, both32(n)...)
	}
	if name != "" {
		b = append(b, 'N', 'M', byte(5+len(name)), 1, 0)
		b = append(b, name...)
	}
	return b
}

// both32 is a number in both byte orders, as the format has it.
func both32(n int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(n))
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

func both16(n int) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(n))
	return binary.BigEndian.AppendUint16(b, uint16(n))
}
