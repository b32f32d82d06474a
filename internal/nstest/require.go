package nstest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// Every Require function skips the test when a capability is missing and names it. With
// KVMLAB_REQUIRE=1 in the environment, as CI sets it, a missing capability fails the test instead, so
// that a run that tested nothing cannot pass.

// RequireRoot wants the effective user to be root.
func RequireRoot(tb testing.TB) {
	tb.Helper()
	if uid := os.Geteuid(); uid != 0 {
		missing(tb, "root (the effective user id is %d)", uid)
	}
}

// RequireNetAdmin wants the right to make a network namespace and to administer it.
func RequireNetAdmin(tb testing.TB) {
	tb.Helper()
	err := onThread(func() error { return unix.Unshare(unix.CLONE_NEWNET) })
	if err != nil {
		missing(tb, "the right to make a network namespace (%v)", err)
	}
}

// RequireTun wants a /dev/net/tun that opens, so that taps can be made.
func RequireTun(tb testing.TB) {
	tb.Helper()
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		missing(tb, "the tun driver (%v)", err)
		return
	}
	if err := tun.Close(); err != nil {
		tb.Fatalf("close /dev/net/tun: %v", err)
	}
}

// RequireSandbox wants the test to run inside scripts/sandbox: a private host with its own network,
// libvirtd and state directories.
func RequireSandbox(tb testing.TB) {
	tb.Helper()
	if os.Getenv("KVMLAB_SANDBOX") != "1" {
		missing(tb, "a sandbox (run the test through scripts/sandbox)")
	}
}

// RequireCommand wants programs on the PATH.
func RequireCommand(tb testing.TB, names ...string) {
	tb.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing(tb, "the command %s (%v)", name, err)
		}
	}
}

func missing(tb testing.TB, format string, args ...any) {
	tb.Helper()
	capability := fmt.Sprintf(format, args...)
	if os.Getenv("KVMLAB_REQUIRE") == "1" {
		tb.Fatalf("required but missing: %s", capability)
		return
	}
	tb.Skipf("missing: %s", capability)
}

// RequireImage wants a guest image that is whole; problem is what is wrong with it, or empty.
func RequireImage(tb testing.TB, name, problem string) {
	tb.Helper()
	if problem != "" {
		missing(tb, "the image %s (run scripts/setup --tests): %s", name, problem)
	}
}
