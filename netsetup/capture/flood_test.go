package capture_test

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// The flood: exchanges of four frames, so many a second for so long. KVMLAB_TEST_FLOOD asks for more seconds.
const (
	floodRate    = 2000
	floodSeconds = 3
)

// floodExchange is the four frames of an exchange, two from each side.
func floodExchange(tb testing.TB) [2][][]byte {
	tb.Helper()
	frame := func(kind byte, from, to byte) []byte {
		b := udpFrame(tb, dhcpMessage(53, 1, kind, 255))
		copy(b, []byte{2, 0, 0x5e, 0, 0x53, to, 2, 0, 0x5e, 0, 0x53, from})
		return b
	}
	return [2][][]byte{{frame(1, 1, 2), frame(3, 1, 2)}, {frame(2, 2, 1), frame(5, 2, 1)}}
}

// TestFlood: under a flood of exchanges over a bridge, what was captured and what is counted as dropped is what the
// interfaces count, to the frame; and memory stays bounded.
func TestFlood(t *testing.T) {
	ns, stations := bridgeOfTwo(t)
	ns.Run(t, "sysctl -q -w net.ipv6.conf.all.disable_ipv6=1")
	source, err := capture.OpenSource(capture.SourceOptions{Interface: "br1", NetNS: ns.Path()})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	seconds := floodSeconds
	if n, err := strconv.Atoi(os.Getenv("KVMLAB_TEST_FLOOD")); err == nil {
		seconds = n
	}
	counter := func(name string) int {
		text := ns.Run(t, "ip -s -j link show "+name)
		_, after, _ := strings.Cut(text, `"tx":{"bytes":`)
		_, after, _ = strings.Cut(after, `"packets":`)
		digits, _, _ := strings.Cut(after, ",")
		n, err := strconv.Atoi(digits)
		if err != nil {
			t.Fatalf("counters of %s: %q", name, text)
		}
		return n
	}
	done := make(chan [2]uint64, 1)
	go func() {
		frames, ours := uint64(0), uint64(0)
		for {
			f, err := source.Next()
			if err != nil {
				if !errors.Is(err, capture.ErrDrained) {
					t.Error(err)
				}
				done <- [2]uint64{frames, ours}
				return
			}
			frames++
			if p := capture.Decode(f); p.DHCP != nil {
				ours++
			}
		}
	}()
	before := counter("pc1") + counter("pc2")
	sent := sendFlood(t, stations, floodExchange(t), seconds)
	counted := counter("pc1") + counter("pc2") - before
	if _, err := source.Wake(); err != nil {
		t.Fatal(err)
	}
	got := <-done
	counts, err := source.Counts()
	if err != nil {
		t.Fatal(err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("%d frames sent (%d exchanges/s asked), interfaces count %d, captured %d, dropped %d, heap in use %d KiB",
		sent, floodRate, counted, got[1], counts.Dropped, memory.HeapInuse>>10)
	if counted != sent {
		t.Errorf("the interfaces sent %d frames, want %d", counted, sent)
	}
	if got[0]+counts.Dropped != counts.Received || got[1]+counts.Dropped < uint64(sent) || (counts.Dropped == 0 && got[1] != uint64(sent)) {
		t.Errorf("%d captured of %d seen (%+v), %d sent", got[1], got[0], counts, sent)
	}
	if memory.HeapInuse > 64<<20 {
		t.Errorf("%d MiB of heap in use", memory.HeapInuse>>20)
	}
}

// sendFlood sends at the rate, or as fast as it goes on a machine that is slower, and returns how many frames it sent.
func sendFlood(tb testing.TB, stations [2]*packet.Conn, exchange [2][][]byte, seconds int) (sent int) {
	tb.Helper()
	const tick = 10 * time.Millisecond
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for range seconds * int(time.Second/tick) {
		for range floodRate / int(time.Second/tick) {
			for i := range exchange[0] {
				for side, station := range stations {
					send(tb, station, exchange[side][i])
					sent++
				}
			}
		}
		<-clock.C
	}
	return sent
}
