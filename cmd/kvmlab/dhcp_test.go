package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// segment is an Ethernet segment between two namespaces: eth1 with 192.168.1.1/24 on the servers' side, eth0 without
// an address on the clients'.
type segment struct {
	*testing.T
	kvmlab  string
	servers *nstest.Namespace
	clients *nstest.Namespace
}

func newSegment(t *testing.T) *segment {
	t.Helper()
	nstest.RequireRoot(t)
	binary, err := kvmlabBinary()
	if err != nil {
		t.Fatalf("build kvmlab: %v", err)
	}
	s := &segment{T: t, kvmlab: binary, servers: nstest.New(t), clients: nstest.New(t)}
	s.servers.Run(t, "ip link add eth1 type veth peer name eth0 netns "+s.clients.Path())
	s.servers.Run(t, "ip addr add 192.168.1.1/24 dev eth1")
	s.servers.Run(t, "ip link set eth1 up")
	s.clients.Run(t, "ip link set eth0 up")
	return s
}

// command is kvmlab in one of the namespaces, away from the machine's state and the user's language.
func (s *segment) command(ctx context.Context, ns *nstest.Namespace, args ...string) *exec.Cmd {
	cmd := ns.Command(ctx, s.kvmlab, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "NO_COLOR=1", "KVMLAB_STATE_DIR="+s.TempDir(), "KVMLAB_RUN_DIR="+s.TempDir())
	return cmd
}

// run runs kvmlab to its end.
func (s *segment) run(ns *nstest.Namespace, args ...string) result {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	cmd := s.command(ctx, ns, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run() // the exit status tells
	return result{out: out.String(), err: errOut.String(), status: cmd.ProcessState.ExitCode()}
}

// served is a `kvmlab dhcp serve` that has said that it is ready.
type served struct {
	*segment
	cmd *exec.Cmd
	out *lines
	err *lines
}

// serve starts one; it is killed with the test if it is not stopped.
func (s *segment) serve(ns *nstest.Namespace, args ...string) *served {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	s.Cleanup(cancel)
	v := &served{segment: s, cmd: s.command(ctx, ns, append([]string{"dhcp", "serve"}, args...)...)}
	stdout, outErr := v.cmd.StdoutPipe()
	stderr, errErr := v.cmd.StderrPipe()
	if outErr != nil || errErr != nil {
		s.Fatal(outErr, errErr)
	}
	if err := v.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = v.cmd.Process.Kill(); _ = v.cmd.Wait() })
	v.out, v.err = collect(stdout), collect(stderr)
	v.err.await(s.T, "ready")
	return v
}

// stop ends it as an init system would.
func (v *served) stop() {
	v.Helper()
	if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		v.Fatal(err)
	}
	<-v.out.done
	<-v.err.done
	if err := v.cmd.Wait(); err != nil {
		v.Errorf("after SIGTERM: %v\n%s", err, v.err.text())
	}
}

// lines collects what a program prints.
type lines struct {
	mu   sync.Mutex
	all  []string
	more chan struct{} // gets a value after lines have come
	done chan struct{} // closed at the end
}

