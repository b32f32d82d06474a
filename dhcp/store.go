package dhcp

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// store keeps a table's durable part in files of a directory. Each file is a generation: a snapshot of the table
// followed by every change since. A new generation is written beside the old one and takes its name only when all
// of it is on the disk; the one before it is kept.
//
// A failed write or sync is never retried on the same file: after it, nobody knows which octets reached the disk
// (the kernel may drop dirty pages and report success the next time). Only a new generation ends the failure.
type store struct {
	disk  disk
	file  diskFile
	gen   uint64
	seq   uint64 // of the last record that was written
	at    int64  // where the next record goes
	zeros int64  // up to where the file is preallocated
	base  int64  // how large the generation's snapshot was, or the journal when it last could not be compacted
	err   error  // why it failed; nil while it works
	slow  bool   // whether the last sync took longer than slowSync
}

// Sizes of the journal in octets.
const (
	minExtend   = 128 << 10 // how much is preallocated at a time: little for a lab,
	maxExtend   = 8 << 20   // much for a server with many clients
	minCompact  = 32 << 20  // a smaller journal is never compacted while the server runs,
	compactRate = 4         // and a larger one not before it has grown to this many times its snapshot
)

// slowSync is how long an OFFER may well wait for the sync of others' leases.
const slowSync = time.Millisecond

const (
	journalPrefix = "leases-"
	journalSuffix = ".journal"
	journalNew    = "leases.new"
)

func journalName(gen uint64) string {
	return fmt.Sprintf("%s%08d%s", journalPrefix, gen, journalSuffix)
}

// generations lists the journals in a directory, the newest first.
func generations(d disk) ([]uint64, error) {
	names, err := d.List()
	if err != nil {
		return nil, err
	}
	var gens []uint64
	for _, name := range names {
		var gen uint64
		if _, err := fmt.Sscanf(name, journalPrefix+"%d"+journalSuffix, &gen); err == nil && journalName(gen) == name {
			gens = append(gens, gen)
		}
	}
	slices.Sort(gens)
	slices.Reverse(gens)
	return gens, nil
}

// loaded is what load found.
type loaded struct {
	gen, seq uint64
	end      int
	size     int
	damage   string // what could not be read; empty when all could
	lost     bool   // whether what was acknowledged may be among it: more than a torn end
}

// load reads the newest readable generation and calls fn for each of its records, after expect has been told how many
// they may be. A generation whose header is damaged gives way to the one before it.
func load(d disk, expect func(records int), fn func(record)) (loaded, error) {
	gens, err := generations(d)
	if errors.Is(err, fs.ErrNotExist) {
		return loaded{}, nil
	}
	if err != nil {
		return loaded{}, fmt.Errorf("list lease journals: %w", err)
	}
	var (
		damage []string
		lost   bool
	)
	for _, gen := range gens {
		b, err := d.Read(journalName(gen))
		if err != nil {
			return loaded{}, fmt.Errorf("read lease journal: %w", err)
		}
		err = checkFileHeader(b)
		if errors.Is(err, ErrJournalHeader) {
			damage = append(damage, journalName(gen)+" has no valid header")
			lost = true
			continue
		}
		if err != nil {
			return loaded{}, err
		}
		l := loaded{gen: gen, size: len(b), lost: lost}
		expect(len(b) / typicalRecord)
		var rest bool
		switch l.end, l.seq, rest = scanJournal(b, fn); {
		case rest && recordFollows(b[l.end:]):
			l.lost = true
			damage = append(damage, fmt.Sprintf("%s is damaged after octet %d, and records follow: leases may be lost",
				journalName(gen), l.end))
		case rest:
			damage = append(damage, fmt.Sprintf("%s is torn after octet %d, as a power cut leaves it: nothing that was "+
				"acknowledged is lost", journalName(gen), l.end))
		}
		l.damage = strings.Join(damage, "; ")
		return l, nil
	}
	return loaded{damage: strings.Join(damage, "; "), lost: lost}, nil
}

// Damage says what of the leases in a directory may be lost; empty is nothing. A torn end is no damage: no client was told of
// what it held.
func Damage(dir string) (string, error) {
	l, err := load(directory(dir), func(int) {}, func(record) {})
	if err != nil || !l.lost {
		return "", err
	}
	return l.damage, nil
}

// openStore loads the directory's leases into the table and prepares for writing. damage says what was unreadable.
func openStore(d disk, t *Table) (s *store, damage string, err error) {
	l, err := load(d, t.expect, t.restore)
	if err != nil {
		return nil, "", err
	}
	s = &store{disk: d, gen: l.gen, seq: l.seq}
	if l.gen == 0 || l.damage != "" {
		if gens, err := generations(d); err == nil && len(gens) > 0 {
			s.gen = gens[0]
		}
		// What follows a torn record must not become readable again behind new ones, so a new file is begun.
		if err := s.renew(t.snapshot()); err != nil {
			return nil, "", err
		}
		return s, l.damage, nil
	}
	if s.file, err = d.Open(journalName(l.gen)); err != nil {
		return nil, "", fmt.Errorf("open lease journal: %w", err)
	}
	s.at, s.zeros, s.base = int64(l.end), int64(l.size), int64(l.end)
	return s, "", nil
}

// encode appends records of the table's last changes to dst. They get their sequence when they are written.
func (t *Table) encode(dst []byte) []byte {
	for _, b := range t.changed {
		dst = appendBinding(dst, b, t.serverFor(b.sub))
	}
	return dst
}

