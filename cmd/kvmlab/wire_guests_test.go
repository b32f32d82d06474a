package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// twoServersLab has a bridge that kvmlab serves, once it is let, and one that somebody else does.
const twoServersLab = `
version: 1
name: wires
host: {allow: [udp/67]} # dnsmasq, which somebody runs on this computer
bridges:
  - name: br1
    address: 192.168.1.1/24
    dhcp: {range: 192.168.1.2-192.168.1.10, faults: drop=OFFER}
  - {name: br2, address: 192.168.2.1/24, dhcp: off}
guests:
  - {name: pc1, nics: [{bridge: br1}]}
  - {name: pc2, nics: [{bridge: br2}]}
`

// serveBr2 is a DHCP server of somebody else's, from the moment at which there is a bridge to serve.
const serveBr2 = `
until ip addr show dev br2 2>/dev/null | grep -q 192.168.2.1; do sleep 0.1; done
exec dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=br2 --bind-interfaces --no-ping --user=root \
  --dhcp-range=192.168.2.2,192.168.2.10,10m --dhcp-leasefile=/run/leases --pid-file=
`

// TestWireOfGuests brings two real guests up, each with another DHCP server, and sees both on the wire: while up waits,
// afterwards, and in what other programs read.
func TestWireOfGuests(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "tshark", "dnsmasq")
	s := newSandbox(t)
	upSeesEveryServer(t, s)
	watchTellsWhatHappened(t, s)
	captureIsReadByTshark(t, s)
	// A bridge that was handed over is somebody else's: nobody waits for leases that kvmlab does not give.
	s.run("kvmlab", "dhcp", "off")
	s.run("virsh", "destroy", "wires-pc1")
	s.run("kvmlab", "up", "wires", "--wait", "4m")
	s.run("kvmlab", "down")
}

// upSeesEveryServer follows the progress of an up: pc2 gets its address from dnsmasq while up still waits for pc1, whose
// OFFERs are lost until pc2 has its own.
func upSeesEveryServer(t *testing.T, s *sandbox) {
	t.Helper()
	_, served := s.start("sh", "-c", serveBr2) // it ends with the sandbox
	go func() {
		for served.Scan() { // so that it never waits for a reader
		}
	}()
	up, progress := s.start("kvmlab", "up", s.writeFile("wires.yaml", twoServersLab), "--wait", "4m")
	var said []string
	mended := false
	for progress.Scan() {
		line := progress.Text()
		said = append(said, line)
		if !mended && strings.HasPrefix(line, "pc2: ACK") {
			s.run("kvmlab", "dhcp", "fault", "--clear")
			mended = true
		}
	}
	if err := up.Wait(); err != nil {
		t.Fatalf("up: %v\n%s", err, strings.Join(said, "\n"))
	}
	all := strings.Join(said, "\n")
	for _, guest := range []string{"pc1", "pc2"} {
		at := 0
		for _, step := range []string{"DISCOVER", "OFFER", "REQUEST", "ACK"} {
			i := slices.IndexFunc(said[at:], func(line string) bool {
				return strings.HasPrefix(line, guest+": "+step)
			})
			if i < 0 {
				t.Errorf("the progress of %s lacks %s in its place:\n%s", guest, step, all)
				break
			}
			at += i
		}
	}
	if !mended || !strings.Contains(all, "192.168.2.") {
		t.Errorf("nothing of the other server's lease:\n%s", all)
	}
	if lease := s.statusOf("wires").Guests[0].NICs[0].Lease; lease == nil || lease.State != "bound" {
		t.Errorf("up has ended, and pc1 has the lease %+v", lease)
	}
}

// watchTellsWhatHappened asks for the past in sentences and as JSON, until it is told to stop.
func watchTellsWhatHappened(t *testing.T, s *sandbox) {
	t.Helper()
	for _, guest := range []string{"pc1", "pc2"} {
		text, err := watchUntil(t, s, "ACK", "--since", "up", "--plain", "--filter", "guest="+guest)
		if err != nil {
			t.Errorf("watch after SIGINT: %v", err)
		}
		for _, want := range []string{
			"1/4 DISCOVER: " + guest + " looks for DHCP servers; broadcast from 02:", "2/4 OFFER: ", "3/4 REQUEST: " + guest,
			"4/4 ACK: ", " to " + guest,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("watch --plain of %s lacks %q:\n%s", guest, want, text)
			}
		}
	}
	// pc1 was the last to get its lease.
	text, err := watchUntil(t, s, `to pc1"`, "--since", "up", "-o", "json", "--filter", "kind=ack")
	if err != nil {
		t.Errorf("watch -o json after SIGINT: %v", err)
	}
	clients := map[string]bool{}
	for line := range strings.Lines(text) {
		var p struct {
			Stations struct{ Src, Dst string }
			DHCP     struct{ Type string }
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil || p.DHCP.Type != "ACK" {
			t.Fatalf("watch -o json: %v\n%s", err, line)
		}
		clients[p.Stations.Dst] = true
	}
	if d := cmp.Diff(map[string]bool{"pc1": true, "pc2": true}, clients); d != "" {
		t.Errorf("who gets addresses (-want +got):\n%s\n%s", d, text)
	}
}

