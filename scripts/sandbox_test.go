//kvmlab:needs @guests

package scripts_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// patience bounds every wait of these tests; each takes a fraction of a second on an idle machine.
const patience = 30 * time.Second

// sandbox is a scripts/sandbox that a test started. Every process in it carries the mark in its environment.
type sandbox struct {
	*exec.Cmd

	mark string
	out  bytes.Buffer // what it wrote to stdout and stderr
}

// command prepares scripts/sandbox with the arguments. Whatever happens to the test, nothing survives it. It handles
// signals as usual even if the test was started where they are ignored (nohup, a background job).
func command(t *testing.T, args ...string) *sandbox {
	t.Helper()
	nstest.RequireRoot(t)
	s := &sandbox{mark: fmt.Sprintf("kl%08x", rand.Uint32()), Cmd: exec.Command("env", append([]string{"--default-signal", "./sandbox"}, args...)...)}
	s.Stdout, s.Stderr = &s.out, &s.out
	s.Env = append(os.Environ(), "MARK="+s.mark)
	s.WaitDelay = patience
	s.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal but the test's
	t.Cleanup(func() {
		if s.ProcessState == nil && s.Process != nil {
			s.Process.Kill()
			s.Wait()
		}
		s.wantGone(t)
	})
	return s
}

// start starts a sandbox whose command is cat, so that it lasts until its stdin is closed, waits until it
// is ready, and returns its init's process id.
func start(t *testing.T, options ...string) (s *sandbox, stdin io.Closer, init int) {
	t.Helper()
	s = command(t, append(append([]string{"--pid-fd", "3"}, options...), "--", "cat")...)
	ready, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	s.ExtraFiles = []*os.File{write}
	stdin, err = s.StdinPipe()
	if err := errors.Join(err, s.Start(), write.Close(), ready.SetReadDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(ready).ReadString('\n')
	if err != nil {
		t.Fatalf("no sandbox: %v\n%s", err, s.out.String())
	}
	init, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return s, stdin, init
}

// run runs the sandbox to its end and returns its exit status.
func (s *sandbox) run(t *testing.T) int {
	t.Helper()
	var exit *exec.ExitError
	if err := s.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return s.ProcessState.ExitCode()
}

// enter runs a shell command in the sandbox with this init and returns what it prints.
func enter(t *testing.T, init int, script string) string {
	t.Helper()
	out, err := exec.Command("./sandbox", "--enter", strconv.Itoa(init), "--", "bash", "-euc", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// processes lists the processes, wherever they hang, that have the sandbox's mark in their environment.
func (s *sandbox) processes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(env, []byte("MARK="+s.mark)) {
			continue // it ended meanwhile, or is another's
		}
		cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		found = append(found, file+": "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
	}
	return found
}

// wantGone waits until no process of the sandbox is left, which ends its namespaces and mounts, and
// checks that nothing with its mark can be found outside.
func (s *sandbox) wantGone(t *testing.T) {
	t.Helper()
	waitFor(t, "the end of all processes", func() bool { return len(s.processes(t)) == 0 })
	for _, dir := range privateDirs {
		if _, err := os.Lstat(filepath.Join(dir, s.mark)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s/%s is on the machine (%v)", dir, s.mark, err)
		}
	}
	filepath.WalkDir("/sys/fs/cgroup", func(path string, _ fs.DirEntry, _ error) error {
		if strings.Contains(path, s.mark) {
			t.Errorf("left behind: %s", path)
		}
		return nil
	})
}

// privateDirs are the directories that a sandbox has for itself.
var privateDirs = []string{
	"/run", "/dev/shm", "/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/var/lib/kvmlab",
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestSandboxPassesTheStatus(t *testing.T) {
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		out    string
	}{
		{"success", []string{"true"}, 0, ""},
		{"failure", []string{"--", "false"}, 1, ""},
		{"status", []string{"bash", "-c", "echo out; exit 42"}, 42, "out\n"},
		{"killed", []string{"bash", "-c", "kill -KILL $$"}, 137, ""},
		{"arguments", []string{"printf", "<%s>", "a b", "", "*", "--"}, 0, "<a b><><*><-->"},
		{"stdin", []string{"tr", "a-z", "A-Z"}, 0, "INPUT"},
		{"hostname", []string{"--hostname", "aula", "hostname"}, 0, "aula\n"},
		{"marked", []string{"bash", "-c", "echo $KVMLAB_SANDBOX${KVMLAB_STATE_DIR-}"}, 0, "1\n"},
		{"option", []string{"--nonsense"}, 125, "sandbox: unknown option --nonsense; see scripts/sandbox --help\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("KVMLAB_STATE_DIR", "/nowhere")
			s := command(t, append([]string{"--no-libvirt"}, tc.args...)...)
			s.Stdin = strings.NewReader("input")
			if got := s.run(t); got != tc.status {
				t.Errorf("exit status %d, want %d", got, tc.status)
			}
			if diff := cmp.Diff(tc.out, s.out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSandboxesAreSeparate(t *testing.T) {
	_, _, one := start(t, "--hostname", "one")
	other, _, two := start(t, "--hostname", "two")

	// The same names in both, down to the guest: what one does, the other does not see.
	enter(t, one, `
		ip link add br1 type bridge; ip addr add 192.168.1.1/24 dev br1; ip tuntap add tap1 mode tap
		virsh define /dev/stdin <<<'<domain type="qemu"><name>pc1</name><memory>16384</memory>
		  <os><type arch="x86_64">hvm</type></os></domain>'
		virsh start --paused pc1`)
	if got := enter(t, one, `hostname; virsh list --name; cat /sys/class/net/br1/address >/dev/null`); got != "one\npc1\n\n" {
		t.Errorf("in the first: %q", got)
	}
	if got := enter(t, two, `hostname; virsh list --all --name; ls /sys/class/net`); got != "two\n\nlo\n" {
		t.Errorf("in the second: %q", got)
	}

	// The end of one is not the end of the other.
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	other.Wait()
	other.wantGone(t)
	if got := enter(t, one, `virsh list --name`); got != "pc1\n\n" {
		t.Errorf("in the first, after the end of the second: %q", got)
	}
}

// fill leaves everything in a sandbox that a lab may leave: files, links, a guest, a process in a
// session of its own.
func fill(t *testing.T, s *sandbox, init int) {
	t.Helper()
	enter(t, init, fmt.Sprintf(`
		for dir in %[2]s; do mkdir $dir/%[1]s; done
		ip link add %[1]s type bridge; ip tuntap add tap1 mode tap; ip netns add %[1]s
		virsh define /dev/stdin <<<'<domain type="qemu"><name>%[1]s</name><memory>16384</memory>
		  <os><type arch="x86_64">hvm</type></os></domain>'
		virsh start --paused %[1]s
		MARK=%[1]s setsid sleep 1000 </dev/null >/dev/null 2>&1 &`, s.mark, strings.Join(privateDirs, " ")))
	if got := s.processes(t); len(got) < 5 {
		t.Fatalf("the test does not find the sandbox's processes: %q", got)
	}
}

func TestSandboxLeavesNothing(t *testing.T) {
	nstest.CheckHostLeaks(t)
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		end  func(s *sandbox, stdin io.Closer, init int) error
	}{
		{"the command ends", func(_ *sandbox, stdin io.Closer, _ int) error { return stdin.Close() }},
		{"SIGTERM", func(s *sandbox, _ io.Closer, _ int) error { return s.Process.Signal(syscall.SIGTERM) }},
		{"SIGINT", func(s *sandbox, _ io.Closer, _ int) error { return s.Process.Signal(syscall.SIGINT) }},
		{"SIGHUP", func(s *sandbox, _ io.Closer, _ int) error { return s.Process.Signal(syscall.SIGHUP) }},
		{"SIGKILL", func(s *sandbox, _ io.Closer, _ int) error { return s.Process.Kill() }},
		{"SIGKILL to init", func(_ *sandbox, _ io.Closer, init int) error {
			return syscall.Kill(init, syscall.SIGKILL)
		}},
		{"SIGKILL to the command", func(_ *sandbox, _ io.Closer, init int) error {
			err := exec.Command("./sandbox", "--enter", strconv.Itoa(init), "--", "bash", "-c", "kill -KILL $(pgrep -x cat)").Run()
			// The end of the sandbox that this brings about may reach the killer before its own.
			if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
				return nil
			}
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, stdin, init := start(t)
			fill(t, s, init)
			if err := tc.end(s, stdin, init); err != nil {
				t.Fatal(err)
			}
			s.Wait()
			s.wantGone(t)
		})
	}
	after, err := os.ReadFile("/proc/self/mounts")
	if diff := cmp.Diff(string(mounts), string(after)); err != nil || diff != "" {
		t.Errorf("mounts: %v\n%s", err, diff)
	}
}

func TestSandboxKilledWhileItStarts(t *testing.T) {
	for range 40 {
		delay := time.Duration(rand.Int63n(int64(120 * time.Millisecond)))
		signal := []os.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGHUP}[rand.Intn(3)]
		s := command(t, "--", "sleep", "1000")
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay)
		if err := s.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		s.Wait()
		s.wantGone(t)
	}
}
