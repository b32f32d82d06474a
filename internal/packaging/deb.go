package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/renameio/v2"
	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

const (
	packageName  = "kvmlab"
	homepage     = "https://github.com/kvmlab/kvmlab"
	architecture = "amd64"

	// description: a synopsis, then paragraphs as deb-control(7) has them.
	description = `networking class in one command: labs of real virtual machines
kvmlab builds a lab of real virtual machines on this computer: taps, a
bridge, guests with MAC addresses of their own, and a DHCP server that hands
them addresses. It shows every packet of the exchange, lets students work
inside the guests, and checks what they have done. At the end it takes away
exactly what it has built.
.
The guest image for the class is in this package; no network is needed.`
)

// What the package needs of others, and what goes well with it.
var (
	depends = []string{
		"libvirt-daemon-system (>= 8.0)",
		"qemu-system-x86 (>= 1:6.0)",
		"qemu-utils", // qemu-img, for guests that have a disk
	}
	recommends = []string{
		"libvirt-clients", // virsh, which kvmlab's explanations speak of
		"iproute2",
		"mmdebstrap", "e2fsprogs", "xz-utils", // kvmlab image build debian
	}
	suggests = []string{"bash-completion", "tcpdump", "wireshark"}
)

// job is one package to make.
type job struct {
	root    string // the checkout
	program string // kvmlab, built with its version
	images  string // the store that has the micro image
	out     string // where the package goes
}

// build writes the package and returns its file.
func (j job) build(ctx context.Context) (file string, err error) {
	log, err := readChangelog(j.root)
	if err != nil {
		return "", err
	}
	when, err := j.sourceTime(log[0])
	if err != nil {
		return "", err
	}
	stage, err := os.MkdirTemp("", "kvmlab-package-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()

	t := &tree{stage: stage, when: when}
	if err := j.fill(ctx, t, log); err != nil {
		return "", err
	}
	scripts, err := j.maintainerScripts(t)
	if err != nil {
		return "", err
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: packageName, Arch: architecture, Platform: "linux", Version: log[0].version, VersionSchema: "none",
		Section: "net", Priority: "optional", Maintainer: maintainer, Description: description, Homepage: homepage,
		MTime: when, DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			Depends: depends, Recommends: recommends, Suggests: suggests, Contents: t.contents, Scripts: scripts,
			Deb: nfpm.Deb{Compression: "gzip:6"},
		},
	})
	if err := nfpm.Validate(info); err != nil {
		return "", err
	}
	return j.write(info)
}

// write makes the file appear whole.
func (j job) write(info *nfpm.Info) (string, error) {
	if err := os.MkdirAll(j.out, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(j.out, deb.Default.ConventionalFileName(info))
	pending, err := renameio.NewPendingFile(file, renameio.WithPermissions(0o644))
	if err != nil {
		return "", err
	}
	defer pending.Cleanup() //nolint:errcheck // nothing to clean after the replacement
	if err := deb.Default.Package(info, pending); err != nil {
		return "", err
	}
	return file, pending.CloseAtomicallyReplace()
}

// sourceTime is what every file of the package is dated: SOURCE_DATE_EPOCH where that is set
// (reproducible-builds.org), else the time of the commit that the program was built from, else, without a repository,
// the day of the release.
func (j job) sourceTime(newest release) (time.Time, error) {
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		return time.Unix(seconds, 0).UTC(), nil
	}
	info, err := buildinfo.ReadFile(j.program)
	if err != nil {
		return time.Time{}, err
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.time" {
			return time.Parse(time.RFC3339, setting.Value)
		}
	}
	return newest.day, nil
}

// ask runs the program that is packaged, and returns what it prints. Nothing of this machine's surroundings counts.
func (j job) ask(ctx context.Context, args ...string) ([]byte, error) {
	program, err := filepath.Abs(j.program)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"HOME=/nonexistent", "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", j.program, args[0], err)
	}
	return out, nil
}

// tree is what the package installs.
type tree struct {
	stage    string // where files lie that are made for the package
	when     time.Time
	contents files.Contents
}

// add installs a file of this machine at path.
func (t *tree) add(path, source string, mode os.FileMode) {
	t.contents = append(t.contents, &files.Content{
		Source: source, Destination: path, FileInfo: t.info(mode),
	})
}

// write installs a file of that content at path, for all to read.
func (t *tree) write(path string, content []byte) error {
	source := filepath.Join(t.stage, strconv.Itoa(len(t.contents)))
	if err := os.WriteFile(source, content, 0o644); err != nil {
		return err
	}
	t.add(path, source, 0o644)
	return nil
}

// link installs a symbolic link.
func (t *tree) link(path, target string) {
	t.contents = append(t.contents, &files.Content{
		Source: target, Destination: path, Type: files.TypeSymlink, FileInfo: t.info(0o777),
	})
}

func (t *tree) info(mode os.FileMode) *files.ContentFileInfo {
	return &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: t.when}
}
