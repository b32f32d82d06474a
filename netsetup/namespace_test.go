package netsetup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/songgao/water"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup"
)

// namespaceEnv, set to a lab, turns the test program into one that makes and removes the lab's network namespace until it is
// killed.
const namespaceEnv = "KVMLAB_TEST_NAMESPACE_OF"

func makeNamespaceForEver(lab string) {
	var err error
	for err == nil {
		if _, err = netsetup.EnsureNamespace(context.Background(), lab); err == nil {
			_, err = netsetup.RemoveNamespace(context.Background(), lab)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// labOf names a lab after the test and removes its namespace at the end. Names of namespaces are the machine's, so the test
// needs a private one.
func labOf(t *testing.T) string {
	t.Helper()
	nstest.RequireSandbox(t)
	nstest.RequireNetAdmin(t)
	lab := "nt-" + strings.ToLower(filepath.Base(t.Name()))
	t.Cleanup(func() {
		if _, err := netsetup.RemoveNamespace(context.Background(), lab); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(netsetup.NamespacePath(lab)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left (%v)", netsetup.NamespacePath(lab), err)
		}
	})
	return lab
}

func mustEnsureNamespace(t *testing.T, lab string, want bool) {
	t.Helper()
	if changed, err := netsetup.EnsureNamespace(t.Context(), lab); changed != want || err != nil {
		t.Fatalf("EnsureNamespace(%s) = %t, %v", lab, changed, err)
	}
}

func mustOpenNamespace(t *testing.T, lab string) *netsetup.Handle {
	t.Helper()
	h, err := netsetup.OpenNamespace(lab)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// ip runs the ip command.
func ip(t *testing.T, line string) string {
	t.Helper()
	nstest.RequireCommand(t, "ip")
	out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(line)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", line, err, out)
	}
	return string(out)
}

func TestNamespace(t *testing.T) {
	lab := labOf(t)
	name := netsetup.NamespaceName(lab)
	if _, err := netsetup.OpenNamespace(lab); !errors.Is(err, netsetup.ErrNoNamespace) {
		t.Errorf("OpenNamespace of none: %v", err)
	}
	if removed, err := netsetup.RemoveNamespace(t.Context(), lab); removed || err != nil {
		t.Errorf("RemoveNamespace of none = %t, %v", removed, err)
	}
	mustEnsureNamespace(t, lab, true)
	mustEnsureNamespace(t, lab, false)
	if !strings.Contains(ip(t, "netns list"), name) {
		t.Errorf("ip netns does not list %s", name)
	}
	if mark := ip(t, "-n "+name+" link show lo"); !strings.Contains(mark, "kvmlab:"+lab+"/lo") || !strings.Contains(mark, "UP") {
		t.Errorf("the loopback: %s", mark)
	}
	h := mustOpenNamespace(t, lab)
	list, err := h.Links(t.Context())
	if err != nil || len(list) != 1 || list[0].Owner != (netsetup.Owner{Lab: lab, Object: "lo"}) {
		t.Errorf("links of a new namespace: %+v, %v", list, err)
	}
	ip(t, "-n "+name+" link set lo down")
	mustEnsureNamespace(t, lab, true)
	if labs, err := netsetup.NamespaceLabs(t.Context()); err != nil || !slices.Contains(labs, lab) {
		t.Errorf("NamespaceLabs = %v, %v", labs, err)
	}
	if removed, err := netsetup.RemoveNamespace(t.Context(), lab); !removed || err != nil {
		t.Errorf("RemoveNamespace = %t, %v", removed, err)
	}
	if labs, err := netsetup.NamespaceLabs(t.Context()); err != nil || slices.Contains(labs, lab) {
		t.Errorf("NamespaceLabs after its removal = %v, %v", labs, err)
	}
}

func TestNamespaceForwardsNothing(t *testing.T) {
	lab := labOf(t)
	const file = "/proc/sys/net/ipv4/ip_forward"
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("1"), 0o644); err != nil { // as Docker does
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(file, was, 0o644); err != nil {
			t.Error(err)
		}
	})
	mustEnsureNamespace(t, lab, true)
	if got := strings.TrimSpace(ip(t, "netns exec "+netsetup.NamespaceName(lab)+" cat "+file)); got != "0" {
		t.Errorf("ip_forward is %s", got)
	}
}

func TestForeignNamespace(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(path string) error
	}{
		{"namespace", func(path string) error {
			return exec.CommandContext(t.Context(), "ip", "netns", "add", filepath.Base(path)).Run()
		}},
		{"another", func(path string) error { // another lab's, under the wrong name
			return os.Symlink(netsetup.NamespacePath("nt-other"), path)
		}},
		{"file", func(path string) error { return os.WriteFile(path, nil, 0o600) }},
		{"folder", func(path string) error { return os.Mkdir(path, 0o700) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			nstest.RequireSandbox(t)
			lab := "nt-foreign-" + test.name
			path := netsetup.NamespacePath(lab)
			if _, err := netsetup.EnsureNamespace(t.Context(), "nt-other"); err != nil {
				t.Fatal(err)
			}
			if err := test.make(path); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) // mounted or not
				_, err := netsetup.RemoveNamespace(context.Background(), "nt-other")
				if err := errors.Join(err, os.Remove(path)); err != nil {
					t.Error(err)
				}
			})
			foreign := new(netsetup.ForeignNamespaceError)
			if _, err := netsetup.EnsureNamespace(t.Context(), lab); !errors.As(err, &foreign) || foreign.Name != "kvmlab-"+lab {
				t.Errorf("EnsureNamespace: %v", err)
			}
			if _, err := netsetup.OpenNamespace(lab); !errors.As(err, &foreign) {
				t.Errorf("OpenNamespace: %v", err)
			}
			if removed, err := netsetup.RemoveNamespace(t.Context(), lab); removed || !errors.As(err, &foreign) {
				t.Errorf("RemoveNamespace = %t, %v", removed, err)
			}
			if labs, err := netsetup.NamespaceLabs(t.Context()); err != nil || slices.Contains(labs, lab) {
				t.Errorf("NamespaceLabs = %v, %v", labs, err)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is left when the maker is killed between the file and the mount, or the remover between those.
func TestBareNamespace(t *testing.T) {
	for _, finish := range []bool{true, false} {
		t.Run(fmt.Sprintf("finish-%t", finish), func(t *testing.T) {
			lab := labOf(t)
			mustEnsureNamespace(t, lab, true)
			if err := unix.Unmount(netsetup.NamespacePath(lab), unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
			if _, err := netsetup.OpenNamespace(lab); !errors.Is(err, netsetup.ErrBareNamespace) {
				t.Errorf("OpenNamespace: %v", err)
			}
			if labs, err := netsetup.NamespaceLabs(t.Context()); err != nil || !slices.Contains(labs, lab) {
				t.Errorf("NamespaceLabs = %v, %v", labs, err)
			}
			if finish {
				mustEnsureNamespace(t, lab, true)
				mustOpenNamespace(t, lab)
			}
			if removed, err := netsetup.RemoveNamespace(t.Context(), lab); !removed || err != nil {
				t.Errorf("RemoveNamespace = %t, %v", removed, err)
			}
		})
	}
}

func TestNamespaceNames(t *testing.T) {
	for _, lab := range []string{"", "..", "a/b", "a b", strings.Repeat("x", 200)} {
		name := new(netsetup.NameError)
		if _, err := netsetup.EnsureNamespace(t.Context(), lab); !errors.As(err, &name) {
			t.Errorf("EnsureNamespace(%q): %v", lab, err)
		}
		if _, err := netsetup.RemoveNamespace(t.Context(), lab); !errors.As(err, &name) {
			t.Errorf("RemoveNamespace(%q): %v", lab, err)
		}
	}
}

// Several processes may be the first that name a namespace.
func TestNamespacesAtOnce(t *testing.T) {
	lab := labOf(t)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			name := fmt.Sprintf("%s-%d", lab, i)
			_, err := netsetup.EnsureNamespace(t.Context(), name)
			var h *netsetup.Handle
			if err == nil {
				h, err = netsetup.OpenNamespace(name)
			}
			if err == nil {
				err = h.Close()
			}
			if _, removeErr := netsetup.RemoveNamespace(t.Context(), name); errors.Join(err, removeErr) != nil {
				t.Errorf("%s: %v", name, errors.Join(err, removeErr))
			}
		})
	}
	all.Wait()
}

