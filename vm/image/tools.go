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

// A tool that is not in busybox goes into the guest as a packed archive, with
// the shared libraries it needs, and is unpacked when it is first called: the
// boot then pays for copying 5 MB (one part in fifty, without hardware
// virtualisation) and not for 12 MB.
const (
	toolPackage = "tcpdump"
	toolFile    = "bin/tcpdump"
	toolInstall = "usr/bin/tcpdump" // where the script that unpacks it lies
	toolArchive = "usr/lib/kvmlab/tcpdump.tar.gz"
	toolLibDir  = "lib/x86_64-linux-gnu" // where the dynamic linker looks
)

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

// closure finds the dynamic linker and all libraries that the program needs, by
// the names under which they are asked for.
func (l libraries) closure(program []byte) (linker string, needed map[string][]byte, err error) {
	linker, err = interpreter(program)
	if err != nil {
		return "", nil, err
	}
	needed = map[string][]byte{}
	todo := [][]byte{program}
	names := []string{path.Base(linker)}
	for len(todo) > 0 {
		f, err := elf.NewFile(bytes.NewReader(todo[0]))
		if err != nil {
			return "", nil, err
		}
		more, err := f.ImportedLibraries()
		if err != nil {
			return "", nil, err
		}
		todo, names = todo[1:], append(names, more...)
		for _, name := range names {
			if _, ok := needed[name]; ok {
				continue
			}
			content, ok := l.find(name)
			if !ok {
				return "", nil, &MissingError{What: name, From: "what " + toolPackage + " depends on"}
			}
			needed[name] = content
			todo = append(todo, content)
		}
		names = nil
	}
	return linker, needed, nil
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
	return "", &MissingError{What: "a dynamic linker", From: toolFile}
}

// packTool is the archive: the program in the place of the script that unpacks
// it, its libraries and the dynamic linker. The same content gives the same bytes.
func packTool(program []byte, libs libraries) ([]byte, error) {
	linker, needed, err := libs.closure(program)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{toolInstall: program}
	for name, content := range needed {
		if name == path.Base(linker) {
			files[strings.TrimPrefix(linker, "/")] = content
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

// resolveTool asks apt for the tool's package and the libraries that it depends
// on. Other dependencies (adduser, say) serve installing it, not running it.
func resolveTool(ctx context.Context) ([]Package, error) {
	var list []Package
	seen := map[string]bool{toolPackage: true}
	for next := []string{toolPackage}; len(next) > 0; {
		records, err := aptShow(ctx, next...)
		if err != nil {
			return nil, fmt.Errorf("resolve %s: %w", toolPackage, err)
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
