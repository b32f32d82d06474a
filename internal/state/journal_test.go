package state_test

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/state"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func openJournal(t *testing.T, path string, after func(state.Record)) *state.Journal {
	t.Helper()
	j, err := state.OpenJournal(path, state.JournalOptions{
		Run: "run1", Now: func() time.Time { return testTime }, AfterWrite: after,
	})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func appendAll(t *testing.T, j *state.Journal, records ...state.Record) {
	t.Helper()
	for _, r := range records {
		if _, err := j.Append(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJournalKeepsRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	var hooked []int
	j := openJournal(t, path, func(r state.Record) {
		hooked = append(hooked, r.Seq)
		if onDisk, err := state.ReadJournal(path); err != nil || len(onDisk) != r.Seq {
			t.Errorf("hook before the record is written: %v, %v", onDisk, err)
		}
	})
	begin := state.Record{Kind: state.Begin, Action: "create", Address: "bridge.br1", Object: "br1", Undo: "remove"}
	failed := state.Record{Kind: state.Failed, Action: "create", Address: "bridge.br1", Error: "no"}
	appendAll(t, j, begin, failed)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openJournal(t, path, nil)
	defer j.Close()
	appendAll(t, j, state.Record{Kind: state.Undone, Action: "create", Address: "bridge.br1"})

	want := []state.Record{begin, failed, {Kind: state.Undone, Action: "create", Address: "bridge.br1"}}
	for i := range want {
		want[i].Version, want[i].Seq, want[i].Time, want[i].Run = 1, i+1, testTime, "run1"
	}
	onDisk, err := state.ReadJournal(path)
	if diff := cmp.Diff(want, onDisk); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if diff := cmp.Diff(want, j.Records()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{1, 2}, hooked); diff != "" {
		t.Error(diff)
	}
}

// A crash can leave any prefix of the last line. Whatever it left, what was durable before is there and the journal
// goes on.
func TestJournalTornAtEveryByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	j := openJournal(t, path, nil)
	appendAll(t, j, state.Record{Kind: state.Begin, Address: "tap.tap1"}, state.Record{Kind: state.Done, Address: "tap.tap1"})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(string(whole[:cut]), "\n")
		if records, err := state.ReadJournal(path); err != nil || len(records) != lines {
			t.Fatalf("cut at %d: read %d records, %v", cut, len(records), err)
		}
		j := openJournal(t, path, nil)
		appendAll(t, j, state.Record{Kind: state.Undone, Address: "tap.tap1"})
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		records, err := state.ReadJournal(path)
		if err != nil || len(records) != lines+1 || records[lines].Seq != lines+1 {
			t.Fatalf("cut at %d: after append %v, %v", cut, records, err)
		}
	}
}

func TestJournalRefusesWhatItCannotRead(t *testing.T) {
	good := `{"version":1,"seq":1,"time":"2026-01-02T03:04:05Z","run":"r","kind":"begin","action":"create","address":"supervisor"}` + "\n"
	for _, test := range []struct {
		name, content string
		records, line int
		version       bool
	}{
		{"damaged line", good + "{\"version\":1,\x00\n" + good, 1, 2, false},
		{"empty line", "\n" + good, 0, 1, false},
		{"later version", good + `{"version":2,"kind":"begin"}` + "\n", 1, 2, true},
		{"unknown kind", `{"version":1,"kind":"begun"}` + "\n", 0, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.jsonl")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			records, err := state.ReadJournal(path)
			var corrupt *state.CorruptError
			if !errors.As(err, &corrupt) || corrupt.Line != test.line || corrupt.Path != path {
				t.Fatalf("error %v, want line %d", err, test.line)
			}
			if errors.Is(err, state.ErrVersion) != test.version {
				t.Errorf("ErrVersion in %v", err)
			}
			if len(records) != test.records {
				t.Errorf("%d records before the damage, want %d", len(records), test.records)
			}
			if _, err := state.OpenJournal(path, state.JournalOptions{}); !errors.As(err, &corrupt) {
				t.Errorf("OpenJournal: %v", err)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != test.content {
				t.Errorf("a journal that cannot be read was changed")
			}
		})
	}
}

func TestJournalConcurrentAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	var seen []int
	j := openJournal(t, path, func(r state.Record) { seen = append(seen, r.Seq) }) // called one at a time
	defer j.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if _, err := j.Append(state.Record{Kind: state.Begin, Address: "domain.pc1"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	records, err := state.ReadJournal(path)
	if err != nil || len(records) != 80 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	slices.Sort(seen)
	for i, r := range records {
		if r.Seq != i+1 || seen[i] != i+1 {
			t.Fatalf("record %d: seq %d, hook %d", i, r.Seq, seen[i])
		}
	}
}

// A full disk must not lose what was written before, nor glue the next record to half of this one. The size limit on
// files that stands for it counts for a whole process (setrlimit(2), RLIMIT_FSIZE), so it runs in one of its own.
func TestJournalOnAFullDisk(t *testing.T) {
	if os.Getenv("KVMLAB_TEST_FULL_DISK") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestJournalOnAFullDisk$")
		cmd.Env = append(os.Environ(), "KVMLAB_TEST_FULL_DISK=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	j := openJournal(t, path, nil)
	defer j.Close()
	appendAll(t, j, state.Record{Kind: state.Begin, Address: "tap.tap1"})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	full := unix.Rlimit{Cur: uint64(info.Size()) + 20, Max: unix.RLIM_INFINITY}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(state.Record{Kind: state.Done, Address: "tap.tap1"}); !errors.Is(err, unix.EFBIG) {
		t.Fatalf("append on a full disk: %v", err)
	}
	full.Cur = unix.RLIM_INFINITY
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, state.Record{Kind: state.Undone, Address: "tap.tap1"})
	records, err := state.ReadJournal(path)
	if err != nil || len(records) != 2 || records[1].Kind != state.Undone || records[1].Seq != 2 {
		t.Errorf("after the disk was full: %v, %v", records, err)
	}
}

func FuzzReadJournal(f *testing.F) {
	f.Add([]byte(`{"version":1,"seq":1,"time":"2026-01-02T03:04:05Z","run":"r","kind":"done","action":"create","address":"tap.tap1"}` + "\n"))
	f.Add([]byte("{}\n{"))
	f.Add([]byte(nil))
	path := filepath.Join(f.TempDir(), "journal.jsonl")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := state.ReadJournal(path)
		if err != nil {
			return // refused; that it says so is all that is asked
		}
		j, err := state.OpenJournal(path, state.JournalOptions{Now: time.Now})
		if err != nil {
			t.Fatalf("readable, but cannot be opened: %v", err)
		}
		if _, err := j.Append(state.Record{Kind: state.Begin}); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		after, err := state.ReadJournal(path)
		if err != nil || len(after) != len(before)+1 {
			t.Fatalf("%d records became %d, %v", len(before), len(after), err)
		}
	})
}
