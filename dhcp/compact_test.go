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
// with what comes after it; the generation before the current one is kept, older ones are not.
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
	for _, failure := range []error{syscall.ENOSPC, syscall.EIO} {
		disk.fail(failure, nil)
		if err := store.Compact(); !errors.Is(err, failure) {
			t.Fatal(err)
		}
		disk.fail(nil, nil)
		lease()
		onDisk()
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
