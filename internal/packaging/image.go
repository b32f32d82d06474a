package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"

	"github.com/kvmlab/kvmlab/vm/image"
)

// debianLicences are the Debian packages that the micro image has files of, with the licence of those files in a word;
// the packages' own copyright files, which go along, say it in full.
var debianLicences = []struct{ name, licence string }{
	{"busybox-static", "GPL-2"},
	{"libblkid1", "LGPL-2.1 or later"},
	{"libc6", "LGPL-2.1 or later"},
	{"libcap2", "BSD-3-Clause or GPL-2"},
	{"libdbus-1-3", "AFL-2.1 or GPL-2 or later"},
	{"libffi8", "MIT"},
	{"libgcc-s1", "GPL-3 or later, with GCC's runtime exception"},
	{"libgcrypt20", "LGPL-2.1 or later"},
	{"libglib2.0-0", "LGPL-2.1 or later"},
	{"libgpg-error0", "LGPL-2.1 or later"},
	{"liblz4-1", "BSD-2-Clause"},
	{"liblzma5", "public domain"},
	{"libmount1", "LGPL-2.1 or later"},
	{"libnuma1", "LGPL-2.1"},
	{"libpcap0.8", "BSD-3-Clause"},
	{"libpcre2-8-0", "BSD-3-Clause"},
	{"libselinux1", "public domain"},
	{"libssl3", "Apache-2.0"},
	{"libsystemd0", "LGPL-2.1 or later"},
	{"libudev1", "LGPL-2.1 or later"},
	{"liburing2", "LGPL-2.1 or later, or MIT"},
	{"libzstd1", "BSD-3-Clause or GPL-2"},
	{"linux-image-cloud-amd64", "GPL-2"},
	{"qemu-guest-agent", "GPL-2"},
	{"tcpdump", "BSD-3-Clause"},
}

// kernelPackage is a kernel of one version, such as linux-image-6.1.0-57-cloud-amd64.
var kernelPackage = regexp.MustCompile(`^linux-image-[0-9].*-cloud-amd64$`)

// commonName is the name of a Debian package without what changes with its every version.
func commonName(name string) string {
	if kernelPackage.MatchString(name) {
		return "linux-image-cloud-amd64"
	}
	return name
}

// microImage finds the micro image, read to the last byte, and refuses one that another kvmlab has built.
func microImage(store string) (image.Image, error) {
	img, err := image.Lookup(store, image.Micro)
	if err == nil {
		err = img.Verify()
	}
	if err != nil {
		return image.Image{}, err
	}
	if img.Stale() {
		return image.Image{}, fmt.Errorf("the image in %s is another kvmlab's: kvmlab image build micro", img.Dir)
	}
	for _, p := range img.Packages {
		if !named(p.Name) {
			return image.Image{}, fmt.Errorf("NOTICE does not name %s, which the image has files of: see debianLicences", p.Name)
		}
	}
	return img, nil
}

func named(pkg string) bool {
	for _, known := range debianLicences {
		if known.name == commonName(pkg) {
			return true
		}
	}
	return false
}

// imageCopyright is the copyright file of every package that the image has files of.
func imageCopyright(ctx context.Context, store string, img image.Image) (string, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "The micro image (%s) is made of unchanged files of these Debian packages. Their sources\n"+
		"are Debian's: `apt source PACKAGE=VERSION`, or snapshot.debian.org.\n", img.Digest)
	for _, p := range img.Packages {
		text, err := packageCopyright(ctx, filepath.Join(store, "debs", p.Name+"_"+p.Version+".deb"), p.Name)
		if err != nil {
			return "", fmt.Errorf("copyright of %s: %w", p.Name, err)
		}
		heading(&out, p.Name+" "+p.Version)
		out.WriteString(text)
	}
	return out.String(), nil
}

// packageCopyright reads /usr/share/doc/NAME/copyright out of a package. A package whose folder is a link to that of
// another, on which it then depends in the same version, has its text there; this machine has those (gcc-12-base).
func packageCopyright(ctx context.Context, deb, name string) (string, error) {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	var data, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &data, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("dpkg-deb: %w: %s", err, said.String())
	}
	doc := path.Join("usr/share/doc", name)
	for reader := tar.NewReader(&data); ; {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return "", errors.New("the package has none")
		}
		if err != nil {
			return "", err
		}
		switch at := path.Clean(h.Name); {
		case at == doc && h.Typeflag == tar.TypeSymlink:
			content, err := os.ReadFile(path.Join("/usr/share/doc", path.Base(h.Linkname), "copyright"))
			return string(content), err
		case at == path.Join(doc, "copyright"):
			content, err := io.ReadAll(reader)
			return string(content), err
		}
	}
}

// heading sets a text apart from the one before.
func heading(out *bytes.Buffer, title string) {
	const line = "========================================================================"
	fmt.Fprintf(out, "\n%s\n%s\n%s\n\n", line, title, line)
}
