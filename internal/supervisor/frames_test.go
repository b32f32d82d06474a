package supervisor_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/internal/supervisor"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// wired is a supervisor of a lab that has one bridge, without DHCP, and a station on it.
type wired struct {
	testing.TB
	ns      *nstest.Namespace
	files   state.Lab
	lab     *lab.Lab
	station *packet.Conn
	client  *supervisor.Client
	sent    int
	// patience is what readers are shown; 0: the usual
	patience time.Duration
}

func newWired(tb testing.TB) *wired {
	tb.Helper()
	w := &wired{TB: tb, ns: nstest.New(tb), lab: &lab.Lab{Version: 1, Name: "wired", Bridges: []lab.Bridge{{Name: "br1"}}}}
	w.ns.Run(tb, "sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
	w.ns.Run(tb, "ip link add br1 type bridge")
	w.ns.Run(tb, "ip link add tap1 type veth peer name pc1")
	w.ns.Run(tb, "ip link set tap1 master br1 up")
	w.ns.Run(tb, "ip link set pc1 up")
	w.ns.Run(tb, "ip link set br1 up")
	w.ns.Must(tb, func() error {
		link, err := net.InterfaceByName("pc1")
		if err == nil {
			w.station, err = packet.Listen(link, packet.Raw, unix.ETH_P_ALL, nil)
		}
		return err
	})
	tb.Cleanup(func() { _ = w.station.Close() })
	dir := tb.TempDir()
	var err error
	w.files, err = state.Dirs{Run: filepath.Join(dir, "run"), State: filepath.Join(dir, "state")}.Lab("wired")
	if err != nil {
		tb.Fatal(err)
	}
	if err := w.files.Create(); err != nil {
		tb.Fatal(err)
	}
	w.client = supervisor.NewClient(w.files.SupervisorSocket())
	tb.Cleanup(w.client.Close)
	return w
}

func (w *wired) config() supervisor.Config {
	return supervisor.Config{
		Lab: w.lab, Files: w.files, Wire: quietWire{}, NetNS: w.ns.Path(), Guests: noGuests{},
		Log: slog.New(slog.DiscardHandler), ReaderPatience: w.patience,
	}
}

// supervise runs the supervisor until the test ends or the returned function is called.
func (w *wired) supervise() (stop func()) {
	w.Helper()
	cfg := w.config()
	ready := make(chan error, 1)
	cfg.Ready = func(err error) error { ready <- err; return nil }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- supervisor.Run(ctx, cfg) }()
	if err := nstest.Receive(w, ready); err != nil {
		cancel()
		w.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := nstest.Receive(w, done); err != nil {
				w.Errorf("supervisor: %v", err)
			}
		}
	}
	w.Cleanup(stop)
	return stop
}

// send sends n frames of a size; their number is in them.
func (w *wired) send(n, size int) {
	w.Helper()
	for range n {
		w.sent++
		frame := make([]byte, size)
		copy(frame, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0x5e, 0, 0x53, 1, 0x88, 0xb5, byte(w.sent >> 16), byte(w.sent >> 8), byte(w.sent)})
		if _, err := w.station.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
			w.Fatal(err)
		}
	}
}

// numberOf is the number that send has put into a frame, 0 for the frames of others.
func numberOf(f capture.Frame) int {
	if len(f.Data) < 17 || f.Data[12] != 0x88 || f.Data[13] != 0xb5 {
		return 0
	}
	return int(f.Data[14])<<16 | int(f.Data[15])<<8 | int(f.Data[16])
}

// numbers reads a stream to its end and returns the numbers of the frames sent.
func numbers(tb testing.TB, next func() (capture.Frame, error)) (all []int) {
	tb.Helper()
	for {
		f, err := next()
		var cut *capture.TruncatedError
		if errors.Is(err, io.EOF) || errors.As(err, &cut) {
			return all
		}
		if err != nil {
			tb.Fatal(err)
		}
		if n := numberOf(f); n > 0 {
			all = append(all, n)
		}
	}
}

// wantNumbers wants the numbers first, first+1 … last, in order.
func wantNumbers(tb testing.TB, got []int, first, last int) {
	tb.Helper()
	if len(got) != last-first+1 {
		tb.Errorf("%d frames, want %d to %d", len(got), first, last)
		return
	}
	for i, n := range got {
		if n != first+i {
			tb.Errorf("frame %d has number %d, want %d", i, n, first+i)
			return
		}
	}
}

