package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names inside a store.
const (
	// Micro is the name of the micro image.
	Micro = "micro"
	// Debian is the name of the full Debian.
	Debian = "debian"

	diskFile = "disk.qcow2"

	manifestFile    = "manifest.json"
	manifestVersion = 1
	currentLink     = "current"
)

// Image is one image of a store, ready to be booted.
type Image struct {
	Name   string
	Digest string // of the content; also the name of its directory
	Dir    string // absolute
	// Kernel and Initrd are absolute paths for QEMU's -kernel and -initrd; empty for an
	// imported image, which boots from its disk.
	Kernel, Initrd string
	// Cmdline is the kernel's command line. What depends on the machine, such as
	// tsc_early_khz, is for the caller to add.
	Cmdline string
	// MinMemory is the least memory that the image boots and works with, in bytes.
	MinMemory int64
	// Disk is the read-only base of the guests' disks, as qcow2: an absolute path,
	// or empty for an image that lives in memory. DiskSize is what guests see, in bytes.
	Disk     string
	DiskSize int64
	// Recipe identifies what the image was built by; empty when that is not known.
	Recipe string
	// Packages that the image was made from.
	Packages []Package
	// Keys are the SSH public keys that guests of an imported image let in.
	Keys []string
}

// Imported reports whether the image came from elsewhere: guests of it boot from
// their disk, and learn who they are from a Seed.
func (i Image) Imported() bool { return i.Kernel == "" }

// Package is a Debian package, exactly.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // of the .deb, in hex
	Size    int64  `json:"size"`   // of the .deb, in bytes
}

// manifest is manifest.json: what an image is. It holds no time and no path of
// the host, so that two builds give the same one.
type manifest struct {
	Version   int         `json:"version"`
	Name      string      `json:"name"`
	Digest    string      `json:"digest"`
	Kernel    storedFile  `json:"kernel,omitzero"`
	Initrd    storedFile  `json:"initrd,omitzero"`
	Disk      *storedFile `json:"disk,omitempty"`
	DiskSize  int64       `json:"disk_size,omitempty"` // bytes, as guests see it
	Cmdline   string      `json:"cmdline"`
	MinMemory int64       `json:"min_memory"` // bytes
	Recipe    string      `json:"recipe,omitempty"`
	Packages  []Package   `json:"packages"`
	Keys      []string    `json:"ssh_keys,omitempty"`
}

// storedFile is one file of an image.
type storedFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// files are all files of the image.
func (m manifest) files() []storedFile {
	var list []storedFile
	for _, f := range []storedFile{m.Kernel, m.Initrd} {
		if f != (storedFile{}) {
			list = append(list, f)
		}
	}
	if m.Disk != nil {
		list = append(list, *m.Disk)
	}
	return list
}

// Lookup finds the current image of that name. It looks at the files' sizes and
// not at their content, so it takes well under a millisecond: Verify reads them.
// Errors: ErrNoImage; *CorruptError when a file is gone or cut short.
func Lookup(store, name string) (Image, error) {
	dir := filepath.Join(store, name)
	digest, err := os.Readlink(filepath.Join(dir, currentLink))
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, fmt.Errorf("image %q in %s: %w", name, store, ErrNoImage)
	}
	if err != nil {
		return Image{}, fmt.Errorf("find image %q: %w", name, err)
	}
	img, err := load(filepath.Join(dir, filepath.Base(digest)))
	if err != nil {
		return Image{}, fmt.Errorf("find image %q: %w", name, err)
	}
	return img, nil
}

// List gives the current image of every name in the store, sorted by name. A
// store that does not exist is empty. Damaged images are left out and reported in
// the error, beside the whole ones.
func List(store string) ([]Image, error) {
	links, err := filepath.Glob(filepath.Join(store, "*", currentLink))
	if err != nil {
		return nil, fmt.Errorf("list images of %s: %w", store, err)
	}
	images := make([]Image, 0, len(links))
	var damaged []error
	for _, link := range links {
		img, err := Lookup(store, filepath.Base(filepath.Dir(link)))
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		images = append(images, img)
	}
	return images, errors.Join(damaged...)
}

// load makes an Image of a directory, after a look at its files' sizes.
func load(dir string) (Image, error) {
	m, err := readManifest(dir)
	if err != nil {
		return Image{}, err
	}
	for _, f := range m.files() {
		path := filepath.Join(dir, f.Name)
		if info, err := os.Stat(path); err != nil || info.Size() != f.Size {
			return Image{}, &CorruptError{File: path, Want: f.SHA256}
		}
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return Image{}, err
	}
	img := Image{
		Name: m.Name, Digest: m.Digest, Dir: dir,
		Cmdline: m.Cmdline, MinMemory: m.MinMemory, DiskSize: m.DiskSize, Recipe: m.Recipe, Packages: m.Packages,
		Keys: m.Keys,
	}
	if m.Kernel.Name != "" {
		img.Kernel, img.Initrd = filepath.Join(dir, m.Kernel.Name), filepath.Join(dir, m.Initrd.Name)
	}
	if m.Disk != nil {
		img.Disk = filepath.Join(dir, m.Disk.Name)
	}
	return img, nil
}

// readManifest reads and checks the manifest of an image's directory.
func readManifest(dir string) (manifest, error) {
	path := filepath.Join(dir, manifestFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return manifest{}, &CorruptError{File: path}
	}
	if err != nil {
		return manifest{}, err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	if m.Version != manifestVersion {
		return manifest{}, fmt.Errorf("%s: version %d, this program reads %d", path, m.Version, manifestVersion)
	}
	for _, f := range m.files() {
		if filepath.Base(f.Name) != f.Name {
			return manifest{}, &CorruptError{File: path}
		}
	}
	return m, nil
}
