package supervisor_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/supervisor"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// The stations of the floods' lab, and one that is not the lab's.
var (
	macPC1      = macgen.MAC{2, 0, 0x5e, 0, 0x53, 1}
	macPC2      = macgen.MAC{2, 0, 0x5e, 0, 0x53, 2}
	macServer   = macgen.MAC{2, 0, 0x5e, 0, 0x53, 3}
	macStranger = macgen.MAC{2, 0, 0x5e, 0, 0x53, 0x99}
	everybody   = macgen.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
)

// floodLab is a lab of two clients and a server, which the test's station plays all.
func floodLab() *lab.Lab {
	l := &lab.Lab{Version: 1, Name: "wired", Bridges: []lab.Bridge{{Name: "br1"}}}
	for name, mac := range map[string]macgen.MAC{"pc1": macPC1, "pc2": macPC2, "srv": macServer} {
		l.Guests = append(l.Guests, lab.Guest{Name: name, NICs: []lab.NIC{{Name: "eth0", Bridge: "br1", MAC: mac}}})
	}
	return l
}

func ethernet(to, from macgen.MAC, kind uint16, payload []byte) []byte {
	frame := append(append([]byte{}, to[:]...), from[:]...)
	return append(binary.BigEndian.AppendUint16(frame, kind), payload...)
}

// ipv4 is a packet with the header's checksum, which a bridge looks at (br_netfilter).
func ipv4(protocol byte, payload []byte) []byte {
	header := make([]byte, 20)
	header[0], header[8], header[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(header[2:], uint16(20+len(payload)))
	sum := uint32(0)
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum>>16+sum&0xffff))
	return append(header, payload...)
}

func echo(from macgen.MAC, size int) []byte {
	icmp := make([]byte, size)
	icmp[0] = 8
	return ethernet(everybody, from, 0x0800, ipv4(1, icmp)) // a ping of the subnet's broadcast address
}

func arpFrom(from macgen.MAC) []byte {
	request := make([]byte, 28)
	copy(request, []byte{0, 1, 8, 0, 6, 4, 0, 1})
	copy(request[8:], from[:])
	return ethernet(everybody, from, 0x0806, request)
}

// message is a DHCP message of a type about a client.
func message(from, client macgen.MAC, kind capture.MessageType, xid uint32) []byte {
	const header = 8
	m := make([]byte, header+240)
	op := byte(1)
	if kind == capture.Offer || kind == capture.Ack || kind == capture.Nak {
		op = 2
	}
	binary.BigEndian.PutUint16(m, 68)
	binary.BigEndian.PutUint16(m[2:], 67)
	copy(m[header:], []byte{op, 1, 6})
	binary.BigEndian.PutUint32(m[header+4:], xid)
	copy(m[header+28:], client[:])
	copy(m[header+236:], []byte{0x63, 0x82, 0x53, 0x63})
	m = append(m, 53, 1, byte(kind), 255)
	binary.BigEndian.PutUint16(m[4:], uint16(len(m)))
	return ethernet(everybody, from, 0x0800, ipv4(17, m))
}

func anybody() macgen.MAC {
	var mac macgen.MAC
	binary.BigEndian.PutUint32(mac[2:], rand.Uint32())
	mac[0], mac[1] = 2, 0xaa
	return mac
}

func (w *wired) transmit(frame []byte) {
	w.Helper()
	if _, err := w.station.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
		w.Fatal(err)
	}
}

// connected returns when a frame that it sends has arrived: a port that has just come up lets none through yet.
func (w *wired) connected() {
	w.Helper()
	stream, err := w.client.Frames(w.Context(), "")
	if err != nil {
		w.Fatal(err)
	}
	defer stream.Close()
	arrived := make(chan struct{})
	go func() {
		defer close(arrived)
		for {
			f, err := stream.Next()
			if err != nil || len(f.Data) > 14 && f.Data[12] == 0x88 && f.Data[13] == 0xb6 {
				return
			}
		}
	}()
	for tries := 0; ; tries++ {
		w.transmit(ethernet(everybody, macServer, 0x88b6, make([]byte, 46)))
		select {
		case <-arrived:
			return
		case <-time.After(20 * time.Millisecond):
			if tries > 1000 {
				w.Fatal("no frame ever arrives")
			}
		}
	}
}

// kept reads a stream to its end and gives the numbers of frames by what is in them.
func kept(tb testing.TB, stream *supervisor.FrameStream) map[string]uint64 {
	tb.Helper()
	found := map[string]uint64{}
	last := uint64(0)
	for {
		f, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			tb.Fatal(err)
		}
		if f.Serial <= last {
			tb.Fatalf("packet %d comes after packet %d", f.Serial, last)
		}
		last = f.Serial
		found[string(f.Data)] = f.Serial
	}
}

