package main_test

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// onTerminal runs a command in the sandbox on a terminal, and types an answer as soon as it is asked for one.
func (s *sandbox) onTerminal(answer, name string, args ...string) (shown string, status int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), commandLimit)
	defer cancel()
	cmd := s.command(ctx, name, args...)
	cmd.Env = append(cmd.Env, "TERM=xterm", "LC_ALL=C.UTF-8")
	person, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 200})
	if err != nil {
		s.t.Fatal(err)
	}
	defer person.Close()
	var text strings.Builder
	asked := false
	for buf := make([]byte, 4096); ; {
		n, err := person.Read(buf)
		text.Write(buf[:n])
		if !asked && strings.Contains(text.String(), "[Y/n]") {
			asked = true
			if _, err := io.WriteString(person, answer+"\n"); err != nil {
				s.t.Fatal(err)
			}
		}
		if err != nil { // EIO: nobody has the terminal open any more
			break
		}
	}
	_ = cmd.Wait() // the status tells
	if !asked {
		s.t.Errorf("%s %v asked nothing: %s", name, args, text.String())
	}
	return text.String(), cmd.ProcessState.ExitCode()
}

// TestUpBuildsWhatIsMissing: a lab whose images are not on the host yet. Without a person the error names the commands; a
// person is asked; with --build they are built.
func TestUpBuildsWhatIsMissing(t *testing.T) {
	s := newSandbox(t)
	s.run("rm", "-rf", "/var/lib/kvmlab/images/micro", "/var/lib/kvmlab/images/debian")
	before := s.footprint()

	r := s.try("kvmlab", "up")
	if r.status != 4 || !strings.Contains(flat(r.err), "[KL400]: there is no image \"micro\" on this host yet") ||
		!strings.Contains(flat(r.err), "hint: build it: sudo kvmlab image build micro") {
		t.Errorf("without a person: status %d\n%s", r.status, r.err)
	}
	// As on a host where nothing is installed.
	const install = "sudo apt-get install mmdebstrap e2fsprogs qemu-utils"
	r = s.try("env", "PATH=/nonexistent", s.kvmlab, "scenario", "up", "dhcp-server")
	if want := install + "; sudo kvmlab image build debian"; r.status != 4 || !strings.Contains(flat(r.err), want) {
		t.Errorf("without mmdebstrap: status %d, and not %q\n%s", r.status, want, r.err)
	}
	r = s.try("env", "PATH=/nonexistent", s.kvmlab, "up", "dhcp-server", "--build")
	if r.status != 4 || !strings.Contains(flat(r.err), "[KL111]: mmdebstrap is not installed") || strings.Contains(r.err, "Building") ||
		!strings.Contains(flat(r.err), "sudo apt install mmdebstrap e2fsprogs qemu-utils") {
		t.Errorf("--build without mmdebstrap: status %d\n%s", r.status, r.err)
	}
	if out := s.run("env", "PATH=/nonexistent", s.kvmlab, "up", "--needs", "dhcp-server"); out != "package mmdebstrap\npackage e2fsprogs\npackage qemu-utils\n" {
		t.Errorf("needs %q", out)
	}
	r = s.try("kvmlab", "up", s.writeFile("imported.yaml", "version: 1\nname: x\nguests:\n  - {name: pc1, image: alpine}\n"), "--build")
	if r.status != 4 || !strings.Contains(flat(r.err), "bring it in: sudo kvmlab image import alpine FILE") {
		t.Errorf("an image that nobody builds: status %d\n%s", r.status, r.err)
	}
	shown, status := s.onTerminal("n", "kvmlab", "up")
	if status != 4 || !strings.Contains(shown, "The lab needs the image micro, which is not on this computer yet.") || !strings.Contains(shown, "KL400") {
		t.Errorf("no: status %d\n%s", status, shown)
	}
	if after := s.footprint(); after != before {
		t.Errorf("something was changed:\n%s\n%s", before, after)
	}

	shown, status = s.onTerminal("", "kvmlab", "up")
	if status != 0 || !strings.Contains(shown, "Building the image micro; this takes about 15 s") || !strings.Contains(shown, "/~0:15") ||
		!strings.Contains(shown, "three-taps is up") {
		t.Errorf("yes: status %d\n%s", status, shown)
	}
	s.run("kvmlab", "down")
	s.run("rm", "-rf", "/var/lib/kvmlab/images/micro")
	r = s.try("kvmlab", "scenario", "up", "three-taps", "--build")
	if r.status != 0 || !strings.Contains(r.err, "Building the image micro") {
		t.Errorf("--build: status %d\n%s", r.status, r.err)
	}
	s.run("kvmlab", "down")
}

// flat is text on one line, as it was before it was wrapped.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestFirstUpTestsKVM: the first `up` says that it tests KVM, the next does not test it; doctor --again does, and so does
// --accel kvm where it was found wanting, which says what happened.
func TestFirstUpTestsKVM(t *testing.T) {
	if _, err := os.Stat("/dev/kvm"); err != nil {
		t.Skip("there is no /dev/kvm to be tested")
	}
	const tests = "Testing whether guests run with KVM here"
	s := newSandbox(t)
	s.run("rm", "-f", "/var/lib/kvmlab/accel.json")
	first := s.try("kvmlab", "up", "--no-wait")
	s.run("kvmlab", "down")
	again := s.try("kvmlab", "up", "--no-wait")
	if first.status != 0 || again.status != 0 || !strings.Contains(first.err, tests) || strings.Contains(again.err, tests) {
		t.Errorf("first: %s\nagain: %s", first.err, again.err)
	}
	works := s.statusOf("three-taps").Guests[0].Accel == "kvm"
	s.run("kvmlab", "down")

	only := s.try("kvmlab", "up", "--no-wait", "--accel", "kvm")
	switch {
	case works && only.status != 0:
		t.Errorf("KVM works, and with --accel kvm: %s", only.err)
	case works:
		s.run("kvmlab", "down")
	case only.status != 4 || !strings.Contains(only.err, tests) || !strings.Contains(only.err, "[KL312]") ||
		!strings.Contains(flat(only.err), "does not work here: kvm on microvm: "):
		t.Errorf("KVM does not work, and with --accel kvm: status %d\n%s", only.status, only.err)
	}
	if out := s.try("kvmlab", "doctor"); strings.Contains(out.err, "Testing") {
		t.Errorf("doctor tests what is known: %s", out.err)
	}
	forgotten := s.try("kvmlab", "doctor", "--again")
	if !strings.Contains(forgotten.err, "Testing whether KVM runs guests") || works != strings.Contains(forgotten.out, "KVM runs guests") {
		t.Errorf("doctor --again: %s%s", forgotten.out, forgotten.err)
	}
}
