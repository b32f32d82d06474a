package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// roomNeeded is what making an image takes at most, in bytes: the file system twice, and the archive's packages.
const roomNeeded = 3 << 30

// lockPoll is how often it is looked whether another maker has finished.
const lockPoll = time.Second / 5

// The files of an image.
const (
	diskFile   = "disk.raw"
	kernelFile = "vmlinuz"
	initrdFile = "initrd"
	lockFile   = "lock"
)

// image is a directory with a host's disk, its kernel and its initramfs. Hosts write to overlays of the disk only.
type image string

func (i image) file(name string) string { return filepath.Join(string(i), name) }

// cache keeps the images of hosts, by recipe:
//
//	CACHE/<digest>/{disk.raw,vmlinuz,initrd,lock}  lock is shared by whoever runs a host of the image
//	CACHE/making                                   what is being made, or was when its maker was killed
//	CACHE/lock                                     held while an image is made, looked for, or deleted
type cache struct {
	dir    string
	mirror string    // the address of the Debian archive; empty: the one that apt uses here
	log    io.Writer // what is being done, line by line
}

// get returns the image of this recipe, which is made if it is not there: that needs root and the Debian archive.
// Nobody deletes the image before release is called.
func (c cache) get(ctx context.Context) (_ image, release func() error, err error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("make the cache of hosts: %w", err)
	}
	one := flock.New(filepath.Join(c.dir, lockFile))
	if _, err := one.TryLockContext(ctx, lockPoll); err != nil {
		return "", nil, fmt.Errorf("wait for who makes a host's image: %w", err)
	}
	defer func() { err = errors.Join(err, one.Close()) }()

	img := image(filepath.Join(c.dir, digest()))
	if _, err := os.Stat(string(img)); errors.Is(err, fs.ErrNotExist) {
		if err := c.make(ctx, img); err != nil {
			return "", nil, err
		}
		c.prune(img)
	}
	use := flock.New(img.file(lockFile))
	if err := use.RLock(); err != nil {
		return "", nil, fmt.Errorf("use the host's image: %w", err)
	}
	return img, use.Close, nil
}

// make makes the image in a directory beside its own, and renames that when it is whole.
func (c cache) make(ctx context.Context, img image) (err error) {
	making := filepath.Join(c.dir, "making")
	if err := os.RemoveAll(making); err != nil { // its maker was killed
		return fmt.Errorf("remove an unfinished image: %w", err)
	}
	if err := c.checkRoom(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(making)) }()
	root, part := filepath.Join(making, "root"), image(filepath.Join(making, "image"))
	if err := os.MkdirAll(string(part), 0o755); err != nil {
		return fmt.Errorf("make the image's directory: %w", err)
	}
	begun := time.Now()
	if err := c.install(ctx, making, root); err != nil {
		return err
	}
	if err := c.layOut(ctx, root, part); err != nil {
		return err
	}
	if err := os.Rename(string(part), string(img)); err != nil {
		return fmt.Errorf("put the image in place: %w", err)
	}
	c.say("the host's image is made (%s)", time.Since(begun).Round(time.Second))
	return nil
}

// checkRoom wants enough free space before anything is begun.
func (c cache) checkRoom() error {
	var st unix.Statfs_t
	if err := unix.Statfs(c.dir, &st); err != nil {
		return fmt.Errorf("see how much room there is: %w", err)
	}
	if free := st.Bavail * uint64(st.Bsize); free < roomNeeded {
		return fmt.Errorf("%s has %d MiB free, and making a host's image takes %d MiB", c.dir, free>>20, roomNeeded>>20)
	}
	return nil
}

// install has mmdebstrap install the host's system into a directory.
func (c cache) install(ctx context.Context, making, root string) error {
	mirror := c.mirror
	if mirror == "" {
		var err error
		if mirror, err = archive(ctx); err != nil {
			return err
		}
	}
	hook := filepath.Join(making, "setup")
	if err := os.WriteFile(hook, []byte(setup), 0o755); err != nil {
		return fmt.Errorf("write the hook of mmdebstrap: %w", err)
	}
	c.say("installing Debian %s from %s", suite, mirror)
	// A process namespace, so that nothing of it outlives a kill; the mounts of the chroot go with it, too.
	args := []string{"--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "mmdebstrap"}
	if err := c.command(ctx, making, "unshare", append(args, bootstrap(root, hook, mirror)...)...); err != nil {
		return fmt.Errorf("install Debian %s: %w", suite, err)
	}
	return nil
}

// layOut makes the disk from the directory, and puts kernel and initramfs beside it, for QEMU boots from these.
func (c cache) layOut(ctx context.Context, root string, part image) error {
	c.say("laying out the disk")
	disk := part.file(diskFile)
	if err := os.WriteFile(disk, nil, 0o644); err != nil {
		return fmt.Errorf("make the disk: %w", err)
	}
	if err := os.Truncate(disk, diskSize); err != nil {
		return fmt.Errorf("make the disk: %w", err)
	}
	err := c.command(ctx, filepath.Dir(disk), "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", "root",
		"-E", "lazy_itable_init=0", "-d", root, disk)
	if err != nil {
		return err
	}
	for name, pattern := range map[string]string{kernelFile: "boot/vmlinuz-*", initrdFile: "boot/initrd.img-*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) != 1 {
			return fmt.Errorf("want one %s in the host's system, found %q: %w", pattern, found, err)
		}
		if err := os.Rename(found[0], part.file(name)); err != nil {
			return fmt.Errorf("keep the host's kernel: %w", err)
		}
	}
	return nil
}

// prune deletes the images of other recipes of which no host runs.
func (c cache) prune(img image) {
	others, _ := filepath.Glob(filepath.Join(c.dir, "*", diskFile)) // the pattern is well-formed
	for _, disk := range others {
		other := image(filepath.Dir(disk))
		if other == img {
			continue
		}
		use := flock.New(other.file(lockFile))
		if mine, err := use.TryLock(); err != nil || !mine {
			continue
		}
		if err := errors.Join(os.RemoveAll(string(other)), use.Close()); err != nil {
			c.say("an old image stays: %v", err)
		}
	}
}

// command runs a program of the making; what it says is logged. It ends with this process, however that ends.
func (c cache) command(ctx context.Context, tmp, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	// Not c.log itself: a pipe of our own ends when the last process has ended that could still write files.
	cmd.Stdout = struct{ io.Writer }{c.log}
	cmd.Stderr = cmd.Stdout
	err := runBound(cmd)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", name, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// runBound runs a command that the kernel ends with this process, however that ends.
func runBound(cmd *exec.Cmd) error {
	// The parent-death signal comes when the thread ends that has started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

// archive is the address of the Debian archive that this machine's apt uses.
func archive(ctx context.Context) (string, error) {
	format := "$(ORIGIN)|$(CODENAME)|$(REPO_URI)"
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", format, "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for its archive: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if uri, ok := strings.CutPrefix(strings.TrimSpace(line), "Debian|"+suite+"|"); ok {
			return uri, nil
		}
	}
	return "", fmt.Errorf("apt has no source of Debian %s here", suite)
}

func (c cache) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.log, "==> "+format+"\n", args...)
}
