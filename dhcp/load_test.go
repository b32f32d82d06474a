package dhcp_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// BenchmarkLoadMillion is how long a server with a million leases takes to know them at its start.
func BenchmarkLoadMillion(b *testing.B) {
	const leases = 1_000_000
	cfg := dhcp.Config{
		Interfaces: []dhcp.Interface{{Name: "br1", Address: ip("10.0.0.1")}},
		Subnets: []dhcp.Subnet{{
			Prefix: netip.MustParsePrefix("10.0.0.0/8"), Lease: 24 * time.Hour,
			Ranges: []dhcp.Range{{First: ip("10.1.0.0"), Last: ip("10.255.0.0")}},
		}},
		NoProbe: true,
	}
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, dhcp.JournalName(1)), fullJournal(b, cfg, leases), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		table, err := dhcp.NewTable(cfg)
		if err != nil {
			b.Fatal(err)
		}
		if err := dhcp.LoadDirectory(dir, table); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if n := len(table.Leases(start)); n != leases {
			b.Fatalf("%d leases", n)
		}
		b.StartTimer()
	}
}

// fullJournal lets as many clients as there are leases take one.
func fullJournal(tb testing.TB, cfg dhcp.Config, leases int) []byte {
	tb.Helper()
	table, err := dhcp.NewTable(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	m := selecting(net.HardwareAddr{2, 0, 0, 0, 0, 0}, ip("10.1.0.0"), with(12, 'p', 'c'))
	m.options[len(m.options)-1].Value = []byte{10, 0, 0, 1} // the server identifier
	b := m.bytes()
	at := len(wireOptions(m.options[:2]...)) + 242 // the value of option 50
	var parsed dhcp.Message
	for i := range leases {
		binary.BigEndian.PutUint32(b[30:], uint32(i))
		binary.BigEndian.PutUint32(b[at:], 10<<24+1<<16+uint32(i))
		if err := parsed.Parse(b); err != nil {
			tb.Fatal(err)
		}
		r, _ := dhcp.Handle(start, table, dhcp.Inbound{Src: nobody, Dst: everyone, Message: &parsed})
		if r.Type != dhcp.Ack {
			tb.Fatalf("lease %d: %v", i, r.Type)
		}
	}
	return table.Journal()
}
