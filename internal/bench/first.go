package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// labState is where kvmlab keeps what it knows of the host, in a private host.
const labState = "/var/lib/kvmlab"

// hangingQEMU runs QEMU's guests under KVM without the feature "arch-capabilities". A nested KVM that does not let its
// register be set ends such a guest at once; without the feature the guest starts, and hangs.
const hangingQEMU = `#!/bin/bash
for word; do [[ $word != host ]] || word=host,-arch-capabilities; words+=("$word"); done
exec %s -L /usr/share/qemu -L /usr/share/seabios "${words[@]}"
`

// firstFigures are seconds to the third lease.
type firstFigures struct {
	first, firstCold   samples // how guests run, and templates, are forgotten before
	making, warm, cold samples // later: the template is made, is there, is not used
	said               string  // what the first up says of KVM
}

// benchFirst measures the first `up` after a start of the computer, with the KVM of this machine and with one that hangs.
func benchFirst(ctx context.Context, o options) (string, error) {
	plain, err := o.first(ctx)
	if err != nil {
		return "", err
	}
	restore, err := hangKVM()
	if err != nil {
		return "", err
	}
	hanging, err := o.first(ctx)
	if err = errors.Join(err, restore()); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "## The first lab after a start of the computer\n\nMeasured by `scripts/bench first` on %s, in a private "+
		"host (`scripts/sandbox`), %d rounds. Seconds to the third lease of the class's lab: median (least–greatest).\n", machine(), o.labRounds())
	plain.write(&b, "The machine's own KVM")
	hanging.write(&b, "A KVM whose guests hang at their first instructions")
	b.WriteString("\nThe second is the same device, with guests that are not told of a register which it lacks " +
		"(`-cpu host,-arch-capabilities`).\n")
	return b.String(), nil
}

func (o options) first(ctx context.Context) (f firstFigures, err error) {
	if err := o.warmUp(ctx); err != nil {
		return f, err
	}
	for round := range o.labRounds() {
		o.say("round %d of %d", round+1, o.labRounds())
		for _, step := range []struct {
			into   *samples
			forget []string
			args   []string
		}{
			{&f.first, []string{"accel.json", "templates"}, nil},
			{&f.warm, nil, nil},
			{&f.making, []string{"templates"}, nil},
			{&f.cold, nil, []string{"--cold"}},
			{&f.firstCold, []string{"accel.json", "templates"}, []string{"--cold"}},
		} {
			for _, name := range step.forget {
				if err := os.RemoveAll(filepath.Join(labState, name)); err != nil {
					return f, fmt.Errorf("forget: %w", err)
				}
			}
			took, said, err := o.timedUp(ctx, step.args...)
			if err != nil {
				return f, err
			}
			step.into.add(took)
			if step.into == &f.first {
				f.said = said
			}
		}
	}
	return f, nil
}

// timedUp brings the class's lab up and down, and returns how long the first took and the warnings that it gave.
func (o options) timedUp(ctx context.Context, args ...string) (float64, string, error) {
	began := time.Now()
	said, err := o.run(ctx, append([]string{"up", "--plain", "--lang", "en"}, args...)...)
	took := time.Since(began).Seconds()
	if err != nil {
		return 0, "", err
	}
	_, warning, _ := strings.Cut(said, "warning[KL310]: ")
	warning, _, _ = strings.Cut(warning, "\nhint:")
	_, err = o.run(ctx, "down")
	return took, strings.Join(strings.Fields(warning), " "), err
}

// write adds the figures as a table.
func (f firstFigures) write(b *strings.Builder, title string) {
	said := f.said
	if said == "" {
		said = "guests run with KVM"
	}
	template := f.making.quantile(0.5) - f.warm.quantile(0.5)
	fmt.Fprintf(b, "\n%s (kvmlab says: %s):\n\n%s", title, said, timeTable(2,
		timing{"the first `up`: tests KVM, makes the template", f.first},
		timing{"the first `up --cold`: tests KVM", f.firstCold},
		timing{"a later `up` that makes the template", f.making},
		timing{"a later `up`", f.warm},
		timing{"a later `up --cold`", f.cold},
	))
	fmt.Fprintf(b, "\nThe first `up` takes %s × (a later `up --cold`, and %.2f s for the template).\n",
		ratio(f.first.quantile(0.5), f.cold.quantile(0.5)+template), template)
}

// hangKVM puts a QEMU whose guests hang under KVM in the place of the machine's, for the processes of this private host.
func hangKVM() (restore func() error, err error) {
	const qemu, kept, wrapper = "/usr/bin/qemu-system-x86_64", "/run/qemu-kept", "/run/qemu-hangs"
	for _, path := range []string{kept, wrapper} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return nil, fmt.Errorf("wrap QEMU: %w", err)
		}
	}
	if err := unix.Mount(qemu, kept, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("keep QEMU: %w", err)
	}
	text := fmt.Appendf(nil, hangingQEMU, kept)
	if err := errors.Join(os.WriteFile(wrapper, text, 0o600), os.Chmod(wrapper, 0o755)); err != nil {
		return nil, fmt.Errorf("wrap QEMU: %w", err)
	}
	if err := unix.Mount(wrapper, qemu, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("wrap QEMU: %w", err)
	}
	return func() error { return unix.Unmount(qemu, 0) }, nil
}
