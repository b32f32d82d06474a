package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/state"
)

func testDirs(t *testing.T) state.Dirs {
	t.Helper()
	root := t.TempDir()
	return state.Dirs{Run: filepath.Join(root, "run", "kvmlab"), State: filepath.Join(root, "lib", "kvmlab")}
}

func testLab(t *testing.T, d state.Dirs, name string) state.Lab {
	t.Helper()
	l, err := d.Lab(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDirsFromEnv(t *testing.T) {
	env := map[string]string{}
	get := func(k string) string { return env[k] }
	if diff := cmp.Diff(state.Dirs{Run: "/run/kvmlab", State: "/var/lib/kvmlab"}, state.DirsFromEnv(get)); diff != "" {
		t.Error(diff)
	}
	env[state.EnvRunDir], env[state.EnvStateDir] = "/a", "/b"
	if diff := cmp.Diff(state.Dirs{Run: "/a", State: "/b"}, state.DirsFromEnv(get)); diff != "" {
		t.Error(diff)
	}
}

func TestLabNamesAreNotPaths(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../etc", "a/b", "/etc", "a\x00b"} {
		if _, err := (state.Dirs{Run: "/run", State: "/lib"}).Lab(name); !errors.Is(err, state.ErrLabName) {
			t.Errorf("Lab(%q): %v, want ErrLabName", name, err)
		}
	}
}

// tree lists what is below dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	found := []string{}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			found = append(found, path[len(dir)+1:])
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

func TestRemoveLeavesNothingOfOursAndOnlyThat(t *testing.T) {
	dirs := testDirs(t)
	one, two := testLab(t, dirs, "one"), testLab(t, dirs, "two")
	for _, l := range []state.Lab{one, two} {
		if err := l.Create(); err != nil {
			t.Fatal(err)
		}
		lock, err := l.Lock()
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Release()
		if err := l.WriteLabFile([]byte("{}")); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{
			l.JournalFile(), l.SupervisorLock(), l.SupervisorSocket(), l.SupervisorLog(),
			l.ConsoleLog("pc1"), filepath.Join(l.LeaseDir(), "br1.log"),
		} {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	disk := filepath.Join(two.Dir(), "disks")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	names, err := dirs.Labs()
	if diff := cmp.Diff([]string{"one", "two"}, names); diff != "" || err != nil {
		t.Fatal(diff, err)
	}

	if err := one.Remove(); err != nil {
		t.Fatal(err)
	}
	names, err = dirs.Labs()
	if diff := cmp.Diff([]string{"two"}, names); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	if err := two.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dirs.Run); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("run folder is still there: %v", tree(t, dirs.Run))
	}
	if diff := cmp.Diff([]string{"labs", "labs/two", "labs/two/disks"}, tree(t, dirs.State)); diff != "" {
		t.Error(diff)
	}
	if names, err := dirs.Labs(); len(names) > 0 || err != nil {
		t.Errorf("a folder of kept disks counts as a lab: %v, %v", names, err)
	}
}

func TestLabFile(t *testing.T) {
	l := testLab(t, testDirs(t), "one")
	if data, err := l.ReadLabFile(); data != nil || err != nil {
		t.Fatalf("no lab: %q, %v", data, err)
	}
	if err := l.Create(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"version":1}`, `{"version":1,"name":"one"}`} {
		if err := l.WriteLabFile([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := l.ReadLabFile(); string(got) != want || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	for range 2 {
		if err := l.WriteLabFile(nil); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"captures", "console", "leases"}, tree(t, l.Dir())); diff != "" {
		t.Error(diff)
	}
}
