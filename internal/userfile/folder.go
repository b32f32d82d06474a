// Package userfile reads files that people hand to a program that runs as root, and writes files that are to be
// theirs, without being led elsewhere by links, devices and pipes.
package userfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OddError is returned for what is there and will not be used.
type OddError struct {
	Path string
	Why  string // "it is a FIFO", "others can write to it"
}

// Error gives path and reason.
func (e *OddError) Error() string { return fmt.Sprintf("%s: %s", e.Path, e.Why) }

// Folder is a folder that files are read from: those that lie in it, and not what links in it lead to.
type Folder struct {
	path  string
	file  *os.File
	files []seen // that were read
}

// seen is a file as it was when it was read.
type seen struct {
	path string
	stat unix.Stat_t
}

// OpenFolder opens the folder at a path. The path itself may go through links.
func OpenFolder(path string) (*Folder, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Folder{path: path, file: os.NewFile(uintptr(fd), path)}, nil
}

// Close closes the folder.
func (f *Folder) Close() error { return f.file.Close() }

// ReadFile reads a plain file of at most so many octets. The error is an *[OddError] for anything else than a plain
// file, or a longer one, and wraps fs.ErrNotExist for a name that is not there.
func (f *Folder) ReadFile(name string, most int64) (_ []byte, err error) {
	path := filepath.Join(f.path, name)
	// O_PATH opens nothing yet: a FIFO would wait for its writer, and a device might do something.
	fd, err := unix.Openat2(int(f.file.Fd()), name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		return nil, &OddError{Path: path, Why: "it is a symbolic link"}
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	place := os.NewFile(uintptr(fd), path)
	defer func() { err = errors.Join(err, place.Close()) }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, &OddError{Path: path, Why: kindOf(stat.Mode)}
	case stat.Size > most:
		return nil, tooLong(path, most)
	}
	// The magic link leads to what fd holds, which was looked at, whatever has the name by now.
	text, err := readAll(fmt.Sprintf("/proc/self/fd/%d", fd), path, most)
	if err == nil {
		f.files = append(f.files, seen{path, stat})
	}
	return text, err
}

func readAll(link, path string, most int64) (_ []byte, err error) {
	file, err := os.Open(link)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(text)) > most { // it has grown
		return nil, tooLong(path, most)
	}
	return text, err
}

func tooLong(path string, most int64) error {
	return &OddError{Path: path, Why: fmt.Sprintf("it is longer than %d KiB", most>>10)}
}

// kindOf says what a file is that is not plain.
func kindOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return "it is a symbolic link"
	case unix.S_IFIFO:
		return "it is a FIFO"
	case unix.S_IFCHR, unix.S_IFBLK:
		return "it is a device"
	case unix.S_IFSOCK:
		return "it is a socket"
	case unix.S_IFDIR:
		return "it is a folder"
	default:
		return "it is no plain file"
	}
}

// Trust looks whether only root and one user can change the folder, the folders that it lies in, and the files that
// were read. The error is an *[OddError] that names the first that others can change.
func (f *Folder) Trust(user Owner) error {
	for _, file := range f.files {
		if why := user.distrusts(file.stat, false); why != "" {
			return &OddError{Path: file.path, Why: why}
		}
	}
	// Upwards by "..", which is where the folder is, and not how its path came there.
	at, err := unix.Openat(int(f.file.Fd()), ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	path := f.path
	var below unix.Stat_t
	for err == nil {
		var stat unix.Stat_t
		if err = unix.Fstat(at, &stat); err != nil {
			break
		}
		if stat.Dev == below.Dev && stat.Ino == below.Ino { // the root is its own parent
			break
		}
		// In a sticky folder such as /tmp nobody can move what is not his.
		if why := user.distrusts(stat, below.Ino != 0); why != "" {
			return errors.Join(&OddError{Path: path, Why: why}, unix.Close(at))
		}
		up, upErr := unix.Openat(at, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		err = errors.Join(upErr, unix.Close(at))
		at, below, path = up, stat, filepath.Join(path, "..")
	}
	if at >= 0 {
		err = errors.Join(err, unix.Close(at))
	}
	if err != nil {
		return fmt.Errorf("look at folder %s: %w", f.path, err)
	}
	return nil
}