// evidence gives what is kept for checks, and sees that all that is kept has the same numbers.
func (w *wired) evidence() map[string]uint64 {
	w.Helper()
	stream, err := w.client.Evidence(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer stream.Close()
	forChecks := kept(w, stream)
	whole, err := w.client.Frames(w.Context(), "up")
	if err != nil {
		w.Fatal(err)
	}
	defer whole.Close()
	if err := whole.End(w.Context()); err != nil {
		w.Fatal(err)
	}
	for data, number := range kept(w, whole) {
		if other, both := forChecks[data]; both && other != number {
			w.Errorf("packet %d for watch is packet %d for check", number, other)
		}
	}
	return forChecks
}

// TestEvidenceSurvivesFloods: whatever a guest sends, and however much, what others have said before is still there,
// with the numbers it had; also for the next supervisor.
func TestEvidenceSurvivesFloods(t *testing.T) {
	t.Parallel()
	exchange := map[string][]byte{
		"DISCOVER": message(macPC1, macPC1, capture.Discover, 7), "OFFER": message(macServer, macPC1, capture.Offer, 7),
		"REQUEST": message(macPC1, macPC1, capture.Request, 7), "ACK": message(macServer, macPC1, capture.Ack, 7),
		"ARP": arpFrom(macPC1), "echo": echo(macPC1, 64),
		"a stranger's DISCOVER": message(macStranger, macStranger, capture.Discover, 8),
		"a stranger's REQUEST":  message(macStranger, macStranger, capture.Request, 8),
		"OFFER to a stranger":   message(macServer, macStranger, capture.Offer, 8),
		"ACK to a stranger":     message(macServer, macStranger, capture.Ack, 8),
	}
	floods := map[string]struct {
		count int
		frame func(i int) []byte
		but   string // what it may push out
	}{
		"ICMP of another":                {14000, func(int) []byte { return echo(macPC2, 1400) }, ""},
		"ICMP of its own":                {14000, func(int) []byte { return echo(macPC1, 1400) }, "echo"},
		"ICMP of anybody":                {14000, func(int) []byte { return echo(anybody(), 1400) }, ""},
		"DISCOVERs of another":           {20000, func(i int) []byte { return message(macPC2, macPC2, capture.Discover, uint32(i)) }, ""},
		"DISCOVERs for anybody":          {20000, func(i int) []byte { return message(macPC2, anybody(), capture.Discover, uint32(i)) }, ""},
		"DISCOVERs in its name":          {20000, func(i int) []byte { return message(macPC2, macPC1, capture.Discover, uint32(i)) }, ""},
		"DISCOVERs of anybody":           {20000, func(i int) []byte { return message(anybody(), anybody(), capture.Discover, uint32(i)) }, ""},
		"DISCOVERs of anybody, its name": {20000, func(i int) []byte { return message(anybody(), macPC1, capture.Discover, uint32(i)) }, ""},
		"OFFERs to anybody":              {20000, func(i int) []byte { return message(macServer, anybody(), capture.Offer, uint32(i)) }, ""},
		"OFFERs to it":                   {20000, func(i int) []byte { return message(macServer, macPC1, capture.Offer, uint32(i)) }, "OFFER"},
		"ACKs of anybody":                {20000, func(i int) []byte { return message(anybody(), macPC1, capture.Ack, uint32(i)) }, ""},
		"no messages":                    {20000, func(i int) []byte { return message(macPC2, macPC1, capture.MessageType(i), uint32(i)) }, ""},
		"ARP of another":                 {40000, func(int) []byte { return arpFrom(macPC2) }, ""},
		"ARP of anybody":                 {40000, func(int) []byte { return arpFrom(anybody()) }, ""},
		"anything":                       {14000, func(int) []byte { return ethernet(everybody, anybody(), 0x88b5, make([]byte, 1400)) }, ""},
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			w := newWired(t)
			w.lab = floodLab()
			stop := w.supervise()
			w.connected()
			for _, frame := range exchange {
				w.transmit(frame)
			}
			w.connected() // and what was sent before has come through the kernel
			before := w.evidence()
			for i := range flood.count {
				w.transmit(flood.frame(i))
			}
			wantKept := func(when string) {
				after := w.evidence()
				for what, frame := range exchange {
					if before[string(frame)] == 0 {
						t.Fatalf("%s was never seen", what)
					}
					if after[string(frame)] != before[string(frame)] && what != flood.but {
						t.Errorf("%s: %s has number %d, before it was %d", when, what, after[string(frame)], before[string(frame)])
					}
				}
			}
			wantKept("after the flood")
			if octets := w.captured(); octets > 48<<20 {
				t.Errorf("the captures take %d octets", octets)
			}
			stop()
			w.supervise()
			wantKept("after a new start")
		})
	}
}

// captured is how many octets the captures take on disk.
func (w *wired) captured() (total int64) {
	w.Helper()
	entries, err := os.ReadDir(w.files.CaptureDir())
	if err != nil {
		w.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			w.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			w.Errorf("%s has mode %v", entry.Name(), mode)
		}
		total += info.Size()
	}
	return total
}

// TestFloodsAreNamed: the status says who has flooded the lab, with what, and how much of it.
func TestFloodsAreNamed(t *testing.T) {
	t.Parallel()
	w := newWired(t)
	w.lab = floodLab()
	w.supervise()
	w.connected()
	for range 300 {
		w.transmit(echo(macPC1, 64)) // busy, and no flood
	}
	for range 3000 {
		w.transmit(echo(macPC2, 64))
	}
	for range 3000 {
		w.transmit(arpFrom(anybody()))
	}
	var said []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && len(said) < 2; time.Sleep(20 * time.Millisecond) {
		st, err := w.client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		said = nil
		for _, f := range st.Floods {
			said = append(said, fmt.Sprintf("%s%s %s", f.Guest, f.NIC, f.Kind))
			if f.Packets < 500 || f.At.Before(time.Now().Add(-time.Minute)) || f.Seconds < 1 {
				t.Errorf("flood %+v", f)
			}
			if f.Guest == "" && (f.Senders < 500 || f.MAC != "") || f.Guest == "pc2" && f.MAC != macPC2.String() {
				t.Errorf("flood %+v", f)
			}
		}
	}
	if got := strings.Join(said, ", "); got != "pc2eth0 ICMP,  ARP" && got != " ARP, pc2eth0 ICMP" {
		t.Errorf("floods: %q", got)
	}
}
