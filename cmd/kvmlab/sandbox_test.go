//kvmlab:needs @guests @micro @debian @cloud-image
//kvmlab:needs isc-dhcp-server isc-dhcp-relay kea-dhcp4-server kea-admin dnsmasq-base busybox-static udhcpc isc-dhcp-client dhcpcd-base
//kvmlab:needs tcpdump tshark jq nftables iptables iputils-ping tmux

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// commandLimit bounds every command of a test; the slowest, an `up` of ten labs on a busy machine, takes a fraction of it.
const commandLimit = 10 * time.Minute

// sandboxLimit bounds the making of a private host, and its end.
const sandboxLimit = 2 * time.Minute

// kvmlabBinary builds the program once for all tests of this package.
var kvmlabBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "kvmlab-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "kvmlab")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return path, nil
})

// sandbox is a private host (see scripts/sandbox) in which a test runs commands.
type sandbox struct {
	t      *testing.T
	script string
	init   string // the sandbox's init process, in this process's view
	kvmlab string
	env    []string
}

// newSandbox starts a private host that is gone when the test ends, or when the test's process is killed.
func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	nstest.RequireRoot(t)
	binary, err := kvmlabBinary()
	if err != nil {
		t.Fatalf("build kvmlab: %v", err)
	}
	script, err := filepath.Abs("../../scripts/sandbox")
	if err != nil {
		t.Fatal(err)
	}
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	life, end := context.WithCancel(context.Background())
	t.Cleanup(end)
	cmd := exec.CommandContext(life, script, "--pid-fd", "3", "--", "cat")
	cmd.ExtraFiles = []*os.File{readyWrite}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cmd.Start(), readyWrite.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer time.AfterFunc(sandboxLimit, end).Stop()
		if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
			t.Errorf("end sandbox: %v\n%s", err, stderr.String())
		}
	})
	defer time.AfterFunc(sandboxLimit, end).Stop()
	line, err := bufio.NewReader(readyRead).ReadString('\n')
	if err := errors.Join(err, readyRead.Close()); err != nil {
		t.Fatalf("start sandbox: %v\n%s", err, stderr.String())
	}
	return &sandbox{t: t, script: script, init: strings.TrimSpace(line), kvmlab: binary}
}

// result is what a command in the sandbox did.
type result struct {
	out, err string
	status   int
}

// command prepares a command in the sandbox.
func (s *sandbox) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if name == "kvmlab" {
		name = s.kvmlab
	}
	cmd := exec.CommandContext(ctx, s.script, append([]string{"--enter", s.init, "--", name}, args...)...)
	cmd.Env = append(os.Environ(), append([]string{"LC_ALL=C", "NO_COLOR=1"}, s.env...)...)
	return cmd
}

// try runs a command and returns how it ended, whatever that is.
func (s *sandbox) try(name string, args ...string) result {
	s.t.Helper()
	return s.tryFor(commandLimit, name, args...)
}

// tryFor is try for a command that may take longer, or must not take so long.
func (s *sandbox) tryFor(limit time.Duration, name string, args ...string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	cmd := s.command(ctx, name, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if ctx.Err() != nil {
		s.t.Fatalf("%s %v: no end after %v\n%s%s", name, args, limit, out.String(), errOut.String())
	}
	exit := new(exec.ExitError)
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("%s %v: %v", name, args, err)
	}
	return result{out: out.String(), err: errOut.String(), status: cmd.ProcessState.ExitCode()}
}

// run runs a command that must succeed and returns its standard output.
func (s *sandbox) run(name string, args ...string) string {
	s.t.Helper()
	r := s.try(name, args...)
	if r.status != 0 {
		s.t.Fatalf("%s %s: exit status %d\n%s%s", name, strings.Join(args, " "), r.status, r.out, r.err)
	}
	return r.out
}

// tryWith is try run with extra environment variables for this one command.
func (s *sandbox) tryWith(env []string, name string, args ...string) result {
	s.t.Helper()
	with := *s
	with.env = append(slices.Clip(with.env), env...)
	return with.try(name, args...)
}

// footprint is everything of the host that a lab could leave something in.
func (s *sandbox) footprint() string {
	s.t.Helper()
	return s.run("sh", "-c", `
		ip -j -d link | jq 'map(del(.linkinfo.info_data.gc_timer, .linkinfo.info_data.hello_timer, .linkinfo.info_data.tcn_timer,
			.linkinfo.info_data.topology_change_timer))'
		ip -j addr | jq 'map([.ifname, .addr_info])'
		ip -j route
		virsh --quiet list --all --name | sort
		nft list tables | sort
		ls -A /run/netns 2>/dev/null; grep -c ' nsfs ' /proc/mounts
		find /run/kvmlab /var/lib/kvmlab/labs /sys/class/net -mindepth 1 2>/dev/null | sort
		find /run/libvirt/qemu /var/lib/libvirt/qemu -name '*kvmlab*' -o -name '*three-taps*' | sort
		ps -e -o args= | grep -v -e '^\[' -e '^ps ' -e '^sort' -e '^sh -c' -e '^find ' -e '^grep ' | sort`)
}

// statusOf decodes `kvmlab status -o json` of one lab.
func (s *sandbox) statusOf(lab string) labStatus {
	s.t.Helper()
	var report struct {
		Version int
		Labs    []labStatus
	}
	out := s.run("kvmlab", "status", "-o", "json", lab)
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		s.t.Fatalf("status -o json: %v\n%s", err, out)
	}
	if report.Version != 1 || len(report.Labs) != 1 {
		s.t.Fatalf("status -o json: want version 1 and one lab\n%s", out)
	}
	return report.Labs[0]
}

// labStatus is the part of the status that the design page promises to other programs.
type labStatus struct {
	Name, State, Isolation, Netns string
	Bridges                       []struct {
		Name, Address string
		Up            bool
	}
	Guests []struct {
		Name, Domain, State, Accel string
		NICs                       []struct {
			Name, Tap, Bridge, MAC string
			Lease                  *struct {
				Address, State, Server string
				Expires                time.Time
			}
		}
	}
	Supervisor struct {
		Running bool
		PID     int
	}
	Drift         []struct{ Address, Problem string }
	HostRestarted bool `json:"host_restarted"`
}

// writeFile puts a file where the sandbox's commands can read it.
func (s *sandbox) writeFile(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// start runs a command in the background; its standard error can be read line by line.
func (s *sandbox) start(name string, args ...string) (*exec.Cmd, *bufio.Scanner) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	s.t.Cleanup(cancel)
	cmd := s.command(ctx, name, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stdout = io.Discard
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd, bufio.NewScanner(stderr)
}
