package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// oneGuest is a lab with one small PC.
const oneGuest = `
version: 1
name: one
bridges:
  - {name: br1, address: 192.168.1.1/24, dhcp: {range: [192.168.1.2-192.168.1.10]}}
guests:
  - {name: pc1, memory: 192MiB, nics: [{bridge: br1}]}
`

// TestWaysIn runs commands in a micro guest and copies files, over its agent.
func TestWaysIn(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.run("kvmlab", "up", s.writeFile("one.yaml", oneGuest))
	waysIn(t, s, "pc1")

	t.Run("a paused guest", func(t *testing.T) {
		s.run("virsh", "suspend", "one-pc1")
		r := s.try("kvmlab", "exec", "--wait", "1s", "pc1", "--", "true")
		if r.status != 1 || !strings.Contains(r.err, "KL315") || !strings.Contains(r.err, "the guest is paused") ||
			!strings.Contains(r.err, "kvmlab console pc1") {
			t.Errorf("status %d\n%s", r.status, r.err)
		}
		s.run("virsh", "resume", "one-pc1")
		s.run("kvmlab", "exec", "pc1", "--", "true")
	})
	t.Run("a guest without its agent", func(t *testing.T) {
		// The agent ends itself: the command that does it never gets an answer. init starts the next one.
		s.try("kvmlab", "exec", "--timeout", "2s", "pc1", "--", "sh", "-c", "kill $(pidof qemu-ga)")
		s.run("kvmlab", "exec", "pc1", "--", "true")
	})
	t.Run("a guest that is off", func(t *testing.T) {
		s.run("virsh", "destroy", "one-pc1")
		r := s.try("kvmlab", "exec", "pc1", "--", "true")
		if !strings.Contains(r.err, "KL305") {
			t.Errorf("status %d\n%s", r.status, r.err)
		}
	})
	s.run("kvmlab", "down")
}

