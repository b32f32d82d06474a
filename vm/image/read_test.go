package image_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/kvmlab/kvmlab/vm/image"
)

// readDeb is the content of a package, by name.
func readDeb(tb testing.TB, content []byte) (map[string]string, error) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "a.deb")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		tb.Fatal(err)
	}
	got := map[string]string{}
	err := image.WalkDeb(tb.Context(), path, func(h *tar.Header, r io.Reader) error {
		content, err := io.ReadAll(io.LimitReader(r, 1<<20))
		got[h.Name] = string(content)
		return err
	})
	return got, err
}

// pack compresses as dpkg-deb may.
func pack(tb testing.TB, how string, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch how {
	case "xz":
		cmd := exec.CommandContext(tb.Context(), "xz", "--stdout", "--check=crc32")
		cmd.Stdin, cmd.Stdout = bytes.NewReader(content), &b
		if err := cmd.Run(); err != nil {
			tb.Fatalf("xz: %v", err)
		}
		return b.Bytes()
	case "zst":
		w, err = zstd.NewWriter(&b)
	default:
		return content
	}
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestWalkDeb(t *testing.T) {
	var data bytes.Buffer
	tw := tar.NewWriter(&data)
	if err := tw.WriteHeader(&tar.Header{Name: "./usr/bin/x", Size: 3, Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	if _, err := tw.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"", "xz", "zst"} {
		t.Run("data.tar."+how, func(t *testing.T) {
			file := arFile("debian-binary", []byte("2.0\n"), "control.tar", []byte("odd"), "data.tar."+how, pack(t, how, data.Bytes()))
			got, err := readDeb(t, file)
			if diff := cmp.Diff(map[string]string{"bin/x": "abc"}, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if _, err := readDeb(t, file[:len(file)-len(file)/8]); how != "" && err == nil {
				t.Error("no error for a package cut short")
			}
		})
	}
	for name, file := range map[string][]byte{
		"empty": nil, "not ar": []byte("PK\x03\x04 something"), "no data": arFile("debian-binary", []byte("2.0\n")),
		"bad size": bytes.Replace(arFile("control.tar", []byte("x")), []byte("1         `"), []byte("-1        `"), 1),
		"cut":      arFile("control.tar", []byte("0123456789"))[:72],
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := readDeb(t, file); !errors.Is(err, image.ErrNotPackage) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func FuzzWalkDeb(f *testing.F) {
	f.Add(deb(f, map[string][]byte{"./a": []byte("b")}))
	f.Add(arFile("data.tar.xz", pack(f, "xz", []byte("nothing"))))
	f.Add(arFile("data.tar.zst", pack(f, "zst", []byte("nothing"))))
	f.Add(arFile("debian-binary", []byte("2.0\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readDeb(t, b)
		for name := range got {
			if filepath.IsAbs(name) || name != filepath.Clean("/" + name)[1:] {
				t.Errorf("name %q (%v)", name, err)
			}
		}
	})
}

// pvhKernel is the least ELF file that has a PVH entry note.
func pvhKernel() []byte {
	le := binary.LittleEndian
	b := make([]byte, 64+56)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 2)
	le.PutUint16(b[18:], 62)
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	note := []byte("\x04\x00\x00\x00\x04\x00\x00\x00\x12\x00\x00\x00Xen\x00\x00\x00\x00\x01")
	le.PutUint32(b[64:], 4) // PT_NOTE
	le.PutUint64(b[72:], 120)
	le.PutUint64(b[96:], uint64(len(note)))
	return append(append(b, note...), make([]byte, 4096)...)
}

// bzImage wraps a payload as the kernel's build does; how is its compression.
func bzImage(tb testing.TB, how string, kernel []byte) []byte {
	tb.Helper()
	size := binary.LittleEndian.AppendUint32(nil, uint32(len(kernel)))
	var payload []byte
	switch how {
	case "lz4":
		block := make([]byte, lz4.CompressBlockBound(len(kernel)))
		n, err := lz4.CompressBlock(kernel, block, nil)
		if err != nil {
			tb.Fatal(err)
		}
		payload = append([]byte("\x02\x21\x4c\x18"), binary.LittleEndian.AppendUint32(nil, uint32(n))...)
		payload = append(append(payload, block[:n]...), size...)
	default:
		payload = append(pack(tb, how, kernel), size...)
	}
	b := make([]byte, 1024)
	b[0x1f1] = 1
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(len(payload)))
	return append(b, payload...)
}

func TestUnpackKernel(t *testing.T) {
	want := pvhKernel()
	for _, how := range []string{"lz4", "xz", "zst"} {
		t.Run(how, func(t *testing.T) {
			got, ok := image.UnpackKernel(bzImage(t, how, want))
			if !ok || !bytes.Equal(got, want) {
				t.Errorf("%v, %d bytes of %d", ok, len(got), len(want))
			}
		})
	}
	noPVH := pvhKernel()
	noPVH[120+8] = 1
	for name, b := range map[string][]byte{
		"empty": nil, "no bzImage": make([]byte, 4096), "no PVH entry": bzImage(t, "lz4", noPVH),
		"cut": bzImage(t, "lz4", want)[:1100], "not packed as known": bzImage(t, "none", []byte("kernel")),
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok := image.UnpackKernel(b); ok {
				t.Error("unpacked")
			}
		})
	}
}

func FuzzUnpackKernel(f *testing.F) {
	for _, how := range []string{"lz4", "xz", "zst"} {
		f.Add(bzImage(f, how, pvhKernel()))
	}
	f.Fuzz(func(_ *testing.T, b []byte) { image.UnpackKernel(b) })
}

func FuzzDependsOf(f *testing.F) {
	f.Add(elfModule("a,b-c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		deps, err := image.DependsOf(b)
		if err != nil && deps != nil {
			t.Errorf("%v with %v", deps, err)
		}
	})
}

func TestModuleClosure(t *testing.T) {
	files := map[string][]byte{
		"net": elfModule("failover,virtio,ring"), "failover": elfModule("core"), "core": elfModule(""),
		"virtio": elfModule("ring"), "ring": elfModule("inside"), "other": elfModule("net"),
		"loop": elfModule("pool"), "pool": elfModule("loop"), "lost": elfModule("nowhere"),
	}
	tests := []struct {
		name   string
		wanted []string
		want   string
		fails  bool
	}{
		// modprobe loads a line from its end.
		{"in order", []string{"net"}, "core.ko:\nfailover.ko: core.ko\nnet.ko: failover.ko core.ko virtio.ko ring.ko\nring.ko:\nvirtio.ko: ring.ko\n", false},
		{"built in", []string{"inside"}, "", false},
		{"not there", []string{"nothing"}, "", true},
		{"needs what is not there", []string{"lost"}, "", true},
		{"in a circle", []string{"loop"}, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := image.ModuleClosure(files, []string{"inside"}, tt.wanted)
			if (err != nil) != tt.fails {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error("(-want +got):\n" + diff)
			}
		})
	}
}

func TestParseRecords(t *testing.T) {
	list, depends := image.ParseRecords([]byte(`Package: a
Version: 1:2-3
Size: 17
SHA256: abc
Pre-Depends: libx (>= 1)
Depends: liby:any, b | c, libz-2.0 (<< 3) [amd64]
Description: text
 Version: not this one

Package: installed-only
Version: 1
`))
	if diff := cmp.Diff([]image.Package{{Name: "a", Version: "1:2-3", SHA256: "abc", Size: 17}}, list); diff != "" {
		t.Error("(-want +got):\n" + diff)
	}
	if diff := cmp.Diff([][]string{{"libx", "liby", "b", "libz-2.0"}}, depends); diff != "" {
		t.Error("(-want +got):\n" + diff)
	}
}

func FuzzParseRecords(f *testing.F) {
	f.Add([]byte("Package: a\nSHA256: b\nSize: 1\nDepends: c (>= 1), d | e\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := image.ParseRecords(b)
		for _, p := range list {
			if p.Name == "" || p.SHA256 == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}
