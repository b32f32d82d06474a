package main_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// TestDHCPServeLendsNobodysAddress: neither an address of the host nor the router's is given to a client.
func TestDHCPServeLendsNobodysAddress(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	s.servers.Run(t, "ip addr add 192.168.1.5/24 dev eth1")
	v := s.serve(s.servers, "--interface", "eth1", "--subnet", "192.168.1.0/24", "--range", "192.168.1.5-192.168.1.7",
		"--router", "192.168.1.6", "--leases", t.TempDir())
	if out := s.udhcpc("eth0", "-x", "lease:0"); !strings.Contains(out, "bound 192.168.1.7 24 192.168.1.6 30") {
		t.Errorf("udhcpc was told:\n%s", out)
	}
	v.out.await(t, "offer 192.168.1.7", "it has not been given out before")
	v.stop()
}

// TestDHCPServeWarns: a mask that differs from the interface's own is told; an interface that is down, and up again, and
// leases whose directory was deleted, in events and in no raw line of a log.
func TestDHCPServeWarns(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "busybox")
	s := newSegment(t)
	s.servers.Run(t, "ip link set eth1 down")
	leases := filepath.Join(t.TempDir(), "leases")
	v := s.serve(s.servers, "--interface", "eth1", "--subnet", "192.168.1.0/25", "--range", "192.168.1.5-192.168.1.7",
		"--leases", leases)
	v.out.await(t, "the interface is down")
	s.servers.Run(t, "ip link set eth1 up")
	v.out.await(t, "the interface is up again")
	v.err.await(t, "KL531", "eth1 itself has 192.168.1.1/24", "192.168.1.0/25")

	if err := os.RemoveAll(leases); err != nil {
		t.Fatal(err)
	}
	client := s.clients.Command(t.Context(), "busybox", "udhcpc", "-f", "-q", "-n", "-i", "eth0", "-t", "2", "-T", "1", "-s", "/bin/true")
	if out, err := client.CombinedOutput(); err == nil {
		t.Errorf("a client has a lease that is on no disk:\n%s", out)
	}
	v.out.await(t, "no lease is acknowledged: leases cannot be written to disk", "it was deleted")
	for _, raw := range []string{"interface is down", "look for other DHCP servers"} {
		if strings.Contains(v.err.text(), raw) {
			t.Errorf("a raw line of a log, %q:\n%s", raw, v.err.text())
		}
	}
	v.stop()
}

// TestDHCPServeFaults: a fault in the file strikes from the start.
func TestDHCPServeFaults(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "busybox")
	s := newSegment(t)
	config := filepath.Join(t.TempDir(), "dhcp.yaml")
	file := "version: 1\ninterfaces: [eth1]\nsubnets: [{subnet: 192.168.1.0/24, range: 192.168.1.20-192.168.1.30, faults: [drop=OFFER]}]\n"
	if err := os.WriteFile(config, []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	v := s.serve(s.servers, "--config", config, "--leases", t.TempDir())
	client := s.clients.Command(t.Context(), "busybox", "udhcpc", "-f", "-q", "-n", "-i", "eth0", "-t", "1", "-T", "1", "-s", "/bin/true")
	if out, err := client.CombinedOutput(); err == nil {
		t.Errorf("a client has a lease:\n%s", out)
	}
	v.out.await(t, `the teaching fault "drop=OFFER@eth1" struck`)
	v.stop()
}

// TestDHCPServeWithoutItsInterface: when its last interface is deleted the server says so and ends.
func TestDHCPServeWithoutItsInterface(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	v := s.serve(s.servers, classServer(t.TempDir())...)
	s.servers.Run(t, "ip link del eth1")
	v.out.await(t, "the interface is gone")
	<-v.err.done
	if err := v.cmd.Wait(); v.cmd.ProcessState.ExitCode() != 4 || !strings.Contains(v.err.text(), "KL508") {
		t.Errorf("%v\n%s", err, v.err.text())
	}
}

// TestDHCPServeUnread: a reader of the events that has stopped reading does not hold up the end.
func TestDHCPServeUnread(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "perfdhcp")
	s := newSegment(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd := s.command(nstest.Limit(t), s.servers, append([]string{"dhcp", "serve"}, classServer(t.TempDir(), "--no-probe")...)...)
	cmd.Stdout = write
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := collect(stderr)
	said.await(t, "ready")
	s.clients.Run(t, "ip addr add 192.168.1.200/24 dev eth0")
	s.exchanges(t, 600) // more events than the pipe holds
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v\n%s", err, said.text())
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for its reader")
		_ = cmd.Process.Kill()
		<-ended
	}
	_ = write.Close()
	if events, err := io.ReadAll(read); err != nil || len(events) < 60_000 { // of its 64 KiB
		t.Errorf("the pipe held %d octets of events: %v", len(events), err)
	}
}

// exchanges lets perfdhcp go through DISCOVER, OFFER, REQUEST and ACK that often, at 200 in a second.
func (s *segment) exchanges(t *testing.T, count int) {
	t.Helper()
	seconds := time.Duration(count) * time.Second / 200
	out, err := s.clients.Command(t.Context(), "perfdhcp", "-4", "-g", "single", "-l", "eth0", "-R", "5", "-r", "200", "-p",
		strings.TrimSuffix(seconds.String(), "s"), "192.168.1.1").CombinedOutput()
	exit := new(exec.ExitError)
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) { // 3: not every exchange was completed
		t.Fatalf("perfdhcp: %v\n%s", err, out)
	}
}
