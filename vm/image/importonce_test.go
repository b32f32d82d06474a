package image_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/vm/image"
)

// TestImportReadsOnce: what is looked at is what is imported, also when somebody puts another file into its place, or
// writes into it, once it has been looked at.
func TestImportReadsOnce(t *testing.T) {
	nstest.RequireCommand(t, "qemu-img")
	secret := rawDisk(t, diskSectors)
	if err := os.WriteFile(secret, []byte(strings.Replace(read(t, secret), "a system", "a secret", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	hostile := qemuImg(t, "create", "-f", "qcow2", "-b", secret, "-F", "raw", filepath.Join(t.TempDir(), "hostile.qcow2"))
	for name, change := range map[string]func(file string) error{
		"another file in its place": func(file string) error { return os.Rename(hostile, file) },
		"it is written to": func(file string) error {
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte(read(t, secret)), 0)
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := rawDisk(t, diskSectors)
			sum := sha256.Sum256([]byte(read(t, file)))
			o := image.ImportOptions{Store: t.TempDir(), Name: "other", File: file, SHA256: sum[:]}
			o.Progress = func(p image.Progress) {
				if p.Stage != image.StageDisk {
					return
				}
				if err := change(file); err != nil {
					t.Error(err)
				}
			}
			img, err := image.Import(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			raw := qemuImg(t, "convert", "-f", "qcow2", "-O", "raw", img.Disk, filepath.Join(t.TempDir(), "raw"))
			if text := read(t, raw); strings.Contains(text, "a secret") || !strings.Contains(text, "a system") {
				t.Error("something else was imported")
			}
		})
	}
}

// TestImportChecksum: --sha256 refuses any other file, and leaves nothing of it; what is no plain file is refused at
// once.
func TestImportChecksum(t *testing.T) {
	nstest.RequireCommand(t, "qemu-img")
	store, file := t.TempDir(), rawDisk(t, diskSectors)
	sum := sha256.Sum256([]byte(read(t, file)))
	o := image.ImportOptions{Store: store, Name: "other", File: file, SHA256: make([]byte, sha256.Size)}
	var wrong *image.ChecksumError
	if _, err := image.Import(t.Context(), o); !errors.As(err, &wrong) || string(wrong.Got) != string(sum[:]) || !isEmpty(t, store) {
		t.Errorf("another checksum: %v", err)
	}
	o.SHA256 = sum[:]
	if _, err := image.Import(t.Context(), o); err != nil {
		t.Error(err)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	var not *image.NotImageError
	if _, err := image.Import(t.Context(), image.ImportOptions{Store: store, Name: "fifo", File: fifo}); !errors.As(err, &not) {
		t.Errorf("a FIFO: %v", err)
	}
}