func collect(r io.Reader) *lines {
	l := &lines{more: make(chan struct{}, 1), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for in := bufio.NewScanner(r); in.Scan(); {
			l.mu.Lock()
			l.all = append(l.all, in.Text())
			l.mu.Unlock()
			select {
			case l.more <- struct{}{}:
			default:
			}
		}
	}()
	return l
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// await waits until what was printed holds every one of the texts.
func (l *lines) await(t *testing.T, texts ...string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		missing := ""
		for _, text := range texts {
			if !strings.Contains(l.text(), text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-l.more:
		case <-l.done:
			if !strings.Contains(l.text(), missing) {
				t.Fatalf("it ended without saying %q:\n%s", missing, l.text())
			}
		case <-timeout:
			t.Fatalf("no %q in:\n%s", missing, l.text())
		}
	}
}

// classServer are the flags of the class's server.
func classServer(leases string, more ...string) []string {
	return append([]string{
		"--interface", "eth1", "--subnet", "192.168.1.0/24", "--range", "192.168.1.2-192.168.1.10", "--leases", leases,
	}, more...)
}

// udhcpc gets a lease with busybox on the clients' side and returns what its script was told.
func (s *segment) udhcpc(iface string, more ...string) string {
	return s.udhcpcIn(s.clients, iface, more...)
}

// udhcpcIn is udhcpc in any namespace.
func (s *segment) udhcpcIn(ns *nstest.Namespace, iface string, more ...string) string {
	s.Helper()
	nstest.RequireCommand(s, "busybox")
	script := filepath.Join(s.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho $1 $ip $mask $router $dns $domain $lease $ntpsrv\n"), 0o755); err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	args := append([]string{"udhcpc", "-f", "-q", "-n", "-i", iface, "-x", "hostname:pc1", "-s", script}, more...)
	out, err := ns.Command(ctx, "busybox", args...).CombinedOutput()
	if err != nil {
		s.Fatalf("udhcpc: %v\n%s", err, out)
	}
	return string(out)
}

// TestDHCPServe: a client of another make gets what the flags say, every decision is an event, and SIGTERM is a clean
// end whose leases are on the disk.
func TestDHCPServe(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	leases := t.TempDir()
	v := s.serve(s.servers, classServer(leases, "--router", "192.168.1.1", "--dns", "192.168.1.1,192.0.2.53",
		"--domain", "aula.lan", "--lease-time", "1h", "-o", "json")...)
	if out := s.udhcpc("eth0"); !strings.Contains(out, "bound 192.168.1.2 24 192.168.1.1 192.168.1.1 192.0.2.53 aula.lan 3600") {
		t.Errorf("udhcpc was told:\n%s", out)
	}
	v.out.await(t, `"decision":"sent"`, `"type":"ACK"`)
	s.listed(leases)
	v.stop()
	s.listed(leases)
	types := map[string]bool{}
	for line := range strings.Lines(v.out.text()) {
		var ev struct {
			Version                 int
			Type, Decision, Address string
			Text                    string
		}
		if err := json.Unmarshal([]byte(line), &ev); err != nil || ev.Version != 1 || ev.Text == "" {
			t.Errorf("event %s: %v", line, err)
		}
		types[ev.Type+" "+ev.Decision] = true
	}
	for _, want := range []string{"DISCOVER offer", "OFFER sent", "REQUEST ack", "ACK sent"} {
		if !types[want] {
			t.Errorf("no event %q in:\n%s", want, v.out.text())
		}
	}
	again := s.serve(s.servers, classServer(leases)...)
	if out := s.udhcpc("eth0"); !strings.Contains(out, "bound 192.168.1.2 ") {
		t.Errorf("after a restart udhcpc was told:\n%s", out)
	}
	again.out.await(t, "DISCOVER: offer 192.168.1.2 for 10m0s: the client holds it now", "ACK of 192.168.1.2 for 10m0s sent")
	again.stop()
}

// listed checks that `kvmlab leases` shows the lease of 192.168.1.2 in a server's directory, in each of its forms.
func (s *segment) listed(dir string) {
	s.Helper()
	text := s.run(s.servers, "leases", "--dir", dir)
	if text.status != 0 || !strings.Contains(text.out, "192.168.1.2") || !strings.Contains(text.out, "pc1") {
		s.Errorf("leases: status %d\n%s%s", text.status, text.out, text.err)
	}
	rows, err := csv.NewReader(strings.NewReader(s.run(s.servers, "leases", "--dir", dir, "-o", "csv").out)).ReadAll()
	if err != nil || len(rows) != 2 || rows[0][1] != "address" || rows[1][1] != "192.168.1.2" || rows[1][2] != "bound" {
		s.Errorf("CSV: %v %q", err, rows)
	}
	var report struct {
		Labs []struct {
			Name   string
			Leases []struct{ Address, State, Hostname, Server string }
		}
	}
	out := s.run(s.servers, "leases", "--dir", dir, "-o", "json").out
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Labs) != 1 || len(report.Labs[0].Leases) != 1 {
		s.Fatalf("JSON: %v %s", err, out)
	}
	if l := report.Labs[0].Leases[0]; l.Address != "192.168.1.2" || l.State != "bound" || l.Hostname != "pc1" || l.Server != "192.168.1.1" {
		s.Errorf("JSON: %+v", l)
	}
}

// TestDHCPServeFlags: two interfaces, two ranges, a reservation outside of them, an option of its own, and bounds for the
// lease that a client asks for.
func TestDHCPServeFlags(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	for _, line := range []string{
		"ip link add eth2 type veth peer name eth3 netns " + s.clients.Path(), "ip addr add 192.168.1.3/24 dev eth2", "ip link set eth2 up",
	} {
		s.servers.Run(t, line)
	}
	s.clients.Run(t, "ip link set eth3 address 02:00:5e:00:53:77 up")
	v := s.serve(s.servers,
		"--interface", "eth1", "--interface", "eth2", "--subnet", "192.168.1.0/24", "--leases", t.TempDir(), "--no-probe",
		"--range", "192.168.1.50-192.168.1.50", "--range", "192.168.1.60-192.168.1.61", "--reserve", "02:00:5e:00:53:77=192.168.1.200",
		"--option", "ntp-servers=192.168.1.9", "--lease-time", "10m", "--min-lease-time", "5m", "--max-lease-time", "30m", "--authoritative")
	ask := []string{"-O", "ntpsrv", "-x", "lease:7200"}
	if out := s.udhcpc("eth3", ask...); !strings.Contains(out, "bound 192.168.1.200 24 1800 192.168.1.9") {
		t.Errorf("the reserved one was told:\n%s", out)
	}
	for _, want := range []string{"192.168.1.50", "192.168.1.60", "192.168.1.61"} {
		s.clients.Run(t, "ip link set eth0 address 02:00:5e:00:53:"+want[len(want)-2:])
		if out := s.udhcpc("eth0", ask...); !strings.Contains(out, "bound "+want+" 24 1800 192.168.1.9") {
			t.Errorf("instead of %s a client was told:\n%s", want, out)
		}
	}
	v.stop()
}

// bridged joins a second server's segment to the first: the clients' side becomes a switch.
func (s *segment) bridged() *nstest.Namespace {
	s.Helper()
	other := nstest.New(s)
	for _, line := range []string{
		"ip link add br0 type bridge",
		"ip link set eth0 master br0",
		"ip link set br0 up",
		"ip link add eth9 type veth peer name eth1 netns " + other.Path(),
		"ip link set eth9 master br0 up",
	} {
		s.clients.Run(s, line)
	}
	other.Run(s, "ip addr add 192.168.1.100/24 dev eth1")
	other.Run(s, "ip link set eth1 up")
	return other
}

// TestDHCPProbe asks a segment with no server, and one with two.
func TestDHCPProbe(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	other := s.bridged()

	r := s.run(s.clients, "dhcp", "probe", "--interface", "br0", "--wait", "200ms", "-o", "json")
	if r.status != 1 || !strings.Contains(r.out, `"offers": []`) || !strings.Contains(r.err, "KL515") {
		t.Errorf("nobody there: status %d\n%s%s", r.status, r.out, r.err)
	}

	first, second := t.TempDir(), t.TempDir()
	v := s.serve(s.servers, classServer(first, "--router", "192.168.1.1", "--dns", "192.168.1.1")...)
	w := s.serve(other, classServer(second, "--domain", "other.lan", "--lease-time", "2h")...)
	// Whoever comes second is told of the first.
	w.err.await(t, "KL110", "another DHCP server, 192.168.1.1")
	if strings.Contains(v.err.text(), "192.168.1.1 (") {
		t.Errorf("the first took itself for another:\n%s", v.err.text())
	}

	r = s.run(s.clients, "dhcp", "probe", "--interface", "br0", "--wait", "1s")
	for _, want := range []string{"SERVER", "192.168.1.1  ", "192.168.1.100", "255.255.255.0", "10m0s", "2h0m0s", "domain-name other.lan"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in:\n%s", want, r.out)
		}
	}
	if r.status != 0 {
		t.Errorf("status %d\n%s", r.status, r.err)
	}
	var report struct {
		Version int
		Offers  []struct {
			Server, ServerMAC, Address, Router, DNS string
			LeaseTime                               int `json:"lease_time"`
			Options                                 []struct{ Code int }
		}
	}
	r = s.run(s.clients, "dhcp", "probe", "--interface", "br0", "--wait", "1s", "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || len(report.Offers) != 2 {
		t.Fatalf("%v, %d offers\n%s", err, len(report.Offers), r.out)
	}
	for _, o := range report.Offers {
		if o.Address == "" || len(o.Options) == 0 || (o.Server == "192.168.1.1") != (o.LeaseTime == 600 && o.Router != "") {
			t.Errorf("offer %+v", o)
		}
	}
	v.stop()
	w.stop()
	// A DISCOVER takes nothing, and nothing else was sent.
	for _, v := range []*served{v, w} {
		for _, not := range []string{"REQUEST", "DECLINE", "RELEASE"} {
			if strings.Contains(v.out.text(), not) {
				t.Errorf("a probe sent a %s:\n%s", not, v.out.text())
			}
		}
	}
}

