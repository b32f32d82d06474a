package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/digitalocean/go-libvirt"
	"golang.org/x/sys/unix"
)

// A template is a guest that has booted up to the moment before its network comes up, and was saved there. Any guest
// of the same shape is resumed from it, and then told who it is (see Identify): it has no boot of its own. The
// template's file holds the memory once; each guest gets it through a pipe, behind a description of its own, in the
// form that virDomainRestore reads.

// templateBootLimit bounds the boot of a template. It takes two seconds on an idle machine without hardware
// virtualisation.
const templateBootLimit = time.Minute

// ErrNoTemplate means a guest that cannot be resumed from a template: it has a disk, which a copy of another guest's
// memory would not agree with.
var ErrNoTemplate = errors.New("there is no template of a guest with a disk")

// Templates are the templates of one libvirt daemon, in a directory of their own which only root may read: a saved
// memory holds whatever the guest had. It is safe for use by several goroutines.
type Templates struct {
	conn *Conn
	dir  string
	// Building, if set, is called before a template is made, which takes as long as the boot of a guest.
	Building func()

	mu      sync.Mutex
	libvirt string // its version, once it is known
}

// Templates keeps templates in dir, which is made when it is needed.
func (c *Conn) Templates(dir string) *Templates { return &Templates{conn: c, dir: dir} }

// Prepare sees to it that there is a template of the domain's shape. Where there is none, one is made; others who want
// it wait. Errors: ErrNoTemplate, and what libvirt says.
func (t *Templates) Prepare(ctx context.Context, d Domain) error {
	key, err := t.key(ctx, d)
	if err == nil {
		err = t.ensure(ctx, d, key)
	}
	if err != nil {
		return fmt.Errorf("make a template: %w", err)
	}
	return nil
}

// Resume starts a domain that is defined and off from the template that was prepared for it, and leaves it paused: QEMU
// has opened its taps, and the guest goes on with Start. After an error the guest is off, and the template, which did
// not serve, is gone: start the guest by itself. Errors: ErrNoTemplate, ErrNotFound, ErrForeign, and what libvirt says.
func (t *Templates) Resume(ctx context.Context, d Domain) error {
	key, err := t.key(ctx, d)
	if err == nil {
		path := t.path(key)
		if err = t.resume(ctx, path, d.Name); err != nil && ctx.Err() == nil {
			// Its memory may be the reason. Whoever is about to resume from it has it open.
			_ = os.Remove(path)
			t.failed(key, err)
		}
	}
	if err != nil {
		return fmt.Errorf("resume from the template: %w", err)
	}
	return nil
}

func (t *Templates) path(key templateKey) string { return filepath.Join(t.dir, key.file()) }

// resume restores one domain from the template at path.
func (t *Templates) resume(ctx context.Context, path, name string) error {
	return t.conn.call(ctx, func(rpc *libvirt.Libvirt) error {
		dom, s, err := owned(rpc, name)
		if err != nil || s.Run.Active() {
			return err
		}
		text, err := rpc.DomainGetXMLDesc(dom, libvirt.DomainXMLInactive|libvirt.DomainXMLMigratable)
		if err != nil {
			return err
		}
		image, err := openSaveImage(path)
		if err != nil {
			return err
		}
		pipe, err := newFeed(t.dir)
		if err != nil {
			return errors.Join(err, image.Close())
		}
		poured := make(chan error, 1)
		go func() { poured <- errors.Join(image.pour(pipe.in, text), pipe.in.Close(), image.Close()) }()
		err = rpc.DomainRestoreFlags(pipe.path(), nil, uint32(libvirt.DomainSavePaused))
		pipe.end()
		if pourErr := <-poured; err != nil {
			return errors.Join(err, pourErr)
		}
		return nil // QEMU stops to read when it has all that it wants
	})
}

// feed is a named pipe which libvirt reads like a file. Both ends are open before libvirt is told of it, so that nobody
// waits for the other to come; a libvirt that opens it a second time finds no header any more, and says so.
type feed struct{ in, out *os.File }

// feedPrefix begins the name of the directory of a feed.
const feedPrefix = ".resume-"

func newFeed(dir string) (_ feed, err error) {
	temp, err := os.MkdirTemp(dir, feedPrefix)
	if err != nil {
		return feed{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	path := filepath.Join(temp, "memory")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return feed{}, &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	out, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return feed{}, err
	}
	in, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return feed{}, errors.Join(err, out.Close())
	}
	return feed{in: in, out: out}, nil
}

func (f feed) path() string { return f.in.Name() }

// end removes the pipe. Whoever still pours into it finds that nobody reads.
func (f feed) end() {
	_ = f.out.Close()
	// What stays goes with a later template.
	_ = os.RemoveAll(filepath.Dir(f.path()))
}

