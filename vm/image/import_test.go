package image_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/vm/image"
)

// diskSectors is the size of the disks that these tests import, in sectors of 512 bytes.
const diskSectors = 8192

// rawDisk is a disk with boot code and one partition, which reaches to sector end.
func rawDisk(t *testing.T, end uint32) string {
	t.Helper()
	disk := make([]byte, diskSectors*512)
	copy(disk, "\xeb\x3cboot code")
	disk[446+4] = 0x83
	binary.LittleEndian.PutUint32(disk[446+8:], 2048)
	binary.LittleEndian.PutUint32(disk[446+12:], end-2048)
	disk[510], disk[511] = 0x55, 0xaa
	copy(disk[2048*512:], strings.Repeat("a system ", 1000))
	return writeDisk(t, "disk.img", disk)
}

func writeDisk(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// qemuImg runs qemu-img and returns its last argument, a file that it makes.
func qemuImg(t *testing.T, args ...string) string {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "qemu-img", args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
	}
	return args[len(args)-1]
}

// isEmpty reports a store in which nothing is left but locks.
func isEmpty(t *testing.T, store string) bool {
	t.Helper()
	for name := range files(t, store) {
		if !strings.HasSuffix(name, ".lock") {
			t.Logf("left: %s", name)
			return false
		}
	}
	return true
}

