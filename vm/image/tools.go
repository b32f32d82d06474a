package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// Tools that are not in busybox go into the guest as a packed archive, with the
// shared libraries they need, and are unpacked when one is first called: the boot
// then pays for copying 6 MB (one part in fifty, without hardware virtualisation)
// and not for 15 MB.
const (
	toolArchive = "usr/lib/kvmlab/tools.tar.gz"
	toolLibDir  = "lib/x86_64-linux-gnu" // where the dynamic linker looks
)

// tool is a program and the package that it comes from.
type tool struct {
	pkg  string
	file string // as walkDeb names it
	path string // in the guest
}

// tools: of tcpdump's place a script in the guest knows (usr/bin/tcpdump), of the
// agent's another (lib/kvmlab/agent).
var tools = []tool{
	{pkg: "qemu-guest-agent", file: "sbin/qemu-ga", path: "usr/sbin/qemu-ga"},
	{pkg: "tcpdump", file: "bin/tcpdump", path: "usr/bin/tcpdump"},
}

// library is a shared library or a link to one, as packages have them.
type library struct {
	content []byte
	target  string // of a link: the base name it points to
}

// libraries are all shared libraries of the packages, by base name.
type libraries map[string]library

// isLibrary tells names such as lib/x86_64-linux-gnu/libc.so.6 from others.
// Variants for newer processors (glibc-hwcaps) are left out.
func isLibrary(name string) bool {
	return strings.HasPrefix(name, "lib") && strings.Contains(path.Base(name), ".so") &&
		!strings.Contains(name, "glibc-hwcaps") && !strings.HasPrefix(name, "lib/modules/")
}

// add keeps a library or a link; other kinds of entries are passed over.
func (l libraries) add(h *tar.Header, r io.Reader) error {
	base := path.Base(h.Name)
	switch h.Typeflag {
	case tar.TypeSymlink:
		// libc6 has lib64/ld-linux… as a link to the file of the same name.
		if target := path.Base(h.Linkname); target != base {
			l[base] = library{target: target}
		}
	case tar.TypeReg:
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		l[base] = library{content: content}
	}
	return nil
}

// find gives the content behind a name, through links.
func (l libraries) find(name string) ([]byte, bool) {
	for range 4 {
		lib, ok := l[name]
		if !ok || lib.content != nil {
			return lib.content, ok
		}
		name = lib.target
	}
	return nil, false
}

// closure finds the dynamic linker and adds all libraries that the program needs,
// by the names under which they are asked for.
func (l libraries) closure(program []byte, needed map[string][]byte) (linker string, err error) {
	linker, err = interpreter(program)
	if err != nil {
		return "", err
	}
	todo := [][]byte{program}
	names := []string{path.Base(linker)}
	for len(todo) > 0 {
		f, err := elf.NewFile(bytes.NewReader(todo[0]))
		if err != nil {
			return "", err
		}
		more, err := f.ImportedLibraries()
		if err != nil {
			return "", err
		}
		todo, names = todo[1:], append(names, more...)
		for _, name := range names {
			if _, ok := needed[name]; ok {
				continue
			}
			content, ok := l.find(name)
			if !ok {
				return "", &MissingError{What: name, From: "what the tools depend on"}
			}
			needed[name] = content
			todo = append(todo, content)
		}
		names = nil
	}
	return linker, nil
}

// interpreter is the path of the dynamic linker that a program names.
func interpreter(program []byte) (string, error) {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return "", err
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
			return strings.TrimRight(string(name), "\x00"), err
		}
	}
	return "", &MissingError{What: "a dynamic linker", From: "a tool"}
}

// packTools is the archive: the programs, by their paths in the guest, their
// libraries and the dynamic linker. The same content gives the same bytes.
func packTools(programs map[string][]byte, libs libraries) ([]byte, error) {
	files, needed := maps.Clone(programs), map[string][]byte{}
	linkers := map[string]string{} // base name: path
	for _, program := range slices.Sorted(maps.Keys(programs)) {
		linker, err := libs.closure(programs[program], needed)
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", program, err)
		}
		linkers[path.Base(linker)] = strings.TrimPrefix(linker, "/")
	}
	for name, content := range needed {
		if linker, ok := linkers[name]; ok {
			files[linker] = content
			continue
		}
		files[path.Join(toolLibDir, name)] = content
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	tw := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name])), Format: tar.FormatUSTAR}
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := tw.Write(files[name]); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(tw.Close(), z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// resolveTools asks apt for the tools' packages and the libraries that they depend
// on. Other dependencies (adduser, say) serve installing them, not running them.
func resolveTools(ctx context.Context) ([]Package, error) {
	var next []string
	seen := map[string]bool{}
	for _, t := range tools {
		next = append(next, t.pkg)
		seen[t.pkg] = true
	}
	var list []Package
	for len(next) > 0 {
		records, err := aptShow(ctx, next...)
		if err != nil {
			return nil, fmt.Errorf("resolve the tools: %w", err)
		}
		next = nil
		for _, r := range records {
			list = append(list, r.Package)
			for _, d := range r.depends {
				if strings.HasPrefix(d, "lib") && !seen[d] {
					seen[d] = true
					next = append(next, d)
				}
			}
		}
	}
	return list, nil
}
