package image_test

import (
	"errors"
	"os"
	"testing"

	"github.com/kvmlab/kvmlab/vm/image"
)

// TestPath tries every state of two stores, one that is built into and one that came with a package.
func TestPath(t *testing.T) {
	const none, fresh, stale, damaged = "none", "fresh", "stale", "damaged"
	for _, test := range []struct{ built, packaged, want string }{
		{none, none, none},
		{none, fresh, "packaged"},
		{none, stale, "packaged"},
		{none, damaged, damaged},
		{fresh, none, "built"},
		{fresh, fresh, "built"},
		{fresh, stale, "built"},
		{fresh, damaged, "built"},
		{stale, none, "built"},
		{stale, fresh, "packaged"}, // after an upgrade
		{stale, stale, "built"},
		{stale, damaged, "built"},
		{damaged, none, damaged},
		{damaged, fresh, "packaged"},
		{damaged, stale, "packaged"},
		{damaged, damaged, damaged},
	} {
		t.Run(test.built+", "+test.packaged, func(t *testing.T) {
			path := image.Path{t.TempDir(), t.TempDir()}
			dirs := map[string]string{}
			for i, state := range []string{test.built, test.packaged} {
				if state == none {
					continue
				}
				name := []string{"built", "packaged"}[i]
				img, err := image.PublishMicro(path[i], name, state == stale)
				if err != nil {
					t.Fatal(err)
				}
				dirs[name] = img.Dir
				if state == damaged {
					if err := os.Truncate(img.Kernel, 1); err != nil {
						t.Fatal(err)
					}
				}
			}
			img, err := path.Lookup(image.Micro)
			list, listErr := path.List()
			var corrupt *image.CorruptError
			switch test.want {
			case none:
				if !errors.Is(err, image.ErrNoImage) || len(list) != 0 || listErr != nil {
					t.Errorf("Lookup: %v; List: %v, %v", err, list, listErr)
				}
			case damaged:
				if !errors.As(err, &corrupt) || len(list) != 0 || !errors.As(listErr, &corrupt) {
					t.Errorf("Lookup: %v; List: %v, %v", err, list, listErr)
				}
			default:
				if err != nil || img.Dir != dirs[test.want] || listErr != nil || len(list) != 1 || list[0].Dir != img.Dir {
					t.Errorf("Lookup: %s, %v; List: %v, %v; want %s", img.Dir, err, list, listErr, dirs[test.want])
				}
			}
		})
	}
}