// TestNamespaceKilledAnywhere kills a maker of a namespace with SIGKILL at moments chosen at random. Whatever it leaves
// is the lab's, can be finished, and can be removed.
func TestNamespaceKilledAnywhere(t *testing.T) {
	lab := labOf(t)
	random := rand.New(rand.NewSource(1))
	found := map[bool]int{}
	for range 40 {
		maker := exec.CommandContext(t.Context(), os.Args[0])
		maker.Env = append(os.Environ(), namespaceEnv+"="+lab)
		out, err := maker.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := maker.Start(); err != nil {
			t.Fatal(err)
		}
		for { // It has begun.
			if _, err := os.Lstat(netsetup.NamespacePath(lab)); err == nil {
				break
			}
		}
		time.Sleep(time.Duration(random.Intn(3000)) * time.Microsecond)
		if err := maker.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 200)
		n, _ := out.Read(said) // until it is dead
		_ = maker.Wait()       // Killed, as it should be.
		if n > 0 {
			t.Fatalf("the maker: %s", said[:n])
		}
		labs, err := netsetup.NamespaceLabs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		there := slices.Contains(labs, lab)
		found[there]++
		if _, err := os.Lstat(netsetup.NamespacePath(lab)); (err == nil) != there {
			t.Fatalf("listed: %t, there: %v", there, err)
		}
		if random.Intn(2) == 0 {
			if _, err := netsetup.EnsureNamespace(t.Context(), lab); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := netsetup.RemoveNamespace(t.Context(), lab); err != nil {
			t.Fatal(err)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), netsetup.NamespaceName(lab)) {
		t.Errorf("left mounted (%v):\n%s", err, mounts)
	}
	t.Logf("%d times something was left, %d times nothing", found[true], found[false])
}

