package dhcp_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/dhcp"
)

// failingDisk is a real directory on which writing, syncing or renaming fails while an error is set: what a test cannot
// make a real disk do when it wants. It counts syncs after a failed one, because none of them may be trusted.
type failingDisk struct {
	dhcp.Disk

	mu              sync.Mutex
	write, sync     error
	rename, syncDir error
	slow            time.Duration   // how long a sync takes
	dirty           map[string]bool // files on which a sync has failed
	trusted         []string        // synced again all the same
}

func (d *failingDisk) fail(write, sync error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.write, d.sync = write, sync
}

func (d *failingDisk) failNames(rename, syncDir error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rename, d.syncDir = rename, syncDir
}

func (d *failingDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rename != nil {
		return d.rename
	}
	return d.Disk.Rename(from, to)
}

func (d *failingDisk) SyncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.syncDir != nil {
		return d.syncDir
	}
	return d.Disk.SyncDir()
}

func (d *failingDisk) Create(name string) (dhcp.DiskFile, error) {
	f, err := d.Disk.Create(name)
	return &failingFile{f, d, fmt.Sprintf("%s %p", name, f)}, err
}

func (d *failingDisk) Open(name string) (dhcp.DiskFile, error) {
	f, err := d.Disk.Open(name)
	return &failingFile{f, d, fmt.Sprintf("%s %p", name, f)}, err
}

type failingFile struct {
	dhcp.DiskFile

	disk *failingDisk
	name string
}

func (f *failingFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.write != nil {
		return 0, f.disk.write
	}
	return f.DiskFile.WriteAt(b, at)
}

func (f *failingFile) Datasync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	time.Sleep(f.disk.slow)
	if f.disk.sync != nil {
		f.disk.dirty[f.name] = true
		return f.disk.sync
	}
	if f.disk.dirty[f.name] {
		f.disk.trusted = append(f.disk.trusted, f.name)
	}
	return f.DiskFile.Datasync()
}

// TestDiskFails: while leases cannot be written or synced, no ACK leaves and an alarm tells why; when the disk works
// again, also while clients keep asking, the same REQUEST gets its ACK, and the lease is there after a restart.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		write, sync error
	}{
		{"ENOSPC", syscall.ENOSPC, nil},
		{"EIO at write", syscall.EIO, nil},
		{"EIO at fdatasync", nil, syscall.EIO},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			defer failing(t)
			w := newWire(t, 0)
			disk := &failingDisk{Disk: dhcp.Directory(t.TempDir()), dirty: map[string]bool{}}
			s, k := stageOnDisk(t, w, disk)
			before := s.lease(bob).yiaddr
			o := s.offer(alice)

			disk.fail(tt.write, tt.sync)
			m := selecting(alice, o.yiaddr)
			s.send(envelope{}, m)
			s.reason(dhcp.ReasonStoreFailed)
			held, _ := s.eventThat(func(e dhcp.Event) bool { return e.XID == m.xid && e.Reason == dhcp.ReasonNotDurable })
			if held.Decision != dhcp.DecisionNotSent || held.Type != dhcp.Ack {
				t.Errorf("event %+v", held)
			}
			s.canary(func(r *reply) {
				if r.xid == m.xid {
					t.Errorf("%v without a durable lease", r.kind)
				}
			})

			disk.fail(nil, nil)
			patient := s.repeat(envelope{from: alice}.frame(m.bytes()))
			s.reason(dhcp.ReasonStoreBack)
			patient()
			s.sendFrame(envelope{from: alice}.frame(m.bytes()))
			s.address(s.must(s.await(m), dhcp.Ack), o.yiaddr)
			if len(disk.trusted) > 0 {
				t.Errorf("synced again after a failed sync: %v", disk.trusted)
			}
			if err := errors.Join(k.stop(), k.open()); err != nil {
				t.Fatal(err)
			}
			for who, a := range map[*net.HardwareAddr]netip.Addr{&alice: o.yiaddr, &bob: before} {
				s.address(s.must(s.ask(envelope{}, reboot(*who, a)), dhcp.Ack), a)
			}
		})
	}
}

