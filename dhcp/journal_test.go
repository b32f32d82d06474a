package dhcp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kvmlab/kvmlab/dhcp"
)

// TestTornJournal cuts a journal at every octet of its last records, and puts rubbish behind each cut, as a power cut
// may: what comes before the torn record is loaded, nothing else is, and the server works on.
func TestTornJournal(t *testing.T) {
	t.Parallel()
	journal, steps, want := journalOf(t, 0, 1, 2, 3, 4)
	for cut := steps[1]; cut <= len(journal); cut++ {
		whole := 2
		for whole < len(steps) && steps[whole] <= cut {
			whole++
		}
		for name, tail := range map[string][]byte{
			"nothing": nil, "zeros": make([]byte, 700), "rubbish": bytes.Repeat([]byte{0xa5}, 700),
		} {
			dir := t.TempDir()
			torn := append(bytes.Clone(journal[:cut]), tail...)
			if err := os.WriteFile(filepath.Join(dir, dhcp.JournalName(1)), torn, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := dhcp.ReadLeasesAt(dir, start)
			if diff := differ(want[:whole], got); err != nil || diff != "" {
				t.Fatalf("cut at %d, then %s: %v\n%s", cut, name, err, diff)
			}
			_ = os.RemoveAll(dir)
			if diff := worksOn(t, torn, want[:whole]); diff != "" {
				t.Fatalf("opened with a cut at %d, then %s:\n%s", cut, name, diff)
			}
		}
	}
}

// journalOf writes a journal of one lease for each number, which is the sequence of the record before it. It tells the
// journal's length after each of them, and which leases there are.
func journalOf(t *testing.T, after ...uint64) (journal []byte, steps []int, leases []dhcp.Lease) {
	t.Helper()
	journal = dhcp.EmptyJournal()
	d := newDesk(t, func(c *dhcp.Config) { *c = setup{}.config() })
	for i, last := range after {
		m := selecting(net.HardwareAddr{2, 0, 0x5e, 3, 0, byte(i)}, netip.AddrFrom4([4]byte{192, 168, 1, byte(20 + i)}))
		d.decides(false, m, dhcp.DecisionAck, dhcp.ReasonSelecting)
		records := d.table.Changes()
		dhcp.Stamp(records, last)
		journal = append(journal, records...)
		steps = append(steps, len(journal))
	}
	return journal, steps, d.table.Leases(start)
}

func differ(want, got []dhcp.Lease) string {
	return cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, dhcp.HWAddr{}), cmpopts.EquateEmpty())
}

// worksOn opens a server's store on a journal twice, and lets one more client have a lease in between. It tells how
// what is there differs from what is wanted.
func worksOn(t *testing.T, journal []byte, want []dhcp.Lease) string {
	t.Helper()
	disk := memoryDisk{dhcp.JournalName(1): {bytes.Clone(journal)}}
	for range 2 {
		d := newDesk(t, func(c *dhcp.Config) { *c = setup{}.config() })
		store, err := dhcp.OpenStore(disk, d.table)
		if err != nil {
			return err.Error()
		}
		if diff := differ(want, d.table.Leases(start)); diff != "" {
			return diff
		}
		d.lease(alice, withAddress(50, ip("192.168.1.99")))
		if err := store.Write(); err != nil {
			return err.Error()
		}
		want = d.table.Leases(start)
	}
	return ""
}

// memoryDisk is a disk that is quick.
type memoryDisk map[string]*memoryFile

type memoryFile struct{ octets []byte }

func (d memoryDisk) List() ([]string, error) { return slices.Collect(maps.Keys(d)), nil }

func (d memoryDisk) Read(name string) ([]byte, error) {
	f, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(f.octets), nil
}