func mustTap(t *testing.T, h *netsetup.Handle, tap netsetup.Tap) {
	t.Helper()
	if _, err := h.EnsureTap(t.Context(), tap); err != nil {
		t.Fatal(err)
	}
}

// A tap goes to the lab's namespace while a process has it open, as QEMU does.
func TestMoveTap(t *testing.T) {
	lab := labOf(t)
	ns, host := open(t)
	mustEnsureNamespace(t, lab, true)
	inside := mustOpenNamespace(t, lab)
	of := func(object string) netsetup.Owner { return netsetup.Owner{Lab: lab, Object: object} }
	bridge := netsetup.Bridge{Name: "br1", Owner: of("br1")}
	tap := netsetup.Tap{Name: "tap1", Bridge: "br1", Owner: of("tap1")}
	staged := netsetup.Tap{Name: netsetup.StagingName(tap.Owner), Staged: true, Owner: tap.Owner}
	mustEnsure(t, inside, bridge)
	if err := host.MoveTap(t.Context(), tap.Owner, lab, "tap1"); !errors.Is(err, netsetup.ErrNotFound) {
		t.Errorf("MoveTap of none: %v", err)
	}
	mustTap(t, host, staged)
	if l := links(t, host)[staged.Name]; l.Up || l.Owner != tap.Owner {
		t.Errorf("staged: %+v", l)
	}
	if err := host.MoveTap(t.Context(), tap.Owner, "nt-none", "tap1"); !errors.Is(err, netsetup.ErrNoNamespace) {
		t.Errorf("MoveTap to nowhere: %v", err)
	}
	var card *water.Interface
	ns.Must(t, func() (err error) {
		config := water.Config{DeviceType: water.TAP}
		config.Name, config.Persist = staged.Name, true
		card, err = water.New(config)
		return err
	})
	t.Cleanup(func() {
		if err := card.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := host.MoveTap(t.Context(), tap.Owner, lab, "tap1"); err != nil {
		t.Fatal(err)
	}
	mustTap(t, inside, tap)
	if left := links(t, host); len(left) > 0 {
		t.Errorf("left in the host's namespace: %+v", left)
	}
	got := links(t, inside)["tap1"]
	if got.Owner != tap.Owner || !got.Up || !got.Carrier || got.Master != "br1" || got.Alias != tap.Owner.Alias() {
		t.Errorf("after the move: %+v", got)
	}
	if d := cmp.Diff([]string{tap.Owner.Altname()}, got.Altnames); d != "" {
		t.Error(d)
	}
	if changed, err := inside.EnsureTap(t.Context(), tap); changed || err != nil {
		t.Errorf("EnsureTap again = %t, %v", changed, err)
	}
	// Its place is taken when the next one comes.
	mustTap(t, host, netsetup.Tap{Name: netsetup.StagingName(of("tap2")), Staged: true, Owner: of("tap2")})
	foreign := new(netsetup.ForeignError)
	if err := host.MoveTap(t.Context(), of("tap2"), lab, "tap1"); !errors.As(err, &foreign) {
		t.Errorf("MoveTap to a name that is taken: %v", err)
	}
	for _, h := range []*netsetup.Handle{host, inside} {
		if _, err := h.RemoveLinks(t.Context(), of("tap2")); err != nil {
			t.Error(err)
		}
	}
}
