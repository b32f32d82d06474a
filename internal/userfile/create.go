package userfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Create opens a file to be written, for the owner alone, and gives it to him. A plain file that is there is replaced,
// and only when it is the owner's or root's. A FIFO or a device of theirs is written to, for somebody may wait there.
// The error is an *[OddError] for a symbolic link and for what is somebody else's.
func Create(path string, owner Owner) (*os.File, error) {
	var stat unix.Stat_t
	err := unix.Lstat(path, &stat)
	switch kind := stat.Mode & unix.S_IFMT; {
	case errors.Is(err, unix.ENOENT):
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	case !owner.owns(stat):
		return nil, &OddError{Path: path, Why: fmt.Sprintf("it belongs to the user %d", stat.Uid)}
	case kind == unix.S_IFIFO || kind == unix.S_IFCHR:
		return openThere(path, stat)
	case kind != unix.S_IFREG:
		return nil, &OddError{Path: path, Why: kindOf(stat.Mode)}
	default:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	// O_EXCL does not follow a link that has come meanwhile, and takes nothing that has.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := Give(file, owner); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// openThere opens what was looked at, and nothing that has come into its place.
func openThere(path string, want unix.Stat_t) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "stat", Path: path, Err: err}, file.Close())
	}
	if stat.Dev != want.Dev || stat.Ino != want.Ino {
		return nil, errors.Join(&OddError{Path: path, Why: "it has just been replaced"}, file.Close())
	}
	return file, nil
}

// Give makes a new file the owner's, when root has made it for somebody else.
func Give(file *os.File, owner Owner) error {
	if owner.UID == os.Geteuid() {
		return nil
	}
	if err := file.Chown(owner.UID, owner.GID); err != nil {
		return fmt.Errorf("give %s to its user: %w", file.Name(), err)
	}
	return nil
}