// TestFramesPastAndPresent: a stream since up has every frame once and in order, across the point between disk and
// present; one without past begins at its opening; End loses nothing.
func TestFramesPastAndPresent(t *testing.T) {
	t.Parallel()
	w := newWired(t)
	w.supervise()
	w.send(300, 100)
	whole, err := w.client.Frames(nstest.Limit(t), "up")
	if err != nil {
		t.Fatal(err)
	}
	w.send(300, 100)
	present, err := w.client.Frames(nstest.Limit(t), "")
	if err != nil {
		t.Fatal(err)
	}
	w.send(300, 100)
	for _, stream := range []*supervisor.FrameStream{whole, present} {
		if err := stream.End(nstest.Limit(t)); err != nil {
			t.Fatal(err)
		}
	}
	wantNumbers(t, numbers(t, whole.Next), 1, 900)
	got := numbers(t, present.Next)
	if len(got) < 300 || got[len(got)-1] != 900 {
		t.Errorf("a stream without past has %d frames", len(got))
	}
	wantNumbers(t, got[len(got)-300:], 601, 900)
	for _, stream := range []*supervisor.FrameStream{whole, present} {
		if c := stream.Counts()["br1"]; c.Dropped != 0 || c.Received < 300 {
			t.Errorf("counts %+v", c)
		}
	}
	st, err := w.client.Status(nstest.Limit(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Links) != 1 || st.Links[0].Name != "br1" || len(st.Links[0].MAC) != 17 || st.Links[0].Received < 900 {
		t.Errorf("links in the status: %+v", st.Links)
	}
}

// await returns when the supervisor has taken n frames.
func (w *wired) await(n uint64) {
	w.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if st, err := w.client.Status(nstest.Limit(w)); err == nil && len(st.Links) == 1 && st.Links[0].Received >= n {
			return
		}
	}
	w.Fatalf("the supervisor never took %d frames", n)
}

// TestFramesSince: a time cuts the past.
func TestFramesSince(t *testing.T) {
	t.Parallel()
	w := newWired(t)
	w.supervise()
	w.send(10, 100)
	w.await(10) // a frame's time is that of its arrival, not of its sending
	between := time.Now()
	w.send(10, 100)
	stream, err := w.client.Frames(nstest.Limit(t), between.Format(time.RFC3339Nano))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.End(nstest.Limit(t)); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, numbers(t, stream.Next), 11, 20)
	if _, err := w.client.Frames(nstest.Limit(t), "yesterday"); err == nil {
		t.Error("no error for a time that is none")
	}
}

// TestCaptureAcrossSupervisors: the end of a supervisor ends its streams after everything on the wire, and the next one
// goes on with the same past.
func TestCaptureAcrossSupervisors(t *testing.T) {
	t.Parallel()
	w := newWired(t)
	stop := w.supervise()
	stream, err := w.client.Frames(nstest.Limit(t), "")
	if err != nil {
		t.Fatal(err)
	}
	w.send(200, 100)
	stop()
	wantNumbers(t, numbers(t, stream.Next), 1, 200)
	w.supervise()
	w.send(100, 100)
	again, err := w.client.Frames(nstest.Limit(t), "up")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.End(nstest.Limit(t)); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, numbers(t, again.Next), 1, 300)
}

// TestCaptureIsBounded: the past keeps the newest frames in bounded room, and lessons are not pushed out by the rest.
func TestCaptureIsBounded(t *testing.T) {
	t.Parallel()
	w := newWired(t)
	w.supervise()
	arp := make([]byte, 42)
	copy(arp, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0x5e, 0, 0x53, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1})
	if _, err := w.station.WriteTo(arp, &packet.Addr{HardwareAddr: arp[:6]}); err != nil {
		t.Fatal(err)
	}
	const size, sent = 1500, 15000 // 22 MB
	w.send(sent, size)
	first, err := w.client.Frames(nstest.Limit(t), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.End(nstest.Limit(t)), first.Close()); err != nil { // all of it has been taken
		t.Fatal(err)
	}
	stream, err := w.client.Frames(nstest.Limit(t), "up")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.End(nstest.Limit(t)); err != nil {
		t.Fatal(err)
	}
	sawARP := false
	got := numbers(t, func() (capture.Frame, error) {
		f, err := stream.Next()
		sawARP = sawARP || (len(f.Data) >= 14 && f.Data[12] == 8 && f.Data[13] == 6)
		return f, err
	})
	if !sawARP {
		t.Error("the ARP frame was pushed out")
	}
	if len(got) < 5000 || got[len(got)-1] != sent || got[0] == 1 {
		t.Fatalf("the past holds %d frames of %d", len(got), sent)
	}
	wantNumbers(t, got, got[0], sent)
	total := int64(0)
	entries, err := os.ReadDir(w.files.CaptureDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 17<<20 {
		t.Errorf("the captures take %d octets", total)
	}
}

// TestCaptureSurvivesKill: what was captured before a SIGKILL is readable.
func TestCaptureSurvivesKill(t *testing.T) {
	t.Parallel()
	w := newWired(t)
	dir := filepath.Dir(filepath.Dir(w.files.RunDir()))
	cmd, ready := startTestRole(t, "wired", dir, w.ns.Path())
	if line, err := ready.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the supervisor says %q (%v)", line, err)
	}
	stream, err := w.client.Frames(nstest.Limit(t), "")
	if err != nil {
		t.Fatal(err)
	}
	w.send(400, 100)
	for n := 0; n < 400; { // they have been taken; nothing tells the supervisor that its end is near
		f, err := stream.Next()
		if err != nil {
			t.Fatal(err)
		}
		n = max(n, numberOf(f))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	files, err := filepath.Glob(filepath.Join(w.files.CaptureDir(), "other-*.pcapng"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v (%v)", files, err)
	}
	file, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := capture.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, numbers(t, reader.Next), 1, 400)
}
