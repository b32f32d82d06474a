package image

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// debianCmdline: as the micro guest's, but IPv6 is on, as Debian has it. root= is for people to read: the
	// initramfs mounts the disk itself.
	debianCmdline = "console=ttyS0 root=/dev/vda rw quiet loglevel=2 cryptomgr.notests initcall_blacklist=tracer_init_tracefs " +
		"audit=0 systemd.show_status=0"
	debianMinMemory = 256 << 20
	// debianDisk is the size of the guest's disk unless the lab wants more, in bytes. What is free of it takes no room.
	debianDisk = 4 << 30
	// debianRoom is what a build needs on disk, in bytes: packages, the unpacked system, and the image of it.
	debianRoom = 2 << 30
	// debianSuite is the release that the image is made of.
	debianSuite = "bookworm"

	debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	// bootstrapSteps is how many lines mmdebstrap says about its work.
	bootstrapSteps = 8
	// endLimit is how long mmdebstrap may take to clean up after it was told to end.
	endLimit = 20 * time.Second
)

// debianFiles are the recipe: the list of packages, the script that finishes the
// system, the files that it puts there, and the first program of the initramfs.
//
//go:embed all:debian
var debianFiles embed.FS

// debianModules are what a debian guest needs before its own are in reach.
var debianModules = append(slices.Clone(wantedModules), "virtio_blk")

// microOnly are what a micro guest runs when the first program is done, which an initramfs has no use for.
var microOnly = []string{"usr/bin/", "sbin/shutdown", "etc/udhcpc", "etc/acpi", "etc/inittab"}

// BuildDebian makes the debian image, a full Debian 12 on a disk, and makes it
// the store's current one. It needs root, mmdebstrap, mke2fs and qemu-img, and
// the host's own package archive. The kernel is the micro image's. It is built
// anew only when the recipe or the kernel has changed, or with o.Force: security
// updates alone do not change the recipe. It takes one to four minutes. An
// interrupted build leaves nothing that counts, and what it leaves goes with the
// next. Errors: as BuildMicro, and *ProgramError, ErrNoDebian, *BootstrapError.
func BuildDebian(ctx context.Context, o Options) (Image, error) {
	img, err := build(ctx, o, Debian, debianRoom, (*microBuild).debian)
	if err != nil {
		return Image{}, fmt.Errorf("build image %q: %w", Debian, err)
	}
	return img, nil
}

// debian decides whether a build is needed, and builds.
func (b *microBuild) debian(ctx context.Context, dir string, packages []Package) (Image, error) {
	recipe, err := debianRecipe(packages)
	if err != nil {
		return Image{}, err
	}
	if img, err := Lookup(b.Store, Debian); err == nil && img.Recipe == recipe && !b.Force && img.Verify() == nil {
		return img, nil
	}
	if err := CheckPrograms(Debian); err != nil {
		return Image{}, err
	}
	c, err := b.debianParts(ctx, packages)
	if err != nil {
		return Image{}, err
	}
	c.recipe = recipe
	scratch, err := os.MkdirTemp(dir, scratchGlob)
	if err != nil {
		return Image{}, err
	}
	img, err := b.debianDisk(ctx, scratch, dir, c)
	err = filledUp(dir, debianRoom, err) // before what fills the disk is removed
	return img, errors.Join(err, os.RemoveAll(scratch))
}

// missingPrograms are the programs beside apt's that a build needs and this host lacks.
func missingPrograms(name string) (missing []ProgramError) {
	if name != Debian {
		return nil
	}
	for _, need := range []ProgramError{{"mmdebstrap", "mmdebstrap"}, {"mke2fs", "e2fsprogs"}, {"qemu-img", "qemu-utils"}} {
		if _, err := exec.LookPath(need.Program); err != nil {
			missing = append(missing, need)
		}
	}
	return missing
}

// MissingPackages are the Debian packages that must be installed on this host before the image of that name can be built.
func MissingPackages(name string) (packages []string) {
	for _, missing := range missingPrograms(name) {
		packages = append(packages, missing.Package)
	}
	return packages
}

