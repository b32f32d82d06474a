// Command debianhost makes a whole Debian host (systemd, udev, AppArmor, NetworkManager, libvirt, an ordinary user) as one
// QEMU guest without network, and boots it. Its tests have kvmlab live there: installed from its package, through a reboot
// and a power cut, until it is purged. It is run by scripts/debian-host and is no part of kvmlab itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// cacheDir is where the hosts' images are kept.
const cacheDir = "/var/cache/kvmlab/debian-host"

// endLimit is how long QEMU gets to give the terminal back.
const endLimit = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "debian-host:", err)
		os.Exit(1)
	}
}

const usage = `Examples:
  sudo scripts/debian-host                              a host on this terminal: ana, password ana
  sudo scripts/debian-host dist/kvmlab_1.0_amd64.deb    with a file: sudo tar xf /dev/vdb, there
  sudo scripts/debian-host --test                       have kvmlab live there (docs/debian-host.md)
  sudo scripts/debian-host --make                       make its image, if it is not there

Usage: scripts/debian-host [options] [FILE...]

Nothing that happens on the host stays: its disk is thrown away. Ctrl-A x ends it.

Options:
`

func run(ctx context.Context, args []string, log io.Writer) (err error) {
	flags := flag.NewFlagSet("debian-host", flag.ContinueOnError)
	flags.SetOutput(log)
	c := cache{log: log}
	flags.StringVar(&c.dir, "cache", cacheDir, "the `directory` that keeps the hosts' images")
	flags.StringVar(&c.mirror, "mirror", "", "the `address` of the Debian archive (otherwise apt's here)")
	onlyMake := flags.Bool("make", false, "make the image and boot nothing")
	flags.Usage = func() {
		_, _ = io.WriteString(log, usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	files, err := payloadFiles(flags.Args())
	if err != nil {
		return err
	}
	if *onlyMake && len(files) > 0 {
		return errors.New("--make boots nothing that could take a file")
	}
	img, release, err := c.get(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if *onlyMake {
		_, err = fmt.Fprintln(log, img)
		return err
	}
	return boot(ctx, img, files)
}

// payloadFiles names each file by its last element, which must be its own.
func payloadFiles(paths []string) (map[string]string, error) {
	files := make(map[string]string, len(paths))
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is no plain file", path)
		}
		name := filepath.Base(path)
		if other, ok := files[name]; ok {
			return nil, fmt.Errorf("%s and %s would be one file on the host", other, path)
		}
		files[name] = path
	}
	return files, nil
}

// boot runs a host with the terminal as its first serial line. However it ends, nothing is left: what is written to its
// disk goes to a file without a name, and the disk with the files is one.
func boot(ctx context.Context, img image, files map[string]string) (err error) {
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64")
	payload := ""
	if len(files) > 0 {
		file, err := unnamed(files)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		qemu.ExtraFiles, payload = []*os.File{file}, "/dev/fd/3"
	}
	qemu.Args = append(qemu.Args, machine(img, "format=raw,snapshot=on,"+inFile(img.file(diskFile)), payload)...)
	qemu.Args = append(qemu.Args, "-serial", "mon:stdio")
	qemu.Stdin, qemu.Stdout, qemu.Stderr = os.Stdin, os.Stdout, os.Stderr
	qemu.Cancel = func() error { return qemu.Process.Signal(syscall.SIGTERM) } // then it gives the terminal back
	qemu.WaitDelay = endLimit
	if err := runBound(qemu); err != nil {
		return fmt.Errorf("QEMU: %w", err)
	}
	return context.Cause(ctx)
}

// unnamed returns a file without a name that holds the files as an archive.
func unnamed(files map[string]string) (*os.File, error) {
	file, err := os.CreateTemp("", "debian-host-")
	if err != nil {
		return nil, fmt.Errorf("make the second disk: %w", err)
	}
	if err := errors.Join(os.Remove(file.Name()), writePayload(file, files)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
