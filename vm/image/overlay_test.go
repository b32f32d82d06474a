package image_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/vm/image"
)

func TestOverlay(t *testing.T) {
	nstest.RequireCommand(t, "qemu-img")
	dir := t.TempDir()
	base := filepath.Join(dir, "0123", "disk.qcow2")
	if err := os.Mkdir(filepath.Dir(base), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-f", "qcow2", base, "2M").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, test := range []struct {
		name       string
		size, want int64
	}{{"the base's size", 0, 2 << 20}, {"a size of its own", 8 << 20, 8 << 20}} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "disks", "srv.qcow2")
			if err := image.CreateOverlay(t.Context(), path, base, test.size); err != nil {
				t.Fatal(err)
			}
			got, err := image.ReadOverlay(path)
			if diff := cmp.Diff(image.Overlay{Path: path, Base: base, Size: test.want}, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	t.Run("a disk without a base", func(t *testing.T) {
		if o, err := image.ReadOverlay(base); err != nil || o.Base != "" {
			t.Errorf("%+v, %v", o, err)
		}
	})
	t.Run("a base that is not there", func(t *testing.T) {
		path := filepath.Join(dir, "none.qcow2")
		if err := image.CreateOverlay(t.Context(), path, filepath.Join(dir, "absent"), 0); err == nil {
			t.Error("no error")
		}
		left, err := filepath.Glob(path + "*")
		if err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

func TestReadOverlayOfOtherFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := image.ReadOverlay(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	long := append([]byte("QFI\xfb\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x01\x00\xff\xff\xff\xff"), make([]byte, 64)...)
	cut := append([]byte("QFI\xfb\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x10"), make([]byte, 64)...)
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("a text that is long enough to hold a whole header"), "a name too long": long, "a name cut off": cut,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "disk")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if o, err := image.ReadOverlay(path); !errors.Is(err, image.ErrNotQcow2) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

func TestParseTargets(t *testing.T) {
	got := image.ParseTargets(`Debian|bookworm|http://m/debian/|bookworm|main
Debian|bookworm|http://m/debian/|bookworm|main
Debian|bookworm-security|http://m/debian-security/|bookworm-security|main
Debian|bookworm-backports|http://m/debian/|bookworm-backports|main
Debian|trixie|http://m/debian/|trixie|main
. nodistro|nodistro|https://deb.nodesource.com/node_20.x/|nodistro|main
broken
`)
	const deb = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
	want := []string{deb + "http://m/debian/ bookworm main", deb + "http://m/debian-security/ bookworm-security main"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
