package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// host is a computer to install on: this machine's files, copy-on-write and without any state of kvmlab, with a libvirt
// of its own, in a sandbox. It has no network.
type host struct {
	t      *testing.T
	script string
	init   string // the sandbox's first process
}

const (
	hostRoot  = "/run/host/root" // in the sandbox
	hostUpper = "/run/host/upper"

	nextVersion = "99.0.0" // of the package that is upgraded to

	// commandLimit bounds each command; installing and `up` take seconds, or some tens of them on a busy machine.
	commandLimit = 10 * time.Minute
)

// newHost makes the host; it is gone when the test ends.
func newHost(t *testing.T) *host {
	t.Helper()
	nstest.RequireRoot(t)
	nstest.RequireCommand(t, "dpkg", "apt-get", "libvirtd")
	script, err := filepath.Abs(filepath.Join(checkout, "scripts/sandbox"))
	if err != nil {
		t.Fatal(err)
	}
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, "--no-libvirt", "--pid-fd", "3", "--", "cat")
	cmd.ExtraFiles = []*os.File{readyWrite}
	var said bytes.Buffer
	cmd.Stderr = &said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cmd.Start(), readyWrite.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
			t.Errorf("end the host: %v\n%s", err, said.String())
		}
	})
	line, err := bufio.NewReader(readyRead).ReadString('\n')
	if err := errors.Join(err, readyRead.Close()); err != nil {
		t.Fatalf("start the host: %v\n%s", err, said.String())
	}
	h := &host{t: t, script: script, init: strings.TrimSpace(line)}
	h.must(h.enter("sh", "-ec", layFiles, hostRoot, hostUpper))
	return h
}

// layFiles lays this machine's root under a memory file system. What is mounted below the root does not come along.
const layFiles = `
root=$0 upper=$1
mkdir -p "${root%/*}"
mount -t tmpfs -o mode=755 tmpfs "${root%/*}"
mkdir "$root" "$upper" "${root%/*}/work"
mount -t overlay -o "lowerdir=/,upperdir=$upper,workdir=${root%/*}/work" overlay "$root"
for dir in proc sys dev; do mount --rbind "/$dir" "$root/$dir"; done
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -m 1777 "$root/run/lock"

rm -rf "$root/var/lib/kvmlab" "$root/etc/libvirt/qemu" "$root/var/lib/libvirt/qemu"
printf 'unix_sock_group = "libvirt"\nauth_unix_ro = "none"\nauth_unix_rw = "none"\n' >"$root/etc/libvirt/libvirtd.conf"
# QEMU gets no /dev of its own: libvirt would make it beside the one of this root.
printf 'security_driver = "none"\nnamespaces = []\n' >"$root/etc/libvirt/qemu.conf"
`

// enter prepares a command in the sandbox, outside the host's files.
func (h *host) enter(name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(h.t.Context(), commandLimit)
	h.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, h.script, append([]string{"--enter", h.init, "--", name}, args...)...)
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "NO_COLOR=1",
		"HOME=/root", "DEBIAN_FRONTEND=noninteractive",
	}
	return cmd
}

// on prepares a command on the host.
func (h *host) on(name string, args ...string) *exec.Cmd {
	return h.enter("chroot", append([]string{hostRoot, name}, args...)...)
}

// must runs a command that has to succeed, and returns what it prints.
func (h *host) must(cmd *exec.Cmd) string {
	h.t.Helper()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		h.t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args[4:], " "), err, out.String(), said.String())
	}
	return out.String()
}

// run runs a command on the host that has to succeed, and returns its standard output.
func (h *host) run(name string, args ...string) string {
	h.t.Helper()
	return h.must(h.on(name, args...))
}

