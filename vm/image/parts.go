package image

import (
	"archive/tar"
	"io"
	"path"
	"slices"
	"strings"
)

// parts are what a micro image takes out of its packages.
type parts struct {
	busybox, bzImage []byte
	release          string // of the kernel, as in lib/modules/<release>
	modules          modules
	libs             libraries
	tools            map[string][]byte // by their paths in the guest
}

// take keeps an entry of a package if the image has a use for it.
func (p *parts) take(h *tar.Header, r io.Reader) (err error) {
	base := path.Base(h.Name)
	switch {
	case isLibrary(h.Name):
		return p.libs.add(h, r)
	case h.Typeflag != tar.TypeReg:
	case h.Name == "bin/busybox":
		p.busybox, err = io.ReadAll(r)
	case strings.HasPrefix(h.Name, "boot/vmlinuz-"):
		p.release = strings.TrimPrefix(base, "vmlinuz-")
		p.bzImage, err = io.ReadAll(r)
	case base == "modules.builtin":
		err = p.modules.addBuiltin(r)
	case strings.HasPrefix(h.Name, "lib/modules/") && strings.Contains(base, ".ko"):
		err = p.modules.add(base, r)
	default:
		return p.takeTool(h.Name, r)
	}
	return err
}

func (p *parts) takeTool(name string, r io.Reader) (err error) {
	for _, t := range tools {
		if t.file == name {
			p.tools[t.path], err = io.ReadAll(r)
		}
	}
	return err
}

// check says what no package had.
func (p *parts) check() error {
	switch {
	case p.busybox == nil:
		return &MissingError{What: "bin/busybox", From: busyboxPackage}
	case p.bzImage == nil:
		return &MissingError{What: "boot/vmlinuz", From: kernelMeta}
	}
	for _, t := range tools {
		if p.tools[t.path] == nil {
			return &MissingError{What: t.file, From: t.pkg}
		}
	}
	return nil
}

// initrd is the micro guest's whole file system, as the kernel takes it.
func (p *parts) initrd() ([]byte, error) {
	t, err := guestTree(p.busybox)
	if err != nil {
		return nil, err
	}
	if err := p.addModules(t, slices.Concat(wantedModules, buttonModules)); err != nil {
		return nil, err
	}
	archive, err := packTools(p.tools, p.libs)
	if err != nil {
		return nil, err
	}
	t.file(toolArchive, 0o644, archive)
	return t.bytes()
}

// addModules puts modules, and all that they depend on, where modprobe looks.
func (p *parts) addModules(t tree, wanted []string) error {
	deps, err := p.modules.closure(wanted)
	if err != nil {
		return err
	}
	dir := modulesDir(p.release)
	for name := range deps {
		m := p.modules.files[name]
		t.file(path.Join(dir, m.file), 0o644, m.content)
	}
	t.file(path.Join(dir, "modules.dep"), 0o644, p.modules.depFile(deps))
	return nil
}

// modulesDir is where a kernel looks for its modules.
func modulesDir(release string) string { return path.Join("lib/modules", release) }

// newParts is an empty collection.
func newParts() *parts {
	return &parts{
		modules: modules{files: map[string]kernelModule{}, builtin: map[string]bool{}},
		libs:    libraries{},
		tools:   map[string][]byte{},
	}
}
