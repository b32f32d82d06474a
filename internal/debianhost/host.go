package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// patient is of the host's kernel command line what an emulated computer needs on a busy machine: no guards against its own
// processor, no doubts about its clock, and longer than 90 s for a unit or a console to be there.
const patient = "mitigations=off tsc=reliable systemd.default_device_timeout_sec=900 systemd.default_timeout_start_sec=900"

// machine is QEMU's command line for a host: a PC of two processors with 5 GiB and no network card. -cpu max has the
// emulated processor offer SVM, so /dev/kvm is there, and works, slowly. disk is what QEMU is to know of the disk; payload,
// if not empty, is the file of a second one, to be read only.
func machine(img image, disk, payload string) []string {
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-nic", "none",
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "5120",
		"-kernel", img.file(kernelFile), "-initrd", img.file(initrdFile),
		"-append", "root=/dev/vda rw console=ttyS0 " + patient,
		"-drive", "if=none,id=disk," + disk, "-device", "virtio-blk-pci,drive=disk",
		"-device", "virtio-rng-pci",
	}
	if payload != "" {
		args = append(args, "-drive", "if=none,id=payload,format=raw,read-only=on,"+inFile(payload),
			"-device", "virtio-blk-pci,drive=payload")
	}
	return args
}

// inFile is QEMU's option for where a disk is, in whose value commas are doubled.
func inFile(path string) string { return "file=" + strings.ReplaceAll(path, ",", ",,") }

// logFile is QEMU's option for where a console's output is kept.
func logFile(dir, name string) string {
	return "logappend=on,log" + inFile(filepath.Join(dir, name+".log"))
}

// makeDisk makes an overlay of the image's disk, which only its host writes to.
func makeDisk(ctx context.Context, img image, path string) error {
	base, err := filepath.Abs(img.file(diskFile))
	if err != nil {
		return err
	}
	create := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, path)
	out, err := create.CombinedOutput()
	if err != nil {
		return fmt.Errorf("make the host's disk: %w: %s", err, out)
	}
	return nil
}

// writePayload writes files as a tar archive, by the names that they get there. A disk that holds it is unpacked by
// tar xf /dev/vdb: its blocks are a disk's, of 512 bytes.
func writePayload(out io.Writer, files map[string]string) error {
	archive := tar.NewWriter(out)
	for name, source := range files {
		if err := addFile(archive, name, source); err != nil {
			return fmt.Errorf("put %s onto the second disk: %w", source, err)
		}
	}
	return archive.Close()
}

func addFile(archive *tar.Writer, name, source string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was read only
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no plain file")
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: int64(info.Mode().Perm())}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, in)
	return err
}

// host is a Debian host that runs.
type host struct {
	kernel *console // the first serial line: the kernel, systemd, and a login
	user   *console // a virtio console: a login, and nothing else

	cut   context.CancelFunc
	ended chan struct{} // closed when QEMU has ended
	err   error         // how QEMU has ended; to be read after that
}

// start boots the host of a disk. It ends when the power is cut, with the context, and with this process. All that its
// consoles say is also appended to the files kernel.log and user.log in a directory.
func start(ctx context.Context, img image, disk, payload, logs string) (*host, error) {
	kernel, kernelEnd, err := line()
	if err != nil {
		return nil, err
	}
	defer kernelEnd.Close() //nolint:errcheck // QEMU has its own copy
	user, userEnd, err := line()
	if err != nil {
		return nil, errors.Join(err, kernel.Close())
	}
	defer userEnd.Close() //nolint:errcheck // QEMU has its own copy

	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", append(machine(img, "format=qcow2,"+inFile(disk), payload),
		"-chardev", "socket,id=kernel,fd=3,"+logFile(logs, "kernel"), "-serial", "chardev:kernel",
		"-chardev", "socket,id=user,fd=4,"+logFile(logs, "user"),
		"-device", "virtio-serial-pci", "-device", "virtconsole,chardev=user")...)
	cmd.ExtraFiles = []*os.File{kernelEnd, userEnd}
	h := &host{cut: cancel, ended: make(chan struct{})}
	started := make(chan error)
	go h.attend(cmd, started)
	if err := <-started; err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("start QEMU: %w", err), kernel.Close(), user.Close())
	}
	h.kernel, h.user = newConsole(kernel), newConsole(user)
	return h, nil
}

// attend starts QEMU, tells whether that went well, and waits for its end.
func (h *host) attend(cmd *exec.Cmd, started chan<- error) {
	// The parent-death signal comes when the thread ends that has started the child.
	runtime.LockOSThread()
	var complaints strings.Builder
	cmd.Stderr = &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Start()
	started <- err
	if err != nil {
		return
	}
	h.err = cmd.Wait()
	if complaints.Len() > 0 {
		h.err = fmt.Errorf("%w: %s", h.err, complaints.String())
	}
	close(h.ended)
}

// cutPower ends the host at once, as a power cut does.
func (h *host) cutPower() {
	h.cut()
	<-h.ended
}

// line returns the two ends of a serial line: one to read and write here, one for QEMU to inherit.
func line() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a console: %w", err)
	}
	here, there := os.NewFile(uintptr(fds[0]), "console"), os.NewFile(uintptr(fds[1]), "console")
	defer here.Close() //nolint:errcheck // net.FileConn has its own copy
	conn, err := net.FileConn(here)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make a console: %w", err), there.Close())
	}
	return conn, there, nil
}
