package userfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/userfile"
)

// me is who runs the tests, as the user that is worked for.
func me() userfile.Owner { return userfile.Owner{UID: os.Geteuid(), GID: os.Getegid()} }

// traps makes in a folder one of everything that must not be read, by name, and says why.
func traps(t *testing.T, dir string) map[string]string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(t.TempDir(), "secret")
	must(os.WriteFile(secret, []byte("secret"), 0o600))
	must(os.Symlink(secret, filepath.Join(dir, "link")))
	must(os.Symlink("plain", filepath.Join(dir, "link within")))
	must(os.Symlink("/proc/self/environ", filepath.Join(dir, "link to proc")))
	must(os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	must(os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	must(unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "long"), make([]byte, 65<<10), 0o600))
	must(unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o600, 0))
	found := map[string]string{
		"link": "symbolic link", "link within": "symbolic link", "link to proc": "symbolic link", "dangling": "symbolic link",
		"folder": "folder", "fifo": "FIFO", "long": "longer than 64 KiB", "socket": "socket", "../" + filepath.Base(dir) + "/plain": "link",
	}
	if err := unix.Mknod(filepath.Join(dir, "zero"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))); err == nil {
		found["zero"] = "device"
	}
	return found
}

// TestReadFileReadsPlainFiles: plain files are read, and everything else is refused at once, also what nobody writes
// to and what has no end.
func TestReadFileReadsPlainFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plain"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := traps(t, dir)
	folder, err := userfile.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if text, err := folder.ReadFile("plain", 64<<10); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := folder.ReadFile("missing", 64<<10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	for name, why := range refused {
		began := time.Now()
		text, err := folder.ReadFile(name, 64<<10)
		odd, ok := errors.AsType[*userfile.OddError](err)
		if !ok || !strings.Contains(odd.Why, why) || text != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		if time.Since(began) > 10*time.Second {
			t.Errorf("%s took %v", name, time.Since(began))
		}
	}
}

// TestTrust: what somebody else could change is refused, wherever on the way he could.
func TestTrust(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	teacher := userfile.Owner{UID: 1000, GID: 1000}
	tests := map[string]struct {
		change func(above, dir, file string) error
		want   string // "" when it is trusted
	}{
		"root's": {func(string, string, string) error { return nil }, ""},
		"the teacher's": {func(_, dir, file string) error {
			return errors.Join(os.Chown(dir, 1000, 1000), os.Chown(file, 1000, 1000))
		}, ""},
		"his own group's":            {func(_, dir, _ string) error { return errors.Join(os.Chown(dir, 1000, 1000), os.Chmod(dir, 0o775)) }, ""},
		"in a folder like /tmp":      {func(above, _, _ string) error { return os.Chmod(above, os.ModeSticky|0o777) }, ""},
		"everybody's folder":         {func(_, dir, _ string) error { return os.Chmod(dir, 0o777) }, "everybody"},
		"everybody's folder, sticky": {func(_, dir, _ string) error { return os.Chmod(dir, os.ModeSticky|0o777) }, "everybody"},
		"everybody's file":           {func(_, _, file string) error { return os.Chmod(file, 0o666) }, "everybody"},
		"a group's file":             {func(_, _, file string) error { return errors.Join(os.Chown(file, 0, 100), os.Chmod(file, 0o664)) }, "group 100"},
		"a group's folder":           {func(_, dir, _ string) error { return errors.Join(os.Chown(dir, 1000, 100), os.Chmod(dir, 0o775)) }, "group 100"},
		"a student's folder":         {func(_, dir, _ string) error { return os.Chown(dir, 1001, 1001) }, "user 1001"},
		"a student's file":           {func(_, _, file string) error { return os.Chown(file, 1001, 1001) }, "user 1001"},
		"everybody's above":          {func(above, _, _ string) error { return os.Chmod(above, 0o777) }, "everybody"},
		"a student's above":          {func(above, _, _ string) error { return os.Chown(above, 1001, 1001) }, "user 1001"},
		"a student's above, and like /tmp": {func(above, _, _ string) error {
			return errors.Join(os.Chown(above, 1001, 0), os.Chmod(above, os.ModeSticky|0o777))
		}, "user 1001"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			above := filepath.Join(t.TempDir(), "above")
			dir, file := filepath.Join(above, "scenario"), filepath.Join(above, "scenario", "lab.yaml")
			err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(file, []byte("lab"), 0o644), test.change(above, dir, file))
			if err != nil {
				t.Fatal(err)
			}
			link := filepath.Join(t.TempDir(), "link") // the way that a path took to the folder says nothing
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
			folder, err := userfile.OpenFolder(link)
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			if _, err := folder.ReadFile("lab.yaml", 100); err != nil {
				t.Fatal(err)
			}
			err = folder.Trust(teacher)
			odd, ok := errors.AsType[*userfile.OddError](err)
			if test.want == "" && err != nil || test.want != "" && (!ok || !strings.Contains(odd.Why, test.want)) {
				t.Errorf("trust: %v, want %q", err, test.want)
			}
		})
	}
}

