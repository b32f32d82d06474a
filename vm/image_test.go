package vm_test

import (
	"os"
	"testing"
)

// testImage is the kernel and the initrd that the real tests boot.
func testImage(t *testing.T) (kernel, initrd string) {
	t.Helper()
	return os.Getenv("KVMLAB_TEST_KERNEL"), os.Getenv("KVMLAB_TEST_INITRD")
}
