package image

import (
	"bytes"
	"io"
	"maps"
	"path"
	"slices"

	"github.com/cavaliergopher/cpio"
)

// tree is a file system in memory, by path without a leading slash.
type tree map[string]node

// node is a file, a directory or a symbolic link.
type node struct {
	mode    cpio.FileMode // type and permissions
	content []byte        // of a link: where it points
}

func (t tree) dir(name string) {
	if name == "." {
		return
	}
	if _, ok := t[name]; ok {
		return
	}
	t.dir(path.Dir(name))
	t[name] = node{mode: cpio.TypeDir | 0o755}
}

func (t tree) file(name string, mode cpio.FileMode, content []byte) {
	t.dir(path.Dir(name))
	t[name] = node{mode: cpio.TypeReg | mode, content: content}
}

func (t tree) link(name, target string) {
	t.dir(path.Dir(name))
	t[name] = node{mode: cpio.TypeSymlink | 0o777, content: []byte(target)}
}

// write writes the tree as a newc archive, the form of an initramfs
// (Documentation/driver-api/early-userspace/buffer-format). The same tree gives
// the same bytes: sorted by path, everything root's, times zero, inodes counted
// from 1. The kernel makes a directory only before what is in it, which sorting
// ensures.
func (t tree) write(w io.Writer) error {
	cw := cpio.NewWriter(w)
	for i, name := range slices.Sorted(maps.Keys(t)) {
		n := t[name]
		h := &cpio.Header{Name: name, Mode: n.mode, Inode: int64(i + 1), Links: 1, Size: int64(len(n.content))}
		if err := cw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := cw.Write(n.content); err != nil {
			return err
		}
	}
	return cw.Close()
}

// bytes is the archive as one piece.
func (t tree) bytes() ([]byte, error) {
	var b bytes.Buffer
	if err := t.write(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