// TestCompactionFails: when nobody knows whether a new generation's name will survive a power cut, an alarm tells so,
// once, and no ACK leaves; when the disk works again, all of it is as before.
func TestCompactionFails(t *testing.T) {
	t.Parallel()
	defer failing(t)
	disk := &failingDisk{Disk: dhcp.Directory(t.TempDir()), dirty: map[string]bool{}}
	s, k := stageOnDisk(t, newWire(t, 0), disk)
	before := s.lease(bob).yiaddr
	o := s.offer(alice)

	disk.failNames(nil, syscall.EIO)
	k.srv.Bloat()
	alarm, _ := s.eventThat(func(e dhcp.Event) bool { return e.Reason == dhcp.ReasonStoreFailed })
	if alarm.Decision != dhcp.DecisionAlarm || !strings.Contains(alarm.Text(), syscall.EIO.Error()) {
		t.Errorf("event %+v", alarm)
	}
	m := selecting(alice, o.yiaddr)
	s.send(envelope{}, m)
	s.eventThat(func(e dhcp.Event) bool { return e.XID == m.xid && e.Reason == dhcp.ReasonNotDurable })
	s.canary(func(r *reply) {
		if r.xid == m.xid {
			t.Errorf("%v without a durable lease", r.kind)
		}
	})

	disk.failNames(nil, nil)
	s.eventThat(func(e dhcp.Event) bool {
		if e.Reason == dhcp.ReasonStoreFailed {
			t.Errorf("told again: %+v", e)
		}
		return e.Reason == dhcp.ReasonStoreBack
	})
	s.sendFrame(envelope{from: alice}.frame(m.bytes()))
	s.address(s.must(s.await(m), dhcp.Ack), o.yiaddr)
	if err := errors.Join(k.stop(), k.open()); err != nil {
		t.Fatal(err)
	}
	for who, a := range map[*net.HardwareAddr]netip.Addr{&alice: o.yiaddr, &bob: before} {
		s.address(s.must(s.ask(envelope{}, reboot(*who, a)), dhcp.Ack), a)
	}
}

// TestSlowDisk: where a sync takes long, one client's OFFER does not wait for another one's ACK.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	defer failing(t)
	disk := &failingDisk{Disk: dhcp.Directory(t.TempDir()), dirty: map[string]bool{}, slow: time.Second / 2}
	s, _ := stageOnDisk(t, newWire(t, 0), disk)
	s.lease(bob) // the server learns how slow it is
	request := selecting(alice, s.offer(alice).yiaddr)
	s.send(envelope{}, request)
	s.canary(func(r *reply) {
		if r.xid == request.xid {
			t.Errorf("%v before the OFFER to somebody else", r.kind)
		}
	})
	s.must(s.await(request), dhcp.Ack)
}

// repeat sends a frame again and again until stop is called, as a client does that gets no answer.
func (s *stage) repeat(frame []byte) (stop func()) {
	ended := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				_ = s.wire.send(frame) // one that is lost is followed by another
			}
		}
	})
	return func() { close(ended); group.Wait() }
}

// stageOnDisk is a stage whose server has a disk of the test's own.
func stageOnDisk(t *testing.T, w *wire, disk dhcp.Disk) (*stage, *inProcess) {
	t.Helper()
	r, err := kvmlab{disk: disk}.start(t, w, setup{})
	if err != nil {
		t.Fatal(err)
	}
	return &stage{TB: t, wire: w, running: r, patience: patient}, r.(*inProcess)
}

// TestDiskFull is the same on a real file system without space.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	defer failing(t)
	w := newWire(t, 0)
	dir := smallDisk(t)
	s, k := stageOnDisk(t, w, dhcp.Directory(dir))
	first := s.lease(bob).yiaddr

	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	var refused *message
	for i := range 200 { // until what was preallocated is used up
		m := newMessage(dhcp.Discover, net.HardwareAddr{2, 0, 0x5e, 2, 0, byte(i)}, with(61, bytes.Repeat([]byte{byte(i)}, 250)...),
			with(61, bytes.Repeat([]byte{1}, 250)...), with(61, bytes.Repeat([]byte{1}, 250)...),
			with(61, bytes.Repeat([]byte{1}, 250)...))
		o := s.must(s.ask(envelope{}, m), dhcp.Offer)
		r := selecting(m.chaddr, o.yiaddr, func(r *message) { r.options = append(r.options, m.options[1:]...) })
		s.send(envelope{}, r)
		e, _ := s.eventThat(func(e dhcp.Event) bool { return e.XID == r.xid && e.Direction == dhcp.Out })
		if e.Reason == dhcp.ReasonNotDurable {
			refused = r
			break
		}
	}
	if refused == nil {
		t.Fatal("a full disk stopped nothing")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.reason(dhcp.ReasonStoreBack)
	s.sendFrame(envelope{from: refused.chaddr}.frame(refused.bytes()))
	s.must(s.await(refused), dhcp.Ack)
	if err := errors.Join(k.stop(), k.open()); err != nil {
		t.Fatal(err)
	}
	s.address(s.must(s.ask(envelope{}, reboot(bob, first)), dhcp.Ack), first)
}

// smallDisk mounts a memory file system of 1 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		// Lazily: a process that another test is just starting has a copy of every open file until its exec.
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill writes until there is no space.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
