package main_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
)

// memoryLimit is how much memory a command may take, whatever a guest says to it.
const memoryLimit = 200 << 20

// TestLyingAgent puts a program of a student's in the place of a guest's agent: no command takes much memory or follows it
// for ever, none lets it act on the terminal, and the checks of other guests go on.
func TestLyingAgent(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	dir, err := filepath.Abs("testdata/liar")
	if err != nil {
		t.Fatal(err)
	}
	s.run("kvmlab", "scenario", "up", dir)
	lyingAgent(t, s)
	t.Run("exec", func(t *testing.T) { liesToExec(t, s, execLies()) })
	t.Run("cp", func(t *testing.T) { liesToCopy(t, s, copyLies()) })
	t.Run("interrupts", func(t *testing.T) { interruptLies(t, s) })
	t.Run("check", func(t *testing.T) { liesToCheck(t, s, checkLies()) })
	s.run("kvmlab", "down")
}

// TestLyingAgentInDebian is TestLyingAgent with a full system, and some of the lies.
func TestLyingAgentInDebian(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	needDebian(t, s)
	dir := t.TempDir() + "/liar"
	s.run("cp", "-r", "testdata/liar", dir)
	s.run("sed", "-i", "s/name: srv, memory: 256MiB/name: srv, image: debian/", dir+"/lab.yaml")
	s.run("kvmlab", "scenario", "up", dir)
	lyingAgent(t, s)
	liesToExec(t, s, execLies()[:2])
	liesToCopy(t, s, copyLies()[2:4])
	liesToCheck(t, s, checkLies()[:2])
	s.run("kvmlab", "down", "--purge", "--yes")
}

