package image

import (
	"path/filepath"
	"strings"
)

// For the tests, which are outside of the package.
var (
	WalkDeb      = walkDeb
	UnpackKernel = unpackKernel
	DependsOf    = dependsOf
	ParseRecords = func(text []byte) (list []Package, depends [][]string) {
		for _, r := range parseRecords(text) {
			list, depends = append(list, r.Package), append(depends, r.depends)
		}
		return list, depends
	}
	CheckRoom = checkRoom
)

// ModuleClosure resolves the wanted modules among files (name and content), some
// of which may be built in, and gives the text of modules.dep.
func ModuleClosure(files map[string][]byte, builtin, wanted []string) (string, error) {
	m := modules{files: map[string]kernelModule{}, builtin: map[string]bool{}}
	for name, content := range files {
		m.files[name] = kernelModule{file: name + ".ko", content: content}
	}
	for _, name := range builtin {
		m.builtin[name] = true
	}
	deps, err := m.closure(wanted)
	return string(m.depFile(deps)), err
}

// ParseTargets gives the lines of sources.list.
func ParseTargets(text string) []string {
	return strings.Split(strings.TrimSpace(parseTargets(text)), "\n")
}

// PublishMicro puts a micro image with that kernel into a store, as this program builds it or, stale, as another does.
func PublishMicro(store, kernel string, stale bool) (Image, error) {
	recipe, err := microRecipe()
	if err != nil {
		return Image{}, err
	}
	if stale {
		recipe = "another"
	}
	dir := filepath.Join(store, Micro)
	if err := makeDirs(dir); err != nil {
		return Image{}, err
	}
	c := content{kernelName: "vmlinux", kernel: []byte(kernel), initrd: []byte("initrd"), recipe: recipe}
	return c.publish(dir, Micro)
}