// waysIn is what exec and cp do in any guest, micro or debian.
func waysIn(t *testing.T, s *sandbox, guest string) {
	t.Helper()
	t.Run("output and status", func(t *testing.T) {
		r := s.try("kvmlab", "exec", guest, "--", "sh", "-c", "echo out; echo error >&2; pwd; exit 7")
		if d := cmp.Diff(result{out: "out\n/root\n", err: "error\n", status: 7}, r, cmp.AllowUnexported(result{})); d != "" {
			t.Error(d)
		}
	})
	t.Run("a program that is not there", func(t *testing.T) {
		if r := s.try("kvmlab", "exec", guest, "nosuch"); r.status != 127 || !strings.Contains(r.err, "nosuch") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("a flag in the wrong place", func(t *testing.T) {
		if r := s.try("kvmlab", "exec", guest, "--lab", "one", "--", "true"); r.status != 2 || !strings.Contains(r.err, "--lab") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("arguments as they are", func(t *testing.T) {
		args := []string{"$HOME", "a b", "", "*", `"q"`, `\n`, "ñ", "--lab"}
		out := s.run("kvmlab", append([]string{"exec", guest, "--", "printf", `%s|`}, args...)...)
		if want := strings.Join(args, "|") + "|"; out != want {
			t.Errorf("got %q, want %q", out, want)
		}
	})
	t.Run("10 MiB of output", func(t *testing.T) {
		out := s.run("kvmlab", "exec", guest, "--", "sh", "-c", "yes 0123456789abcde | head -c 10485760")
		want := strings.Repeat("0123456789abcde\n", 10485760/16)
		if out != want {
			t.Errorf("%d bytes came, want %d", len(out), len(want))
		}
	})
	t.Run("input", func(t *testing.T) { execInput(t, s, guest) })
	t.Run("an interrupt", func(t *testing.T) { execInterrupt(t, s, guest) })
	t.Run("a time limit", func(t *testing.T) {
		r := s.try("kvmlab", "exec", "--timeout", "1s", guest, "--", "sleep", "1000")
		if r.status != 1 || !strings.Contains(r.err, "KL320") {
			t.Errorf("%+v", r)
		}
		if out := s.try("kvmlab", "exec", guest, "--", "sh", "-c", "ps | grep 'sleep [1]000'; ps -e | grep 'sleep [1]000'").out; out != "" {
			t.Errorf("it goes on: %s", out)
		}
	})
	t.Run("something that stays behind", func(t *testing.T) {
		begin := time.Now()
		if out := s.run("kvmlab", "exec", guest, "--", "sh", "-c", "sleep 500 & echo done"); out != "done\n" {
			t.Errorf("%q", out)
		}
		if took := time.Since(begin); took > 100*time.Second {
			t.Errorf("it waited %v", took)
		}
	})
	t.Run("copies", func(t *testing.T) { copyBothWays(t, s, guest) })
	t.Run("nothing is left", func(t *testing.T) {
		out := s.run("kvmlab", "exec", guest, "--", "sh", "-c", "ls -d /run/kvmlab-exec-* | wc -l; ls /root | grep -c part || true")
		if strings.Fields(out)[0] > "2" || !strings.HasSuffix(out, "\n0\n") {
			t.Errorf("left: %s", out)
		}
	})
}

// execInput pipes 300 kB through the guest and gets them back.
func execInput(t *testing.T, s *sandbox, guest string) {
	t.Helper()
	data := make([]byte, 300_000)
	rand.Read(data)
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := s.command(ctx, "kvmlab", "exec", guest, "--", "cat")
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, data) {
		t.Errorf("%d bytes came back of %d, or others", len(out), len(data))
	}
}

// execInterrupt sends SIGINT to kvmlab alone: the command in the guest gets it and decides.
func execInterrupt(t *testing.T, s *sandbox, guest string) {
	t.Helper()
	const script = `
		mkfifo "$1/out"
		env --default-signal=INT "$2" exec -n "$3" -- sh -c \
			"trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.1; done" >"$1/out" &
		exec 3<"$1/out"
		read -r line <&3 && echo "$line"
		kill -INT $!
		cat <&3
		wait $!`
	if r := s.try("sh", "-c", script, "sh", t.TempDir(), s.kvmlab, guest); r.out != "ready\ninterrupted\n" || r.status != 5 {
		t.Errorf("%+v", r)
	}
}

// copyBothWays copies a file in and out, into folders and under names, and what cannot be copied.
func copyBothWays(t *testing.T, s *sandbox, guest string) {
	t.Helper()
	dir := t.TempDir()
	data := make([]byte, copySize(t))
	rand.Read(data)
	source := filepath.Join(dir, "data.bin")
	if err := os.WriteFile(source, data, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	in := s.run("kvmlab", "-o", "json", "cp", source, guest+":/root/copy")
	if !strings.Contains(in, hex.EncodeToString(sum[:])) {
		t.Errorf("checksum: %s", in)
	}
	if out := s.run("kvmlab", "exec", guest, "--", "sh", "-c", "sha256sum copy; stat -c %a copy"); !strings.HasPrefix(out, hex.EncodeToString(sum[:])) ||
		!strings.HasSuffix(out, "\n600\n") {
		t.Errorf("in the guest: %s", out)
	}
	s.run("kvmlab", "cp", guest+":copy", dir)
	if back, err := os.ReadFile(filepath.Join(dir, "copy")); err != nil || !bytes.Equal(back, data) {
		t.Errorf("%d bytes came back of %d, or others: %v", len(back), len(data), err)
	}
	small := s.writeFile("small.txt", "") // an empty file, into a folder
	s.run("kvmlab", "cp", small, guest+":/tmp")
	if out := s.run("kvmlab", "exec", guest, "--", "stat", "-c", "%s", "/tmp/small.txt"); out != "0\n" {
		t.Errorf("size %s", out)
	}
	for _, test := range []struct{ from, to, code string }{
		{source, guest + ":/no/such/folder/x", "KL317"},
		{source, guest + ":/root/new/", "KL317"},
		{guest + ":/no/such/file", dir, "KL317"},
		{guest + ":/etc", dir, "KL317"},
		{dir, guest + ":/root", "KL319"},
		{filepath.Join(dir, "absent"), guest + ":/root", "KL004"},
		{source, dir, "KL001"},
		{source, "pc9:/root", "KL303"},
	} {
		if r := s.try("kvmlab", "cp", test.from, test.to); r.status == 0 || !strings.Contains(r.err, test.code) {
			t.Errorf("cp %s %s: status %d, want %s\n%s", test.from, test.to, r.status, test.code, r.err)
		}
	}
	s.run("kvmlab", "exec", guest, "--", "rm", "/root/copy", "/tmp/small.txt")
}

// copySize is how much is copied, in bytes: KVMLAB_COPY_MIB in the environment makes it more than a quick test wants.
func copySize(t *testing.T) int {
	t.Helper()
	mebibytes := 1
	if text := os.Getenv("KVMLAB_COPY_MIB"); text != "" {
		if _, err := fmt.Sscan(text, &mebibytes); err != nil {
			t.Fatalf("KVMLAB_COPY_MIB: %v", err)
		}
	}
	return mebibytes << 20
}
