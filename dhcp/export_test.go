package dhcp

import (
	"fmt"
	"net/netip"
)

// What the tests of package dhcp_test need to see of the inside.

// Disk and DiskFile are what the lease store needs of a file system.
type (
	Disk     = disk
	DiskFile = diskFile
)

// Directory is a real disk.
func Directory(path string) Disk { return directory(path) }

// OnDisk makes a server keep its leases on a disk that a test has made.
func (o Options) OnDisk(d Disk) Options {
	o.disk = d
	return o
}

// JournalName is the name of a generation's file.
var JournalName = journalName

// EncodeReply is the codec's other half.
func EncodeReply(dst []byte, xid uint32, chaddr HWAddr, yiaddr netip.Addr, options []Option, limit int) ([]byte, int) {
	return encodeReply(dst, &header{xid: xid, chaddr: chaddr, yiaddr: toIP4(yiaddr)}, options, limit)
}

// Journal writes a table's durable part as a whole journal.
func (t *Table) Journal() []byte {
	b := t.snapshot()
	appendFileHeader(b[:0], 1)
	(&store{}).stamp(b[fileHeaderSize:])
	return b
}

// Changes are the records of what the last call of Handle changed.
func (t *Table) Changes() []byte { return t.encode(nil) }

// Stamp gives records that were appended to a journal their sequences, the first one after last.
func Stamp(records []byte, last uint64) (next uint64) {
	s := store{seq: last}
	s.stamp(records)
	return s.seq
}

// EmptyJournal is a journal without records.
func EmptyJournal() []byte { return appendFileHeader(nil, 1) }

// Load takes a journal's records into the table, and tells where its good part ends and whether there is a rest.
func (t *Table) Load(journal []byte) (end int, last uint64, rest bool) {
	if err := checkFileHeader(journal); err != nil {
		return 0, 0, true
	}
	return scanJournal(journal, t.restore)
}

// Records counts the records of a journal.
func Records(journal []byte) (n int) {
	scanJournal(journal, func(record) { n++ })
	return n
}

// Restamped is a copy of a journal in which every record that has its whole length has a right checksum, so that a
// fuzzer gets behind the checksums.
func Restamped(journal []byte) []byte {
	b := append([]byte(nil), journal...)
	if len(b) < fileHeaderSize {
		return b
	}
	appendFileHeader(b[:0], 1)
	records := b[fileHeaderSize:]
	for seq := uint64(1); len(records) >= recordHead; seq++ {
		n := recordHead + int(records[0])<<8 + int(records[1])
		if n > len(records) {
			break
		}
		records = records[stampRecord(records, seq):]
	}
	return b
}

// LoadDirectory loads the leases of a directory into the table, as Open does, and leaves the directory ready for more.
func LoadDirectory(dir string, t *Table) error {
	s, _, err := openStore(directory(dir), t)
	if err != nil {
		return err
	}
	return s.close()
}

// Bloat makes the server compact its journal, as it does when it has grown large. No lease may be given meanwhile.
func (s *Server) Bloat() {
	s.committing.Lock()
	s.store.at += minCompact // only the new generation says where the next record goes
	s.committing.Unlock()
	s.wakeCommitter()
}

// Contradictions are where clients and bindings do not agree on who has what: an address that two own, a client that
// owns two.
func (t *Table) Contradictions() (out []string) {
	wrong := func(what string, a ip4) { out = append(out, fmt.Sprintf("%v: %s", a.addr(), what)) }
	for _, s := range t.subnets {
		for key, c := range s.clients {
			if b := c.owns; b != nil && (b.owner != c || t.byAddr[b.addr] != b || b.sub != s) {
				wrong("it is not of its client", b.addr)
			}
			if b := c.offered; b != nil && (b.offeredTo != c || t.byAddr[b.addr] != b || b.sub != s) {
				wrong("it is not offered to its client", b.addr)
			}
			if key != c.key || c.owns == nil && c.offered == nil {
				out = append(out, fmt.Sprintf("client %q, under %q, has nothing", c.key, key))
			}
		}
	}
	for a, b := range t.byAddr {
		if c := b.owner; b.addr != a || c != nil && (c.owns != b || b.sub.clients[c.key] != c) {
			wrong("its owner has another", a)
		}
		if c := b.offeredTo; c != nil && (c.offered != b || b.sub.clients[c.key] != c) {
			wrong("it is offered to who has another offer", a)
		}
	}
	return out
}

// Store is the lease store of a table.
type Store struct {
	s *store
	t *Table
}

// OpenStore loads a disk's leases into the table.
func OpenStore(d Disk, t *Table) (Store, error) {
	s, _, err := openStore(d, t)
	return Store{s, t}, err
}

// Write makes what the last call of Handle changed durable.
func (s Store) Write() error { return s.s.write(s.t.encode(nil)) }

// Compact begins a new generation.
func (s Store) Compact() error { return s.s.renew(s.t.snapshot()) }
