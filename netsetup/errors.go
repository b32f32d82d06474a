package netsetup

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

var (
	// ErrPermission means that the process lacks CAP_NET_ADMIN or may not open /dev/net/tun.
	ErrPermission = errors.New("no permission to administer the network")
	// ErrNoTun means that the kernel has no tun driver, or that /dev/net/tun is missing.
	ErrNoTun = errors.New("no tun driver (/dev/net/tun)")
	// ErrNotFound means that a link that was named is not there.
	ErrNotFound = errors.New("no such link")
)

// ForeignError says that a link is in the way that does not belong to the owner that was given.
type ForeignError struct {
	Name  string // The link's name.
	Kind  Kind
	Owner Owner // Zero, unless the link is another lab's, or another object of this lab.
}

func (e *ForeignError) Error() string {
	if e.Owner != (Owner{}) {
		return fmt.Sprintf("%s %q exists and belongs to %s", e.Kind, e.Name, e.Owner.Alias())
	}
	return fmt.Sprintf("%s %q exists and was not made by kvmlab", e.Kind, e.Name)
}

// NameProblem is what is wrong with a name.
type NameProblem int

// What can be wrong with a name. The zero value is invalid.
const (
	_             NameProblem = iota
	NameEmpty                 // No character at all.
	NameTooLong               // Longer than the kernel takes.
	NameCharacter             // A character other than letters, digits, '.', '_' and '-', or "." or "..".
)

func (p NameProblem) String() string {
	switch p {
	case NameEmpty:
		return "empty"
	case NameTooLong:
		return "too long"
	case NameCharacter:
		return "has a character other than letters, digits, '.', '_' and '-'"
	default:
		return fmt.Sprintf("NameProblem(%d)", int(p))
	}
}

// NameError says why a name will not do.
type NameError struct {
	What    string // "link", "lab" or "object".
	Name    string
	Problem NameProblem
	Max     int // The longest that is allowed, in bytes, when the problem is NameTooLong.
}

func (e *NameError) Error() string {
	if e.Problem == NameTooLong {
		return fmt.Sprintf("%s name %q: %d characters, at most %d are allowed", e.What, e.Name, len(e.Name), e.Max)
	}
	return fmt.Sprintf("%s name %q: %s", e.What, e.Name, e.Problem)
}

// maxName is IFNAMSIZ without the terminating zero.
const maxName = unix.IFNAMSIZ - 1

// ValidName checks the name of a link; the error is a [*NameError]. The kernel's own rule
// (dev_valid_name: 1 to 15 bytes without '/', ':' and white space) also lets through what breaks in
// shells, and '%', which it takes for a number to fill in.
func ValidName(name string) error { return validName("link", name, maxName) }

func validName(what, name string, longest int) error {
	switch {
	case name == "":
		return &NameError{What: what, Name: name, Problem: NameEmpty}
	case len(name) > longest:
		return &NameError{What: what, Name: name, Problem: NameTooLong, Max: longest}
	case name == "." || name == "..":
		return &NameError{What: what, Name: name, Problem: NameCharacter}
	}
	for _, c := range []byte(name) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return &NameError{What: what, Name: name, Problem: NameCharacter}
		}
	}
	return nil
}

// classify adds the sentinel that fits an error of the kernel.
func classify(err error) error {
	if errors.Is(err, fs.ErrPermission) { // EPERM and EACCES.
		return fmt.Errorf("%w: %w", ErrPermission, err)
	}
	return err
}
