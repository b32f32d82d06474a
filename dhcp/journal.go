package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The journal's format. A file is a header and records, one after the other:
//
//	header: "KVMLDHCP" version(u32) generation(u64) crc(u32)
//	record: length(u16) crc(u32) sequence(u64) body(length octets)
//	body:   address(4) state(u8) start(i64) end(i64) key(u16 n, n octets) kind(u8) hw(u8 n, n octets)
//	        hostname(u8 n, n octets) server(4)
//
// Numbers are big-endian; the CRC is CRC-32C of what follows it in the record. A record holds all that is durable
// of one address, so the last one about an address is the truth. Sequences go up by one. A length of zero is the
// end: the file is preallocated with zeros.
const (
	journalMagic   = "KVMLDHCP"
	journalVersion = 1
	fileHeaderSize = 8 + 4 + 8 + 4
	recordHead     = 2 + 4 + 8
	typicalRecord  = recordHead + 44 // of a client without identifier and name; few are shorter
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Ways in which a journal cannot be read.
var (
	// ErrJournalVersion is for a journal that a later version of this package wrote.
	ErrJournalVersion = errors.New("lease journal is of a version that is not known here")
	// ErrJournalHeader is for a file that is no journal, or whose first octets are damaged.
	ErrJournalHeader = errors.New("lease journal has no valid header")
)

// record is one address's durable state.
type record struct {
	addr       ip4
	state      LeaseState
	start, end int64
	key        []byte
	hw         HWAddr
	hostname   []byte
	server     ip4
}

func appendFileHeader(dst []byte, generation uint64) []byte {
	start := len(dst)
	dst = append(dst, journalMagic...)
	dst = binary.BigEndian.AppendUint32(dst, journalVersion)
	dst = binary.BigEndian.AppendUint64(dst, generation)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// checkFileHeader tells whether a journal begins as one of this version does.
func checkFileHeader(b []byte) error {
	if len(b) < fileHeaderSize || string(b[:8]) != journalMagic {
		return ErrJournalHeader
	}
	if binary.BigEndian.Uint32(b[20:]) != crc32.Checksum(b[:20], castagnoli) {
		return ErrJournalHeader
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != journalVersion {
		return fmt.Errorf("%w: %d", ErrJournalVersion, v)
	}
	return nil
}

// appendBinding writes a record of a binding, still without sequence and checksum.
func appendBinding(dst []byte, b *binding, server ip4) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, recordHead)...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(b.addr))
	dst = append(dst, byte(b.state))
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.start))
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.end))
	var c client
	if b.owner != nil {
		c = *b.owner
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(c.key)))
	dst = append(dst, c.key...)
	dst = append(append(dst, c.hw.kind, c.hw.size), c.hw.bytes[:c.hw.size]...)
	dst = append(append(dst, byte(len(c.hostname))), c.hostname...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(server))
	binary.BigEndian.PutUint16(dst[start:], uint16(len(dst)-start-recordHead))
	return dst
}

// stampRecord completes the record that b begins with, and returns its length.
func stampRecord(b []byte, seq uint64) int {
	n := recordHead + int(binary.BigEndian.Uint16(b))
	binary.BigEndian.PutUint64(b[6:], seq)
	binary.BigEndian.PutUint32(b[2:], crc32.Checksum(b[6:n], castagnoli))
	return n
}

// scanJournal calls fn for each record and returns where the good part ends and the sequence of the last one. What
// comes after the first damaged record was never acknowledged to anybody, if it was torn by a power cut; rest tells
// whether there is anything but zeros.
func scanJournal(b []byte, fn func(record)) (end int, seq uint64, rest bool) {
	at := fileHeaderSize
	for {
		body, s, n := nextRecord(b[at:])
		if n == 0 || seq != 0 && s != seq+1 {
			break
		}
		r, ok := parseRecord(body)
		if !ok {
			break
		}
		fn(r)
		seq = s
		at += n
	}
	for _, c := range b[at:] {
		if c != 0 {
			return at, seq, true
		}
	}
	return at, seq, false
}

