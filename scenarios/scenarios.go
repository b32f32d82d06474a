// Package scenarios holds the labs that are built into kvmlab, as lab files in
// folders of their own: <name>/lab.yaml.
package scenarios

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
)

//go:embed three-taps
var files embed.FS

// Default is the lab that `kvmlab up` brings up when none is named.
const Default = "three-taps"

// ErrUnknown is returned for a name that no built-in lab has.
var ErrUnknown = errors.New("no such built-in lab")

// Names gives the names of all built-in labs, sorted.
func Names() []string {
	// Reading a folder that is part of the program cannot fail.
	entries, _ := files.ReadDir(".")
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// LabFile gives the lab file of a built-in lab: the name that positions in it
// are shown with, and its text. The error is [ErrUnknown] when there is none of
// that name.
func LabFile(name string) (file string, text []byte, err error) {
	if !slices.Contains(Names(), name) {
		return "", nil, fmt.Errorf("open built-in lab %q: %w", name, ErrUnknown)
	}
	file = path.Join(name, "lab.yaml")
	text, err = files.ReadFile(file)
	if err != nil {
		return "", nil, fmt.Errorf("open built-in lab %q: %w", name, err)
	}
	return path.Join("scenarios", file), text, nil
}