// TestDHCPServeRefuses: what cannot work is refused before anything is opened, with the reason.
func TestDHCPServeRefuses(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	busy, foreign := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "dhcpd.leases"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.serve(s.servers, classServer(busy)...)
	relay := filepath.Join(t.TempDir(), "dhcp.yaml")
	config := "version: 1\nsubnets:\n  - {subnet: 192.168.1.0/24, range: 192.168.1.20-192.168.1.30}\n" +
		"  - {subnet: 10.1.0.0/16, range: 10.1.0.10-10.1.0.99}\n"
	if err := os.WriteFile(relay, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	two := filepath.Join(t.TempDir(), "two.yaml")
	config = strings.ReplaceAll(config, "10.1.0.0/16, range: 10.1.0.10-10.1.0.99", "10.7.0.0/24, range: 10.7.0.10-10.7.0.99")
	if err := os.WriteFile(two, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	s.servers.Run(t, "ip addr add 10.7.0.1/24 dev eth1")
	s.servers.Run(t, "ip tuntap add mode tun name tun0")
	s.servers.Run(t, "ip addr add 10.8.0.1/24 dev tun0")
	s.servers.Run(t, "ip link set tun0 up")
	for name, test := range map[string]struct {
		args   []string
		status int
		want   []string
	}{
		"a tun": {
			[]string{"--interface", "tun0", "--subnet", "10.8.0.0/24", "--range", "10.8.0.2-10.8.0.9", "--leases", t.TempDir()},
			4,
			[]string{"KL530", "tun0 carries no Ethernet frames"},
		},
		"two subnets on one interface": {
			[]string{"--config", two, "--interface", "eth1"},
			4,
			[]string{"KL532", "eth1 is in 10.7.0.0/24 too", "from the subnet of 192.168.1.1", "relayed: true"},
		},
		"nothing but its own address": {
			[]string{"--interface", "eth1", "--subnet", "192.168.1.0/24", "--range", "192.168.1.1"},
			2,
			[]string{"KL513", "nothing to lend in 192.168.1.0/24: all of its range is excluded, or the server's own"},
		},
		"no address in the subnet": {
			[]string{"--interface", "eth1", "--subnet", "10.0.0.0/24", "--range", "10.0.0.2-10.0.0.9"},
			4,
			[]string{"KL506", "eth1 has no address in 10.0.0.0/24", "ip addr add"},
		},
		"no such interface": {
			[]string{"--interface", "eht1", "--subnet", "192.168.1.0/24", "--range", "192.168.1.2-192.168.1.9"},
			4,
			[]string{"KL508", `did you mean "eth1"?`},
		},
		"another server identifier": {
			classServer(t.TempDir(), "--server-id", "192.168.1.77"), 2,
			[]string{"KL509", "192.168.1.77 is not an address of eth1"},
		},
		"a subnet that nobody is in": {
			[]string{"--config", relay, "--interface", "eth1"},
			4,
			[]string{"KL510", "none of eth1 has an address in 10.1.0.0/16", "relayed: true"},
		},
		"an interface in use": {classServer(t.TempDir()), 4, []string{"KL500", "eth1"}},
		"its own address reserved": {
			classServer(t.TempDir(), "--reserve", "02:00:5e:00:53:01=192.168.1.1"), 2,
			[]string{"KL077", "192.168.1.1 cannot be reserved"},
		},
		"leases in use":           {classServer(busy), 4, []string{"KL505", busy}},
		"leases of somebody else": {classServer(foreign), 4, []string{"KL516", "it holds dhcpd.leases"}},
		"leases in a file":        {classServer(relay), 4, []string{"KL533", "not a directory"}},
	} {
		r := s.run(s.servers, append([]string{"dhcp", "serve"}, test.args...)...)
		if r.status != test.status || slices.Contains(strings.Split(r.err, "\n"), "ready") {
			t.Errorf("%s: status %d, want %d\n%s", name, r.status, test.status, r.err)
		}
		flat := strings.Join(strings.Fields(r.err), " ") // lines are broken at the width of a terminal
		for _, want := range test.want {
			if !strings.Contains(flat, want) {
				t.Errorf("%s: no %q in:\n%s", name, want, r.err)
			}
		}
	}
}
