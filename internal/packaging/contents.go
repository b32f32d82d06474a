package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goreleaser/nfpm/v2"

	"github.com/kvmlab/kvmlab/internal/state"
)

const (
	docDir     = "/usr/share/doc/kvmlab"
	unitDir    = "/lib/systemd/system" // Debian 12's systemd and lintian know only this place; 13 has /lib in /usr, too.
	sourceDir  = "scripts/package.d"
	sourceUnit = sourceDir + "/systemd"
)

// languages are those that manual pages are written in, and where man(1) looks for them.
var languages = map[string]string{
	"en": "/usr/share/man/man1",
	"es": "/usr/share/man/es/man1",
	"ca": "/usr/share/man/ca/man1",
}

// fill lays out everything that the package installs.
func (j job) fill(ctx context.Context, t *tree, log []release) error {
	t.add("/usr/bin/kvmlab", j.program, 0o755)
	for _, part := range []func(context.Context, *tree) error{
		j.image, j.manuals, j.completions, j.systemFiles, j.documents,
	} {
		if err := part(ctx, t); err != nil {
			return err
		}
	}
	return t.compressed(docDir+"/changelog", []byte(debianChangelog(log)))
}

// image lays out the micro image, as a store of its own that kvmlab only reads.
func (j job) image(ctx context.Context, t *tree) error {
	img, err := microImage(j.images)
	if err != nil {
		return err
	}
	home := path.Join(state.PackagedDir, img.Name)
	entries, err := os.ReadDir(img.Dir)
	if err != nil {
		return err
	}
	checked := map[string]stamp{}
	for _, e := range entries {
		if e.Name() == checkedFile {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		t.add(path.Join(home, img.Digest, e.Name()), filepath.Join(img.Dir, e.Name()), 0o644)
		if e.Name() != manifestFile {
			checked[e.Name()] = stamp{info.Size(), t.when.UnixNano()}
		}
	}
	// The image was read just now, and dpkg will not install half a file: guests need not wait until it is read again.
	text, err := json.Marshal(checked)
	if err != nil {
		return err
	}
	if err := t.write(path.Join(home, img.Digest, checkedFile), text); err != nil {
		return err
	}
	t.link(path.Join(home, "current"), img.Digest)

	copyright, err := imageCopyright(ctx, j.images, img)
	if err != nil {
		return err
	}
	return t.compressed(docDir+"/licences/micro-image.txt", []byte(copyright))
}

// What else is in an image's folder (see vm/image).
const (
	checkedFile  = "checked.json"
	manifestFile = "manifest.json"
)

// stamp is an entry of checkedFile: the size and time that a file had when it was last read and found whole.
type stamp struct {
	Size     int64 `json:"size"`
	Modified int64 `json:"mtime_ns"`
}

// manuals has the program itself write its manual pages in every language.
func (j job) manuals(ctx context.Context, t *tree) error {
	for lang, dir := range languages {
		pages := filepath.Join(t.stage, "man-"+lang)
		if err := os.Mkdir(pages, 0o755); err != nil {
			return err
		}
		if _, err := j.ask(ctx, "--lang", lang, "man", pages); err != nil {
			return err
		}
		entries, err := os.ReadDir(pages)
		if err != nil {
			return err
		}
		for _, e := range entries {
			text, err := os.ReadFile(filepath.Join(pages, e.Name()))
			if err != nil {
				return err
			}
			if err := t.compressed(path.Join(dir, e.Name()), text); err != nil {
				return err
			}
		}
	}
	return nil
}

// completions has the program write what its users' shells ask.
func (j job) completions(ctx context.Context, t *tree) error {
	for shell, file := range map[string]string{
		"bash": "/usr/share/bash-completion/completions/kvmlab",
		"zsh":  "/usr/share/zsh/vendor-completions/_kvmlab",
		"fish": "/usr/share/fish/vendor_completions.d/kvmlab.fish",
	} {
		text, err := j.ask(ctx, "completion", shell)
		if err != nil {
			return err
		}
		if err := t.write(file, text); err != nil {
			return err
		}
	}
	return nil
}

// systemFiles are those that other programs of the host read, and every unit of sourceUnit.
func (j job) systemFiles(_ context.Context, t *tree) error {
	for file, where := range map[string]string{
		"kvmlab.sysusers":       "/usr/lib/sysusers.d/kvmlab.conf",
		"kvmlab.tmpfiles":       "/usr/lib/tmpfiles.d/kvmlab.conf",
		"kvmlab.rules":          "/lib/udev/rules.d/84-kvmlab.rules",
		"kvmlab.lintian":        "/usr/share/lintian/overrides/kvmlab",
		"kvmlab.networkmanager": "/usr/lib/NetworkManager/conf.d/kvmlab.conf",
	} {
		text, err := os.ReadFile(filepath.Join(j.root, sourceDir, file))
		if err != nil {
			return err
		}
		if err := t.write(where, text); err != nil {
			return err
		}
	}
	units, err := j.units()
	for name, text := range units {
		if err := t.write(path.Join(unitDir, name), text); err != nil {
			return err
		}
	}
	return err
}

// units are the systemd units that the package brings, by name.
func (j job) units() (map[string][]byte, error) {
	found, err := filepath.Glob(filepath.Join(j.root, sourceUnit, "*.*"))
	if err != nil {
		return nil, err
	}
	units := map[string][]byte{}
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		units[filepath.Base(file)] = text
	}
	return units, nil
}

