//kvmlab:needs @guests @micro
//kvmlab:needs lintian man-db bash-completion git

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/vm/image"
)

// checkout is the top folder of the checkout that is tested.
const checkout = "../.."

// store is where the micro image is; everywhere that tests run, scripts/setup has built it.
func store(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(state.DefaultStateDir, "images")
	problem := ""
	if _, err := microImage(dir); err != nil {
		problem = err.Error()
	}
	nstest.RequireImage(t, image.Micro, problem)
	return dir
}

// buildProgram builds kvmlab as scripts/package does, from the sources in root.
func buildProgram(t *testing.T, root, version string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "kvmlab")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=auto",
		"-ldflags", "-s -w -X main.packageVersion="+version, "-o", program, "./cmd/kvmlab")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build kvmlab: %v\n%s", err, out)
	}
	return program
}

// firstPackage is the package of this checkout, made once for all tests.
var firstPackage struct {
	sync.Once
	dir, file, program string
}

// makeFirst returns that package and the program in it.
func makeFirst(t *testing.T) (file, program string) {
	t.Helper()
	images := store(t)
	firstPackage.Do(func() {
		log, err := readChangelog(checkout)
		if err != nil {
			t.Fatal(err)
		}
		dir := firstPackage.dir
		built := buildProgram(t, checkout, log[0].version)
		firstPackage.program = filepath.Join(dir, "kvmlab")
		if err := os.Rename(built, firstPackage.program); err != nil {
			t.Fatal(err)
		}
		firstPackage.file = makePackage(t, job{root: checkout, program: firstPackage.program, images: images, out: dir})
	})
	if firstPackage.file == "" {
		t.Fatal("the package could not be made: see the first test that needed it")
	}
	return firstPackage.file, firstPackage.program
}

func makePackage(t *testing.T, j job) string {
	t.Helper()
	file, err := j.build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestMain makes and removes the folder of what is made once for all tests.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kvmlab-package-test-")
	if err != nil {
		panic(err)
	}
	firstPackage.dir = dir
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// TestPackageIsReproducible makes the package a second time, from a copy of the checkout in another folder, in another
// time zone and with another umask, and finds the same bytes.
func TestPackageIsReproducible(t *testing.T) {
	first, _ := makeFirst(t)

	copied := copyCheckout(t)
	t.Setenv("TZ", "Pacific/Auckland")
	t.Setenv("LANG", "ca_ES.UTF-8")
	t.Setenv("KVMLAB_STATE_DIR", t.TempDir())
	log, err := readChangelog(copied)
	if err != nil {
		t.Fatal(err)
	}
	second := makePackage(t, job{
		root: copied, program: buildProgram(t, copied, log[0].version), images: store(t), out: t.TempDir(),
	})
	if filepath.Base(first) != filepath.Base(second) {
		t.Errorf("the second package is called %s", filepath.Base(second))
	}
	a, b := readFile(t, first), readFile(t, second)
	if !bytes.Equal(a, b) {
		t.Errorf("two packages of one commit differ: %d and %d bytes: diffoscope %s", len(a), len(b), first)
	}
}

// copyCheckout copies the checkout, with other modes.
func copyCheckout(t *testing.T) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "elsewhere")
	if out, err := exec.CommandContext(t.Context(), "sh", "-ec", `
		mkdir -m 700 "$1"
		cd "$0"
		tar --exclude=./bin --create . | (umask 077 && tar --directory "$1" --extract)
	`, checkout, copied).CombinedOutput(); err != nil {
		t.Fatalf("copy the checkout: %v\n%s", err, out)
	}
	return copied
}

// TestLintian has Debian's own judge look at the package, at everything that it calls a warning or an error.
func TestLintian(t *testing.T) {
	nstest.RequireCommand(t, "lintian")
	file, _ := makeFirst(t)
	cmd := exec.CommandContext(t.Context(), "lintian",
		"--allow-root", "--fail-on", "warning", "--tag-display-limit", "0", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// TestOverridesSayWhy wants a reason above every override of lintian's.
func TestOverridesSayWhy(t *testing.T) {
	before := ""
	for line := range strings.Lines(string(readFile(t, filepath.Join(checkout, sourceDir, "kvmlab.lintian")))) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(before, "#") {
			t.Errorf("an override without a reason: %s", line)
		}
		before = line
	}
}

// TestProgramLinksNoPackager sees to it that what makes the package is no part of it.
func TestProgramLinksNoPackager(t *testing.T) {
	modules, err := linkedModules(t.Context(), checkout)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		if strings.HasPrefix(m.path, "github.com/goreleaser/") {
			t.Errorf("kvmlab links %s", m.path)
		}
	}
}

func readFile(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
