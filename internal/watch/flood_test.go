package watch_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// heap is how much memory is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestFollowerIsBounded: floods of addresses, of names and of exchanges leave the memory of whoever watches bounded,
// what it knows of the lab's own stations as it was, and an exchange that is under way in one piece. Not in parallel:
// it measures the heap.
func TestFollowerIsBounded(t *testing.T) { //nolint:paralleltest // see above
	names := watch.NewNames()
	names.Tell(pcMAC, "pc1", watch.Client)
	follower := watch.NewFollower(names)
	follower.Next(message{kind: capture.Request, xid: 1, options: map[int]any{50: offered, 54: chosen}}.packet(0))
	follower.Next(message{
		kind: capture.Ack, xid: 1, yiaddr: "192.168.1.2", options: map[int]any{51: uint32(80000), 54: chosen},
	}.packet(time.Second))
	began := follower.Next(message{kind: capture.Discover, xid: 2}.packet(2 * time.Second)).Exchange
	before := heap()
	for i := range 100_000 {
		mac := binary.BigEndian.AppendUint32([]byte{2, 0xaa}, uint32(i))
		p := message{kind: capture.Discover, xid: capture.XID(i), options: map[int]any{12: fmt.Sprintf("pc%d", i%50_000)}}.packet(3 * time.Second)
		p.Ethernet.Source, p.DHCP.CHAddr = mac, mac
		follower.Next(p)
		// Somebody with one address who begins anew all the time.
		p = message{kind: capture.Discover, xid: capture.XID(i)}.packet(3 * time.Second)
		p.Ethernet.Source, p.DHCP.CHAddr = []byte{2, 0xbb, 0, 0, 0, 1}, []byte{2, 0xbb, 0, 0, 0, 1}
		follower.Next(p)
		if i%1000 == 0 { // pc1 goes on, slowly
			follower.Next(message{kind: capture.Offer, xid: 2, yiaddr: "192.168.1.2", options: map[int]any{54: chosen}}.packet(4 * time.Second))
		}
	}
	if grown := int64(heap()) - int64(before); grown > 16<<20 {
		t.Errorf("the follower has grown by %d KiB", grown>>10)
	}
	if n := len(follower.Tracker.Clients()); n > 4096 {
		t.Errorf("%d clients are followed", n)
	}
	r := follower.Next(message{kind: capture.Request, xid: 2, options: map[int]any{50: offered, 54: chosen}}.packet(5 * time.Second))
	if r.Exchange != began || r.Step != "3/4" {
		t.Errorf("pc1's REQUEST is %s of exchange %d, which began as %d", r.Step, r.Exchange, began)
	}
	if name := names.Of(pcMAC); name != "pc1" {
		t.Errorf("pc1 is called %s", name)
	}
}

// TestNumbersAreTheCaptures: packets that know their number keep it, and the others are counted on from there.
func TestNumbersAreTheCaptures(t *testing.T) {
	t.Parallel()
	follower := watch.NewFollower(watch.NewNames())
	var got []int
	for _, serial := range []uint64{0, 0, 7, 0, 4000, 4002} {
		p := message{kind: capture.Discover, xid: 1}.packet(0)
		p.Serial = serial
		got = append(got, follower.Next(p).Number)
	}
	if fmt.Sprint(got) != "[1 2 7 8 4000 4002]" {
		t.Errorf("numbers %v", got)
	}
}