func (d memoryDisk) find(name string) (*memoryFile, error) {
	if f := d[name]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

func (d memoryDisk) Create(name string) (dhcp.DiskFile, error) {
	d[name] = &memoryFile{}
	return d[name], nil
}

func (d memoryDisk) Open(name string) (dhcp.DiskFile, error) { return d.find(name) }

func (d memoryDisk) Rename(from, to string) error {
	f, err := d.find(from)
	if err != nil {
		return err
	}
	delete(d, from)
	d[to] = f
	return nil
}

func (d memoryDisk) Remove(name string) error {
	_, err := d.find(name)
	delete(d, name)
	return err
}

func (memoryDisk) SyncDir() error { return nil }

func (f *memoryFile) WriteAt(b []byte, at int64) (int, error) {
	if end := int(at) + len(b); end > len(f.octets) {
		f.octets = append(f.octets, make([]byte, end-len(f.octets))...)
	}
	return copy(f.octets[at:], b), nil
}

func (*memoryFile) Datasync() error { return nil }
func (*memoryFile) Close() error    { return nil }

// TestSequence: a record that does not follow on the one before it ends the journal, however sound it is: it is left
// over from something else. The first one may have any number.
func TestSequence(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after []uint64
		whole int
	}{
		"from one":      {[]uint64{0, 1, 2, 3, 4}, 5},
		"from far":      {[]uint64{70, 71, 72}, 3},
		"one is absent": {[]uint64{0, 1, 3, 4}, 2},
		"one is twice":  {[]uint64{0, 1, 1, 2}, 2},
		"back to one":   {[]uint64{5, 6, 7, 0, 1}, 3},
	} {
		journal, steps, leases := journalOf(t, tt.after...)
		table, err := dhcp.NewTable(setup{}.config())
		if err != nil {
			t.Fatal(err)
		}
		end, last, rest := table.Load(journal)
		if end != steps[tt.whole-1] || last != tt.after[tt.whole-1]+1 || rest != (tt.whole < len(steps)) {
			t.Errorf("%s: the end is at %d of %v, the last sequence %d, a rest %v", name, end, steps, last, rest)
		}
		if diff := differ(leases[:tt.whole], table.Leases(start)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if diff := worksOn(t, journal, leases[:tt.whole]); diff != "" {
			t.Errorf("%s, opened:\n%s", name, diff)
		}
	}
}

// TestWorksOnBehindATornRecord: new leases after a torn record survive the next restart.
func TestWorksOnBehindATornRecord(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, k := newStage(t, setup{})
	a := s.lease(alice).yiaddr
	b := s.lease(bob).yiaddr
	if err := k.stop(); err != nil {
		t.Fatal(err)
	}
	path := newestJournal(t, k.opts.LeaseDir)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(raw, "\x00"))
	if err := os.WriteFile(path, append(raw[:end-5], make([]byte, 4096)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.open(); err != nil {
		t.Fatal(err)
	}
	s.reason(dhcp.ReasonStoreDamaged)
	s.silence(envelope{}, reboot(bob, b), dhcp.ReasonNoRecord)
	s.address(s.lease(bob, withAddress(50, b)), b)
	if err := errors.Join(k.stop(), k.open()); err != nil {
		t.Fatal(err)
	}
	s.address(s.must(s.ask(envelope{}, reboot(alice, a)), dhcp.Ack), a)
	s.address(s.must(s.ask(envelope{}, reboot(bob, b)), dhcp.Ack), b)
}

func newestJournal(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "leases-*.journal"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no journal in %s: %v", dir, err)
	}
	return names[len(names)-1] // Glob sorts
}

// TestDamage: what a power cut leaves at the end of a journal is no damage; what is wrong before it is.
func TestDamage(t *testing.T) {
	t.Parallel()
	whole := fullJournal(t, dhcp.Config{
		Interfaces: []dhcp.Interface{{Name: "br1", Address: ip("10.0.0.1")}},
		Subnets: []dhcp.Subnet{{
			Prefix: netip.MustParsePrefix("10.0.0.0/8"), Lease: time.Hour,
			Ranges: []dhcp.Range{{First: ip("10.1.0.0"), Last: ip("10.1.1.0")}},
		}},
		NoProbe: true,
	}, 4)
	inFirst := append([]byte{}, whole...)
	inFirst[60] ^= 1
	header := append([]byte{}, whole...)
	header[3] ^= 1
	for name, test := range map[string]struct {
		journal []byte
		want    string
	}{
		"whole":               {whole, ""},
		"preallocated":        {append(append([]byte{}, whole...), make([]byte, 4096)...), ""},
		"torn":                {append(append([]byte{}, whole[:len(whole)-7]...), make([]byte, 4096)...), ""},
		"a flipped bit":       {inFirst, "damaged after octet 24, and records follow"},
		"another file's head": {header, "no valid header"},
		"empty":               {nil, "no valid header"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, dhcp.JournalName(1)), test.journal, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := dhcp.Damage(dir)
		if err != nil || (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := dhcp.Damage(filepath.Join(t.TempDir(), "none")); got != "" || err != nil {
		t.Errorf("no directory: %q, %v", got, err)
	}
}
