package image

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// checkedFile says at which sizes and times the files of an image were last seen to be what the manifest says. It is not
// part of the manifest, which holds no times.
const checkedFile = "checked.json"

// stamp is a file's size and time of change.
type stamp struct {
	Size     int64 `json:"size"`
	Modified int64 `json:"mtime_ns"` // since 1970
}

// Check is Verify for every start of a guest: files that have the size and the
// time at which they were last read are taken to be as they were, and the others
// are read. Errors: *CorruptError.
func (i Image) Check() error {
	seen := map[string]stamp{}
	if text, err := os.ReadFile(filepath.Join(i.Dir, checkedFile)); err == nil && json.Unmarshal(text, &seen) != nil {
		seen = nil // as if nothing had been read yet
	}
	return i.check(func(name string, now stamp) bool { return seen[name] == now })
}

// Verify reads the image's files and compares them with what was stored.
// Errors: *CorruptError.
func (i Image) Verify() error { return i.check(func(string, stamp) bool { return false }) }

// note notes that the files are whole, for they were written just now.
func (i Image) note() error { return i.check(func(string, stamp) bool { return true }) }

// check reads the image's files but those that are known to be whole, and notes that all of them are. When that cannot be
// noted, they are read once more the next time.
func (i Image) check(known func(name string, now stamp) bool) error {
	m, err := readManifest(i.Dir)
	if err != nil {
		return fmt.Errorf("check image %q: %w", i.Name, err)
	}
	whole := map[string]stamp{}
	for _, f := range m.files() {
		path := filepath.Join(i.Dir, f.Name)
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("check image %q: %w", i.Name, &CorruptError{File: path, Want: f.SHA256})
		}
		whole[f.Name] = stamp{info.Size(), info.ModTime().UnixNano()}
		if known(f.Name, whole[f.Name]) {
			continue
		}
		if err := checkFile(path, f.Size, f.SHA256); err != nil {
			return fmt.Errorf("check image %q: %w", i.Name, err)
		}
	}
	path := filepath.Join(i.Dir, checkedFile)
	text, err := json.Marshal(whole)
	if old, readErr := os.ReadFile(path); err == nil && (readErr != nil || string(old) != string(text)) {
		_ = renameio.WriteFile(path, text, 0o644)
	}
	return nil
}
