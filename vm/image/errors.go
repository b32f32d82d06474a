package image

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNoImage means that the store has no image of that name yet.
	ErrNoImage = errors.New("no such image")
	// ErrNoApt means that this host has no apt to get packages with.
	ErrNoApt = errors.New("apt is not on this host")
	// ErrNoLists means that apt does not know a package, most often because its
	// lists were never fetched (apt-get update).
	ErrNoLists = errors.New("apt does not know the package")
	// ErrOffline means that packages could not be fetched and that the store has
	// no copies of them.
	ErrOffline = errors.New("packages cannot be fetched and none are cached")
	// ErrNotPackage means a file that is not a Debian package.
	ErrNotPackage = errors.New("not a Debian package")
	// ErrNoDebian means that apt on this host has no source of the Debian release
	// that the image is made of.
	ErrNoDebian = errors.New("apt has no source of Debian 12 (bookworm)")
)

// PackageError is a package that apt's lists do not have.
type PackageError struct{ Package string }

func (e *PackageError) Error() string { return fmt.Sprintf("package %s: %v", e.Package, ErrNoLists) }

// Unwrap gives ErrNoLists.
func (e *PackageError) Unwrap() error { return ErrNoLists }

// FetchError is what apt could not fetch from its archives: lists, or packages.
type FetchError struct {
	Said string // apt's first complaint
	Err  error  // how apt ended
}

func (e *FetchError) Error() string { return fmt.Sprintf("apt-get: %v: %s", e.Err, e.Said) }

// Unwrap gives ErrOffline and how apt ended.
func (e *FetchError) Unwrap() []error { return []error{ErrOffline, e.Err} }

// ProgramError is a program that a build needs and that is not on this host. Package
// is what must be installed; several names, where more than the program is missing.
type ProgramError struct{ Program, Package string }

func (e *ProgramError) Error() string {
	return fmt.Sprintf("%s is not on this host (package %s)", e.Program, e.Package)
}

// BootstrapError is mmdebstrap's failure, with its last words.
type BootstrapError struct {
	Said []string
	Err  error
}

func (e *BootstrapError) Error() string {
	return fmt.Sprintf("mmdebstrap: %v: %s", e.Err, strings.Join(e.Said, "; "))
}

// Unwrap gives how it ended.
func (e *BootstrapError) Unwrap() error { return e.Err }

// NoRoomError is a file system with too little space for a build.
type NoRoomError struct {
	Path       string
	Need, Free uint64 // bytes
	Err        error  // what failed when it filled up; nil when the build did not begin
}

func (e *NoRoomError) Error() string {
	return fmt.Sprintf("%s: %d MiB are free and %d MiB are needed", e.Path, e.Free>>20, e.Need>>20)
}

// Unwrap gives what failed.
func (e *NoRoomError) Unwrap() error { return e.Err }

// CorruptError is a stored file whose content is not what was stored.
type CorruptError struct {
	File      string
	Want, Got string // SHA-256 in hex; Got is "" when the file has another size or is gone
}

func (e *CorruptError) Error() string { return e.File + ": damaged: " + e.Reason() }

// Reason says what is not as it was.
func (e *CorruptError) Reason() string {
	if e.Got == "" {
		return "it is gone, or has not the size that was stored"
	}
	return fmt.Sprintf("its SHA-256 is %s, and was %s", e.Got, e.Want)
}

// MissingError is something that an image needs and that no package had.
type MissingError struct {
	What, From string
}

func (e *MissingError) Error() string { return fmt.Sprintf("%s is not in %s", e.What, e.From) }

// NameProblem is what is wrong with the name of an image to import.
type NameProblem int

// What can be wrong with a name.
const (
	NameForm    NameProblem = iota + 1 // not a name
	NameBuiltIn                        // of an image that is built here
	NameTaken                          // of an image that is there
)

// String says it.
func (p NameProblem) String() string {
	switch p {
	case NameForm:
		return "not lower-case letters and digits"
	case NameBuiltIn:
		return "an image that kvmlab builds itself has it"
	case NameTaken:
		return "another image has it"
	}
	return fmt.Sprintf("NameProblem(%d)", int(p))
}

// NameError is a name that an image cannot be imported under.
type NameError struct {
	Name    string
	Problem NameProblem
}

func (e *NameError) Error() string { return fmt.Sprintf("image name %q: %v", e.Name, e.Problem) }

// NotImageError is a file that cannot be imported.
type NotImageError struct{ File, Reason string }

func (e *NotImageError) Error() string { return e.File + ": " + e.Reason }

// ChecksumError is a file that is not the one that was meant.
type ChecksumError struct {
	File      string
	Want, Got []byte // SHA-256
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%s: its SHA-256 is %x, and not %x", e.File, e.Got, e.Want)
}
