package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/doctor"
)

// copyLab is a guest of each kind, the micro one with memory for a large file.
const copyLab = `version: 1
name: copy
bridges:
  - {name: br1, address: 10.5.0.1/24, dhcp: {range: [10.5.0.2-10.5.0.10]}}
guests:
  - {name: micro, memory: 512MiB, nics: [{bridge: br1}]}
  - {name: debian, image: debian, nics: [{bridge: br1}]}
`

const (
	copySize  = 100 << 20 // of the file that is copied, in bytes
	pipedSize = 10 << 20  // of what is printed and read
)

// copyFigures are what was measured with one guest: seconds, and seconds of QEMU's processor time.
type copyFigures struct {
	guest string
	rows  []copyRow
}

type copyRow struct {
	what      string
	took, cpu float64
}

// benchCopy measures the ways into a guest with much to carry.
func benchCopy(ctx context.Context, o options) (string, error) {
	size := copySize
	if o.quick {
		size = 1 << 20
	}
	data := make([]byte, size)
	rand.Read(data) // never fails since Go 1.24
	file, source := filepath.Join(o.dir, "copy.yaml"), filepath.Join(o.dir, "data")
	for path, content := range map[string][]byte{file: []byte(copyLab), source: data} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return "", err
		}
	}
	if _, err := o.timed(ctx, "up", "--plain", "--wait", "5m", file); err != nil {
		return "", err
	}
	var all []copyFigures
	for _, guest := range []string{"micro", "debian"} {
		o.say("copies and commands: %s", guest)
		f := copyFigures{guest: guest}
		if err := f.measure(ctx, o, source, data); err != nil {
			return "", fmt.Errorf("%s: %w", guest, err)
		}
		all = append(all, f)
	}
	_, err := o.timed(ctx, "down", "--purge", "--yes")
	return copyPage(size, all), err
}

// measure carries everything once, and compares what arrives.
func (f *copyFigures) measure(ctx context.Context, o options, source string, data []byte) error {
	if _, err := o.timed(ctx, "exec", "-n", "--wait", "4m", f.guest, "--", "true"); err != nil {
		return err
	}
	pid, _, err := guestProcess("copy-" + f.guest)
	if err != nil {
		return err
	}
	back := filepath.Join(o.dir, "back-"+f.guest)
	piped := data[:min(len(data), pipedSize)]
	for _, step := range []struct {
		what  string
		stdin []byte
		want  []byte // what is printed; nil for anything
		args  []string
	}{
		{"`cp` into the guest", nil, nil, []string{"cp", source, f.guest + ":/root/data"}},
		{"`cp` out of it", nil, nil, []string{"cp", f.guest + ":/root/data", back}},
		{"`exec` of a command that prints", nil, piped, []string{"exec", "-n", f.guest, "--", "head", "-c", fmt.Sprint(len(piped)), "/root/data"}},
		{"`exec` of one that reads", piped, fmt.Appendf(nil, "%d\n", len(piped)), []string{"exec", f.guest, "--", "wc", "-c"}},
	} {
		before, err := doctor.ReadUsage(pid)
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, o.kvmlab, step.args...)
		var out, said bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(step.stdin), &out, &said
		began := time.Now()
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("kvmlab %s: %w\n%s", strings.Join(step.args, " "), err, said.String())
		}
		took := time.Since(began).Seconds()
		after, err := doctor.ReadUsage(pid)
		if err != nil {
			return err
		}
		if step.want != nil && !bytes.Equal(out.Bytes(), step.want) {
			return fmt.Errorf("kvmlab %s: %d bytes came, or others", strings.Join(step.args, " "), out.Len())
		}
		f.rows = append(f.rows, copyRow{step.what, took, (after.CPU - before.CPU).Seconds()})
	}
	if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
		return fmt.Errorf("the file that came back is another: %w", err)
	}
	return nil
}

// copyPage writes the section.
func copyPage(size int, all []copyFigures) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Ways into a guest\n\nMeasured by `scripts/bench copy` on %s, in a private host, without hardware virtualisation: a file of %d MiB\n"+
		"that cannot be compressed, and %d MiB through a command. Seconds, and of them QEMU's processor time; checksums are of both\nends, in the guest's processor, too.\n\n"+
		"| | micro | processor | debian | processor |\n|---|---|---|---|---|\n", machine(), size>>20, pipedSize>>20)
	for i, row := range all[0].rows {
		other := all[1].rows[i]
		fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.1f | %.1f |\n", row.what, row.took, row.cpu, other.took, other.cpu)
	}
	b.WriteString("\nA file goes in over a port of its own, as it is. Everything else goes over the guest agent, in base64 within JSON: a\n" +
		"chunk of 1 MiB at a time out of the guest, and of 64 KiB into it.\n")
	return b.String()
}
