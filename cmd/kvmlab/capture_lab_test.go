package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// wireLab is a lab that is a bare switch; the station and the server on it are the test's.
const wireLab = `
version: 1
name: wire
host: {allow: [udp/67]} # dnsmasq, on this computer
bridges:
  - {name: br1, address: 192.168.1.1/24, dhcp: off}
`

// wireStation puts a server and a station on the lab's bridge; $* leads into the lab's namespace.
const wireStation = `
"$@" ip link add tap9 type veth peer name eth0
ip netns add station
"$@" ip link set eth0 netns station
ip netns exec station ip link set eth0 up
"$@" ip link set tap9 master br1 up
"$@" dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=br1 --bind-interfaces --no-ping --user=root \
  --dhcp-range=192.168.1.2,192.168.1.10,10m --dhcp-leasefile=/run/leases --pid-file= >/dev/null 2>&1 &
until ip netns exec station udhcpc -f -q -n -i eth0 -s /bin/true -x hostname:pc9 -t 1 -T 1; do :; done
ip netns exec station ip addr add 192.168.1.9/24 dev eth0
`

// TestWireOfALab sees the wire of a lab: what happened, live capture until SIGINT, and what is left when the supervisor
// is killed. It needs no guests, so it is quick on any machine.
func TestWireOfALab(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"host": nil, "isolated": {"--isolate"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nstest.RequireCommand(t, "tshark", "capinfos", "dnsmasq", "udhcpc", "ping")
			s := newSandbox(t)
			s.run("kvmlab", append([]string{"up", s.writeFile("wire.yaml", wireLab)}, flags...)...)
			var inside []string
			if st := s.statusOf("wire"); st.Netns != "" {
				inside = []string{"ip", "netns", "exec", st.Netns}
			}
			s.run("sh", append([]string{"-ec", wireStation, "station", "env"}, inside...)...)
			dir := t.TempDir()
			seeWhatHappened(t, s, filepath.Join(dir, "past.pcapng"))
			captureUntilInterrupt(t, s, inside, filepath.Join(dir, "live.pcapng"))
			killAndLook(t, s)
			s.run("kvmlab", "down")
			if left := s.try("ls", "/var/lib/kvmlab/labs/wire"); left.status == 0 {
				t.Errorf("down left %s", left.out)
			}
		})
	}
}

// seeWhatHappened looks at the exchange in three ways, which must agree.
func seeWhatHappened(t *testing.T, s *sandbox, file string) {
	t.Helper()
	r := s.try("kvmlab", "capture", "--past", "-w", file, "--filter", "kind=dhcp")
	if r.status != 0 || !strings.Contains(r.err, "packets written to") {
		t.Fatalf("capture --past: status %d\n%s", r.status, r.err)
	}
	var comments, notes []string
	for line := range strings.Lines(watchFile(t, file, "-o", "json")) {
		var p struct{ Comment, Note string }
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		comments, notes = append(comments, p.Comment), append(notes, p.Note)
	}
	if d := cmp.Diff(notes, comments); d != "" {
		t.Errorf("comments differ from what the packets are (-packets +comments):\n%s", d)
	}
	if len(comments) < 4 {
		t.Fatalf("%d DHCP messages: %q", len(comments), comments)
	}
	address := strings.Fields(comments[len(comments)-1])[2]
	want := []string{
		"1/4 DISCOVER from pc9", "2/4 OFFER " + address + " to pc9", "3/4 REQUEST " + address + " from pc9", "4/4 ACK " + address + " to pc9",
	}
	if d := cmp.Diff(want, comments[len(comments)-4:]); d != "" {
		t.Errorf("the exchange (-want +got):\n%s", d)
	}
	quietly(t, "capinfos", file)
	seen := strings.TrimSpace(string(quietly(t, "tshark", "-r", file, "-T", "fields", "-e", "frame.comment")))
	if d := cmp.Diff(strings.Join(comments, "\n"), seen); d != "" {
		t.Errorf("comments (-ours +tshark): %s", d)
	}
}

// captureUntilInterrupt pings while a capture runs, and wants every ping in it.
func captureUntilInterrupt(t *testing.T, s *sandbox, inside []string, file string) {
	t.Helper()
	// The process to signal is the one inside the sandbox, which says its own number there.
	cmd, stderr := s.start("sh", "-c", `echo $$ >&2; exec "$@"`, "sh", s.kvmlab, "capture", "-w", file, "--filter", "icmp")
	if !stderr.Scan() {
		t.Fatal("capture does not start")
	}
	pid, listening := stderr.Text(), false
	for !listening && stderr.Scan() {
		listening = strings.Contains(stderr.Text(), "Ctrl-C ends")
	}
	const pings = 20
	ping := append(slices.Clone(inside), "ping", "-q", "-c", strconv.Itoa(pings), "-i", "0.01", "-W", "5", "192.168.1.9")
	if out := s.run(ping[0], ping[1:]...); !strings.Contains(out, fmt.Sprintf("%d received", pings)) {
		t.Fatalf("ping: %s", out)
	}
	s.run("kill", "-INT", pid)
	var said []string
	for stderr.Scan() {
		said = append(said, stderr.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("capture after SIGINT: %v\n%v", err, said)
	}
	if want := fmt.Sprintf("%d packets written to %s.", 2*pings, file); !slices.Contains(said, want) {
		t.Errorf("capture said %q, want %q", said, want)
	}
	info := string(quietly(t, "capinfos", file))
	for _, want := range []string{"Number of packets:   40", "Name = br1", "Description = bridge br1 of lab wire", "nanoseconds"} {
		if !strings.Contains(info, want) {
			t.Errorf("capinfos does not say %q:\n%s", want, info)
		}
	}
}

// killAndLook kills the supervisor and reads what it had kept; watch then says what is wrong.
func killAndLook(t *testing.T, s *sandbox) {
	t.Helper()
	s.run("kill", "-KILL", strconv.Itoa(s.statusOf("wire").Supervisor.PID))
	copied := filepath.Join(t.TempDir(), "kept.pcapng")
	data := s.run("sh", "-c", "cat /var/lib/kvmlab/labs/wire/captures/dhcp-*.pcapng")
	if err := os.WriteFile(copied, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	acks := strings.Count(watchFile(t, copied, "-o", "json", "--filter", "kind=ack"), "\n")
	if acks < 1 {
		t.Errorf("no ACK is left after SIGKILL")
	}
	if r := s.try("kvmlab", "watch", "--plain"); r.status == 0 || !strings.Contains(r.err, "KL602") {
		t.Errorf("watch without a supervisor: status %d\n%s", r.status, r.err)
	}
}