// CheckPrograms says whether this host has the programs that the build of the image of that name takes beside apt's.
// Errors: *ProgramError, for the first that it lacks, with all packages that must be installed.
func CheckPrograms(name string) error {
	if missing := missingPrograms(name); len(missing) > 0 {
		return &ProgramError{Program: missing[0].Program, Package: strings.Join(MissingPackages(name), " ")}
	}
	return nil
}

// debianParts is the image without its disk: kernel and initramfs.
func (b *microBuild) debianParts(ctx context.Context, packages []Package) (content, error) {
	parts := newParts()
	for _, p := range packages {
		if !strings.HasPrefix(p.Name, kernelPrefix) && p.Name != busyboxPackage {
			continue
		}
		b.report(StageUnpack, p)
		if err := walkDeb(ctx, b.debs.path(p), parts.take); err != nil {
			return content{}, err
		}
	}
	initrd, err := parts.debianInitrd()
	if err != nil {
		return content{}, err
	}
	c := content{
		kernelName: "vmlinuz", kernel: parts.bzImage, initrd: initrd,
		cmdline: debianCmdline, minMemory: debianMinMemory, packages: packages,
	}
	if kernel, ok := unpackKernel(parts.bzImage); ok {
		c.kernelName, c.kernel = "vmlinux", kernel
	}
	return c, nil
}

// debianInitrd is the initramfs: busybox, the modules for the disk, and the
// scripts by which a micro guest, too, learns who it is.
func (p *parts) debianInitrd() ([]byte, error) {
	if p.busybox == nil || p.bzImage == nil {
		return nil, &MissingError{What: "busybox or the kernel", From: "their packages"}
	}
	init, err := debianFiles.ReadFile("debian/init")
	if err != nil {
		return nil, err
	}
	t, err := guestTree(p.busybox)
	if err != nil {
		return nil, err
	}
	for name := range t {
		if slices.ContainsFunc(microOnly, func(part string) bool { return strings.HasPrefix(name, part) }) {
			delete(t, name)
		}
	}
	t.file("init", 0o755, init)
	if err := p.addModules(t, debianModules); err != nil {
		return nil, err
	}
	return t.bytes()
}

// debianDisk makes the disk in scratch, and the image of all.
func (b *microBuild) debianDisk(ctx context.Context, scratch, dir string, c content) (Image, error) {
	root := filepath.Join(scratch, "root")
	recipe := filepath.Join(scratch, "recipe")
	if err := writeFiles(debianFiles, "debian", recipe); err != nil {
		return Image{}, err
	}
	if err := b.bootstrap(ctx, recipe, root, c.packages); err != nil {
		return Image{}, err
	}
	installed, err := installedPackages(ctx, root)
	if err != nil {
		return Image{}, err
	}
	c.packages = append(kernelOf(c.packages), installed...)
	b.report(StageDisk)
	raw, disk := filepath.Join(scratch, "disk.raw"), filepath.Join(scratch, diskFile)
	for _, args := range [][]string{
		// Everything is laid out now, so that the guest's kernel need not do it in the background; no blocks are
		// kept for root, who is the only user.
		{"mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-L", "debian", "-d", root, raw, fmt.Sprintf("%dk", debianDisk>>10)},
		{"qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk},
	} {
		if err := runTool(ctx, args...); err != nil {
			return Image{}, err
		}
	}
	c.disk, c.diskSize = disk, debianDisk
	b.report(StageWrite)
	return c.publish(dir, Debian)
}

// bootstrap installs Debian into root.
func (b *microBuild) bootstrap(ctx context.Context, recipe, root string, packages []Package) error {
	sources, err := debianSources(ctx)
	if err != nil {
		return err
	}
	list := filepath.Join(recipe, "sources.list")
	if err := os.WriteFile(list, []byte(sources), 0o644); err != nil {
		return err
	}
	kernel := b.debs.path(kernelOf(packages)[0])
	wanted, err := debianPackages()
	if err != nil {
		return err
	}
	args := []string{
		"--mode=root", "--variant=minbase", "--format=directory", "--include=" + strings.Join(wanted, ","),
		// Nobody needs half a system after a power cut: the next build begins anew.
		"--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-include=/usr/share/doc/isc-dhcp-server/*", "--dpkgopt=path-include=/usr/share/doc/kea-*/*",
		"--essential-hook=echo man-db man-db/auto-update boolean false | chroot \"$1\" debconf-set-selections",
		fmt.Sprintf("--customize-hook=sh %s \"$1\" %s %s", quote(recipe+"/setup"), quote(kernel), quote(recipe+"/files")),
	}
	args = append(args, aptOptions(ctx)...)
	args = append(args, debianSuite, root, list)
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endLimit
	cmd.Env = append(cmd.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "TMPDIR="+recipe)
	said, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	last := b.follow(said)
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return bootstrapError(last, err)
	}
	return nil
}

