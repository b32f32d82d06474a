package image_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/vm/image"
)

func build(t *testing.T, o image.Options) image.Image {
	t.Helper()
	img, err := image.BuildMicro(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// listing is what an initramfs holds, one entry a line: type and mode, path.
func listing(t *testing.T, initrd string) string {
	t.Helper()
	f, err := os.Open(initrd)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b strings.Builder
	for r := cpio.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.IsZero() && h.ModTime.Unix() != 0 || h.Uid != 0 || h.Guid != 0 {
			t.Errorf("%s: time %v, owner %d:%d", h.Name, h.ModTime, h.Uid, h.Guid)
		}
		line := h.FileInfo().Mode().String() + " " + h.Name
		if h.Linkname != "" {
			line += " -> " + h.Linkname
		}
		b.WriteString(line + "\n")
	}
}

// files reads all of a directory, by path.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		if d.Name() == "checked.json" {
			return nil // of this very directory: it holds times
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[rel] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBuildMicro(t *testing.T) {
	// Nothing of an image may depend on the builder's umask.
	defer syscall.Umask(syscall.Umask(0o077))
	newFakeArchive(t)
	first, second := t.TempDir(), t.TempDir()
	var stages []string
	img := build(t, image.Options{Store: first, Progress: func(p image.Progress) {
		if p.Step > p.Steps {
			t.Errorf("step %d of %d", p.Step, p.Steps)
		}
		if n := len(stages); n == 0 || stages[n-1] != p.Stage.String() {
			stages = append(stages, p.Stage.String())
		}
	}})
	if diff := cmp.Diff([]string{"resolve", "download", "unpack", "write"}, stages); diff != "" {
		t.Error("stages (-want +got):\n" + diff)
	}
	if err := img.Verify(); err != nil {
		t.Error(err)
	}
	if len(img.Packages) != 5 || img.MinMemory < 32<<20 || !strings.Contains(img.Cmdline, "console=ttyS0") {
		t.Errorf("%+v", img)
	}
	found, err := image.Lookup(first, image.Micro)
	if diff := cmp.Diff(img, found); err != nil || diff != "" {
		t.Errorf("Lookup: %v (-built +found):\n%s", err, diff)
	}
	all, err := image.List(first)
	if diff := cmp.Diff([]image.Image{img}, all); err != nil || diff != "" {
		t.Errorf("List: %v (-want +got):\n%s", err, diff)
	}

	t.Run("readable by all", func(t *testing.T) {
		for _, path := range []string{img.Kernel, img.Initrd, filepath.Join(img.Dir, "manifest.json")} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
		for _, dir := range []string{img.Dir, filepath.Dir(img.Dir)} {
			if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("%s: %v, %v", dir, info.Mode(), err)
			}
		}
	})
	t.Run("the same bytes again", func(t *testing.T) {
		build(t, image.Options{Store: second})
		if diff := cmp.Diff(files(t, first), files(t, second)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("only modules that are needed", func(t *testing.T) {
		got := listing(t, img.Initrd)
		for _, want := range []string{"6.1/virtio.ko\n", "6.1/virtio_pci.ko\n", "6.1/virtio_mmio.ko\n", "6.1/modules.dep\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
		if strings.Contains(got, "unwanted") {
			t.Error("an unwanted module in\n" + got)
		}
	})
}

func TestBuildMicroUsesItsCache(t *testing.T) {
	archive := newFakeArchive(t)
	o := image.Options{Store: t.TempDir()}
	img := build(t, o)

	t.Run("nothing is downloaded twice", func(t *testing.T) {
		if again := build(t, o); again.Digest != img.Digest || archive.downloads() != 1 {
			t.Errorf("digest %s, was %s; %d downloads", again.Digest, img.Digest, archive.downloads())
		}
	})
	t.Run("a damaged package is downloaded anew", func(t *testing.T) {
		debs, _ := filepath.Glob(filepath.Join(o.Store, "debs", "busybox-static_*"))
		damage(t, debs[0])
		if again := build(t, o); again.Digest != img.Digest || archive.downloads() != 2 {
			t.Errorf("digest %s, was %s; %d downloads", again.Digest, img.Digest, archive.downloads())
		}
	})
	t.Run("a damaged image is named and rebuilt", func(t *testing.T) {
		damage(t, img.Initrd)
		var corrupt *image.CorruptError
		if err := img.Verify(); !errors.As(err, &corrupt) || corrupt.File != img.Initrd || corrupt.Got == "" {
			t.Errorf("Verify: %v", err)
		}
		if err := build(t, o).Verify(); err != nil {
			t.Error(err)
		}
		if err := os.Truncate(img.Kernel, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := image.Lookup(o.Store, image.Micro); !errors.As(err, &corrupt) || corrupt.File != img.Kernel {
			t.Errorf("Lookup: %v", err)
		}
		if err := build(t, o).Verify(); err != nil {
			t.Error(err)
		}
	})
	t.Run("without the network, without lists, without apt", func(t *testing.T) {
		archive.touch(t, "offline")
		// A newer package that cannot be had.
		archive.add(t, "busybox-static", "1:1.36-1", "", nil)
		if again := build(t, o); again.Digest != img.Digest {
			t.Errorf("digest %s, was %s", again.Digest, img.Digest)
		}
		t.Setenv("PATH", t.TempDir())
		build(t, o)
		build(t, image.Options{Store: o.Store, Offline: true})
	})
}

// damage flips a bit in the middle of a file.
func damage(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestBuildMicroFails(t *testing.T) {
	missing := new(image.MissingError)
	tests := []struct {
		name    string
		prepare func(t *testing.T, a fakeArchive)
		offline bool
		is      error
		as      any
	}{
		{name: "no apt", is: image.ErrNoApt, prepare: func(t *testing.T, _ fakeArchive) {
			t.Helper()
			t.Setenv("PATH", "/nonexistent")
		}},
		{name: "no lists", is: image.ErrNoLists, prepare: func(t *testing.T, a fakeArchive) {
			t.Helper()
			if err := os.Remove(filepath.Join(a.dir, "busybox-static.show")); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "no network", is: image.ErrOffline, prepare: func(t *testing.T, a fakeArchive) {
			t.Helper()
			a.touch(t, "offline")
		}},
		{name: "no cache", is: image.ErrOffline, offline: true},
		{name: "no busybox in its package", as: &missing, prepare: func(t *testing.T, a fakeArchive) {
			t.Helper()
			a.add(t, "busybox-static", "2", "", map[string][]byte{"./bin/other": nil})
		}},
		{name: "a module too few", as: &missing, prepare: func(t *testing.T, a fakeArchive) {
			t.Helper()
			a.add(t, "linux-image-6.1-cloud-amd64", "2", "", map[string][]byte{"./boot/vmlinuz-6.1": []byte("a kernel")})
		}},
		{name: "a library too few", as: &missing, prepare: func(t *testing.T, a fakeArchive) {
			t.Helper()
			a.add(t, "libc6", "3", "", nil)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			archive := newFakeArchive(t)
			if tt.prepare != nil {
				tt.prepare(t, archive)
			}
			store := t.TempDir()
			_, err := image.BuildMicro(t.Context(), image.Options{Store: store, Offline: tt.offline})
			if tt.is != nil && !errors.Is(err, tt.is) || tt.as != nil && !errors.As(err, tt.as) || err == nil {
				t.Errorf("error %v", err)
			}
			nothingBuilt(t, store)
		})
	}
}

// nothingBuilt checks that a failed build left no image, whole or half.
func nothingBuilt(t *testing.T, store string) {
	t.Helper()
	if _, err := image.Lookup(store, image.Micro); !errors.Is(err, image.ErrNoImage) {
		t.Errorf("Lookup: %v", err)
	}
	entries, err := os.ReadDir(filepath.Join(store, "micro"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != ".build.lock" {
			t.Error("left behind:", e.Name())
		}
	}
}

func TestBuildMicroInterrupted(t *testing.T) {
	newFakeArchive(t)
	stop := errors.New("enough")
	for _, stage := range []image.Stage{image.StageResolve, image.StageDownload, image.StageUnpack} {
		t.Run(stage.String(), func(t *testing.T) {
			store := t.TempDir()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			_, err := image.BuildMicro(ctx, image.Options{Store: store, Progress: func(p image.Progress) {
				if p.Stage == stage {
					cancel(stop)
				}
			}})
			if !errors.Is(err, stop) {
				t.Errorf("error %v", err)
			}
			nothingBuilt(t, store)
			// What a killed build leaves is cleared away by the next one.
			scratch := filepath.Join(store, "micro", ".build-killed")
			if err := os.MkdirAll(filepath.Join(scratch, "half"), 0o755); err != nil {
				t.Fatal(err)
			}
			build(t, image.Options{Store: store})
			if _, err := os.Stat(scratch); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is still there: %v", scratch, err)
			}
		})
	}
}

// TestCheck shows that a file is read when its time has changed, and then only.
func TestCheck(t *testing.T) {
	newFakeArchive(t)
	img := build(t, image.Options{Store: t.TempDir()})
	if err := img.Check(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(img.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(img.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	content[0]++
	at := func(when time.Time) {
		t.Helper()
		if err := errors.Join(os.WriteFile(img.Kernel, content, 0o644), os.Chtimes(img.Kernel, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	at(info.ModTime())
	if err := img.Check(); err != nil {
		t.Errorf("it was read, although it looks as it was: %v", err)
	}
	var corrupt *image.CorruptError
	at(info.ModTime().Add(time.Second))
	if err := img.Check(); !errors.As(err, &corrupt) || corrupt.Got == "" || !strings.Contains(err.Error(), corrupt.Want) {
		t.Errorf("damaged, and %v", err)
	}
	content[0]--
	at(info.ModTime().Add(time.Minute))
	if err := errors.Join(img.Check(), img.Check()); err != nil {
		t.Errorf("whole again, and %v", err)
	}
}

// TestBuildDebianInterrupted ends a build while Debian is being installed: the image that was there stays, and nothing
// of the new one.
func TestBuildDebianInterrupted(t *testing.T) {
	a := newFakeArchive(t)
	a.write(t, "apt-get", `[ "$1" = indextargets ] && { echo "Debian|bookworm|http://m/debian/|bookworm|main"; exit; }
for a; do case $a in *=*) cp "$dir/${a%%=*}.deb" "./${a%%=*}_x_amd64.deb";; esac; done`)
	a.write(t, "mmdebstrap", `for root; do :; done; echo "I: extracting archives..." >&2; echo half >"$TMPDIR/half"; exec sleep 300`)
	for _, program := range []string{"mke2fs", "qemu-img"} {
		a.write(t, program, "exit 1")
	}
	store := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stop := errors.New("enough")
	_, err := image.BuildDebian(ctx, image.Options{Store: store, Progress: func(p image.Progress) {
		if p.Stage == image.StageInstall {
			cancel(stop)
		}
	}})
	if !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	if all, err := image.List(store); err != nil || len(all) != 0 {
		t.Errorf("half an image is there: %v, %v", all, err)
	}
	for name := range files(t, filepath.Join(store, image.Debian)) {
		if name != ".build.lock" {
			t.Errorf("left: %s", name)
		}
	}
}

func TestCheckRoom(t *testing.T) {
	var room *image.NoRoomError
	if err := image.CheckRoom(t.TempDir(), 1<<60); !errors.As(err, &room) || room.Need != 1<<60 || room.Free == 0 {
		t.Errorf("error %v", err)
	}
	if err := image.CheckRoom(t.TempDir(), 1); err != nil {
		t.Error(err)
	}
}

func TestLookupNoImage(t *testing.T) {
	if _, err := image.Lookup(t.TempDir(), "nothing"); !errors.Is(err, image.ErrNoImage) {
		t.Errorf("error %v", err)
	}
	if all, err := image.List(filepath.Join(t.TempDir(), "none")); err != nil || len(all) != 0 || all == nil {
		t.Errorf("List: %#v, %v", all, err)
	}
}

func TestLookupDamagedManifest(t *testing.T) {
	newFakeArchive(t)
	store := t.TempDir()
	img := build(t, image.Options{Store: store})
	path := filepath.Join(img.Dir, "manifest.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, changed := range map[string][]byte{
		"not JSON":     []byte("{"),
		"from later":   bytes.Replace(text, []byte(`"version": 1`), []byte(`"version": 2`), 1),
		"out of place": bytes.Replace(text, []byte(`"name": "initrd.cpio"`), []byte(`"name": "../initrd.cpio"`), 1),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, changed, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := image.Lookup(store, image.Micro); err == nil {
				t.Error("no error")
			}
			if all, err := image.List(store); err == nil || len(all) != 0 {
				t.Errorf("List: %v, %v", all, err)
			}
			if again := build(t, image.Options{Store: store}); again.Digest != img.Digest {
				t.Errorf("rebuilt as %s", again.Digest)
			}
		})
	}
}
