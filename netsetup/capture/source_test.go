package capture_test

import (
	"encoding/hex"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// bridgeOfTwo makes a bridge with two stations and returns their sockets.
func bridgeOfTwo(tb testing.TB) (*nstest.Namespace, [2]*packet.Conn) {
	tb.Helper()
	ns := nstest.New(tb)
	ns.Run(tb, "ip link add br1 type bridge")
	ns.Run(tb, "ip link set br1 up")
	var stations [2]*packet.Conn
	for i, name := range []string{"pc1", "pc2"} {
		ns.Run(tb, "ip link add "+name+" type veth peer name tap"+name)
		ns.Run(tb, "ip link set tap"+name+" master br1 up")
		ns.Run(tb, "ip link set "+name+" up")
		ns.Must(tb, func() error {
			link, err := net.InterfaceByName(name)
			if err == nil {
				stations[i], err = packet.Listen(link, packet.Raw, unix.ETH_P_ALL, nil)
			}
			return err
		})
		tb.Cleanup(func() { _ = stations[i].Close() })
	}
	return ns, stations
}

func send(tb testing.TB, from *packet.Conn, frame []byte) {
	tb.Helper()
	if _, err := from.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
		tb.Fatal(err)
	}
}

// TestSourceSeesUnicast: what passes between two ports of a bridge is seen on the bridge, with time, whole, and with its
// VLAN tag; what the filter does not pass is not.
func TestSourceSeesUnicast(t *testing.T) {
	t.Parallel()
	ns, stations := bridgeOfTwo(t)
	filter, err := capture.CompileFilter(capture.DHCPFilter)
	if err != nil {
		t.Fatal(err)
	}
	s, err := capture.OpenSource(capture.SourceOptions{Interface: "br1", NetNS: ns.Path(), Filter: filter})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began := time.Now()
	unicast := udpFrame(t, dhcpMessage(53, 1, 3, 255))
	copy(unicast, []byte{2, 0, 0x5e, 0, 0x53, 0x77}) // to a MAC that no port has been seen with
	tagged, err := hex.DecodeString("ffffffffffff02005e005301" + "81000005" + "0806" +
		"0001080006040001" + "02005e005301" + "00000000" + "000000000000" + "c0a80105")
	if err != nil {
		t.Fatal(err)
	}
	other, err := hex.DecodeString("ffffffffffff02005e005301" + "88b5" + "00112233")
	if err != nil {
		t.Fatal(err)
	}
	for _, frame := range [][]byte{other, unicast, tagged} {
		send(t, stations[0], frame)
	}
	for _, want := range [][]byte{unicast, tagged} {
		f := nextMatching(t, s, want)
		if f.Time.Before(began.Add(-time.Second)) || f.Time.After(time.Now().Add(time.Second)) || f.Interface != "br1" {
			t.Errorf("time %v, interface %q", f.Time, f.Interface)
		}
	}
	if p := capture.Decode(capture.Frame{Data: tagged, Length: len(tagged)}); len(p.Ethernet.VLAN) != 1 {
		t.Errorf("the tagged frame has tags %v", p.Ethernet.VLAN)
	}
}

// nextMatching reads until a frame is the wanted one; the kernel itself sends others (IPv6 neighbour discovery does not
// pass the filter).
func nextMatching(tb testing.TB, s *capture.Source, want []byte) capture.Frame {
	tb.Helper()
	for range 10 {
		f, err := s.Next()
		if err != nil {
			tb.Fatal(err)
		}
		if hex.EncodeToString(f.Data) == hex.EncodeToString(want) {
			return f
		}
		tb.Logf("not it: %x", f.Data)
	}
	tb.Fatalf("no frame %x", want)
	return capture.Frame{}
}

// TestSourceDrains: after Wake every frame that was sent before comes first, and then ErrDrained; Close ends Next.
func TestSourceDrains(t *testing.T) {
	t.Parallel()
	ns, stations := bridgeOfTwo(t)
	filter, err := capture.CompileFilter("udp port 67")
	if err != nil {
		t.Fatal(err)
	}
	s, err := capture.OpenSource(capture.SourceOptions{Interface: "br1", NetNS: ns.Path(), Filter: filter})
	if err != nil {
		t.Fatal(err)
	}
	const sent = 500
	frame := udpFrame(t, dhcpMessage(53, 1, 1, 255))
	for range sent {
		send(t, stations[0], frame)
	}
	token, err := s.Wake()
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for s.Drained() < token {
		_, err := s.Next()
		switch {
		case errors.Is(err, capture.ErrDrained):
		case err != nil:
			t.Fatal(err)
		default:
			got++
		}
	}
	counts, err := s.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if got != sent || counts != (capture.Counts{Received: sent}) {
		t.Errorf("%d frames and counts %+v, want %d", got, counts, sent)
	}
	ended := make(chan error, 1)
	go func() { _, err := s.Next(); ended <- err }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
}

// TestSourceTellsDrops: a reader that is too slow loses frames, and is told how many.
func TestSourceTellsDrops(t *testing.T) {
	t.Parallel()
	ns, stations := bridgeOfTwo(t)
	filter, err := capture.CompileFilter("udp port 67")
	if err != nil {
		t.Fatal(err)
	}
	s, err := capture.OpenSource(capture.SourceOptions{Interface: "br1", NetNS: ns.Path(), Filter: filter, Buffer: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const sent = 300
	frame := udpFrame(t, dhcpMessage(53, 1, 1, 255))
	for range sent {
		send(t, stations[0], frame)
	}
	if _, err := s.Wake(); err != nil {
		t.Fatal(err)
	}
	got := uint64(0)
	for {
		if _, err := s.Next(); errors.Is(err, capture.ErrDrained) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got++
	}
	counts, err := s.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if counts.Received != sent || counts.Dropped == 0 || got+counts.Dropped != sent {
		t.Errorf("%d frames read, counts %+v, %d sent", got, counts, sent)
	}
}

func TestSourceWithoutInterface(t *testing.T) {
	t.Parallel()
	ns := nstest.New(t)
	if _, err := capture.OpenSource(capture.SourceOptions{Interface: "br9", NetNS: ns.Path()}); err == nil {
		t.Error("no error for an interface that is not there")
	}
	if _, err := capture.OpenSource(capture.SourceOptions{Interface: "lo", NetNS: "/nowhere"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v for a namespace that is not there", err)
	}
}
