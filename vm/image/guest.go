package image

import (
	"embed"
	"io/fs"
	"strings"

	"github.com/cavaliergopher/cpio"
)

// guestFiles are the micro guest's own scripts and settings, as they lie in its
// file system.
//
//go:embed guest
var guestFiles embed.FS

// applets are the links to busybox that something runs by path. The scripts need
// none, for busybox's shell knows its own applets; "busybox --install" makes all
// of them in the guest, when nobody waits any more.
var applets = []string{"bin/sh", "sbin/init", "sbin/modprobe"}

// guestTree is the micro guest's file system without kernel modules.
func guestTree(busybox []byte) (tree, error) {
	t := tree{}
	for _, d := range []string{"dev", "proc", "sys", "root", "tmp", "run/kvmlab", "sbin", "usr/sbin"} {
		t.dir(d)
	}
	// Nothing ever writes to this pipe: the scripts sleep by reading it.
	t["run/kvmlab/nap"] = node{mode: cpio.TypeFifo | 0o600}
	// What the console waits for comes over this one.
	t["run/kvmlab/news"] = node{mode: cpio.TypeFifo | 0o600}
	t.file("bin/busybox", 0o755, busybox)
	for _, name := range applets {
		t.link(name, "/bin/busybox")
	}
	err := fs.WalkDir(guestFiles, "guest", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := guestFiles.ReadFile(name)
		if err != nil {
			return err
		}
		// An embedded file has no permissions: what begins with #! is a program.
		mode := cpio.FileMode(0o644)
		if strings.HasPrefix(string(content), "#!") {
			mode = 0o755
		}
		t.file(strings.TrimPrefix(name, "guest/"), mode, content)
		return nil
	})
	return t, err
}
