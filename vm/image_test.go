package vm_test

import (
	"os"
	"testing"

	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/vm/image"
)

// testImage is the kernel and the initrd that the real tests boot: those of the micro image that scripts/setup builds.
func testImage(t *testing.T) (kernel, initrd string) {
	t.Helper()
	img, err := image.Lookup(state.DirsFromEnv(os.Getenv).ImagesDir(), "micro")
	if err != nil {
		t.Fatalf("%v: run scripts/setup", err)
	}
	return img.Kernel, img.Initrd
}
