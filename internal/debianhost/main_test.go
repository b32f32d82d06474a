//kvmlab:needs @guests @micro mmdebstrap

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/nstest"
	guests "github.com/kvmlab/kvmlab/vm/image"
)

// asProgram has this test binary be the program.
const asProgram = "KVMLAB_TEST_AS_DEBIAN_HOST"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is a debian-host that runs. Every process of it carries the mark in its environment.
type program struct {
	*exec.Cmd

	mark string
	mu   sync.Mutex
	out  bytes.Buffer
	more chan struct{} // has something when more was written
}

// Write keeps what the program writes.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
	return p.out.Write(b)
}

func (p *program) written() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// launch starts the program through the commands before it, if any (unshare …).
func launch(t *testing.T, before []string, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line := append(append(before, self), args...)
	p := &program{mark: fmt.Sprintf("kl%08x", rand.Uint32()), more: make(chan struct{}, 1)}
	p.Cmd = exec.Command(line[0], line[1:]...)
	p.Env = append(os.Environ(), asProgram+"="+p.mark)
	p.Stdout, p.Stderr = p, p
	p.WaitDelay = patience
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait() // it was killed
		}
	})
	return p
}

// await waits until the program has written the text.
func (p *program) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(patience)
	for !strings.Contains(p.written(), text) {
		select {
		case <-p.more:
		case <-deadline:
			t.Fatalf("%q never came:\n%s", text, p.written())
		}
	}
}

// end waits for the program's end, and sees that no process of it is left.
func (p *program) end(t *testing.T) (status int) {
	t.Helper()
	_ = p.Wait() // the status tells
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		left := p.processes(t)
		if len(left) == 0 {
			return p.ProcessState.ExitCode()
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %q\n%s", left, p.written())
		}
	}
}

// processes are those that carry the program's mark.
func (p *program) processes(t *testing.T) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		env, _ := os.ReadFile(file) // it may have ended meanwhile
		if bytes.Contains(env, []byte(asProgram+"="+p.mark)) {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "comm"))
			found = append(found, strings.TrimSpace(string(name)))
		}
	}
	return found
}

// wantOnly wants nothing else in the directory.
func wantOnly(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("in %s: %q, want %q", dir, got, want)
	}
}

func TestWrongInput(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	two := t.TempDir()
	for _, dir := range []string{"a", "b"} {
		if err := os.MkdirAll(filepath.Join(two, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(two, dir, "one.deb"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ args, want string }{
		{"--nonsense", "flag provided but not defined: -nonsense"},
		{"/nowhere.deb", "stat /nowhere.deb: no such file or directory"},
		{"/dev/null", "/dev/null is no plain file"},
		{two, two + " is no plain file"},
		{two + "/a/one.deb " + two + "/b/one.deb", "would be one file on the host"},
		{"--make " + two + "/a/one.deb", "boots nothing that could take a file"},
	} {
		p := launch(t, nil, append([]string{"--cache", cache}, strings.Fields(c.args)...)...)
		if status := p.end(t); status != 1 || !strings.Contains(p.written(), c.want) {
			t.Errorf("%s: status %d, want 1 and %q:\n%s", c.args, status, c.want, p.written())
		}
	}
	if _, err := os.Stat(cache); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("wrong input has made the cache: %v", err)
	}
}

// TestNoRoom: without room for an image nothing is begun.
func TestNoRoom(t *testing.T) {
	nstest.RequireRoot(t)
	dir := t.TempDir()
	script := `mount -t tmpfs -o size=64m tmpfs "$0" && "$@"; status=$?; ls "$0"; exit $status`
	p := launch(t, []string{"unshare", "--mount", "sh", "-c", script, dir}, "--make", "--cache", dir)
	want := dir + " has 64 MiB free, and making a host's image takes 3072 MiB\nlock\n"
	if status := p.end(t); status != 1 || !strings.HasSuffix(p.written(), want) {
		t.Errorf("status %d, want 1 and at the end %q:\n%s", status, want, p.written())
	}
}

// silentArchive is an archive that takes requests and never answers. It returns its address, and a channel that has
// something when a request is waiting.
func silentArchive(t *testing.T) (address string, asked <-chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan struct{}, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			came <- struct{}{}
			t.Cleanup(func() { conn.Close() })
		}
	}()
	t.Cleanup(func() { listener.Close() })
	return "http://" + listener.Addr().String() + "/debian", came
}

// TestInterruptedMaking: whatever ends the making of an image, no process of it is left, and the next one goes on.
func TestInterruptedMaking(t *testing.T) {
	nstest.RequireRoot(t)
	nstest.RequireCommand(t, "mmdebstrap")
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			cache := t.TempDir()
			address, asked := silentArchive(t)
			p := launch(t, nil, "--make", "--cache", cache, "--mirror", address)
			select {
			case <-asked:
			case <-time.After(patience):
				t.Fatalf("nobody asks the archive:\n%s", p.written())
			}
			if err := p.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if status := p.end(t); signal == syscall.SIGKILL {
				wantOnly(t, cache, "lock", "making")
			} else {
				wantOnly(t, cache, "lock")
				if status != 1 || !strings.Contains(p.written(), "debian-host: install Debian ") {
					t.Errorf("status %d, want 1:\n%s", status, p.written())
				}
			}

			refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "not for you", http.StatusForbidden)
			}))
			defer refusing.Close()
			p = launch(t, nil, "--make", "--cache", cache, "--mirror", refusing.URL)
			if status := p.end(t); status != 1 || !strings.Contains(p.written(), "403") {
				t.Errorf("status %d, want 1 and the archive's 403:\n%s", status, p.written())
			}
			wantOnly(t, cache, "lock")
		})
	}
}

// quickHost returns a cache whose image boots in seconds: it is the micro image's kernel, with nothing on the disk.
func quickHost(t *testing.T) (cache string) {
	t.Helper()
	micro, err := guests.Lookup("/var/lib/kvmlab/images", guests.Micro)
	if err != nil {
		nstest.RequireImage(t, guests.Micro, err.Error())
	}
	cache = t.TempDir()
	img := image(filepath.Join(cache, digest()))
	err = errors.Join(os.Mkdir(string(img), 0o755), os.Symlink(micro.Kernel, img.file(kernelFile)),
		os.Symlink(micro.Initrd, img.file(initrdFile)), os.WriteFile(img.file(diskFile), make([]byte, 1<<20), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// TestBootEnds: whatever ends the program, its host ends as well, and leaves no file.
func TestBootEnds(t *testing.T) {
	nstest.RequireCommand(t, "qemu-system-x86_64")
	file := filepath.Join(t.TempDir(), "one.deb")
	if err := os.WriteFile(file, []byte("a package"), 0o644); err != nil {
		t.Fatal(err)
	}
	cache := quickHost(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			p := launch(t, nil, "--cache", cache, file)
			p.await(t, "Linux version")
			if err := p.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if status := p.end(t); status != 1 && signal != syscall.SIGKILL {
				t.Errorf("status %d, want 1:\n%s", status, p.written())
			}
			wantOnly(t, tmp)
		})
	}
}