// fails runs a command on the host that must not succeed, and returns all that it says.
func (h *host) fails(name string, args ...string) string {
	h.t.Helper()
	out, err := h.on(name, args...).CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) {
		h.t.Fatalf("%s %s: succeeded (%v)\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// put copies a package to the host.
func (h *host) put(file string) string {
	h.t.Helper()
	at := "/" + filepath.Base(file)
	h.must(h.enter("cp", file, hostRoot+at))
	return at
}

// install installs a package as a person would. Everything it needs is there; nothing can be fetched.
func (h *host) install(file string) string {
	h.t.Helper()
	cmd := h.on("apt-get", "-qq", "-y", "--no-install-recommends", "-o", "APT::Sandbox::User=root", "install", h.put(file))
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("apt-get install: %v\n%s", err, out)
	}
	return string(out)
}

// startLibvirt starts the host's libvirt, which ends with it.
func (h *host) startLibvirt() {
	h.t.Helper()
	h.run("virtlogd", "-d", "-p", "/run/virtlogd.pid")
	h.run("libvirtd", "-d", "-p", "/run/libvirtd.pid")
}

// status is what matters here of `kvmlab status -o json`.
type status struct {
	Labs []struct {
		Name       string `json:"name"`
		State      string `json:"state"`
		Drift      []any  `json:"drift"`
		Supervisor struct {
			PID int `json:"pid"`
		} `json:"supervisor"`
	} `json:"labs"`
}

func (h *host) status() status {
	h.t.Helper()
	var s status
	if err := json.Unmarshal([]byte(h.run("kvmlab", "status", "-o", "json")), &s); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// changed lists the files of the host that are not this machine's, without what apt, dpkg and libvirt write for
// themselves about everything that is installed or run.
func (h *host) changed() []string {
	h.t.Helper()
	list := h.must(h.enter("sh", "-ec", `cd "$0" && find . -not -type d -not -type c | sort`, hostUpper))
	var left []string
	for file := range strings.Lines(list) {
		file = strings.TrimPrefix(strings.TrimSpace(file), ".")
		if !slices.ContainsFunc(othersFiles, func(prefix string) bool { return strings.HasPrefix(file, prefix) }) {
			left = append(left, file)
		}
	}
	return left
}

var othersFiles = []string{
	"/var/lib/dpkg/", "/var/lib/apt/", "/var/log/", "/var/cache/", "/var/lib/libvirt/", "/etc/libvirt/", "/root/", "/tmp/",
	"/etc/group", "/etc/gshadow", "/etc/.pwd.lock", "/etc/passwd", "/etc/shadow", "/etc/apparmor.d/",
}

// TestInstall takes a package through its life: installed on a computer without network, a lab brought up from it and
// taken down, upgraded with the lab up, removed, purged.
func TestInstall(t *testing.T) {
	file, _ := makeFirst(t)
	version := strings.Split(filepath.Base(file), "_")[1]
	h := newHost(t)
	h.startLibvirt()
	h.install(file)

	installedWell(h, version)

	h.run("kvmlab", "up", "--accel", "tcg")
	before := h.status()
	if len(before.Labs) != 1 || before.Labs[0].State != "up" {
		t.Fatalf("after the first up: %+v", before)
	}

	newer := newerPackage(t, nextVersion)
	h.install(newer)
	if got := h.run("kvmlab", "version"); !strings.HasPrefix(got, "kvmlab "+nextVersion+" ") {
		t.Errorf("after the upgrade, version prints %s", got)
	}
	after := h.status()
	if len(after.Labs) != 1 || after.Labs[0].State != "up" || len(after.Labs[0].Drift) > 0 ||
		after.Labs[0].Supervisor != before.Labs[0].Supervisor {
		t.Errorf("after the upgrade: %+v; before: %+v", after, before)
	}
	h.run("kvmlab", "reset", "pc1", "--yes")
	h.run("kvmlab", "exec", "--wait", "5m", "pc1", "--", "true")

	out, err := h.on("dpkg", "--remove", "kvmlab").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "three-taps is gone") {
		t.Errorf("remove with a lab up: %v\n%s", err, out)
	}
	if links := h.run("ip", "-brief", "link"); strings.Count(links, "\n") != 1 {
		t.Errorf("links after the removal:\n%s", links)
	}
	if left := h.run("virsh", "list", "--all", "--name"); strings.TrimSpace(left) != "" {
		t.Errorf("guests after the removal: %s", left)
	}
	h.run("dpkg", "--purge", "kvmlab")
	h.run("rm", "/"+filepath.Base(file), "/"+filepath.Base(newer))
	if left := h.changed(); len(left) > 0 {
		t.Errorf("after the purge there are still\n%s", strings.Join(left, "\n"))
	}
	if group, err := h.on("getent", "group", "kvmlab").Output(); err == nil {
		t.Errorf("after the purge there is still a group: %s", group)
	}
}

// installedWell looks at what an installation has to bring.
func installedWell(h *host, version string) {
	h.t.Helper()
	if got := h.run("kvmlab", "version"); !strings.HasPrefix(got, "kvmlab "+version+" ") {
		h.t.Errorf("version prints %q", got)
	}
	images := h.run("kvmlab", "image", "list", "-o", "json")
	for _, want := range []string{`"directory": "/var/lib/kvmlab/packaged/micro/`, `"stale": false`} {
		if !strings.Contains(images, want) {
			h.t.Errorf("image list does not say %s: %s", want, images)
		}
	}
	for lang, heading := range map[string]string{"en": "SYNOPSIS", "es": "SINOPSIS", "ca": "SINOPSI"} {
		dir := strings.TrimPrefix(languages[lang], "/")
		if text := h.run("zcat", "/"+dir+"/kvmlab-dhcp-serve.1.gz"); !strings.Contains(text, ".SH "+heading+"\n") {
			h.t.Errorf("the manual page in %q:\n%s", lang, text)
		}
	}
	completed := h.run("bash", "-c", `
		. /usr/share/bash-completion/bash_completion
		. /usr/share/bash-completion/completions/kvmlab
		COMP_WORDS=(kvmlab scen) COMP_CWORD=1 COMP_LINE="kvmlab scen" COMP_POINT=11 COMP_TYPE=9
		__start_kvmlab
		echo "${COMPREPLY[@]}"`)
	if strings.TrimSpace(completed) != "scenario" {
		h.t.Errorf("bash completes kvmlab scen to %q", completed)
	}
	if said := h.fails("kvmlab", "image", "rm", "micro"); !strings.Contains(said, "KL350") {
		h.t.Errorf("image rm of the package's image: %s", said)
	}
	h.run("mkdir", "/run/NetworkManager") // as if it ran
	if got, _ := h.on("kvmlab", "doctor").CombinedOutput(); bytes.Contains(got, []byte("KL113")) {
		h.t.Errorf("doctor says of NetworkManager, which the package's rule keeps off:\n%s", got)
	}
	h.run("rmdir", "/run/NetworkManager")
	h.run("getent", "group", "kvmlab")
	if verified := h.run("dpkg", "--verify", "kvmlab"); verified != "" {
		h.t.Errorf("dpkg --verify: %s", verified)
	}
}

// newerPackage is the next version of the package, with another image.
func newerPackage(t *testing.T, version string) string {
	t.Helper()
	root := copyCheckout(t)
	log := "## " + version + " (2027-01-01)\n\n- Another one.\n\n" + string(readFile(t, filepath.Join(checkout, "CHANGELOG.md")))
	if err := os.WriteFile(filepath.Join(root, "CHANGELOG.md"), []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	return makePackage(t, job{
		root: root, program: buildProgram(t, root, version), images: newerImage(t, store(t)), out: t.TempDir(),
	})
}

// newerImage is a store whose micro image differs from that of another by some zeros behind its initramfs.
func newerImage(t *testing.T, old string) string {
	t.Helper()
	img, err := microImage(old)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(old, "debs"), filepath.Join(dir, "debs")); err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(readFile(t, filepath.Join(img.Dir, manifestFile)), &manifest); err != nil {
		t.Fatal(err)
	}
	initrd := append(readFile(t, img.Initrd), make([]byte, 4096)...)
	sum := sha256.Sum256(initrd)
	digest := hex.EncodeToString(sum[:8])
	described, _ := manifest["initrd"].(map[string]any)
	maps.Copy(described, map[string]any{"size": len(initrd), "sha256": hex.EncodeToString(sum[:])})
	manifest["digest"] = digest
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "micro", digest)
	err = os.MkdirAll(at, 0o755)
	for name, content := range map[string][]byte{
		manifestFile: text, filepath.Base(img.Initrd): initrd, filepath.Base(img.Kernel): readFile(t, img.Kernel),
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(at, name), content, 0o644))
	}
	if err := errors.Join(err, os.Symlink(digest, filepath.Join(dir, "micro", "current"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPurgeKeepsDisks purges the package while a student's disk is there: it stays, with the image that it lies on, and
// what else kvmlab has kept goes.
func TestPurgeKeepsDisks(t *testing.T) {
	file, _ := makeFirst(t)
	h := newHost(t)
	h.install(file)
	const disk, base = "/var/lib/kvmlab/labs/ana/disks/srv.qcow2", "/var/lib/kvmlab/images/debian/0123456789abcdef/disk.qcow2"
	h.run("sh", "-ec", `
		mkdir -p "${0%/*}" "${1%/*}" /var/lib/kvmlab/templates
		qemu-img create -q -f qcow2 "$1" 1M
		qemu-img create -q -f qcow2 -b "$1" -F qcow2 "$0"
		echo saved >/var/lib/kvmlab/templates/one`, disk, base)

	out, err := h.on("dpkg", "--purge", "kvmlab").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "students' disks are kept in /var/lib/kvmlab/labs") {
		t.Errorf("purge: %v\n%s", err, out)
	}
	h.run("rm", "/"+filepath.Base(file))
	if diff := h.changed(); !slices.Equal(diff, []string{base, disk}) {
		t.Errorf("the purge left %s", diff)
	}
	h.run("qemu-img", "check", "-q", disk)
}

// TestNotWithoutQEMU wants apt to refuse, on a computer without QEMU.
func TestNotWithoutQEMU(t *testing.T) {
	file, _ := makeFirst(t)
	h := newHost(t)
	h.run("dpkg", "--force-depends", "--remove", "qemu-system-x86")
	at := h.put(file)
	if said := h.fails("dpkg", "--install", at); !strings.Contains(said, "qemu-system-x86") {
		t.Errorf("dpkg says %s", said)
	}
	h.run("dpkg", "--purge", "kvmlab")
	if said := h.fails("apt-get", "-y", "--no-download", "--no-install-recommends", "install", at); !strings.Contains(said, "qemu-system-x86") {
		t.Errorf("apt-get says %s", said)
	}
	h.fails("test", "-e", "/usr/bin/kvmlab")
}
