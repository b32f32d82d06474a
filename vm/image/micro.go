package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

const (
	// microCmdline: the console where the class works; no kernel messages but the
	// fatal ones between its lines; no IPv6, whose greetings would be half of what
	// a capture shows (sysctl net.ipv6.conf.eth0.disable_ipv6=0 brings it back).
	// The kernel's tests of its own cryptography would be a sixth of a boot without
	// hardware virtualisation. The kernel's random generator takes its first seed
	// from the host's device and not from processor or loader, which give it before the
	// moment in which a template is saved: its copies would begin alike.
	microCmdline = "console=ttyS0 quiet loglevel=2 ipv6.disable_ipv6=1 cryptomgr.notests" +
		" initcall_blacklist=tracer_init_tracefs random.trust_cpu=off random.trust_bootloader=off"
	// microMinMemory is what a guest gets a lease with: see `scripts/bench memory`. Its programs that lie packed need more.
	microMinMemory = 96 << 20

	// buildRoom is what a build needs on disk, in bytes: packages, an unpacked
	// kernel, and as much again to spare.
	buildRoom = 256 << 20
)

// Options are the inputs of BuildMicro and BuildDebian.
type Options struct {
	// Store is the directory of all images; it is made if need be.
	Store string
	// Offline keeps apt out of it: only packages that the store already has.
	Offline bool
	// Force builds the debian image anew although its recipe has not changed.
	Force bool
	// Progress, if set, is called before each step, in the caller's goroutine.
	Progress func(Progress)
	// Notice, if set, is told what a person should know of the build, in the caller's goroutine.
	Notice func(Notice)
	// Log may be nil.
	Log *slog.Logger
}

// BuildMicro makes the micro image from Debian packages and makes it the store's
// current one. The packages are apt's candidates, by the host's configuration;
// when apt cannot fetch them its lists are fetched anew, once, and when that does
// not help, those of the last build are taken. An image that is there already,
// and whole, is kept. It takes about three seconds beside the download. An
// interrupted build leaves no image, and its packages for the next one. Errors:
// ErrNoApt, *PackageError, *FetchError, ErrOffline, *NoRoomError, *MissingError.
func BuildMicro(ctx context.Context, o Options) (Image, error) {
	img, err := build(ctx, o, Micro, buildRoom, (*microBuild).micro)
	if err != nil {
		return Image{}, fmt.Errorf("build image %q: %w", Micro, err)
	}
	return img, nil
}

// micro builds the micro image from packages that the store has.
func (b *microBuild) micro(ctx context.Context, dir string, packages []Package) (Image, error) {
	c, err := b.content(ctx, packages)
	if err != nil {
		return Image{}, err
	}
	if c.recipe, err = microRecipe(); err != nil {
		return Image{}, err
	}
	b.report(StageWrite)
	return c.publish(dir, Micro)
}

// microRecipe is the digest of what this program puts into the micro image beside what the packages hold.
func microRecipe() (string, error) {
	var text bytes.Buffer
	fmt.Fprintln(&text, microCmdline, microMinMemory, wantedModules, buttonModules, tools)
	h := sha256.New()
	h.Write(text.Bytes())
	if err := hashFiles(h, guestFiles); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:digestLength], nil
}

// Stale reports whether this program would build the image otherwise now, newer packages aside: it was built by another
// kvmlab. An image that is not built here never is.
func (i Image) Stale() bool {
	var recipe string
	var err error
	switch i.Name {
	case Micro:
		recipe, err = microRecipe()
	case Debian:
		recipe, err = debianRecipe(i.Packages)
	default:
		return false
	}
	return err != nil || recipe != i.Recipe
}

// maker makes an image in dir from packages that lie in the store.
type maker func(b *microBuild, ctx context.Context, dir string, packages []Package) (Image, error)

// build is what every build has around it: a lock, room, and the packages.
func build(ctx context.Context, o Options, name string, room uint64, made maker) (img Image, err error) {
	b := microBuild{Options: o, name: name, debs: debStore{dir: filepath.Join(o.Store, debsDir)}}
	if b.Log == nil {
		b.Log = slog.New(slog.DiscardHandler)
	}
	dir := filepath.Join(o.Store, name)
	// The micro image's lock guards the packages, too, which both are made of.
	var unlocks []func() error
	defer func() {
		for _, unlock := range unlocks {
			err = errors.Join(err, unlock())
		}
	}()
	if err := makeDirs(b.debs.dir); err != nil {
		return Image{}, err
	}
	for _, d := range slices.Compact([]string{filepath.Join(o.Store, Micro), dir}) {
		if err := makeDirs(d); err != nil {
			return Image{}, err
		}
		unlock, err := lockBuilds(ctx, d, func() { b.notice(NoticeWaiting, nil) })
		if err != nil {
			return Image{}, err
		}
		unlocks = append(unlocks, unlock)
	}
	if err := checkRoom(dir, room); err != nil {
		return Image{}, err
	}
	packages, err := b.packages(ctx)
	if err != nil {
		return Image{}, err
	}
	if img, err = made(&b, ctx, dir, packages); err != nil {
		return Image{}, filledUp(dir, room, err)
	}
	return img, b.debs.remember(packages)
}

// makeDirs makes a directory that QEMU's user can go through.
func makeDirs(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// microBuild is one build under way.
type microBuild struct {
	Options
	name        string
	detail      string // for the next reports
	debs        debStore
	step, steps int
}

func (b *microBuild) report(s Stage, list ...Package) {
	b.step++
	b.Log.Debug("build image", "image", b.name, "stage", s.String(), "packages", len(list))
	if b.Progress != nil {
		b.Progress(Progress{Stage: s, Packages: list, Detail: b.detail, Step: b.step, Steps: max(b.step, b.steps)})
	}
}

// content unpacks the packages and puts the image together.
func (b *microBuild) content(ctx context.Context, packages []Package) (content, error) {
	parts := newParts()
	for _, p := range packages {
		b.report(StageUnpack, p)
		if err := walkDeb(ctx, b.debs.path(p), parts.take); err != nil {
			return content{}, err
		}
	}
	if err := parts.check(); err != nil {
		return content{}, err
	}
	initrd, err := parts.initrd()
	if err != nil {
		return content{}, err
	}
	c := content{
		kernelName: "vmlinuz", kernel: parts.bzImage, initrd: initrd,
		cmdline: microCmdline, minMemory: microMinMemory, packages: packages,
	}
	if kernel, ok := unpackKernel(parts.bzImage); ok {
		c.kernelName, c.kernel = "vmlinux", kernel
	}
	return c, nil
}
