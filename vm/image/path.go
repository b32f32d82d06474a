package image

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
)

// Path is a list of stores, searched in order: the one that is built into first,
// then those that are only read, such as that of a package.
type Path []string

// Lookup finds the image of that name that guests are to boot: of the first store
// that has one which is whole and which this program would build like that. So an
// image that was built here counts for more than one that came with a package,
// until an upgrade makes it stale. A stale one is better than none. Errors: those
// of the function Lookup.
func (p Path) Lookup(name string) (Image, error) {
	found, missing := Image{}, fmt.Errorf("image %q: %w", name, ErrNoImage)
	for _, store := range p {
		img, err := Lookup(store, name)
		switch {
		case err == nil && !img.Stale():
			return img, nil
		case err == nil && found.Name == "":
			found = img
		case errors.Is(missing, ErrNoImage): // What is said about the first store that has a damaged one counts.
			missing = err
		}
	}
	if found.Name != "" {
		return found, nil
	}
	return Image{}, missing
}

// List gives the image that Lookup finds for every name, sorted by name. Damaged
// images that no other store has are left out and reported in the error, beside
// the whole ones.
func (p Path) List() ([]Image, error) {
	names := map[string]bool{}
	for _, store := range p {
		links, err := filepath.Glob(filepath.Join(store, "*", currentLink))
		if err != nil {
			return nil, err
		}
		for _, link := range links {
			names[filepath.Base(filepath.Dir(link))] = true
		}
	}
	images := make([]Image, 0, len(names))
	var damaged []error
	for _, name := range slices.Sorted(maps.Keys(names)) {
		img, err := p.Lookup(name)
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		images = append(images, img)
	}
	return images, errors.Join(damaged...)
}