// recordFollows tells whether somewhere behind damage there is a whole record. It looks no further than a few thousand of
// them would reach, for records of an ordinary size.
func recordFollows(b []byte) bool {
	const reach, ordinary = 1 << 18, 1 << 10
	for at := 1; at < min(len(b), reach); at++ {
		if len(b)-at < recordHead || int(binary.BigEndian.Uint16(b[at:])) > ordinary {
			continue
		}
		if _, _, n := nextRecord(b[at:]); n > 0 {
			return true
		}
	}
	return false
}

// nextRecord returns the record that b begins with; n is 0 when there is none.
func nextRecord(b []byte) (body []byte, seq uint64, n int) {
	if len(b) < recordHead {
		return nil, 0, 0
	}
	n = recordHead + int(binary.BigEndian.Uint16(b))
	if n == recordHead || n > len(b) {
		return nil, 0, 0
	}
	if binary.BigEndian.Uint32(b[2:]) != crc32.Checksum(b[6:n], castagnoli) {
		return nil, 0, 0
	}
	return b[recordHead:n], binary.BigEndian.Uint64(b[6:]), n
}

// parseRecord reads a body. Octets after the last field are for later versions and are passed over.
func parseRecord(b []byte) (r record, ok bool) {
	if len(b) < 4+1+8+8+2 {
		return r, false
	}
	r.addr, r.state = ip4(binary.BigEndian.Uint32(b)), LeaseState(b[4])
	r.start, r.end = int64(binary.BigEndian.Uint64(b[5:])), int64(binary.BigEndian.Uint64(b[13:]))
	n := int(binary.BigEndian.Uint16(b[21:]))
	if b = b[23:]; len(b) < n+2 {
		return r, false
	}
	r.key = b[:n]
	kind, size := b[n], int(b[n+1])
	if b = b[n+2:]; size > 16 || len(b) < size+1 {
		return r, false
	}
	r.hw = newHWAddr(kind, b[:size])
	n = int(b[size])
	if b = b[size+1:]; len(b) < n+4 {
		return r, false
	}
	r.hostname, r.server = b[:n], ip4(binary.BigEndian.Uint32(b[n:]))
	return r, r.state >= StateBound && r.state <= StateDeclined
}

// expect makes room for the records of a journal, which is cheaper at once than by and by. Many may be about one
// address, so there is never more room than there are addresses.
func (t *Table) expect(records int) {
	total := 0
	for _, s := range t.subnets {
		n := len(s.reserved)
		for _, p := range s.pool {
			n += int(p.last-p.first) + 1
		}
		n = min(n, records)
		total = min(total+n, records)
		if len(s.clients) == 0 {
			s.clients, s.spare = make(map[string]*client, n), make([]client, n)
			s.free.list = make([]*binding, 0, n)
		}
	}
	if len(t.byAddr) == 0 {
		t.byAddr, t.spare = make(map[ip4]*binding, total), make([]binding, total)
	}
}

// restore takes a record into the table. Addresses outside every subnet, of an older configuration, are left out.
func (t *Table) restore(r record) {
	s := t.subnetOf(r.addr)
	if s == nil || r.state < StateBound || r.state > StateDeclined {
		return
	}
	b := t.bindingAt(s, r.addr)
	if old := b.owner; old != nil {
		old.owns = nil
		b.owner = nil
		if string(r.key) != old.key {
			s.forget(old)
		}
	}
	b.state, b.start, b.end = r.state, r.start, r.end
	if len(r.key) > 0 {
		c := s.clientOf(r.key)
		if other := c.owns; other != nil {
			// A crash between two records of one change can leave a client with two addresses; the later wins.
			other.owner, other.state = nil, StateReleased
			other.end = min(other.end, r.start)
			t.settle(other)
		}
		c.owns, c.hw, b.owner = b, r.hw, c
		if c.hostname != string(r.hostname) {
			c.hostname = string(r.hostname)
		}
	}
	t.settle(b)
}