func TestImport(t *testing.T) {
	nstest.RequireCommand(t, "qemu-img")
	raw := rawDisk(t, diskSectors)
	qcow2 := qemuImg(t, "convert", "-c", "-f", "raw", "-O", "qcow2", raw, filepath.Join(t.TempDir(), "disk.qcow2"))
	digests := map[string]bool{}
	for name, file := range map[string]string{"raw": raw, "qcow2": qcow2} {
		t.Run(name, func(t *testing.T) {
			store := t.TempDir()
			o := image.ImportOptions{Store: store, Name: "other", File: file, Keys: []string{"ssh-ed25519 AAAA ana"}}
			img, err := image.Import(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			digests[img.Digest] = true
			found, err := image.Lookup(store, "other")
			if err != nil || !found.Imported() || found.Initrd != "" || found.DiskSize != diskSectors*512 || len(found.Keys) != 1 || found.Stale() {
				t.Errorf("%+v, %v", found, err)
			}
			if err := found.Verify(); err != nil {
				t.Error(err)
			}
			back := qemuImg(t, "convert", "-f", "qcow2", "-O", "raw", found.Disk, filepath.Join(t.TempDir(), "back.img"))
			if want, got := read(t, raw), read(t, back); want != got {
				t.Error("the disk in the store is another")
			}
			if info, err := os.Stat(found.Disk); err != nil || info.Mode().Perm() != 0o444 {
				t.Errorf("QEMU's user cannot read it, or write to it: %v, %v", info.Mode(), err)
			}
			var taken *image.NameError
			if _, err := image.Import(t.Context(), o); !errors.As(err, &taken) || taken.Problem != image.NameTaken {
				t.Errorf("again: %v", err)
			}
			if err := image.Remove(t.Context(), store, "other"); err != nil {
				t.Error(err)
			}
			if err := image.Remove(t.Context(), store, "other"); !errors.Is(err, image.ErrNoImage) || !isEmpty(t, store) {
				t.Errorf("removed twice: %v", err)
			}
		})
	}
	if len(digests) != 1 {
		t.Errorf("one disk, and several digests: %v", digests)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestImportRefuses shows that nothing but a disk that stands by itself is taken, and that nothing of another file is read.
func TestImportRefuses(t *testing.T) {
	nstest.RequireCommand(t, "qemu-img")
	raw := rawDisk(t, diskSectors)
	temp := func(name string) string { return filepath.Join(t.TempDir(), name) }
	whole := qemuImg(t, "convert", "-f", "raw", "-O", "qcow2", raw, temp("whole.qcow2"))
	patched := func(at int, value ...byte) string {
		content := []byte(read(t, whole))
		copy(content[at:], value)
		return writeDisk(t, "patched.qcow2", content)
	}
	bare := []byte(read(t, raw))
	clear(bare[:446])
	for name, test := range map[string]struct{ file, reason string }{
		"empty":            {writeDisk(t, "empty", nil), "neither a qcow2 nor a disk"},
		"text":             {writeDisk(t, "text", []byte(strings.Repeat("not a disk ", 1000))), "neither a qcow2 nor a disk"},
		"zeros":            {writeDisk(t, "zeros", make([]byte, 1<<20)), "neither a qcow2 nor a disk"},
		"gzip":             {writeDisk(t, "disk.gz", []byte("\x1f\x8b\x08")), "gunzip"},
		"VMDK":             {writeDisk(t, "disk.vmdk", []byte("KDMV\x01")), "VMDK"},
		"CD":               {writeDisk(t, "cd.iso", append(make([]byte, 32769), "CD001"...)), "a CD"},
		"backing file":     {qemuImg(t, "create", "-f", "qcow2", "-b", whole, "-F", "qcow2", temp("overlay.qcow2")), "a backing file"},
		"data file":        {patched(72+7, 4), "another file"},
		"encrypted":        {patched(32+3, 1), "encrypted"},
		"other version":    {patched(4+3, 9), "version 9"},
		"damaged header":   {patched(20+3, 99), "damaged"},
		"cut qcow2":        {writeDisk(t, "cut.qcow2", []byte(read(t, whole)[:len(read(t, whole))/2])), "damaged"},
		"cut raw":          {rawDisk(t, diskSectors+1), "cut short"},
		"no boot loader":   {writeDisk(t, "bare.img", bare), "BIOS"},
		"qcow2 of nothing": {qemuImg(t, "create", "-f", "qcow2", "-o", "size=1M", temp("blank.qcow2")), "no disk with partitions"},
		"folder":           {t.TempDir(), "no plain file"},
	} {
		t.Run(name, func(t *testing.T) {
			store := t.TempDir()
			_, err := image.Import(t.Context(), image.ImportOptions{Store: store, Name: "other", File: test.file})
			var not *image.NotImageError
			if !errors.As(err, &not) || !strings.Contains(not.Reason, test.reason) {
				t.Errorf("want %q: %v", test.reason, err)
			}
			if !isEmpty(t, store) {
				t.Error("something is left in the store")
			}
		})
	}
	for name, problem := range map[string]image.NameProblem{
		"micro": image.NameBuiltIn, "debian": image.NameBuiltIn, "debs": image.NameBuiltIn,
		"": image.NameForm, "../x": image.NameForm, "A": image.NameForm, ".x": image.NameForm, "a b": image.NameForm,
	} {
		_, err := image.Import(t.Context(), image.ImportOptions{Store: t.TempDir(), Name: name, File: raw})
		var bad *image.NameError
		if !errors.As(err, &bad) || bad.Problem != problem {
			t.Errorf("name %q: %v", name, err)
		}
	}
	if _, err := image.Import(t.Context(), image.ImportOptions{Store: t.TempDir(), Name: "other", File: temp("absent")}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestImportInterrupted ends an import in the middle of the copy, in both ways: nothing of it is an image, and what a
// killed one left goes with the next.
func TestImportInterrupted(t *testing.T) {
	nstest.RequireCommand(t, "qemu-img")
	store := t.TempDir()
	o := image.ImportOptions{Store: store, Name: "other", File: rawDisk(t, diskSectors)}
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(image.Progress) { cancel() }
	if _, err := image.Import(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if !isEmpty(t, store) {
		t.Error("something is left in the store")
	}
	left := filepath.Join(store, ".import", ".build-killed")
	if err := errors.Join(os.MkdirAll(left, 0o700), os.WriteFile(filepath.Join(left, "disk.qcow2"), []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if list, err := image.List(store); err != nil || len(list) != 0 {
		t.Errorf("half an image is listed: %v, %v", list, err)
	}
	o.Progress = nil
	if _, err := image.Import(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the killed import left is still there: %v", err)
	}
}

func TestImportWithoutRoom(t *testing.T) {
	nstest.RequireSandbox(t) // for the mount
	nstest.RequireCommand(t, "qemu-img")
	store := t.TempDir()
	if err := syscall.Mount("tmpfs", store, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(store, 0)
	_, err := image.Import(t.Context(), image.ImportOptions{Store: store, Name: "other", File: rawDisk(t, diskSectors)})
	var room *image.NoRoomError
	if !errors.As(err, &room) || room.Need <= room.Free || !isEmpty(t, store) {
		t.Error(err)
	}
}

// TestSeed lets blkid, which is what cloud-init asks, read the volume.
func TestSeed(t *testing.T) {
	nstest.RequireCommand(t, "blkid")
	seed := image.Seed{
		Instance: "1b4e28ba-2fa1-11d2-883f-0016d3cca427", Hostname: "srv", MACs: []string{"02:00:00:00:00:01", "02:00:00:00:00:02"},
		Keys: []string{"ssh-ed25519 AAAA ana"}, Files: []image.SeedFile{{Path: "/etc/x", Mode: 0o600, Content: make([]byte, 5000)}},
	}
	volume, err := seed.Disk()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := seed.Disk(); err != nil || string(again) != string(volume) {
		t.Errorf("the same seed gives other bytes, or %v", err)
	}
	path := writeDisk(t, "seed", volume)
	out, err := exec.CommandContext(t.Context(), "blkid", "-p", "-o", "export", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "LABEL=cidata\n") || !strings.Contains(string(out), "TYPE=iso9660\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if len(volume)%2048 != 0 {
		t.Errorf("%d bytes are no number of sectors", len(volume))
	}
	for name, want := range map[string][]string{
		"meta-data":      {`"instance-id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"`, `"local-hostname": "srv"`},
		"network-config": {`"macaddress": "02:00:00:00:00:02"`, `"set-name": "eth1"`},
		"user-data":      {"#cloud-config\n{", `"hostname": "srv"`, `"ssh-ed25519 AAAA ana"`, `"permissions": "0600"`},
	} {
		got := isoRead(t, volume, name)
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%s lacks %s:\n%s", name, part, got)
			}
		}
	}
}

// isoRead reads a file of a volume by its Rock Ridge name, by the letter of ECMA-119: from the descriptor to the root, and
// along its records.
func isoRead(t *testing.T, volume []byte, name string) string {
	t.Helper()
	number := func(b []byte) int {
		if little, big := binary.LittleEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]); little != big {
			t.Fatalf("%d in one byte order is %d in the other", little, big)
		}
		return int(binary.LittleEndian.Uint32(b))
	}
	descriptor := volume[16*2048:]
	if number(descriptor[80:])*2048 != len(volume) {
		t.Errorf("the volume says that it has %d sectors", number(descriptor[80:]))
	}
	root := volume[number(descriptor[156+2:])*2048:][:number(descriptor[156+10:])]
	for len(root) > 0 && root[0] != 0 {
		record := root[:root[0]]
		root = root[root[0]:]
		more := record[33+int(record[32]):]
		if len(more) > 0 && int(record[32])%2 == 0 {
			more = more[1:]
		}
		for len(more) > 4 {
			if string(more[:2]) == "NM" && string(more[5:more[2]]) == name {
				return string(volume[number(record[2:])*2048:][:number(record[10:])])
			}
			more = more[more[2]:]
		}
	}
	t.Fatalf("no file %s", name)
	return ""
}
