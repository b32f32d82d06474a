//kvmlab:needs @micro qemu-system-x86 qemu-utils mmdebstrap e2fsprogs

package image_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/vm/image"
)

var update = flag.Bool("update", false, "write the golden files")

// TestRealImage builds from the packages that scripts/setup built from (a sandbox
// has no way to an archive), looks at the result, and boots it in several machines
// without hardware virtualisation.
func TestRealImage(t *testing.T) {
	nstest.RequireCommand(t, "qemu-system-x86_64")
	store := t.TempDir()
	seedPackages(t, store)
	img := build(t, image.Options{Store: store, Offline: true})

	t.Run("golden listing", func(t *testing.T) {
		release := regexp.MustCompile(`lib/modules/[^/\n]+`)
		compareGolden(t, "initrd.golden", release.ReplaceAllString(listing(t, img.Initrd), "lib/modules/RELEASE"))
	})
	t.Run("the same bytes from the cache", func(t *testing.T) {
		before := files(t, filepath.Join(store, "micro"))
		if err := os.RemoveAll(img.Dir); err != nil {
			t.Fatal(err)
		}
		build(t, image.Options{Store: store, Offline: true})
		if after := files(t, filepath.Join(store, "micro")); !cmp.Equal(before, after) {
			t.Error("another image")
		}
	})
	t.Run("boots in little memory", func(t *testing.T) { bootSmall(t, img) })
	t.Run("boots as a class uses it", func(t *testing.T) { bootClass(t, img) })
	t.Run("waits for its name", func(t *testing.T) { bootWaiting(t, img) })
}

// seedPackages gives a store the packages that this machine's own has: a sandbox has no way to an archive.
func seedPackages(t *testing.T, store string) {
	t.Helper()
	debs := filepath.Join(state.DirsFromEnv(os.Getenv).ImagesDir(), "debs")
	if err := os.CopyFS(filepath.Join(store, "debs"), os.DirFS(debs)); err != nil {
		t.Fatalf("%v: run scripts/setup", err)
	}
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func bootSmall(t *testing.T, img image.Image) {
	t.Helper()
	g := start(t, img, "microvm", int(img.MinMemory>>20), "02:00:00:00:00:0a")
	g.console.expect(t, "kvmlab-micro: user space")
	g.identify(t, "hostname=pc1\nseed=00ff\nmac0=02:00:00:00:00:0a\nend\n")
	g.console.expect(t, "eth0: lease 192.168.1.2/24 from 192.168.1.1, router 192.168.1.1, dns 192.168.1.1, 600 s")
	g.console.expect(t, "root@pc1:~# ")
	g.run(t, "tcpdump --version", "give this guest 128MiB or more")
	g.run(t, "poweroff", "")
	g.exited(t)
}

// bootClass has the cards in the other order than the lab, so both are renamed.
func bootClass(t *testing.T, img image.Image) {
	t.Helper()
	g := start(t, img, "q35", 128, "02:00:00:00:00:0b", "02:00:00:00:00:0a")
	g.identify(t, "hostname=pc2\nfuture=1\nmac0=02:00:00:00:00:0a\nmac1=02:00:00:00:00:0b\nend\n")
	g.console.expect(t, "root@pc2:~# ")
	g.run(t, "cat /run/kvmlab/lease.*", "192.168.1.2/24 router=192.168.1.1")
	g.run(t, "cat /sys/class/net/eth0/address", "02:00:00:00:00:0a")
	g.run(t, "ip route | grep default", "default via 192.168.1.1 dev eth1  metric 1")
	g.run(t, "cat /etc/resolv.conf", "nameserver 192.168.1.1")
	g.run(t, "tty", "/dev/ttyS0")
	for _, name := range g.net.hostnames() {
		if name != "pc2" {
			t.Errorf("option 12 is %q", name)
		}
	}

	// Job control: the shell has a terminal of its own.
	g.console.send(t, "sleep 1000\r")
	time.Sleep(200 * time.Millisecond) // the shell must have started it
	g.console.send(t, "\x03")
	g.console.expect(t, "root@pc2:~# ")
	g.run(t, "echo $((6 * 7)) $?", "42 130")

	g.run(t, "dhcp-release eth1", "eth1: the lease is gone")
	g.run(t, "ip -4 addr show eth1 | wc -l", "0")
	g.run(t, "dhcp-renew eth1", "eth1: lease 192.168.1.")
	g.run(t, "udhcpc -i eth0 -n -q", "lease of 192.168.1.")
	g.run(t, "dhcp-renew eth7", "no DHCP client runs on eth7")
	g.run(t, "tcpdump --version", "libpcap version")
	g.run(t, "(sleep 1; dhcp-renew) & tcpdump -ni eth0 -c 1 port 67", "BOOTP/DHCP, Request from 02:00:00:00:00:0a")
	g.run(t, "exit", "root@pc2:~# ") // started again
}

func bootWaiting(t *testing.T, img image.Image) {
	t.Helper()
	g := start(t, img, "microvm", 128, "02:00:00:00:00:0a")
	g.console.expect(t, "waiting for an identity on org.kvmlab.id")
	// A host that hangs up halfway has said nothing.
	half := dial(t, g.port)
	fmt.Fprint(half, "hostname=nobody\nmac0=02:00:00:00:00:ff\n")
	time.Sleep(100 * time.Millisecond) // for the guest to read it
	half.Close()
	// As in a guest that was resumed from another one's memory, the card has another address.
	g.identify(t, "hostname=pc3\nmac0=02:00:00:00:00:0c\nend\n")
	g.console.expect(t, "eth0: lease 192.168.1.2/24")
	g.console.expect(t, "root@pc3:~# ")
	g.run(t, "cat /sys/class/net/eth0/address", "02:00:00:00:00:0c")
}
