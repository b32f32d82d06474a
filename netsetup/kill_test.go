package netsetup_test

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/netsetup"
)

// builderEnv, set to a namespace's path, turns the test program into one that builds and removes
// links until it is killed.
const builderEnv = "KVMLAB_TEST_BUILD_IN"

func buildForEver(ns string) {
	h, err := netsetup.OpenPath(ns)
	for err == nil {
		_, err = h.EnsureBridge(context.Background(), bridge1())
		for i := 0; err == nil && i < 3; i++ {
			_, err = h.EnsureTap(context.Background(), tap(fmt.Sprintf("tap%d", i)))
		}
		for i := 0; err == nil && i < 3; i++ {
			_, err = h.RemoveLink(context.Background(), fmt.Sprintf("tap%d", i), owner(fmt.Sprintf("tap%d", i)))
		}
		if err == nil {
			_, err = h.RemoveLink(context.Background(), "br1", owner("br1"))
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestKilledAnywhere kills a builder with SIGKILL at moments chosen at random. Whatever it leaves has
// its mark, can be mended by the next Ensure, and can be removed by it.
func TestKilledAnywhere(t *testing.T) {
	ns, h := open(t)
	random := rand.New(rand.NewSource(1))
	temporary := 0
	for range 60 {
		builder := exec.CommandContext(t.Context(), os.Args[0])
		builder.Env = append(os.Environ(), builderEnv+"="+ns.Path())
		builder.Stderr = os.Stderr
		if err := builder.Start(); err != nil {
			t.Fatal(err)
		}
		changes, err := h.Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-changes // It has begun.
		time.Sleep(time.Duration(random.Intn(2000)) * time.Microsecond)
		if err := builder.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = builder.Wait() // Killed, as it should be.
		for name, link := range links(t, h) {
			if !link.OwnedBy("three-taps") {
				t.Fatalf("left without a mark: %+v", link)
			}
			if name != link.Owner.Object {
				temporary++
			}
			if random.Intn(2) == 0 {
				continue // Let Ensure find it below.
			}
			if removed, err := h.RemoveLink(t.Context(), name, link.Owner); err != nil || !removed {
				t.Fatalf("RemoveLink(%s) = %t, %v", name, removed, err)
			}
		}
		mustEnsure(t, h, bridge1(), tap("tap0"), tap("tap1"), tap("tap2"))
		if got := len(links(t, h)); got != 4 {
			t.Fatalf("%d links after healing, want 4", got)
		}
	}
	t.Logf("%d links were found under a temporary name", temporary)
}
