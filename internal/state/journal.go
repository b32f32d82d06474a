package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// journalVersion is the format that this program writes and reads.
const journalVersion = 1

// Record is one line of the journal.
type Record struct {
	Version int       `json:"version"`
	Seq     int       `json:"seq"`  // 1, 2, … in the life of the file
	Time    time.Time `json:"time"` // for people: nothing is decided by it
	Run     string    `json:"run"`  // the command that wrote it
	Kind    Kind      `json:"kind"`
	Action  string    `json:"action"`            // create, update, delete
	Address string    `json:"address"`           // bridge.br1
	Object  string    `json:"object,omitempty"`  // its name in the kernel or libvirt: br1, three-taps-pc1
	Undo    string    `json:"undo,omitempty"`    // what would take a begun change back
	Applied string    `json:"applied,omitempty"` // of the wanted state, what the object itself cannot tell later
	Error   string    `json:"error,omitempty"`
}

// Journal is the append-only record of what was done to a lab. It is safe for concurrent use.
type Journal struct {
	path string
	opts JournalOptions

	mu      sync.Mutex // the file's content, and the fields below
	file    *os.File
	size    int64
	records []Record

	syncing sync.Mutex // held around fsync, so that one fsync serves all records written before it
	synced  int        // the newest durable record; under syncing
}

// JournalOptions are what a Journal needs from outside.
type JournalOptions struct {
	Run string           // names the command in each record
	Now func() time.Time // the clock
	// AfterWrite, when set, is called after each record is durable and before Append returns, one call at a time.
	// Tests stop the process there.
	AfterWrite func(Record)
}

// OpenJournal opens the journal at path for appending, creating it durably. A torn last line, left by a crash in
// the middle of a write, is cut off.
func OpenJournal(path string, opts JournalOptions) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, FileMode)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{path: path, opts: opts, file: file}
	if err := j.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal: %w", err), file.Close())
	}
	return j, nil
}

func (j *Journal) load() error {
	data, err := os.ReadFile(j.path)
	if err != nil {
		return err
	}
	if j.records, j.size, err = parseJournal(j.path, data); err != nil {
		return err
	}
	j.synced = j.lastSeq()
	if err := j.file.Truncate(j.size); err != nil {
		return err
	}
	return errors.Join(j.file.Sync(), syncDir(filepath.Dir(j.path)))
}

// ReadJournal returns the records at path without opening it for writing; none when there is no journal. After a
// damaged line it returns the records before it and a *CorruptError.
func ReadJournal(path string) ([]Record, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	records, _, err := parseJournal(path, data)
	return records, err
}

// CorruptError says that a line of the journal is not a record.
type CorruptError struct {
	Path string
	Line int // from 1
	Err  error
}

// Error implements error.
func (e *CorruptError) Error() string { return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err) }

// Unwrap returns what is wrong with the line.
func (e *CorruptError) Unwrap() error { return e.Err }

// ErrVersion is returned for a record that a later kvmlab wrote.
var ErrVersion = errors.New("written by another version of kvmlab")

// parseJournal returns the whole records in data and the length of the lines that hold them. What follows the last
// newline was torn by a crash before its fsync returned: nothing was done on its word, so it is dropped.
func parseJournal(path string, data []byte) (records []Record, size int64, err error) {
	for line := 1; ; line++ {
		text, rest, whole := bytes.Cut(data, []byte{'\n'})
		if !whole {
			return records, size, nil
		}
		var r Record
		if err = json.Unmarshal(text, &r); err == nil && r.Version != journalVersion {
			err = fmt.Errorf("journal version %d: %w", r.Version, ErrVersion)
		}
		if err != nil {
			return records, size, &CorruptError{Path: path, Line: line, Err: err}
		}
		records, size, data = append(records, r), size+int64(len(text))+1, rest
	}
}

// Append writes r, with version, sequence number, time and run filled in, and returns it once it would survive a
// power cut. Records of concurrent calls share one fsync.
func (j *Journal) Append(r Record) (Record, error) {
	r, err := j.write(r)
	if err == nil {
		err = j.sync(r)
	}
	if err != nil {
		return Record{}, fmt.Errorf("write journal: %s %s: %w", r.Kind, r.Address, err)
	}
	return r, nil
}

func (j *Journal) write(r Record) (Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Version, r.Seq, r.Time, r.Run = journalVersion, j.lastSeq()+1, j.opts.Now().UTC(), j.opts.Run
	line, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	line = append(line, '\n')
	if _, err := j.file.WriteAt(line, j.size); err != nil {
		// A part of the line may be there (a full disk): the next record must not be glued to it.
		return r, errors.Join(err, j.file.Truncate(j.size))
	}
	j.size += int64(len(line))
	j.records = append(j.records, r)
	return r, nil
}

// sync returns when r is durable and the hook has seen it.
func (j *Journal) sync(r Record) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if j.synced < r.Seq {
		j.mu.Lock()
		last := j.lastSeq()
		j.mu.Unlock()
		if err := j.file.Sync(); err != nil {
			return err
		}
		j.synced = last
	}
	if j.opts.AfterWrite != nil {
		j.opts.AfterWrite(r)
	}
	return nil
}

func (j *Journal) lastSeq() int {
	if len(j.records) == 0 {
		return 0
	}
	return j.records[len(j.records)-1].Seq
}

// Records returns everything in the journal, oldest first.
func (j *Journal) Records() []Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.records)
}

// Close closes the file; everything appended is durable already.
func (j *Journal) Close() error {
	if err := j.file.Close(); err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}