// snapshot encodes the whole table. The caller makes sure that the table does not change meanwhile.
func (t *Table) snapshot() []byte {
	out := make([]byte, fileHeaderSize, fileHeaderSize+96*len(t.byAddr))
	for _, b := range t.byAddr {
		if b.state != 0 {
			out = appendBinding(out, b, t.serverFor(b.sub))
		}
	}
	return out
}

// renew writes a snapshot as the next generation and makes it the current one. On an error the old generation
// stays current, and the store is left as failed as it was before.
func (s *store) renew(snapshot []byte) (err error) {
	appendFileHeader(snapshot[:0], s.gen+1)
	last := s.seq
	s.stamp(snapshot[fileHeaderSize:])
	defer func() {
		if err != nil {
			s.seq = last // the old generation goes on without a gap
		}
	}()
	f, err := s.disk.Create(journalNew)
	if err != nil {
		return fmt.Errorf("create lease journal: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = s.disk.Remove(journalNew)
		}
	}()
	if _, err := f.WriteAt(snapshot, 0); err != nil {
		return fmt.Errorf("write lease snapshot: %w", err)
	}
	if _, err := f.WriteAt(make([]byte, minExtend), int64(len(snapshot))); err != nil {
		return fmt.Errorf("preallocate lease journal: %w", err)
	}
	if err := f.Datasync(); err != nil {
		return fmt.Errorf("sync lease snapshot: %w", err)
	}
	if err := s.disk.Rename(journalNew, journalName(s.gen+1)); err != nil {
		return fmt.Errorf("put lease journal in place: %w", err)
	}
	if err := s.disk.SyncDir(); err != nil {
		// The name may or may not survive a power cut. Nothing may be acknowledged on the strength of it, so it
		// is taken away again, and nothing more is written to the old generation, which is still whole.
		_ = s.disk.Remove(journalName(s.gen + 1))
		s.err = fmt.Errorf("sync lease directory: %w", err)
		return s.err
	}
	old := s.file
	s.gen++
	s.file, s.at, s.base = f, int64(len(snapshot)), int64(len(snapshot))
	s.zeros, s.err = s.at+minExtend, nil
	if old != nil {
		_ = old.Close()
	}
	if s.gen > 2 {
		_ = s.disk.Remove(journalName(s.gen - 2)) // clean-up only: an old generation too many does no harm
	}
	return nil
}

// write makes records durable. After an error the store has failed until renew succeeds.
func (s *store) write(records []byte) error {
	if s.err != nil {
		return s.err
	}
	if len(records) == 0 {
		return nil
	}
	s.stamp(records)
	if err := s.put(records); err != nil {
		s.err = err
		return err
	}
	s.at += int64(len(records))
	return nil
}

// stamp gives encoded records their sequences and checksums.
func (s *store) stamp(records []byte) {
	for len(records) > 0 {
		s.seq++
		records = records[stampRecord(records, s.seq):]
	}
}

func (s *store) put(records []byte) error {
	if end := s.at + int64(len(records)); end > s.zeros {
		// Zeros are written, not just promised: then an append changes neither the size nor the allocation, and
		// fdatasync has no metadata to write.
		size := max(end, s.zeros+min(max(s.zeros, minExtend), maxExtend))
		if _, err := s.file.WriteAt(make([]byte, size-s.zeros), s.zeros); err != nil {
			return fmt.Errorf("preallocate lease journal: %w", err)
		}
		s.zeros = size
	}
	if _, err := s.file.WriteAt(records, s.at); err != nil {
		return fmt.Errorf("write lease journal: %w", err)
	}
	began := time.Now()
	if err := s.file.Datasync(); err != nil {
		return fmt.Errorf("sync lease journal: %w", err)
	}
	s.slow = time.Since(began) > slowSync
	return nil
}

// bloated tells whether it is worth it to begin a new generation.
func (s *store) bloated() bool { return s.at > max(minCompact, compactRate*s.base) }

// close closes the file. Everything acknowledged is durable already.
func (s *store) close() error {
	if s.file == nil {
		return nil
	}
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("close lease journal: %w", err)
	}
	return nil
}

// ReadLeases is ReadLeasesAt now.
func ReadLeases(dir string) ([]Lease, error) { return ReadLeasesAt(dir, time.Now()) }

// ReadLeasesAt reads the leases in a directory without a server, whether or not one is running there, as they stand
// at a given time. It changes nothing. A directory without leases has none; it is no error.
func ReadLeasesAt(dir string, now time.Time) ([]Lease, error) {
	bindings, servers := map[ip4]*binding{}, map[ip4]ip4{}
	take := func(r record) {
		b := &binding{addr: r.addr, state: r.state, start: r.start, end: r.end}
		servers[r.addr] = r.server
		if len(r.key) > 0 {
			b.owner = &client{key: string(r.key), hw: r.hw, hostname: string(r.hostname)}
		}
		bindings[r.addr] = b
	}
	var err error
	for range 3 {
		// A running server may replace the generation between the listing and the reading.
		if _, err = load(directory(dir), func(int) {}, take); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	out := make([]Lease, 0, len(bindings))
	for _, b := range bindings {
		if l, ok := b.lease(now.UnixNano(), servers[b.addr]); ok {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b Lease) int { return a.Address.Compare(b.Address) })
	return out, nil
}