// watchUntil runs watch until it has printed words, and then Ctrl-C: it gives what was printed and how it ended.
func watchUntil(t *testing.T, s *sandbox, words string, args ...string) (text string, err error) {
	t.Helper()
	const out = "/run/watched"
	end := s.interruptible(out, "watch", args...)
	s.run("sh", "-c", `until grep -qF "$0" "$1"; do sleep 0.1; done`, words, out)
	err = end()
	return s.run("cat", out), err
}

// interruptible starts kvmlab with its output in a file, and gives what ends it as Ctrl-C does. A shell's own background
// would not do: it has SIGINT ignored.
func (s *sandbox) interruptible(out, command string, args ...string) (end func() error) {
	s.t.Helper()
	script := append([]string{"-c", `echo $$ >&2; exec "$@" >` + out, "sh", s.kvmlab, command}, args...)
	cmd, stderr := s.start("sh", script...)
	if !stderr.Scan() {
		s.t.Fatalf("%s does not start", command)
	}
	pid := stderr.Text()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for stderr.Scan() { // so that it never waits for a reader
		}
	}()
	return func() error {
		s.run("kill", "-INT", pid)
		<-ended
		return cmd.Wait()
	}
}

// captureIsReadByTshark pipes what happened into tshark, as a class would into Wireshark.
func captureIsReadByTshark(t *testing.T, s *sandbox) {
	t.Helper()
	const pipe = `"$0" capture --past -w - --filter kind=dhcp | tshark -r - -T fields -e dhcp.option.dhcp -e frame.comment`
	r := s.try("sh", "-c", pipe, s.kvmlab)
	if r.status != 0 || strings.Contains(r.err, "Warning") {
		t.Fatalf("capture into tshark: status %d\n%s", r.status, r.err)
	}
	for _, guest := range []string{"pc1", "pc2"} {
		for _, want := range []string{"1\t1/4 DISCOVER from " + guest, "2\t2/4 OFFER 192.168.", "5\t4/4 ACK 192.168."} {
			if !strings.Contains(r.out, want) {
				t.Errorf("tshark does not say %q:\n%s", want, r.out)
			}
		}
	}
	ring := filepath.Join(t.TempDir(), "ring.pcapng")
	s.run("kvmlab", "capture", "--past", "-w", ring, "--filter", "kind=dhcp", "--file-size", "1KiB", "--files", "2")
	files, err := filepath.Glob(filepath.Join(filepath.Dir(ring), "*"))
	if err != nil || len(files) != 2 {
		t.Errorf("the ring is %q, %v", files, err)
	}
	for _, file := range files {
		quietly(t, "capinfos", file)
		if watchFile(t, file, "--filter", "kind=dhcp") == "" {
			t.Errorf("no message in %s", file)
		}
	}
	live := filepath.Join(t.TempDir(), "live.pcapng")
	end := s.interruptible(live, "capture", "--since", "up", "-w", "-")
	address := s.statusOf("wires").Guests[0].NICs[0].Lease.Address
	s.run("sh", "-c", `until [ -s "$0" ]; do sleep 0.1; done`, live) // the past comes first, so it listens by now
	s.run("ping", "-q", "-c", "5", "-i", "0.2", "-W", "5", address)
	if err := end(); err != nil {
		t.Errorf("capture after SIGINT: %v", err)
	}
	if info, err := os.Stat(live); err != nil || info.Size() == 0 {
		t.Fatalf("nothing was captured: %v", err)
	}
	echoes := strings.Count(watchFile(t, live, "-o", "json", "--filter", "icmp"), "\n")
	acks := strings.Count(watchFile(t, live, "-o", "json", "--filter", "kind=ack"), "\n")
	if echoes < 10 || acks < 2 {
		t.Errorf("the capture since up has %d echoes and %d ACKs, want 10 and 2", echoes, acks)
	}
	quietly(t, "capinfos", live)
}