// documents are what people read.
func (j job) documents(ctx context.Context, t *tree) error {
	modules, err := linkedModules(ctx, j.root)
	if err != nil {
		return err
	}
	licences, err := moduleLicences(modules)
	if err != nil {
		return err
	}
	if err := t.compressed(docDir+"/licences/go-modules.txt", []byte(licences)); err != nil {
		return err
	}
	if err := t.write(docDir+"/copyright", []byte(copyrightFile)); err != nil {
		return err
	}
	pages, err := filepath.Glob(filepath.Join(j.root, "docs", "*.md"))
	if err != nil {
		return err
	}
	for _, name := range []string{"README.md", "README.es.md", "NOTICE"} {
		pages = append(pages, filepath.Join(j.root, name))
	}
	for _, file := range pages {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := t.compressed(path.Join(docDir, filepath.Base(file)), text); err != nil {
			return err
		}
	}
	return nil
}

// copyrightFile is deb-copyright's form of LICENSE and NOTICE.
const copyrightFile = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: kvmlab
Source: ` + homepage + `

Files: *
Copyright: 2026 The kvmlab authors
License: Apache-2.0
Comment:
 /usr/bin/kvmlab has Go modules linked into it, each under its own licence:
 /usr/share/doc/kvmlab/licences/go-modules.txt.gz has them all in full.

Files: var/lib/kvmlab/packaged/*
Copyright: the authors of the Debian packages that the image is made of
License: several
 The micro image is made of unchanged files of Debian packages.
 /usr/share/doc/kvmlab/licences/micro-image.txt.gz has the copyright file of each,
 and says where their sources are.

License: Apache-2.0
 On Debian systems, the full text of the Apache License, Version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
`

// compressed installs a text as Debian policy (12.1, 12.3) wants manual pages and long documents: by gzip, as small as
// it can, without a name or a time.
func (t *tree) compressed(where string, text []byte) error {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return t.write(where+".gz", out.Bytes())
}

// maintainerScripts are what dpkg runs, told which units there are to enable.
func (j job) maintainerScripts(t *tree) (nfpm.Scripts, error) {
	units, err := j.units()
	if err != nil {
		return nfpm.Scripts{}, err
	}
	var enable []string
	for name, text := range units {
		// A template is enabled by whoever wants one of it.
		if bytes.Contains(text, []byte("\n[Install]")) && !strings.Contains(name, "@") {
			enable = append(enable, name)
		}
	}
	script := func(name string) string {
		text, readErr := os.ReadFile(filepath.Join(j.root, sourceDir, name))
		if readErr != nil {
			err = fmt.Errorf("maintainer script: %w", readErr)
			return ""
		}
		file := filepath.Join(t.stage, name)
		text = bytes.ReplaceAll(text, []byte("@UNITS@"), []byte(strings.Join(slices.Sorted(slices.Values(enable)), " ")))
		if writeErr := os.WriteFile(file, text, 0o755); writeErr != nil {
			err = writeErr
		}
		return file
	}
	return nfpm.Scripts{PostInstall: script("postinst"), PreRemove: script("prerm"), PostRemove: script("postrm")}, err
}
