package vm_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/vm"
)

// A domain that is not marked must come out of everything unchanged.
func TestRealForeignDomain(t *testing.T) {
	l := newLab(t)
	ctx := limit(t)
	d := l.guest(t, "pc1")
	text, err := d.XML()
	if err != nil {
		t.Fatal(err)
	}
	before, mark, _ := strings.Cut(string(text), "  <metadata>")
	_, after, _ := strings.Cut(mark, "</metadata>\n")
	file := filepath.Join(t.TempDir(), "foreign.xml")
	writeFile(t, file, before+after, 0o644)
	run(t, "virsh", "define", file)
	t.Cleanup(func() { run(t, "virsh", "undefine", d.Name) })
	run(t, "virsh", "start", d.Name)
	t.Cleanup(func() { run(t, "virsh", "destroy", d.Name) })
	want := l.state(t, d.Name)
	if want.Owned {
		t.Fatal("a domain without the mark is taken for ours")
	}
	_, console := l.conn.Console(ctx, d.Name)
	for call, err := range map[string]error{
		"Define":   l.conn.Define(ctx, d),
		"Start":    l.conn.Start(ctx, d.Name),
		"Destroy":  l.conn.Destroy(ctx, d.Name),
		"Shutdown": l.conn.Shutdown(ctx, d.Name),
		"Undefine": l.conn.Undefine(ctx, d.Name),
		"Identify": l.conn.Identify(ctx, d.Name, vm.Identity{Hostname: "pc1"}),
		"Console":  console,
	} {
		if !errors.Is(err, vm.ErrForeign) {
			t.Errorf("%s = %v, want ErrForeign", call, err)
		}
	}
	if diff := cmp.Diff(want, l.state(t, d.Name)); diff != "" {
		t.Errorf("the foreign domain changed:\n%s", diff)
	}
}

func TestRealDefineOverAnotherGuest(t *testing.T) {
	l := newLab(t)
	d := l.guest(t, "pc1")
	l.define(t, d)
	other := d
	other.Owner.Lab = "another"
	var foreign *vm.ForeignError
	if err := l.conn.Define(limit(t), other); !errors.As(err, &foreign) || foreign.Owner != d.Owner {
		t.Errorf("Define = %v, want a ForeignError that names %v", err, d.Owner)
	}
	d.MemoryKiB += 1024
	l.define(t, d)
	if got := l.state(t, d.Name); got.Digest != d.Digest() || got.MemoryKiB != d.MemoryKiB {
		t.Errorf("a change of our own was not taken: %+v", got)
	}
}

func TestRealStartErrors(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]struct {
		spoil func(*vm.Domain)
		cause vm.StartCause
		says  string
	}{
		"nokernel":  {func(d *vm.Domain) { d.Kernel = "/absent/vmlinuz" }, vm.StartFileMissing, "/absent/vmlinuz"},
		"noinitrd":  {func(d *vm.Domain) { d.Initrd = "/absent/initrd" }, vm.StartFileMissing, "/absent/initrd"},
		"notkernel": {func(d *vm.Domain) { d.Kernel = "/etc/hostname" }, vm.StartOther, "linux kernel too old"},
		"notap":     {func(d *vm.Domain) { d.NICs[0].Tap = "absent" }, vm.StartTapMissing, "absent"},
		"nologdir":  {func(d *vm.Domain) { d.ConsoleLog = "/absent/x.log" }, vm.StartOther, "/absent/x.log"},
		"small":     {func(d *vm.Domain) { d.MemoryKiB = 4 << 10 }, vm.StartMemory, "4096 KiB cannot hold"},
		"huge":      {func(d *vm.Domain) { d.MemoryKiB = 1 << 40 }, vm.StartMemory, "Cannot allocate memory"},
	} {
		t.Run(name, func(t *testing.T) {
			d := l.guest(t, name)
			c.spoil(&d)
			l.define(t, d)
			err := l.conn.Start(limit(t), d.Name)
			var start *vm.StartError
			if !errors.As(err, &start) || start.Cause != c.cause || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Start = %v, want %v: …%s…", err, c.cause, c.says)
			}
			if got := l.state(t, d.Name).Run; got != vm.RunShutoff {
				t.Errorf("it is %v", got)
			}
		})
	}
}
