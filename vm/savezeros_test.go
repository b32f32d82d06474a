package vm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/vm"
)

// The flags of a record of RAM, in QEMU's migration/ram.c.
const (
	zeroPage, fullPage, blockSizes, endOfSection, sameBlock = 0x02, 0x08, 0x04, 0x10, 0x20
)

// stream builds a migration stream.
type stream struct{ bytes.Buffer }

func (s *stream) text(parts ...string) *stream {
	for _, part := range parts {
		s.WriteString(part)
	}
	return s
}

// record writes the record of a page: of a block, or of the same as before.
func (s *stream) record(address uint64, flags uint64, block, content string) *stream {
	if block == "" {
		flags |= sameBlock
	}
	s.Write(binary.BigEndian.AppendUint64(nil, address|flags))
	if block != "" {
		s.text(string(rune(len(block))), block)
	}
	return s.text(content)
}

func (s *stream) sizes() *stream {
	s.Write(binary.BigEndian.AppendUint64(nil, 0x21000|blockSizes))
	s.text("\x04pram", "\x00\x00\x00\x00\x00\x02\x00\x00", "\x04bios", "\x00\x00\x00\x00\x00\x00\x10\x00")
	return s
}

func (s *stream) end() *stream {
	s.Write(binary.BigEndian.AppendUint64(nil, endOfSection))
	return s.text("\x7e\x00\x00\x00\x02")
}

const (
	top     = "QEVM\x00\x00\x00\x03\x07\x00\x00\x00\x07microvm"
	begin   = "\x01\x00\x00\x00\x02\x03ram\x00\x00\x00\x00\x00\x00\x00\x04"
	last    = "\x03\x00\x00\x00\x02"
	devices = "\x04\x00\x00\x00\x03\x05timer\x00\x00\x00\x00\x00\x00\x00\x02 and so on"
)

func TestLeaveZerosOut(t *testing.T) {
	data := strings.Repeat("d", 4096)
	in := new(stream).text(top, begin).sizes().end().text(last).
		record(0x0000, zeroPage, "bios", "\x00"). // a ROM does not begin as zeros
		record(0x0000, zeroPage, "pram", "\x00").
		record(0x1000, fullPage, "", data).
		record(0x2000, zeroPage, "", "\x00").
		record(0x3000, zeroPage, "", "\xff").
		record(0x1000, zeroPage, "", "\x00"). // takes back what came before
		end().text(devices)
	want := new(stream).text(top, begin).sizes().end().text(last).
		record(0x0000, zeroPage, "bios", "\x00").
		record(0x1000, fullPage, "pram", data).
		record(0x3000, zeroPage, "", "\xff").
		record(0x1000, zeroPage, "", "\x00").
		end().text(devices)
	var got bytes.Buffer
	if err := vm.LeaveZerosOut(&got, bytes.NewReader(in.Bytes())); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Bytes(), got.Bytes()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	whole := in.Bytes()
	for n := 0; n < len(whole)-len(devices); n += 7 {
		if err := vm.LeaveZerosOut(&got, bytes.NewReader(whole[:n])); !errors.Is(err, vm.ErrStream) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	unknown := new(stream).text(top, begin).sizes().record(0, 0x40, "pram", "\x00").end()
	if err := vm.LeaveZerosOut(&got, &unknown.Buffer); !errors.Is(err, vm.ErrStream) {
		t.Errorf("a record that is not known: %v", err)
	}
}
