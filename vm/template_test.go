package vm_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/vm"
)

// resume brings a guest up from its template, and tells it who it is.
func (l *lab) resume(ctx context.Context, t *testing.T, templates *vm.Templates, d vm.Domain) {
	t.Helper()
	l.define(t, d)
	if err := templates.Prepare(ctx, d); err != nil {
		t.Fatal(err)
	}
	if err := templates.Resume(ctx, d); err != nil {
		t.Fatal(err)
	}
	if s := l.state(t, d.Name); s.Run != vm.RunPaused {
		t.Errorf("%s is %v before it may run", d.Name, s.Run)
	}
	if err := l.conn.Start(ctx, d.Name); err != nil {
		t.Fatal(err)
	}
	id := vm.Identity{Hostname: d.Owner.Guest, Seed: []byte(d.Name), Time: time.Now()}
	for _, nic := range d.NICs {
		id.MACs = append(id.MACs, nic.MAC)
	}
	if err := l.conn.Identify(ctx, d.Name, id); err != nil {
		t.Fatal(err)
	}
}

// ask runs a command in a guest.
func (l *lab) ask(ctx context.Context, t *testing.T, d vm.Domain, command string) string {
	t.Helper()
	agent, err := l.conn.Agent(ctx, d.Name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := agent.Output(ctx, command)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// Guests of one template are themselves: name, address, randomness and time are their own.
func TestRealTemplate(t *testing.T) {
	l := newLab(t)
	ctx := limit(t)
	dir := filepath.Join(t.TempDir(), "templates")
	templates := l.conn.Templates(dir)
	built := 0
	templates.Building = func() { built++ }

	random := map[string]string{}
	for _, name := range []string{"pc1", "pc2"} {
		d := l.guest(t, name)
		d.GuestAgent, d.Cmdline = true, d.Cmdline+" random.trust_cpu=off"
		l.resume(ctx, t, templates, d)
		for _, field := range []struct{ command, want string }{
			{"cat /proc/sys/kernel/hostname", name},
			{"cat /sys/class/net/eth0/address", d.NICs[0].MAC.String()},
			{"cat /proc/sys/kernel/random/entropy_avail", "256"},
		} {
			if got := l.ask(ctx, t, d, field.command); got != field.want {
				t.Errorf("%s: %s: %q, want %q", name, field.command, got, field.want)
			}
		}
		for _, file := range []string{"uuid", "boot_id"} {
			value := l.ask(ctx, t, d, "cat /proc/sys/kernel/random/"+file)
			if other, twice := random[value]; twice {
				t.Errorf("%s has the %s of %s", name, file, other)
			}
			random[value] = name
		}
		var clock int64
		if _, err := fmt.Sscan(l.ask(ctx, t, d, "date +%s"), &clock); err != nil {
			t.Fatal(err)
		}
		if off := time.Since(time.Unix(clock, 0)); off < -2*time.Second || off > 10*time.Second {
			t.Errorf("the clock of %s is wrong by %v", name, off)
		}
	}
	if built != 1 {
		t.Errorf("%d templates were made for guests of one shape", built)
	}
	wantNoZeros(t, dir)
}

// wantNoZeros asserts that no template has memory that is zero: what zeros are left out of stays as it is.
func wantNoZeros(t *testing.T, dir string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.template"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("the templates are %v (%v)", paths, err)
	}
	raw, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	_, memory, _ := bytes.Cut(raw, []byte("QEVM"))
	var short bytes.Buffer
	if err := vm.LeaveZerosOut(&short, bytes.NewReader(memory)); err != nil || !bytes.Equal(memory, short.Bytes()) {
		t.Errorf("without its zeros the memory has %d octets instead of %d (%v)", short.Len(), len(memory), err)
	}
}
