package dhcp_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kvmlab/kvmlab/dhcp"
)

// TestCompaction: a new generation holds what the old one held; one that cannot be written leaves the old one whole,
// with what comes after it; one whose name may not last ends all writing until the next; the generation before the
// current one is kept, older ones are not.
func TestCompaction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk := &failingDisk{Disk: dhcp.Directory(dir), dirty: map[string]bool{}}
	table, err := dhcp.NewTable(setup{}.config())
	if err != nil {
		t.Fatal(err)
	}
	store, err := dhcp.OpenStore(disk, table)
	if err != nil {
		t.Fatal(err)
	}
	leases := 0
	lease := func() {
		m := selecting(net.HardwareAddr{2, 0, 0x5e, 4, 0, byte(leases)}, netip.AddrFrom4([4]byte{192, 168, 1, byte(20 + leases)}))
		var parsed dhcp.Message
		if err := parsed.Parse(m.bytes()); err != nil {
			t.Fatal(err)
		}
		dhcp.Handle(start, table, dhcp.Inbound{Src: nobody, Dst: everyone, Message: &parsed})
		if err := store.Write(); err != nil {
			t.Fatal(err)
		}
		leases++
	}
	onDisk := func() {
		t.Helper()
		if got, err := dhcp.ReadLeasesAt(dir, start); err != nil || len(got) != leases {
			t.Fatalf("%d of %d leases are on the disk: %v", len(got), leases, err)
		}
	}
	lease()
	lease()
	for name, set := range map[string]func(error){
		"write":  func(err error) { disk.fail(err, nil) },
		"sync":   func(err error) { disk.fail(nil, err) },
		"rename": func(err error) { disk.failNames(err, nil) },
	} {
		for _, failure := range []error{syscall.ENOSPC, syscall.EIO} {
			set(failure)
			if err := store.Compact(); !errors.Is(err, failure) {
				t.Fatalf("%s: %v", name, err)
			}
			set(nil)
			lease()
			onDisk()
		}
	}
	disk.failNames(nil, syscall.EIO)
	for range 2 {
		if err := store.Compact(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		onDisk()
		if err := store.Write(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("written, while nobody knows which generation a power cut leaves: %v", err)
		}
	}
	disk.failNames(nil, nil)
	if err := store.Write(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("written to a generation that has failed: %v", err)
	}
	for range 3 {
		if err := store.Compact(); err != nil {
			t.Fatal(err)
		}
		onDisk()
		lease()
		onDisk()
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 2 {
		t.Errorf("files: %v", names)
	}
	if err := os.Truncate(newestJournal(t, dir), 3); err != nil {
		t.Fatal(err)
	}
	if got, err := dhcp.ReadLeasesAt(dir, start); err != nil || len(got) != leases-1 {
		t.Errorf("without the newest generation %d of %d leases are there: %v", len(got), leases, err)
	}
}
