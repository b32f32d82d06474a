package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeArchive is a Debian archive in a directory, with an apt-cache and an
// apt-get that know of nothing else.
type fakeArchive struct{ dir string }

// newFakeArchive makes packages that are just enough for a micro image and puts
// the false apt first in PATH.
func newFakeArchive(t *testing.T) fakeArchive {
	t.Helper()
	a := fakeArchive{dir: t.TempDir()}
	for _, p := range microPackages(t) {
		a.add(t, p.name, p.version, p.depends, p.files)
	}
	a.write(t, "apt-cache", `for a; do cat "$dir/$a.show" 2>/dev/null; done; [ ! -e "$dir/nolists" ]`)
	a.write(t, "apt-get", `[ -e "$dir/offline" ] && { echo "E: Failed to fetch" >&2; exit 100; }
[ "$1" = update ] && exit
echo "$@" >>"$dir/calls"
for a; do case $a in *=*) cp "$dir/${a%%=*}.deb" "./${a%%=*}_x_amd64.deb";; esac; done`)
	t.Setenv("PATH", a.dir+":/usr/bin:/bin")
	return a
}

// testPackage is a package that is just enough for a micro image.
type testPackage struct {
	name, version, depends string
	files                  map[string][]byte
}

// microPackages are all that a micro image is made from.
func microPackages(t *testing.T) []testPackage {
	t.Helper()
	return []testPackage{
		{name: "linux-image-cloud-amd64", version: "6.1-1", depends: "linux-image-6.1-cloud-amd64 (= 6.1-1)"},
		{name: "linux-image-6.1-cloud-amd64", version: "6.1-1", depends: "kmod, linux-base (>= 4.3~)", files: map[string][]byte{
			"./boot/vmlinuz-6.1": []byte("a kernel"),
			"./lib/modules/6.1/modules.builtin": []byte("kernel/button.ko\nkernel/evdev.ko\nkernel/virtio-net.ko\nkernel/virtio_console.ko\n" +
				"kernel/virtio_rng.ko\nkernel/virtio_blk.ko\n"),
			"./lib/modules/6.1/kernel/virtio.ko":                  elfModule(""),
			"./usr/lib/modules/6.1/kernel/virtio_pci.ko":          elfModule("virtio"),
			"./usr/lib/modules/6.1/kernel/drivers/virtio_mmio.ko": elfModule("virtio"),
			"./usr/lib/modules/6.1/kernel/unwanted.ko":            elfModule(""),
		}},
		{name: "busybox-static", version: "1:1.35-1", files: map[string][]byte{"./bin/busybox": []byte("#!busybox")}},
		{name: "qemu-guest-agent", version: "7.2-1", depends: "libc6 (>= 2.34)", files: map[string][]byte{
			"./usr/sbin/qemu-ga": hostFile(t, "/bin/sh"),
		}},
		{name: "tcpdump", version: "4.99-1", depends: "adduser, libc6 (>= 2.34)", files: map[string][]byte{
			"./usr/bin/tcpdump": hostFile(t, "/bin/sh"),
		}},
		{name: "libc6", version: "2.36-1", files: map[string][]byte{
			"./lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": hostFile(t, "/lib64/ld-linux-x86-64.so.2"),
			"./lib/x86_64-linux-gnu/libc.so.6":            hostFile(t, "/lib/x86_64-linux-gnu/libc.so.6"),
		}},
	}
}

func hostFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func (a fakeArchive) write(t *testing.T, name, script string) {
	t.Helper()
	text := fmt.Sprintf("#!/bin/sh\ndir=%s\n%s\n", a.dir, script)
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// touch makes one of the switches that the scripts look at.
func (a fakeArchive) touch(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// downloads is how often apt-get was asked for anything.
func (a fakeArchive) downloads() int {
	calls, _ := os.ReadFile(filepath.Join(a.dir, "calls"))
	return strings.Count(string(calls), "\n")
}

// add puts a package into the archive.
func (a fakeArchive) add(t *testing.T, name, version, depends string, files map[string][]byte) {
	t.Helper()
	content := deb(t, files)
	sum := sha256.Sum256(content)
	show := fmt.Sprintf("Package: %s\nVersion: %s\nDepends: %s\nSize: %d\nSHA256: %s\nDescription: a\n b: c\n\n",
		name, version, depends, len(content), hex.EncodeToString(sum[:]))
	for file, text := range map[string][]byte{name + ".deb": content, name + ".show": []byte(show)} {
		if err := os.WriteFile(filepath.Join(a.dir, file), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// deb is a Debian package with those files.
func deb(tb testing.TB, files map[string][]byte) []byte {
	tb.Helper()
	var data bytes.Buffer
	z := gzip.NewWriter(&data)
	tw := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			tb.Fatal(err)
		}
		if _, err := tw.Write(files[name]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return arFile("debian-binary", []byte("2.0\n"), "control.tar.gz", []byte("odd"), "data.tar.gz", data.Bytes())
}

// arFile is an ar archive of names and contents in turn.
func arFile(members ...any) []byte {
	b := []byte("!<arch>\n")
	for i := 0; i < len(members); i += 2 {
		content := members[i+1].([]byte)
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", members[i], 0, 0, 0, "100644", len(content))
		b = append(b, content...)
		if len(content)%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

// elfModule is a kernel module that depends on others and does nothing else.
func elfModule(depends string) []byte {
	const names = "\x00.modinfo\x00.shstrtab\x00"
	info := "license=GPL\x00depends=" + depends + "\x00"
	le := binary.LittleEndian
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 1)  // relocatable
	le.PutUint16(b[18:], 62) // x86-64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[40:], uint64(64+len(info)+len(names))) // section headers
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[58:], 64) // size and number of section headers, index of the names'
	le.PutUint16(b[60:], 3)
	le.PutUint16(b[62:], 2)
	b = append(append(b, info...), names...)
	section := func(name, kind uint32, offset, size int) {
		h := make([]byte, 64)
		le.PutUint32(h, name)
		le.PutUint32(h[4:], kind)
		le.PutUint64(h[24:], uint64(offset))
		le.PutUint64(h[32:], uint64(size))
		b = append(b, h...)
	}
	section(0, 0, 0, 0)
	section(1, 1, 64, len(info))
	section(10, 3, 64+len(info), len(names))
	return b
}
