package main_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// folder copies a scenario of testdata to a folder of the test's own.
func folder(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestScenarioFolder: a scenario that is not built in is brought up only from where nobody else can write, with a yes
// to what it runs on the host, and is never read again from there.
func TestScenarioFolder(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	dir := folder(t, "anew")
	checks, mark := filepath.Join(dir, "checks.yaml"), filepath.Join(t.TempDir(), "mark")
	edit := func(old, now string) {
		t.Helper()
		text, err := os.ReadFile(checks)
		if err == nil && !strings.Contains(string(text), old) {
			t.Fatalf("no %q in checks.yaml", old)
		}
		if err == nil {
			err = os.WriteFile(checks, []byte(strings.Replace(string(text), old, now, 1)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	edit("start:\n", fmt.Sprintf("start:\n  - {host: true, run: 'echo start >>%s'}\n", mark))

	for _, test := range []struct {
		mode fs.FileMode
		want string
	}{{0o777, "KL384"}, {0o755, "KL386"}} {
		if err := os.Chmod(dir, test.mode); err != nil {
			t.Fatal(err)
		}
		s.refused(t, 2, test.want, "scenario", "up", dir)
		s.refused(t, 2, test.want, "scenario", "test", dir)
	}
	readme := filepath.Join(dir, "README.ca.md")
	if err := os.Rename(readme, readme+".away"); err != nil {
		t.Fatal(err)
	}
	for what, make := range map[string]func() error{
		"a FIFO": func() error { return unix.Mkfifo(readme, 0o644) },
		"a link": func() error { return os.Symlink("/dev/zero", readme) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if r := s.try("kvmlab", "scenario", "show", dir); r.status != 2 || !strings.Contains(r.err, "KL385") {
			t.Errorf("a README that is %s: status %d, %s", what, r.status, r.err)
		}
		if err := os.Remove(readme); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(readme+".away", readme); err != nil {
		t.Fatal(err)
	}
	if out := s.run("kvmlab", "scenario", "show", dir); !strings.Contains(out, "as root") || !strings.Contains(out, "echo start >>"+mark) {
		t.Errorf("scenario show does not list what runs on the host:\n%s", out)
	}
	if s.try("test", "-e", mark).status == 0 {
		t.Error("a host step ran without a yes")
	}

	s.run("kvmlab", "scenario", "up", dir, "--allow-host-steps")
	edit("echo start", "echo changed")
	edit("run: cat /run/start", fmt.Sprintf("host: true, run: 'echo check >>%s'", mark))
	edit("guest: pc1, host", "host")
	s.states(t, 0, "pc1 passed, pc2 passed, word passed", "--answer", "word=discover")
	s.run("kvmlab", "scenario", "reset")
	if got := s.run("cat", mark); got != "start\nstart\n" {
		t.Errorf("the host did: %q", got)
	}
	s.closed(t)
	s.writesForTheUser(t)
	s.run("kvmlab", "down")
	if left := s.run("find", "/var/lib/kvmlab/labs", "-mindepth", "1"); left != "" {
		t.Errorf("down has left\n%s", left)
	}
}

// closed sees that nobody but root reads what is kept of a lab.
func (s *sandbox) closed(t *testing.T) {
	t.Helper()
	open := s.run("find", "/var/lib/kvmlab/labs", "/run/kvmlab", "-mindepth", "1", "(",
		"-type", "d", "-perm", "/066", "-o", "!", "-type", "d", "-perm", "/037", ")", "-printf", `%M %p\n`)
	if open != "" {
		t.Errorf("open to others:\n%s", open)
	}
	if socket := s.run("find", "/run/kvmlab", "-type", "s", "-printf", "%m"); socket != "600" {
		t.Errorf("the socket's mode is %s", socket)
	}
}

// writesForTheUser sees that what is written for a user is his alone, and that no link is followed.
func (s *sandbox) writesForTheUser(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	victim, link := filepath.Join(dir, "victim"), filepath.Join(dir, "link.pcapng")
	if err := os.WriteFile(victim, []byte("as it was"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, link); err != nil {
		t.Fatal(err)
	}
	sudo := []string{"SUDO_UID=1000", "SUDO_GID=1000", "SUDO_USER=ana"}
	if r := s.tryWith(sudo, "kvmlab", "capture", "--past", "-w", link); r.status != 2 || !strings.Contains(r.err, "KL388") {
		t.Errorf("capture through a link: status %d, %s", r.status, r.err)
	}
	out, copied := filepath.Join(dir, "out.pcapng"), filepath.Join(dir, "hosts")
	for _, args := range [][]string{
		{"capture", "--past", "-w", out}, {"cp", "pc1:/etc/hosts", copied}, {"cp", "pc1:/etc/hosts", link},
	} {
		if r := s.tryWith(sudo, "kvmlab", args...); r.status != 0 {
			t.Errorf("%v: status %d, %s", args, r.status, r.err)
		}
	}
	if got := s.run("stat", "-c", "%a %u:%g %F", out, copied, link); strings.Count(got, "600 1000:1000 regular file\n") != 3 {
		t.Errorf("what was written for the user:\n%s", got)
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "as it was" {
		t.Errorf("what the link led to is %q (%v)", text, err)
	}
}
