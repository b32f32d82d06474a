package scripts_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// machineCopy is this machine with a layer on its root file system that goes with the test: what is installed in it is
// installed nowhere else.
type machineCopy struct {
	t     *testing.T
	layer string
}

func newMachineCopy(t *testing.T) machineCopy {
	t.Helper()
	nstest.RequireRoot(t)
	layer := t.TempDir()
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(layer, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return machineCopy{t: t, layer: layer}
}

// run runs a script in the copy, with the checkout as its directory, and gives what it prints.
func (m machineCopy) run(script string) string {
	m.t.Helper()
	const enter = `
		mount -t overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" overlay "$0/root"
		for dir in /proc /dev "$PWD"; do mkdir -p "$0/root$dir"; mount --rbind "$dir" "$0/root$dir"; done
		exec chroot "$0/root" bash -euo pipefail -c "cd '$PWD'; $1"`
	checkout, err := filepath.Abs("..")
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.CommandContext(m.t.Context(), "unshare", "--mount", "--propagation", "private", "bash", "-euc", enter, m.layer, script)
	cmd.Dir = checkout
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// debArchive is an archive on loopback with one version of each package.
type debArchive struct {
	url string

	mu    sync.Mutex
	files map[string][]byte
}

func newDebArchive(t *testing.T) *debArchive {
	t.Helper()
	a := &debArchive{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		content, found := a.files[path.Clean(r.URL.Path)]
		a.mu.Unlock()
		if !found {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(content)
	}))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// publish replaces what the archive has.
func (a *debArchive) publish(t *testing.T, version string, names ...string) {
	t.Helper()
	files, index := map[string][]byte{}, ""
	for _, name := range names {
		dir := t.TempDir()
		control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: nothing\n", name, version)
		if err := os.Mkdir(filepath.Join(dir, "DEBIAN"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "DEBIAN", "control"), []byte(control), 0o644); err != nil {
			t.Fatal(err)
		}
		deb := filepath.Join(t.TempDir(), "x.deb")
		if out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--build", dir, deb).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		content, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		file := fmt.Sprintf("/%s_%s_all.deb", name, version)
		files[file] = content
		index += fmt.Sprintf("%sFilename: .%s\nSize: %d\nSHA256: %x\n\n", control, file, len(content), sha256.Sum256(content))
	}
	files["/Packages"] = []byte(index)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.files = files
}

// TestInstallPackages: the packages of the scripts come also when the lists are older than the archive, and after an
// installation that was interrupted.
func TestInstallPackages(t *testing.T) {
	m, a := newMachineCopy(t), newDebArchive(t)
	a.publish(t, "1", "kvmlab-try")
	m.run(fmt.Sprintf(`rm -rf /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/*; echo 'deb [trusted=yes] %s ./' >/etc/apt/sources.list
		echo 'Acquire::http::Proxy DIRECT; Acquire::Retries 0;' >/etc/apt/apt.conf
		echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/try; apt-get -qq update`, a.url))

	a.publish(t, "2", "kvmlab-try", "kvmlab-next")
	const install = `source scripts/lib.sh; install_packages coreutils %[1]s; dpkg-query --show %[1]s`
	said := m.run(fmt.Sprintf(install, "kvmlab-try"))
	if strings.Count(said, "updating the package lists") != 1 || !strings.Contains(said, "kvmlab-try\t2") {
		t.Errorf("old lists: %s", said)
	}
	if said = m.run(fmt.Sprintf(install, "kvmlab-try")); said != "kvmlab-try\t2\n" {
		t.Errorf("installed already: %q", said)
	}

	// dpkg keeps here what it has done and not yet noted in the status file.
	m.run(`dpkg-query --status kvmlab-try >/var/lib/dpkg/updates/0001; ! apt-get -qq -y install kvmlab-next 2>/dev/null`)
	if said = m.run(fmt.Sprintf(install, "kvmlab-next")); !strings.Contains(said, "kvmlab-next\t2") {
		t.Errorf("after an interruption: %s", said)
	}
}