// TestCreate: a new file is the owner's alone; nothing is written through a link, or into what is somebody else's.
func TestCreate(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	teacher := userfile.Owner{UID: 1000, GID: 1000}
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	in := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(os.WriteFile(secret, []byte("secret"), 0o600), os.Symlink(secret, in("link")), os.Symlink("nowhere", in("dangling")),
		os.Mkdir(in("folder"), 0o755), os.WriteFile(in("old"), []byte("a longer text than the new one"), 0o644), os.Link(secret, in("hard")),
		os.WriteFile(in("student's"), []byte("his"), 0o666), os.Chown(in("student's"), 1001, 1001), unix.Mkfifo(in("fifo"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"link": "symbolic link", "dangling": "symbolic link", "folder": "folder", "student's": "user 1001"} {
		_, err := userfile.Create(in(name), teacher)
		if odd, ok := errors.AsType[*userfile.OddError](err); !ok || !strings.Contains(odd.Why, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"new", "old", "hard"} {
		file, err := userfile.Create(in(name), teacher)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString("text"); err != nil {
			t.Fatal(err)
		}
		var stat unix.Stat_t
		if err := errors.Join(file.Close(), unix.Lstat(in(name), &stat)); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(in(name)); err != nil || string(text) != "text" || stat.Mode != unix.S_IFREG|0o600 || stat.Uid != 1000 || stat.Gid != 1000 {
			t.Errorf("%s: %q, mode %o of %d:%d (%v)", name, text, stat.Mode, stat.Uid, stat.Gid, err)
		}
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "secret" {
		t.Errorf("what the links lead to is %q now (%v)", text, err)
	}
	if _, err := os.Stat(in("nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dangling link was followed: %v", err)
	}
	read := make(chan []byte, 1)
	go func() {
		text, _ := os.ReadFile(in("fifo")) // an error shows as no text
		read <- text
	}()
	file, err := userfile.Create(in("fifo"), teacher)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("text"); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	if got := <-read; !bytes.Equal(got, []byte("text")) {
		t.Errorf("out of the FIFO came %q", got)
	}
}

// TestInvoker: sudo's word counts when root says it.
func TestInvoker(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		uid, gid string
		want     userfile.Owner
	}{
		{"1000", "1001", userfile.Owner{UID: 1000, GID: 1001}}, {"", "", me()}, {"1000", "", me()}, {"-1", "5", me()}, {"x", "5", me()},
	} {
		want := test.want
		if os.Geteuid() != 0 {
			want = me()
		}
		got := userfile.Invoker(func(name string) string { return map[string]string{"SUDO_UID": test.uid, "SUDO_GID": test.gid}[name] })
		if got != want {
			t.Errorf("%q %q: %+v, want %+v", test.uid, test.gid, got, want)
		}
	}
}
