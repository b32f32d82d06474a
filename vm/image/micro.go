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

// Stage is what a build is doing.
type Stage int

// The stages of a build, in order.
const (
	StageResolve  Stage = iota + 1 // asking apt which packages there are
	StageDownload                  // fetching what the store lacks, if anything
	StageUnpack                    // once per package
	StageInstall                   // installing Debian: several, each with its Detail
	StageDisk                      // making the disk
	StageWrite                     // putting the image into the store
)

// String is the stage as a verb.
func (s Stage) String() string {
	switch s {
	case StageResolve:
		return "resolve"
	case StageDownload:
		return "download"
	case StageUnpack:
		return "unpack"
	case StageInstall:
		return "install"
	case StageDisk:
		return "disk"
	case StageWrite:
		return "write"
	}
	return fmt.Sprintf("Stage(%d)", int(s))
}

// Progress says how far a build is. Steps count from 1 to Steps over the whole
// build.
type Progress struct {
	Stage       Stage
	Packages    []Package // those to download; the one to unpack
	Detail      string    // what the installation does, in mmdebstrap's words
	Step, Steps int
}

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
	// Log may be nil.
	Log *slog.Logger
}

// BuildMicro makes the micro image from Debian packages and makes it the store's
// current one. The packages are apt's candidates, by the host's configuration;
// when they cannot be had, those of the last build. An image that is there
// already, and whole, is kept. It takes about three seconds beside the download.
// An interrupted build leaves nothing behind. Errors: ErrNoApt, ErrNoLists,
// ErrOffline, *NoRoomError, *MissingError.
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
		unlock, err := lockBuilds(ctx, d)
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
		return Image{}, err
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

// packages decides what to build from and sees to it that the store has it all.
func (b *microBuild) packages(ctx context.Context) ([]Package, error) {
	if b.Offline {
		return b.cached(nil)
	}
	b.report(StageResolve)
	list, err := resolve(ctx)
	if err != nil {
		return b.cachedUnless(ctx, err)
	}
	missing, err := b.debs.missing(list)
	if err != nil {
		return nil, err
	}
	b.steps = 1 + len(list) + 1
	if b.name == Debian {
		b.steps = 1 + len(kernelOf(list)) + bootstrapSteps + 2
	}
	if len(missing) > 0 {
		b.steps++
		b.report(StageDownload, missing...)
		if err := b.debs.fetch(ctx, missing); err != nil {
			return b.cachedUnless(ctx, errors.Join(ErrOffline, err))
		}
	}
	return list, nil
}

// cachedUnless falls back on the packages of the last build, unless the failure
// is the caller's wish to stop.
func (b *microBuild) cachedUnless(ctx context.Context, failure error) ([]Package, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return b.cached(failure)
}

func (b *microBuild) cached(failure error) ([]Package, error) {
	list, ok := b.debs.last()
	switch {
	case ok && failure != nil:
		b.Log.Warn("build from cached packages", "image", b.name, "err", failure)
	case !ok && failure == nil:
		return nil, ErrOffline
	case !ok:
		return nil, failure
	}
	b.steps = b.step + len(list) + 1
	return list, nil
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