// ensure finds a template, or makes it.
func (t *Templates) ensure(ctx context.Context, d Domain, key templateKey) error {
	path := t.path(key)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := t.failure(key); err != nil {
		return err
	}
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return err
	}
	unlock, err := lockFile(ctx, filepath.Join(t.dir, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return nil // somebody else was faster
	}
	if t.Building != nil {
		t.Building()
	}
	if err := t.prune(key); err != nil {
		return err
	}
	err = t.build(ctx, d, key, path)
	if err != nil && context.Cause(ctx) == nil {
		t.failed(key, err)
	}
	return err
}

// retryAfter is how long a template that did not serve is not made again: guests that boot are faster than a template
// that fails each time.
const retryAfter = 10 * time.Minute

// failedSuffix ends the name of the file that says why a template did not serve.
const failedSuffix = ".failed"

// failed remembers that a template did not serve. Where that cannot be written, it is tried again.
func (t *Templates) failed(key templateKey, reason error) {
	_ = os.WriteFile(t.path(key)+failedSuffix, []byte(reason.Error()), 0o600)
}

// failure tells whether a template has failed of late.
func (t *Templates) failure(key templateKey) error {
	path := t.path(key) + failedSuffix
	info, err := os.Stat(path)
	if err != nil || time.Since(info.ModTime()) > retryAfter {
		return nil //nolint:nilerr // nobody has failed
	}
	reason, err := os.ReadFile(path)
	return errors.Join(fmt.Errorf("it failed at %s: %s", info.ModTime().Format(time.TimeOnly), reason), err)
}

// ForgetFailures forgets which templates in a directory did not serve, so that the next guest tries again.
func ForgetFailures(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*"+failedSuffix))
	for _, file := range files {
		if rmErr := os.Remove(file); !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}
	return err
}

// prune removes what no guest can be resumed from any more: the templates of another image or another QEMU, and what a
// killed process has left. The caller holds the lock; a guest that is being resumed has its file open.
func (t *Templates) prune(keep templateKey) error {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		stale := strings.HasPrefix(name, newTemplate) || strings.Contains(name, templateSuffix) && !strings.HasPrefix(name, keep.host)
		if info, infoErr := e.Info(); infoErr == nil && strings.HasPrefix(name, feedPrefix) {
			stale = time.Since(info.ModTime()) > callLimit
		}
		if stale {
			err = errors.Join(err, os.RemoveAll(filepath.Join(t.dir, name)))
		}
	}
	return err
}

// newTemplate begins the name of a template that is not finished.
const newTemplate = ".new-"

// build boots a guest of the domain's shape, without a lab, has it get ready and saves it.
func (t *Templates) build(ctx context.Context, d Domain, key templateKey, path string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, templateBootLimit, noAnswerError{templateBootLimit})
	defer cancel()
	l, err := t.conn.dial(ctx)
	if err != nil {
		return err
	}
	// libvirt destroys the domain with the connection that started it: whoever is killed here leaves no guest behind.
	defer l.drop()
	unfinished := filepath.Join(t.dir, newTemplate+key.file())
	err = l.do(ctx, func(rpc *libvirt.Libvirt) error {
		text, err := d.template(key).text()
		if err != nil {
			return err
		}
		dom, err := rpc.DomainCreateXML(string(text), libvirt.DomainStartAutodestroy)
		if err != nil {
			return err
		}
		s, err := stateOf(rpc, dom)
		if err != nil {
			return err
		}
		if err := deliver(ctx, s.Channel, templateOrder(len(d.NICs)), parked); err != nil {
			return err
		}
		return rpc.DomainSave(dom, unfinished)
	})
	if err == nil {
		err = settle(unfinished, path)
	}
	if err != nil {
		return errors.Join(mapped(err), os.RemoveAll(unfinished))
	}
	return nil
}

// templateOrder is what a template is told in place of an identity: to get ready to be saved, and which of its cards
// is which.
func templateOrder(cards int) []byte {
	order := []byte("template=yes\n")
	for i := range cards {
		order = fmt.Appendf(order, "mac%d=%s\n", i, templateMAC(i))
	}
	return append(order, "end\n"...)
}

// settle makes of a file that libvirt has written a template: without what is zero in it, durable, for a half-written
// memory would not be noticed, and root's alone. A stream of another QEMU than this code knows stays as it is.
func settle(unfinished, path string) error {
	short := unfinished + ".short"
	err := shorten(short, unfinished)
	switch {
	case err == nil:
		err = os.Rename(short, unfinished)
	case errors.Is(err, errStream):
		err = os.Remove(short)
	default:
		return errors.Join(err, os.RemoveAll(short))
	}
	if err != nil {
		return err
	}
	file, err := os.OpenFile(unfinished, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Chmod(0o600), file.Chown(os.Getuid(), os.Getgid()), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

// shorten writes a save image anew, without the memory that is zero.
func shorten(path, long string) error {
	image, err := openSaveImage(long)
	if err != nil {
		return err
	}
	defer func() { _ = image.Close() }()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, io.NewSectionReader(image.file, 0, image.memory), image.memory)
	if err == nil {
		err = leaveZerosOut(out, io.NewSectionReader(image.file, image.memory, 1<<62-image.memory))
	}
	return errors.Join(err, out.Close())
}
