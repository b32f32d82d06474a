package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

const (
	importDir  = ".import" // of the store: where imports are prepared
	sourceFile = "source"  // there: the copy of what is imported
	// importMemory is what an imported system is expected to need, in bytes; its own documentation may ask for more.
	importMemory = 128 << 20
)

// nameForm is the form of an image's name, which becomes a directory.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ImportOptions are the inputs of Import.
type ImportOptions struct {
	Store string // as in Options
	Name  string // lower-case letters, digits, ".", "_" and "-"
	File  string // a qcow2 or raw disk
	// SHA256 is what the file's checksum must be; nil: anything. It is that of the very bytes that are imported.
	SHA256 []byte
	// Keys are SSH public keys, a line each, that guests of the image let in.
	Keys []string
	// Progress, if set, is called before each step, in the caller's goroutine.
	Progress func(Progress)
	Log      *slog.Logger // may be nil
}

// Import copies a disk with a system on it into the store, under a name that no
// image has yet. Guests of it boot from their disk by a BIOS, and learn who they
// are from a second one: see Seed. The file is opened and read once, into a copy
// that is what is looked at and used; it is read as what its first bytes say,
// and never leads to another file. The image is there whole or not at all;
// what a killed import leaves goes with the next one. Errors: *NameError,
// *NotImageError, *ChecksumError, *NoRoomError, *ProgramError, fs.ErrNotExist.
func Import(ctx context.Context, o ImportOptions) (img Image, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkNewName(o.Store, o.Name); err != nil {
		return Image{}, err
	}
	if _, err := exec.LookPath("qemu-img"); err != nil {
		return Image{}, &ProgramError{Program: "qemu-img", Package: "qemu-utils"}
	}
	file, err := openSource(o.File)
	if err != nil {
		return Image{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	work := filepath.Join(o.Store, importDir)
	if err := makeDirs(work); err != nil {
		return Image{}, err
	}
	unlock, err := lockBuilds(ctx, work, nil)
	if err != nil {
		return Image{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	// Once more: another import of that name may have ended meanwhile.
	if err := checkNewName(o.Store, o.Name); err != nil {
		return Image{}, err
	}
	scratch, err := os.MkdirTemp(work, scratchGlob)
	if err != nil {
		return Image{}, err
	}
	img, err = o.carryOut(ctx, file, scratch)
	return img, errors.Join(err, os.RemoveAll(scratch))
}

// carryOut makes a disk of our own in scratch, and the image of it.
func (o ImportOptions) carryOut(ctx context.Context, file *os.File, scratch string) (Image, error) {
	source := sourceDisk{name: o.File, path: filepath.Join(scratch, sourceFile)}
	sum, err := takeCopy(ctx, file, source.path)
	if err != nil {
		return Image{}, err
	}
	if o.SHA256 != nil && !bytes.Equal(sum, o.SHA256) {
		return Image{}, &ChecksumError{File: o.File, Want: o.SHA256, Got: sum}
	}
	if err := source.inspect(ctx); err != nil {
		return Image{}, err
	}
	if err := checkRoom(scratch, source.need); err != nil {
		return Image{}, err
	}
	o.report(1, StageDisk)
	disk := filepath.Join(scratch, diskFile)
	if err := runTool(ctx, "qemu-img", "convert", "-f", source.format, "-O", "qcow2", source.path, disk); err != nil {
		if ctx.Err() != nil {
			return Image{}, err
		}
		return Image{}, &NotImageError{File: o.File, Reason: "it cannot be read: " + err.Error()}
	}
	if err := checkBootable(ctx, disk, scratch); err != nil {
		return Image{}, &NotImageError{File: o.File, Reason: err.Error()}
	}
	o.report(2, StageWrite)
	dir := filepath.Join(o.Store, o.Name)
	if err := makeDirs(dir); err != nil {
		return Image{}, err
	}
	c := content{minMemory: importMemory, disk: disk, diskSize: source.size, keys: o.Keys}
	return c.publish(dir, o.Name)
}

func (o ImportOptions) report(step int, s Stage) {
	o.Log.Debug("import image", "image", o.Name, "stage", s.String())
	if o.Progress != nil {
		o.Progress(Progress{Stage: s, Step: step, Steps: 2})
	}
}

// checkNewName refuses a name that is no directory's, that kvmlab's own images have, or that is taken.
func checkNewName(store, name string) error {
	if !nameForm.MatchString(name) {
		return &NameError{Name: name, Problem: NameForm}
	}
	if name == Micro || name == Debian || name == debsDir {
		return &NameError{Name: name, Problem: NameBuiltIn}
	}
	_, err := Lookup(store, name)
	if errors.Is(err, ErrNoImage) {
		return nil
	}
	return &NameError{Name: name, Problem: NameTaken} // also when what is there is damaged
}

// Remove deletes an image and all that there is of older ones under its name.
// Whether guests use it is for the caller to know. Errors: ErrNoImage.
func Remove(ctx context.Context, store, name string) (err error) {
	dir := filepath.Join(store, name)
	if !nameForm.MatchString(name) || name == debsDir {
		return fmt.Errorf("image %q in %s: %w", name, store, ErrNoImage)
	}
	if _, err := os.Lstat(filepath.Join(dir, currentLink)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("image %q in %s: %w", name, store, ErrNoImage)
	}
	unlock, err := lockBuilds(ctx, dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	// Without the link there is no image, whatever happens to the rest of it.
	if err := os.Remove(filepath.Join(dir, currentLink)); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
