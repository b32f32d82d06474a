package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

// What a micro image is made from.
const (
	kernelMeta     = "linux-image-cloud-amd64" // depends on the kernel's package proper
	kernelPrefix   = "linux-image-"
	busyboxPackage = "busybox-static"
)

// debStore is STORE/debs: packages as they came, and which of them the last build
// was made from, so that the next one needs no network.
type debStore struct{ dir string }

// debIndex is debs/micro.json.
type debIndex struct {
	Version  int       `json:"version"`
	Packages []Package `json:"packages"`
}

const (
	debsDir         = "debs" // of a store
	debIndexFile    = "micro.json"
	debIndexVersion = 1
	fetchDir        = ".fetch" // of debs: what is being downloaded
)

// path is where the store keeps a package. Versions may hold a colon, which apt
// writes as %3a and which is a plain character for us.
func (s debStore) path(p Package) string {
	return filepath.Join(s.dir, p.Name+"_"+strings.ReplaceAll(p.Version, "/", "_")+".deb")
}

// has says whether the store holds the package, whole. A damaged copy is removed.
func (s debStore) has(p Package) (bool, error) {
	err := checkFile(s.path(p), p.Size, p.SHA256)
	var corrupt *CorruptError
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.As(err, &corrupt):
		return false, os.Remove(s.path(p))
	}
	return false, err
}

// missing are the packages of the list that the store does not hold.
func (s debStore) missing(list []Package) ([]Package, error) {
	var missing []Package
	for _, p := range list {
		ok, err := s.has(p)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

// last is the list that the last build was made from, if all of it is still here.
func (s debStore) last() ([]Package, bool) {
	text, err := os.ReadFile(filepath.Join(s.dir, debIndexFile))
	if err != nil {
		return nil, false
	}
	var index debIndex
	if json.Unmarshal(text, &index) != nil || index.Version != debIndexVersion {
		return nil, false
	}
	missing, err := s.missing(index.Packages)
	return index.Packages, err == nil && len(missing) == 0
}

// remember makes list the one that last returns, and drops all other packages and
// what an interrupted download left.
func (s debStore) remember(list []Package) error {
	text, err := json.MarshalIndent(debIndex{Version: debIndexVersion, Packages: list}, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(s.dir, debIndexFile), append(text, '\n'), 0o644); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "*.deb"))
	if err != nil {
		return err
	}
	if err := s.dropFetched(); err != nil {
		return err
	}
	for _, file := range files {
		if !slices.ContainsFunc(list, func(p Package) bool { return s.path(p) == file }) {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetch downloads packages into the store. What is whole when it fails or is interrupted stays, and the next one goes on
// from there. Errors: as aptDownload; *CorruptError for what is not what the lists say.
func (s debStore) fetch(ctx context.Context, list []Package) error {
	// Beside their places, so that they get there by a rename.
	dir := filepath.Join(s.dir, fetchDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	failure := aptDownload(ctx, dir, list)
	for _, p := range list {
		if err := s.keep(dir, p); err != nil && failure == nil {
			failure = err
		}
	}
	return failure
}

// keep moves a downloaded package to its place.
func (s debStore) keep(dir string, p Package) error {
	// apt names the file by its own rules, and an older version may lie beside it: the hash tells which one it is.
	files, err := filepath.Glob(filepath.Join(dir, p.Name+"_*.deb"))
	if err != nil {
		return err
	}
	err = fmt.Errorf("download %s: apt left no file", p.Name)
	for _, file := range files {
		if err = checkFile(file, p.Size, p.SHA256); err == nil {
			return os.Rename(file, s.path(p))
		}
	}
	return err
}

// dropFetched removes what downloads have left.
func (s debStore) dropFetched() error { return os.RemoveAll(filepath.Join(s.dir, fetchDir)) }

// resolve asks apt which packages a micro image is made from now.
func resolve(ctx context.Context) ([]Package, error) {
	first, err := aptShow(ctx, kernelMeta, busyboxPackage)
	if err != nil {
		return nil, err
	}
	var list []Package
	var kernel string
	for _, r := range first {
		if r.Name == busyboxPackage {
			list = append(list, r.Package)
		}
		for _, d := range r.depends {
			if r.Name == kernelMeta && strings.HasPrefix(d, kernelPrefix) {
				kernel = d
			}
		}
	}
	if kernel == "" {
		return nil, fmt.Errorf("package %s names no kernel: %w", kernelMeta, ErrNoLists)
	}
	second, err := aptShow(ctx, kernel)
	if err != nil {
		return nil, err
	}
	tools, err := resolveTools(ctx)
	if err != nil {
		return nil, err
	}
	list = append(append(list, second[0].Package), tools...)
	slices.SortFunc(list, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
