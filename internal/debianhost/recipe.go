package main

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"strings"
)

// suite is the Debian release of the host.
const suite = "bookworm"

// diskSize is the size of the host's disk, in bytes; what is free of it takes no room here.
const diskSize = 8 << 30

// packages are what somebody has who installed Debian and, as kvmlab's package wants it, libvirt and QEMU. Recommended
// packages are named one by one: those of the kernel and of QEMU are large, and serve screens and cards that are not
// there.
var packages = strings.Fields(`
	linux-image-amd64 initramfs-tools zstd
	systemd-sysv libpam-systemd udev dbus polkitd apparmor sudo
	network-manager iproute2 iputils-ping nftables kmod procps netbase ca-certificates
	libvirt-daemon-system libvirt-clients dnsmasq-base dmidecode mdevctl parted
	qemu-system-x86 qemu-utils
	bash-completion less man-db e2fsprogs xz-utils
`)

//go:embed setup
var setup string

// The initramfs has the modules for this disk and no more: the host unpacks them without hardware virtualisation.
const (
	initramfsConf    = "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=3\n"
	initramfsModules = "virtio_pci\nvirtio_blk\next4\n"
)

// writeHook has mmdebstrap write a file, of a text and a name, before the packages are installed that read it.
const writeHook = `--essential-hook=printf %%s '%s' >"$1%s"`

// bootstrap is mmdebstrap's command line for the host's file system in a directory. hook is the file that holds setup.
func bootstrap(dir, hook, mirror string) []string {
	return []string{
		"--mode=root", "--variant=minbase", "--format=directory", "--include=" + strings.Join(packages, ","),
		"--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		`--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d"`,
		fmt.Sprintf(writeHook, initramfsConf, "/etc/initramfs-tools/conf.d/host"),
		fmt.Sprintf(writeHook, initramfsModules, "/etc/initramfs-tools/modules"),
		"--customize-hook=" + hook,
		suite, dir, fmt.Sprintf("deb %s %s main", mirror, suite),
	}
}

// digest names what the recipe makes: an image of another recipe is another image. What the archive has at the time is no
// part of it.
func digest() string {
	sum := sha256.New()
	for _, part := range append(bootstrap("", "", ""), setup, fmt.Sprint(diskSize)) {
		sum.Write(fmt.Appendf(nil, "%d %s\n", len(part), part))
	}
	return fmt.Sprintf("%x", sum.Sum(nil))[:16]
}
