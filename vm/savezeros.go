package vm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errStream means a migration stream that is not as this code knows them.
var errStream = errors.New("not a migration stream that can be read")

// The part of QEMU's migration stream that carries memory (migration/savevm.c and migration/ram.c; numbers are big
// endian). Sections begin with a type and an identifier. Within a section of RAM, each record begins with an address
// that is a multiple of the page's size, and flags below it.
const (
	sectionStart  = 1
	sectionEnd    = 3
	sectionFooter = 0x7e

	pageSize     = 4096
	flagZero     = 0x02    // a page full of the octet that follows
	flagSizes    = 0x04    // the address is the sum of the blocks' sizes, which follow
	flagPage     = 0x08    // the page follows
	flagEnd      = 0x10    // of the section
	flagSame     = 0x20    // the same block as in the record before; else the block's name comes before the page
	maxStreamTop = 1 << 16 // what comes before it is shorter
)

// ramSection is how the section of RAM goes on behind its type and identifier: name, instance 0, version 4.
var ramSection = []byte("\x03ram\x00\x00\x00\x00\x00\x00\x00\x04")

// memoryStream copies a migration stream without the pages of guest memory that are zero. Memory that nobody has
// written is zero, and takes no room; QEMU compares it with the zeros of the stream, though, and in shared memory a
// page takes room as soon as it is read.
type memoryStream struct {
	in    *bufio.Reader
	out   *bufio.Writer
	ram   string // the block that is the guest's memory: it begins as zeros, while a ROM's begins as the ROM
	block string // of the record before
	named bool   // whether the last record that was written out is of that block
	data  map[uint64]bool
}

// leaveZerosOut copies the stream. Errors: errStream, and those of reading and writing.
func leaveZerosOut(out io.Writer, in io.Reader) error {
	m := &memoryStream{in: bufio.NewReaderSize(in, maxStreamTop), out: bufio.NewWriterSize(out, maxStreamTop), data: map[uint64]bool{}}
	top, err := m.in.Peek(maxStreamTop)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	const head = 1 + 4 // type and identifier
	at := bytes.Index(top, ramSection) - head
	if at < 0 || top[at] != sectionStart {
		return fmt.Errorf("%w: it has no section of RAM", errStream)
	}
	id := bytes.Clone(top[at+1 : at+head])
	if err := m.copy(at + head + len(ramSection)); err != nil {
		return err
	}
	for {
		if err := m.section(id); err != nil {
			return err
		}
		next, err := m.in.Peek(head)
		if err != nil {
			return fmt.Errorf("%w: it ends in RAM", errStream)
		}
		if next[0] <= sectionStart || next[0] > sectionEnd || !bytes.Equal(next[1:], id) {
			break // the devices' state, as it is
		}
		if err := m.copy(head); err != nil {
			return err
		}
	}
	if _, err := io.Copy(m.out, m.in); err != nil {
		return err
	}
	return m.out.Flush()
}

// section copies the records of one section, and its footer.
func (m *memoryStream) section(id []byte) error {
	for end := false; !end; {
		var err error
		if end, err = m.record(); err != nil {
			return err
		}
	}
	footer := append([]byte{sectionFooter}, id...)
	if next, err := m.in.Peek(len(footer)); err == nil && bytes.Equal(next, footer) {
		return m.copy(len(footer))
	}
	return nil
}

// record copies one record, or leaves it out.
func (m *memoryStream) record() (end bool, err error) {
	head, err := m.take(8)
	if err != nil {
		return false, err
	}
	word := binary.BigEndian.Uint64(head)
	address, flags := word&^(pageSize-1), word&(pageSize-1)
	switch flags &^ flagSame {
	case flagEnd:
		_, err = m.out.Write(head)
		return true, err
	case flagSizes:
		_, err = m.out.Write(head)
		return false, errors.Join(err, m.sizes(address))
	case flagZero, flagPage:
	default:
		return false, fmt.Errorf("%w: a record has the flags %#x", errStream, flags)
	}
	if flags&flagSame == 0 {
		name, err := m.name()
		if err != nil {
			return false, err
		}
		m.block, m.named = name, false
	}
	length := 1
	if flags&flagPage != 0 {
		length = pageSize
	}
	content, err := m.take(length)
	if err != nil {
		return false, err
	}
	if m.block == m.ram {
		// A page may come twice; what takes an earlier content back is not left out.
		if flags&flagZero != 0 && content[0] == 0 && !m.data[address] {
			return false, nil
		}
		m.data[address] = true
	}
	return false, m.write(word, content)
}

// write writes the record of a page, with the block's name if the record before was another's or is left out.
func (m *memoryStream) write(word uint64, content []byte) error {
	if m.named {
		word |= flagSame
	} else {
		word &^= flagSame
	}
	head := binary.BigEndian.AppendUint64(nil, word)
	if !m.named {
		head = append(append(head, byte(len(m.block))), m.block...)
		m.named = true
	}
	_, err := m.out.Write(head)
	if err == nil {
		_, err = m.out.Write(content)
	}
	return err
}

// sizes copies the list of blocks, whose sizes sum up to total; the greatest is the guest's memory.
func (m *memoryStream) sizes(total uint64) error {
	var greatest uint64
	for total > 0 {
		name, err := m.name()
		if err != nil {
			return err
		}
		raw, err := m.take(8)
		if err != nil {
			return err
		}
		size := binary.BigEndian.Uint64(raw)
		if size == 0 || size > total {
			return fmt.Errorf("%w: the block %q has %d of %d octets", errStream, name, size, total)
		}
		if size > greatest {
			greatest, m.ram = size, name
		}
		total -= size
		if _, err := m.out.Write(append(append([]byte{byte(len(name))}, name...), raw...)); err != nil {
			return err
		}
	}
	return nil
}

func (m *memoryStream) name() (string, error) {
	length, err := m.take(1)
	if err != nil {
		return "", err
	}
	name, err := m.take(int(length[0]))
	return string(name), err
}

func (m *memoryStream) take(n int) ([]byte, error) {
	raw := make([]byte, n)
	if _, err := io.ReadFull(m.in, raw); err != nil {
		return nil, fmt.Errorf("%w: it ends in RAM: %w", errStream, err)
	}
	return raw, nil
}

func (m *memoryStream) copy(n int) error {
	_, err := io.CopyN(m.out, m.in, int64(n))
	return err
}