func lyingAgent(t *testing.T, s *sandbox) {
	t.Helper()
	answers := t.TempDir()
	for name, text := range map[string]string{
		"gzip": stateWith(func(w *tar.Writer) {
			w.WriteHeader(&tar.Header{Name: "/etc/dhcp/dhcpd.conf", Size: 400 << 20, Typeflag: tar.TypeReg})
			io.CopyN(w, noise{}, 400<<20)
		}),
		"includes": stateWith(includes), "braces": stateWith(func(w *tar.Writer) {
			putFile(w, "/etc/dhcp/dhcpd.conf", strings.Repeat("subnet 192.168.1.0 netmask 255.255.255.0 {", 6000))
		}),
		"words": strings.Repeat("\x1b[2J\x1b]0;owned\x07\u202eevil\u009b31m\n=1+1\n", 1000),
		"long":  strings.Repeat("=1+1 ", 500_000),
		"cut":   "@time 1 2\n@files\n",
	} {
		if err := os.WriteFile(filepath.Join(answers, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s.run("kvmlab", "cp", filepath.Join(answers, name), "srv:/root/"+name)
	}
	liar := filepath.Join(t.TempDir(), "liar")
	build := exec.Command("go", "build", "-o", liar, "./testdata/lyingagent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.run("kvmlab", "cp", liar, "srv:/root/liar")
	s.run("kvmlab", "exec", "srv", "--", "sh", "-c", "chmod 755 /root/liar && mv /root/liar /usr/sbin/qemu-ga")
	// The agent that passes this on must tell its end before it ends itself. Whatever starts it starts the other.
	s.run("kvmlab", "exec", "srv", "--", "sh", "-c", "setsid sh -c 'sleep 2; kill $(pidof qemu-ga)' >/dev/null 2>&1 </dev/null &")
	for tries := 0; !strings.Contains(s.try("kvmlab", "exec", "srv", "--", "lie=form").err, "KL360"); tries++ {
		if tries == 60 {
			t.Fatal("the agent is not replaced")
		}
	}
}

// measured is a command with what it took of memory.
func (s *sandbox) measured(t *testing.T, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := s.command(ctx, name, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	begin := time.Now()
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%s %v: %v, %v\n%.1000s", name, args, err, ctx.Err(), errOut.String())
	}
	used := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	t.Logf("%s: %d MiB, %v", strings.Join(args, " "), used>>20, time.Since(begin).Round(time.Second/10))
	if used > memoryLimit {
		t.Errorf("%v took %d MiB", args, used>>20)
	}
	text := strings.NewReplacer("\n", "", "\t", "").Replace(errOut.String())
	if args[0] != "exec" {
		text += strings.NewReplacer("\n", "", "\t", "").Replace(out.String())
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%v: it reaches the terminal: %.300q", args, text)
	}
	return result{out: out.String(), err: errOut.String(), status: cmd.ProcessState.ExitCode()}
}

// lie is one of testdata/lyingagent, with a flag of the command that it is told to, and what has to come of it.
type lie struct{ lie, flag, want string }

func execLies() []lie {
	return []lie{
		{"status", "5m", "KL360"},
		{"output", "5m", "KL360"},
		{"pieces", "5m", "KL360"},
		{"ended", "5m", "KL360"},
		{"form", "5m", "KL360"},
		{"forever", "2s", "KL320"},
		{"refuse", "5m", "KL316"},
	}
}

func liesToExec(t *testing.T, s *sandbox, lies []lie) {
	t.Helper()
	for _, test := range lies {
		r := s.measured(t, "kvmlab", "exec", "--timeout", test.flag, "srv", "--", "lie="+test.lie)
		if r.status != 1 || !strings.Contains(r.err, test.want) || len(r.out) > 64<<20 {
			t.Errorf("%s: status %d, want %s: %d bytes\n%s", test.lie, r.status, test.want, len(r.out), r.err)
		}
	}
}

// interruptLies ends commands with Ctrl-C while a guest lets them wait.
func interruptLies(t *testing.T, s *sandbox) {
	t.Helper()
	dir := t.TempDir()
	// Ctrl-C is the command's, which does not listen; the fourth is for whoever wants to leave in any case.
	const script = `
		env --default-signal=INT "$1" exec -n srv -- lie=forever &
		for n in 1 2 3 4 5 6; do sleep 1; kill -INT $! || break; done
		wait $!; echo $?`
	if r := s.tryFor(2*time.Minute, "sh", "-c", script, "sh", s.kvmlab); strings.TrimSpace(r.out) == "0" {
		t.Errorf("after four interrupts: %+v", r)
	}
	const check = `
		env --default-signal=INT "$1" check >"$2" &
		until [ -s "$2" ]; do sleep 0.1; done
		kill -INT $!; wait $!; echo $?`
	if r := s.tryFor(2*time.Minute, "sh", "-c", check, "sh", s.kvmlab, dir+"/out"); strings.TrimSpace(r.out) != "5" {
		t.Errorf("check after an interrupt: %+v", r)
	}
	const cp = `
		env --default-signal=INT "$1" cp srv:/root/lie=slow:1000000 "$2" &
		sleep 3; kill -INT $!; wait $!; echo $?`
	if r := s.tryFor(2*time.Minute, "sh", "-c", cp, "sh", s.kvmlab, dir); strings.TrimSpace(r.out) != "5" {
		t.Errorf("cp after an interrupt: %+v", r)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func copyLies() []lie {
	return []lie{
		{"file:9000000000000000000", "1GiB", "KL362"},
		{"file:2000000000", "1GiB", "KL362"},
		{"file:900000000000000", "1000000GiB", "KL363"},
		{"file:30000000", "1GiB", "KL318"},
		{"file:0", "1GiB", "KL318"},
		{"file:many", "1GiB", "KL360"},
		{"refuse", "1GiB", "KL316"},
		{"form", "1GiB", "KL360"},
	}
}

func liesToCopy(t *testing.T, s *sandbox, lies []lie) {
	t.Helper()
	dir := t.TempDir()
	for _, test := range lies {
		r := s.measured(t, "kvmlab", "cp", "--max-size", test.flag, "srv:/root/lie="+test.lie, dir)
		if r.status == 0 || !strings.Contains(r.err, test.want) {
			t.Errorf("%s: status %d, want %s\n%s", test.lie, r.status, test.want, r.err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func checkLies() []lie {
	return []lie{
		{"answer:includes", "json", "KL361"},
		{"answer:words", "csv", "KL360"},
		{"refuse", "text", "refused"},
		{"form", "junit", "nonsense"},
		{"answer:gzip", "json", "KL360"},
		{"answer:cut", "json", "KL360"},
		{"answer:braces", "json", "KL361"},
		{"answer:long", "json", "KL360"},
		{"garbage", "json", ""},
	}
}

// liesToCheck lets a guest lie to a check, and looks at its result for programs, and in one more form.
func liesToCheck(t *testing.T, s *sandbox, lies []lie) {
	t.Helper()
	for _, test := range lies {
		lie, want := test.lie, test.want
		s.try("kvmlab", "exec", "--timeout", "1s", "srv", "--", "lie="+lie)
		r := s.measured(t, "kvmlab", "check", "-o", "json")
		var result checkResult
		if err := json.Unmarshal([]byte(r.out), &result); err != nil || r.status != 3 {
			t.Fatalf("%s: status %d, %v\n%s\n%s", lie, r.status, err, r.out, r.err)
		}
		for _, one := range result.Checks {
			if passed := one.State == "passed"; passed != (one.ID == "honest") {
				t.Errorf("%s: %+v", lie, one)
			}
		}
		if !strings.Contains(r.out, want) {
			t.Errorf("%s: no %s in\n%s", lie, want, r.out)
		}
		if test.flag == "json" {
			continue
		}
		if r := s.measured(t, "kvmlab", "check", "-o", test.flag); r.status != 3 || test.flag == "csv" && strings.Contains(r.out, ",=") {
			t.Errorf("%s: status %d\n%s", test.flag, r.status, r.out)
		}
	}
}

// stateWith is what the script that reads a guest's state prints, with files.
func stateWith(fill func(w *tar.Writer)) string {
	var packed bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	w := tar.NewWriter(zip)
	fill(w)
	w.Close()
	zip.Close()
	return "@time 1772445660.5 100.25\n@files\n" + base64.StdEncoding.EncodeToString(packed.Bytes()) + "\n@end\n"
}

func putFile(w *tar.Writer, name, text string) {
	w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Typeflag: tar.TypeReg})
	io.WriteString(w, text)
}

// includes are files of which each includes all of the next generation, twice: little text, and more with each.
func includes(w *tar.Writer) {
	name := func(generation, n int) string {
		if generation == 0 {
			return "/etc/dhcp/dhcpd.conf"
		}
		return fmt.Sprintf("/etc/dhcp/%d-%d", generation, n)
	}
	for generation := range 12 {
		for n := range 4 {
			text := ""
			for next := range 8 {
				text += fmt.Sprintf("include %q;\n", name(generation+1, next/2))
			}
			if generation > 0 || n == 0 {
				putFile(w, name(generation, n), text)
			}
		}
	}
	for n := range 4 {
		putFile(w, name(12, n), strings.Repeat("default-lease-time 600;\n", 40))
	}
}

// noise is what gzip makes next to nothing of: one letter again and again.
type noise struct{}

func (noise) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
