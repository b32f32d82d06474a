package image_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// archive is a Debian archive on loopback, which the real apt fetches from. What apt knows of it is its own: lists, cache
// and settings are in directories of the test.
type archive struct {
	dir    string // of apt
	server *httptest.Server

	mu     sync.Mutex
	pool   map[string][]byte // by file name
	answer func(w http.ResponseWriter, r *http.Request, file []byte) bool
	asked  []string
}

// newArchive starts an archive with the packages of a micro image, and fetches no lists.
func newArchive(t *testing.T) *archive {
	t.Helper()
	a := &archive{dir: t.TempDir()}
	a.publish(t, "1")
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.server.Close)
	conf := ""
	for key, value := range map[string]string{
		"Dir::State": a.dir + "/state", "Dir::State::status": a.dir + "/status", "Dir::Cache": a.dir + "/cache",
		"Dir::Etc::SourceList": a.dir + "/sources.list", "Dir::Etc::SourceParts": "/dev/null", "Dir::Etc::Parts": "/dev/null",
		"Dir::Etc::Main": "/dev/null", "Dir::Etc::Preferences": "/dev/null", "Dir::Etc::PreferencesParts": "/dev/null",
		"APT::Sandbox::User": "root", "APT::Architecture": "amd64", "Acquire::http::Proxy": "DIRECT",
		"Acquire::Languages": "none", "Acquire::Retries": "0", "Acquire::http::Timeout": "5",
	} {
		conf += fmt.Sprintf("%s %q;\n", key, value)
	}
	for name, text := range map[string]string{
		"apt.conf": conf, "status": "", "sources.list": "deb [trusted=yes] " + a.server.URL + "/ bookworm main\n",
	} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("APT_CONFIG", filepath.Join(a.dir, "apt.conf"))
	return a
}

// publish replaces all packages by those of another version, as an archive does: the old ones are gone.
func (a *archive) publish(t *testing.T, version string) {
	t.Helper()
	pool, index := map[string][]byte{}, ""
	for _, p := range microPackages(t) {
		content := deb(t, p.files)
		sum := sha256.Sum256(content)
		file := fmt.Sprintf("pool/%s_%s_amd64.deb", p.name, version)
		pool[file] = content
		index += fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\n", p.name, version)
		if p.depends != "" {
			index += "Depends: " + p.depends + "\n"
		}
		index += fmt.Sprintf("Filename: %s\nSize: %d\nSHA256: %s\nDescription: a package\n\n", file, len(content), hex.EncodeToString(sum[:]))
	}
	const packages = "main/binary-amd64/Packages"
	pool["dists/bookworm/"+packages] = []byte(index)
	pool["dists/bookworm/Release"] = fmt.Appendf(nil,
		"Origin: Debian\nSuite: stable\nCodename: bookworm\nDate: Tue, 01 Dec 2026 00:00:00 UTC\nComponents: main\nArchitectures: amd64\n"+
			"SHA256:\n %x %d %s\n", sha256.Sum256([]byte(index)), len(index), packages)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pool = pool
}

// refuse has the archive answer otherwise than with what it has; nil ends that.
func (a *archive) refuse(answer func(w http.ResponseWriter, r *http.Request, file []byte) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

func (a *archive) serve(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	a.mu.Lock()
	file, found := a.pool[name]
	answer := a.answer
	a.asked = append(a.asked, name)
	a.mu.Unlock()
	if answer != nil && answer(w, r, file) {
		return
	}
	if !found {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(file)
}

// requests counts the requests for files whose name holds the text, since the last call.
func (a *archive) requests(text string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, name := range a.asked {
		if strings.Contains(name, text) {
			n++
		}
	}
	a.asked = nil
	return n
}

// isPackage tells requests for packages from those for lists.
func isPackage(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".deb") }

// debsLeft are the files below the store's packages, without what names the last build.
func debsLeft(t *testing.T, store string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(store, "debs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".deb") {
			names = append(names, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
