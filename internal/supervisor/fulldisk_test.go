package supervisor_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// envMounts says that the test runs in a mount namespace of its own.
const envMounts = "KVMLAB_TEST_MOUNTS"

// TestFullDisk: a disk that is full loses what comes, and nothing of what it holds; DHCP goes to it when there is room
// again, and not before a check has seen it.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getenv(envMounts) == "" {
		inOwnMounts(t)
		return
	}
	w := newWired(t)
	w.lab = floodLab()
	dir := w.files.CaptureDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=9m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	stop := w.supervise()
	w.connected()
	before := message(macPC1, macPC1, capture.Discover, 1)
	w.transmit(before)
	const sent = 10000 // 14 MB
	for i := range sent {
		w.transmit(ethernet(everybody, macPC2, 0x88b5, append([]byte{byte(i >> 8), byte(i)}, make([]byte, 1400)...)))
	}
	meanwhile := message(macPC1, macPC1, capture.Discover, 2)
	w.transmit(meanwhile)
	for range 20000 {
		w.transmit(message(macPC2, macPC2, capture.Discover, 3))
	}
	wantBoth := func(when string) {
		t.Helper()
		seen := w.evidence()
		if seen[string(before)] == 0 || seen[string(meanwhile)] == 0 {
			t.Errorf("%s: there is %d from before the disk was full and %d from then", when, seen[string(before)], seen[string(meanwhile)])
		}
	}
	wantBoth("when the disk is full")
	st, err := w.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Unkept == 0 {
		t.Error("the status does not say that frames were not kept")
	}
	first := w.oldest(dir)
	if !bytes.Equal(first.Data[14:16], []byte{0, 0}) {
		t.Errorf("the oldest frame on the full disk is %x", first.Data[14:16])
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	stop()
	w.supervise()
	wantBoth("when there is room again, to the next supervisor")
}

// oldest is the first frame of the oldest file of what is no evidence.
func (w *wired) oldest(dir string) capture.Frame {
	w.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "other-*.pcapng"))
	if err != nil || len(files) == 0 {
		w.Fatalf("files %v (%v)", files, err)
	}
	file, err := os.Open(files[0])
	if err != nil {
		w.Fatal(err)
	}
	defer file.Close()
	reader, err := capture.NewReader(file)
	if err != nil {
		w.Fatal(err)
	}
	f, err := reader.Next()
	if err != nil {
		w.Fatal(err)
	}
	return f
}

// inOwnMounts runs a test again in a mount namespace of its own.
func inOwnMounts(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), envMounts+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
