package netsetup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup"
)

// taps is a class's worth of taps on one bridge.
const taps = 200

// BenchmarkTaps puts 200 taps on a bridge: by EnsureTap, and by one `ip -batch` file with the same
// outcome, with the marks and without.
func BenchmarkTaps(b *testing.B) {
	b.Run("EnsureTap", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			ns, _ := open(b)
			b.StartTimer()
			h, err := netsetup.OpenPath(ns.Path())
			if err != nil {
				b.Fatal(err)
			}
			ensureAll(b, h)
			b.StopTimer()
			_ = h.Close()
			empty(b, ns)
			b.StartTimer()
		}
	})
	for _, marked := range []bool{true, false} {
		b.Run(fmt.Sprintf("ip -batch marked=%t", marked), func(b *testing.B) {
			nstest.RequireCommand(b, "ip")
			file := filepath.Join(b.TempDir(), "batch")
			if err := os.WriteFile(file, []byte(batch(marked)), 0o600); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				b.StopTimer()
				ns, _ := open(b)
				b.StartTimer()
				ns.Run(b, "ip -batch "+file)
				b.StopTimer()
				empty(b, ns)
				b.StartTimer()
			}
		})
	}
}

// BenchmarkObserve measures what `up` costs when there is nothing to do, beside 200 taps.
func BenchmarkObserve(b *testing.B) {
	ns, h := open(b)
	ensureAll(b, h)
	b.Run("Links", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.Links(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("EnsureTap", func(b *testing.B) {
		for b.Loop() {
			if changed, err := h.EnsureTap(b.Context(), tap("tap0")); err != nil || changed {
				b.Fatal(changed, err)
			}
		}
	})
	empty(b, ns)
}

// BenchmarkRemove removes the bridge with its 200 taps.
func BenchmarkRemove(b *testing.B) {
	_, h := open(b)
	owners := []netsetup.Owner{owner("br1")}
	for i := range taps {
		owners = append(owners, owner(fmt.Sprintf("tap%d", i)))
	}
	for _, bulk := range []bool{true, false} {
		b.Run(fmt.Sprintf("bulk=%t", bulk), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				ensureAll(b, h)
				b.StartTimer()
				var err error
				if bulk {
					_, err = h.RemoveLinks(b.Context(), owners...)
				}
				for i := 0; !bulk && i < len(owners) && err == nil; i++ {
					_, err = h.RemoveLink(b.Context(), owners[i].Object, owners[i])
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ensureAll(b *testing.B, h *netsetup.Handle) {
	b.Helper()
	if _, err := h.EnsureBridge(b.Context(), bridge1()); err != nil {
		b.Fatal(err)
	}
	for i := range taps {
		if _, err := h.EnsureTap(b.Context(), tap(fmt.Sprintf("tap%d", i))); err != nil {
			b.Fatal(err)
		}
	}
}

// empty removes the taps now, so that the kernel does not do it during the next measurement.
func empty(b *testing.B, ns *nstest.Namespace) {
	b.Helper()
	var lines strings.Builder
	for i := range taps {
		fmt.Fprintf(&lines, "link set tap%d group 1\n", i)
	}
	lines.WriteString("link del group 1\n")
	file := filepath.Join(b.TempDir(), "empty")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	ns.Run(b, "ip -batch "+file)
}

func batch(marked bool) string {
	var commands []string
	add := func(name string, owner netsetup.Owner, list []string) {
		commands = append(commands, list...)
		if marked {
			commands = append(commands, netsetup.MarkCommands(name, owner)...)
		}
	}
	add("br1", owner("br1"), netsetup.BridgeCommands(bridge1()))
	for i := range taps {
		name := fmt.Sprintf("tap%d", i)
		add(name, owner(name), netsetup.TapCommands(tap(name)))
	}
	return strings.ReplaceAll(strings.Join(commands, "\n"), "ip ", "") + "\n"
}
