package image_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/vm/image"
)

// noticed is a set of options that keeps what the build tells.
func noticed(store string) (image.Options, *[]string) {
	told := &[]string{}
	return image.Options{Store: store, Notice: func(n image.Notice) {
		line := n.Kind.String()
		if n.Err != nil {
			line += ": " + n.Err.Error()
		}
		*told = append(*told, line)
	}}, told
}

// wantTold compares the beginnings of what was told.
func wantTold(t *testing.T, told []string, want ...string) {
	t.Helper()
	kinds := make([]string, len(told))
	for i, line := range told {
		kinds[i], _, _ = strings.Cut(line, ":")
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("told (-want +got):\n%s\n%s", diff, strings.Join(told, "\n"))
	}
}

// TestBuildMicroOldLists: the packages have moved on since the lists were fetched, or there are no lists yet. They are
// fetched once, and the build succeeds.
func TestBuildMicroOldLists(t *testing.T) {
	a := newArchive(t)
	o, told := noticed(t.TempDir())
	build(t, o)
	wantTold(t, *told, "refresh") // there were none
	*told = nil
	a.requests("")

	a.publish(t, "2")
	o.Store = t.TempDir()
	img := build(t, o)
	wantTold(t, *told, "refresh")
	if !strings.Contains((*told)[0], "404") {
		t.Errorf("it is not said what apt could not fetch: %q", *told)
	}
	if n := a.requests("Packages"); n != 1 {
		t.Errorf("the lists were fetched %d times", n)
	}
	for _, p := range img.Packages {
		if p.Version != "2" {
			t.Errorf("made from %s %s", p.Name, p.Version)
		}
	}
	*told = nil
	build(t, o)
	wantTold(t, *told, "here")
	if n := a.requests(""); n != 0 {
		t.Errorf("%d requests although everything is there", n)
	}
}

// TestBuildMicroRefused: an archive that gives nothing, or not what it promised. The error holds apt's words and no list of
// packages, nothing half is kept, and with the packages of an earlier build the image is made all the same.
func TestBuildMicroRefused(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, file []byte) bool
		says   string
	}{
		"forbidden": {says: "403", answer: func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusForbidden)
			return true
		}},
		"packages forbidden": {says: "403", answer: func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
			if isPackage(r) {
				w.WriteHeader(http.StatusForbidden)
			}
			return isPackage(r)
		}},
		"half a file": {says: "Remote end closed connection", answer: func(w http.ResponseWriter, r *http.Request, file []byte) bool {
			if isPackage(r) {
				w.Header().Set("Content-Length", fmt.Sprint(len(file)))
				_, _ = w.Write(file[:len(file)/2])
			}
			return isPackage(r)
		}},
		"another file": {says: "Hash Sum mismatch", answer: func(w http.ResponseWriter, r *http.Request, file []byte) bool {
			if isPackage(r) {
				_, _ = w.Write(make([]byte, len(file)))
			}
			return isPackage(r)
		}},
		"no answer": {says: "Failed to fetch", answer: func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			if connection, _, err := w.(http.Hijacker).Hijack(); err == nil {
				connection.Close()
			}
			return true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t)
			o, told := noticed(t.TempDir())
			a.refuse(c.answer)
			_, err := image.BuildMicro(t.Context(), o)
			var fetch *image.FetchError
			if !errors.As(err, &fetch) || !errors.Is(err, image.ErrOffline) {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(fetch.Said, c.says) || strings.Contains(err.Error(), "busybox-static, ") {
				t.Errorf("it says %q", fetch.Said)
			}
			wantTold(t, *told, "refresh")
			nothingBuilt(t, o.Store)

			// With what was fetched before.
			a.refuse(nil)
			build(t, o)
			a.publish(t, "2")
			if err := os.RemoveAll(filepath.Join(a.dir, "state/lists")); err != nil {
				t.Fatal(err)
			}
			a.refuse(c.answer)
			*told = nil
			img := build(t, o)
			wantTold(t, *told, "refresh", "cached")
			if img.Packages[0].Version != "1" {
				t.Errorf("made from version %s", img.Packages[0].Version)
			}
		})
	}
}

