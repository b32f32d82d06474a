package image

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// wantedModules are what a micro guest needs: the two ways that virtio devices
// appear (microvm: mmio; q35: PCI), the identity's port, network cards, and the
// host's randomness.
var wantedModules = []string{"virtio_mmio", "virtio_pci", "virtio_console", "virtio_net", "virtio_rng"}

// buttonModules are the power button, and the device that tells a program of it.
var buttonModules = []string{"button", "evdev"}

// modules are a kernel's loadable modules, by the name that modprobe takes.
type modules struct {
	files   map[string]kernelModule
	builtin map[string]bool
}

// kernelModule is one .ko file, uncompressed.
type kernelModule struct {
	file    string // its name, with .ko
	content []byte
}

// moduleName is what modprobe calls the module in that file: dashes and
// underscores are the same.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// add keeps the module in that file (.ko, .ko.xz, .ko.zst or .ko.gz).
func (m *modules) add(file string, r io.Reader) error {
	r, err := decompress(r)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	name := moduleName(file)
	m.files[name] = kernelModule{file: strings.ReplaceAll(name, "-", "_") + ".ko", content: content}
	return nil
}

// addBuiltin reads modules.builtin: the paths of what is inside the kernel.
func (m *modules) addBuiltin(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		m.builtin[moduleName(strings.TrimSpace(line))] = true
	}
	return nil
}

// closure gives the wanted modules and all that they depend on, each with its
// dependencies in the order in which modules.dep has them: the nearest first.
func (m *modules) closure(wanted []string) (map[string][]string, error) {
	deps := map[string][]string{}
	for _, name := range wanted {
		if _, err := m.resolve(name, deps, nil); err != nil {
			return nil, err
		}
	}
	return deps, nil
}

// resolve fills deps for one module and returns what it depends on, transitively.
// stack is the way here, to end at a cycle.
func (m *modules) resolve(name string, deps map[string][]string, stack []string) ([]string, error) {
	if done, ok := deps[name]; ok {
		return done, nil
	}
	if m.builtin[name] {
		return nil, nil
	}
	mod, ok := m.files[name]
	if !ok {
		return nil, &MissingError{What: "module " + name, From: "the kernel's package"}
	}
	if slices.Contains(stack, name) {
		return nil, fmt.Errorf("module %s depends on itself", name)
	}
	direct, err := dependsOf(mod.content)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	var all []string
	for _, d := range direct {
		below, err := m.resolve(d, deps, append(stack, name))
		if err != nil {
			return nil, err
		}
		if !m.builtin[d] {
			all = appendNew(all, d)
		}
		all = appendNew(all, below...)
	}
	deps[name] = all
	return all, nil
}

func appendNew(list []string, names ...string) []string {
	for _, n := range names {
		// A later place wins: what is loaded last in the list is loaded first.
		list = slices.DeleteFunc(list, func(have string) bool { return have == n })
		list = append(list, n)
	}
	return list
}

// dependsOf reads the "depends=" of a module's .modinfo section.
func dependsOf(content []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, &MissingError{What: ".modinfo", From: "the module"}
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok {
			return strings.FieldsFunc(strings.ReplaceAll(list, "-", "_"), func(r rune) bool { return r == ',' }), nil
		}
	}
	return nil, nil
}

// depFile is modules.dep for modprobe: "a.ko: b.ko c.ko", sorted by name.
func (m *modules) depFile(deps map[string][]string) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(deps)) {
		b.WriteString(m.files[name].file + ":")
		for _, d := range deps[name] {
			b.WriteString(" " + m.files[d].file)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}