// bootstrapError is mmdebstrap's failure. Its own words say only that apt ended; what apt could not fetch stands before them.
func bootstrapError(said []string, err error) error {
	for _, line := range said {
		if strings.HasPrefix(line, aptFailed) {
			return &FetchError{Said: aptComplaint(line), Err: err}
		}
	}
	return &BootstrapError{Said: said, Err: err}
}

// follow reports what mmdebstrap says it does, and keeps the last lines that are not about that.
func (b *microBuild) follow(said io.Reader) (last []string) {
	const keep = 8
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		line := lines.Text()
		if does, ok := strings.CutPrefix(line, "I: "); ok {
			does, _, _ = strings.Cut(does, " in shell") // the whole of a hook tells nobody more
			b.detail = " " + strings.TrimSuffix(does, "...")
			b.report(StageInstall)
			b.detail = ""
			continue
		}
		b.Log.Debug("mmdebstrap", "line", line)
		if line = strings.TrimSpace(line); line != "" {
			last = append(last, line)
			last = last[max(0, len(last)-keep):]
		}
	}
	return last
}

// debianPackages reads the recipe's list.
func debianPackages() ([]string, error) {
	text, err := debianFiles.ReadFile("debian/packages")
	var names []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			names = append(names, line)
		}
	}
	return names, err
}

// debianRecipe is the digest of everything that decides what the image is, but
// for the versions of the packages in it.
func debianRecipe(packages []Package) (string, error) {
	var text bytes.Buffer
	fmt.Fprintln(&text, debianCmdline, debianMinMemory, debianDisk, debianSuite, debianModules)
	for _, p := range kernelOf(packages) {
		fmt.Fprintln(&text, p.Name, p.Version, p.SHA256)
	}
	h := sha256.New()
	h.Write(text.Bytes())
	for _, files := range []fs.FS{debianFiles, guestFiles} {
		if err := hashFiles(h, files); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:digestLength], nil
}

// hashFiles adds names and contents of all files.
func hashFiles(w io.Writer, files fs.FS) error {
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err == nil {
			_, err = fmt.Fprintf(w, "%s %d\n%s", name, len(text), text)
		}
		return err
	})
}

// writeFiles writes the files below a folder of files to dir.
func writeFiles(files fs.FS, below, dir string) error {
	return fs.WalkDir(files, below, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(strings.TrimPrefix(name, below), "/"))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o644)
	})
}

// kernelOf are the packages of the list that the guest boots with, the kernel first.
func kernelOf(packages []Package) []Package {
	var kernel, rest []Package
	for _, p := range packages {
		switch {
		case strings.HasPrefix(p.Name, kernelPrefix):
			kernel = append(kernel, p)
		case p.Name == busyboxPackage:
			rest = append(rest, p)
		}
	}
	return append(kernel, rest...)
}

// installedPackages asks dpkg what is in a system.
func installedPackages(ctx context.Context, root string) ([]Package, error) {
	admin := filepath.Join(root, "var/lib/dpkg")
	cmd := exec.CommandContext(ctx, "dpkg-query", "--admindir="+admin, "--show", "--showformat=${Package} ${Version}\n")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages of the image: %w", err)
	}
	var list []Package
	for line := range strings.Lines(string(out)) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		list = append(list, Package{Name: name, Version: version})
	}
	return list, nil
}

// runTool runs a program that says something only when it fails.
func runTool(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, firstLine(string(out)))
	}
	return nil
}

// quote makes one word of a text for sh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