// TestBuildDebianRefused: the packages of the kernel are here, and the archive has nothing more to give.
func TestBuildDebianRefused(t *testing.T) {
	nstest.RequireRoot(t)
	nstest.RequireCommand(t, "mmdebstrap", "mke2fs", "qemu-img")
	a := newArchive(t)
	o, told := noticed(t.TempDir())
	build(t, o)
	a.refuse(func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	*told = nil
	_, err := image.BuildDebian(t.Context(), o)
	var fetch *image.FetchError
	if !errors.As(err, &fetch) || !strings.Contains(fetch.Said, "403") {
		t.Errorf("error %v", err)
	}
	wantTold(t, *told, "here")
	if left := files(t, filepath.Join(o.Store, image.Debian)); len(left) != 1 { // the lock
		t.Errorf("left behind: %d files", len(left))
	}
}

// TestBuildMicroGoesOn: what was fetched when a build was interrupted is not fetched again.
func TestBuildMicroGoesOn(t *testing.T) {
	a := newArchive(t)
	build(t, image.Options{Store: t.TempDir()}) // fetches the lists
	a.requests("")
	o := image.Options{Store: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var count sync.Mutex
	given := 0
	a.refuse(func(_ http.ResponseWriter, r *http.Request, _ []byte) bool {
		count.Lock()
		defer count.Unlock()
		if isPackage(r) {
			given++
		}
		if given > 3 {
			cancel()
			<-r.Context().Done()
			return true
		}
		return false
	})
	if _, err := image.BuildMicro(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	nothingBuilt(t, o.Store)
	left := debsLeft(t, o.Store)
	if len(left) == 0 {
		t.Error("nothing is left of what was fetched")
	}
	a.requests("")
	a.refuse(nil)
	build(t, o)
	if n := a.requests(".deb"); n > len(microPackages(t))-len(left) {
		t.Errorf("%d packages were fetched although these were here: %q", n, left)
	}
}

// TestBuildMicroTwoAtOnce: the second build waits, and says so.
func TestBuildMicroTwoAtOnce(t *testing.T) {
	newArchive(t)
	o, told := noticed(t.TempDir())
	waiting := make(chan struct{})
	second := o
	second.Notice = func(n image.Notice) {
		if n.Kind == image.NoticeWaiting {
			close(waiting)
		}
	}
	var done sync.WaitGroup
	var once sync.Once
	o.Progress = func(image.Progress) {
		once.Do(func() {
			done.Go(func() {
				if _, err := image.BuildMicro(t.Context(), second); err != nil {
					t.Error(err)
				}
			})
			<-waiting
		})
	}
	build(t, o)
	done.Wait()
	wantTold(t, *told, "refresh")
}

// TestBuildMicroOtherApt: another apt has the lists locked, as Debian's daily one does after a start. It is waited for.
func TestBuildMicroOtherApt(t *testing.T) {
	a := newArchive(t)
	file, err := os.Create(filepath.Join(a.dir, "state/lists/lock"))
	if err != nil {
		t.Fatal(err)
	}
	// A lock of the open file, which is in the way of everybody's record locks, those of this process among them.
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	o, told := noticed(t.TempDir())
	held := false
	o.Progress = func(p image.Progress) {
		if p.Stage == image.StageRefresh {
			held = true
			time.AfterFunc(300*time.Millisecond, func() { file.Close() }) // apt-get is not patient at all
		}
	}
	build(t, o)
	wantTold(t, *told, "refresh")
	if !held {
		t.Error("nobody fetched lists")
	}
}

// TestBuildMicroDiskFull: the disk fills up while packages are fetched, or while the image is written.
func TestBuildMicroDiskFull(t *testing.T) {
	nstest.RequireRoot(t)
	for _, stage := range []image.Stage{image.StageDownload, image.StageWrite} {
		t.Run(stage.String(), func(t *testing.T) {
			newArchive(t)
			store := t.TempDir()
			if err := unix.Mount("tmpfs", store, "tmpfs", 0, "size=270m"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(store, 0); err != nil {
					t.Error(err)
				}
			})
			filler := filepath.Join(store, "filler")
			o := image.Options{Store: store, Progress: func(p image.Progress) {
				if p.Stage == stage {
					fill(t, filler)
				}
			}}
			_, err := image.BuildMicro(t.Context(), o)
			var room *image.NoRoomError
			if !errors.As(err, &room) || room.Err == nil {
				t.Errorf("error %v", err)
			}
			nothingBuilt(t, store)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			o.Progress = nil
			build(t, o)
		})
	}
}

// fill writes until there is no room.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := make([]byte, 1<<20)
	for err == nil {
		_, err = file.Write(block)
		if errors.Is(err, unix.ENOSPC) && len(block) > 1 {
			block, err = block[:len(block)/2], nil
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}
