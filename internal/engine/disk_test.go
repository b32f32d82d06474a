//kvmlab:needs qemu-utils

package engine_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/vm/image"
)

// diskBench is a bench whose guests have disks on a base that the test makes.
func diskBench(t *testing.T) (b *bench, base func(digest string) string) {
	t.Helper()
	nstest.RequireCommand(t, "qemu-img")
	b = newBench(t)
	dir := t.TempDir()
	base = func(digest string) string {
		path := filepath.Join(dir, digest, "disk.qcow2")
		if _, err := os.Stat(path); err == nil {
			return path
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-f", "qcow2", path, "1M").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return path
	}
	b.boots(base("first"))
	return b, base
}

// boots makes disk the base of every image.
func (b *bench) boots(disk string) {
	b.cfg.Image = func(_ context.Context, name string) (engine.Image, error) {
		return engine.Image{Kernel: "/images/" + name + "/vmlinuz", Disk: disk}, nil
	}
}

// disks are the disks of a lab that there are, by guest, with their bases.
func (b *bench) disks(t *testing.T, name string) map[string]string {
	t.Helper()
	files, err := b.cfg.Dirs.Lab(name)
	if err != nil {
		t.Fatal(err)
	}
	guests, err := files.Disks()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, guest := range guests {
		o, err := image.ReadOverlay(files.Disk(guest))
		if err != nil {
			t.Fatal(err)
		}
		found[guest] = o.Base
	}
	return found
}

func TestDisksAreKeptOverDownAndUp(t *testing.T) {
	b, base := diskBench(t)
	l := threeTaps("lab", 0)
	b.mustUp(t, l)
	b.mustDown(t, "lab")
	if got := b.disks(t, "lab"); len(got) != 3 || got["pc1"] != base("first") {
		t.Fatalf("disks after down: %v", got)
	}
	if labs, err := b.cfg.Dirs.Labs(); err != nil || len(labs) != 0 {
		t.Errorf("disks alone are no lab: %v, %v", labs, err)
	}

	// Another image: the guests' disks do not follow it silently.
	b.boots(base("second"))
	before := b.objects()
	_, err := b.up(t.Context(), l)
	if diag.CodeOf(err) != diag.DiskBase || !strings.Contains(err.Error(), "first") || !strings.Contains(err.Error(), "second") {
		t.Fatalf("up on another image: %v", err)
	}
	if after := b.objects(); len(after) != len(before) {
		t.Errorf("it changed something: %v", after)
	}
	b.cfg.OldImage = func(_ context.Context, name, disk string) (engine.Image, error) {
		return engine.Image{Kernel: "/old/" + name, Disk: disk}, nil
	}
	b.mustUp(t, l)
	b.byHand(func(w *world) {
		if d := w.domains["lab-pc1"]; d.Kernel != "/old/micro" {
			t.Errorf("pc1 boots %s", d.Kernel)
		}
	})

	// Reset gives one of them the new image.
	b.cfg.OldImage = nil
	if ran, err := engine.New(b.cfg).Reset(t.Context(), "lab", "pc1"); err != nil || !ran {
		t.Fatalf("reset: %v, %v", ran, err)
	}
	b.mustUp(t, l)
	if got := b.disks(t, "lab"); got["pc1"] != base("second") || got["pc2"] != base("first") {
		t.Errorf("disks after reset: %v", got)
	}
}

func TestDisksOfAnUpThatFails(t *testing.T) {
	b, _ := diskBench(t)
	l := threeTaps("lab", 0)
	b.before = func(op string) error {
		if strings.HasPrefix(op, "start lab-") {
			return errFault
		}
		return nil
	}
	if _, err := b.up(t.Context(), l); !errors.Is(err, errFault) {
		t.Fatal(err)
	}
	if got := b.disks(t, "lab"); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestDiskThatIsNone(t *testing.T) {
	b, _ := diskBench(t)
	files, err := b.cfg.Dirs.Lab("lab")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(files.DiskDir(), 0o755), os.WriteFile(files.Disk("pc2"), []byte("no disk"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.up(t.Context(), threeTaps("lab", 0)); diag.CodeOf(err) != diag.DiskDamaged {
		t.Fatal(err)
	}
}
