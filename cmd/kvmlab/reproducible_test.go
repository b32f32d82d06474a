package main_test

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBinaryIsReproducible builds the program twice, in two folders with two caches, one of them empty: the same
// source gives the same octets, so that whoever has the source can see that a binary is made of it. Not in parallel:
// it uses all processors.
func TestBinaryIsReproducible(t *testing.T) { //nolint:paralleltest // see above
	var sums [2][sha256.Size]byte
	for i := range sums {
		source := filepath.Join(t.TempDir(), strings.Repeat("deeper/", i), "source")
		copySource(t, source)
		path := filepath.Join(source, "kvmlab")
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", path, "./cmd/kvmlab")
		cmd.Dir = source
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if i == 0 {
			cmd.Env = append(cmd.Env, "GOCACHE="+t.TempDir())
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build kvmlab: %v\n%s", err, out)
		}
		binary, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(binary, []byte(source)) {
			t.Errorf("the binary names the folder that it was built in")
		}
		sums[i] = sha256.Sum256(binary)
	}
	if sums[0] != sums[1] {
		t.Errorf("the same source gives %x and %x", sums[0], sums[1])
	}
}

// copySource copies the module without what git, builds and editors keep beside it.
func copySource(t *testing.T, to string) {
	t.Helper()
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		switch hidden := path != "." && strings.HasPrefix(entry.Name(), "."); {
		case err != nil:
			return err
		case entry.IsDir() && (hidden || path == "bin"):
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, path), 0o755)
		case hidden || !entry.Type().IsRegular():
			return nil
		}
		text, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
