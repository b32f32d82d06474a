package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/kvmlab/kvmlab/vm"
)

// noteScript is the class note's way to the same lab, and back: ip, openssl, dnsmasq as it is packaged, and virsh, one
// after the other.
//
//go:embed labs_note.sh
var noteScript string

// bareScript is the floor: everything is ready, and QEMU alone is started.
//
//go:embed labs_bare.sh
var bareScript string

// micro is the image that all ways boot.
type micro struct {
	Kernel, Initrd struct{ Name string }
	Cmdline        string
	dir            string
}

func findMicro(ctx context.Context) (m micro, err error) {
	if m.dir, err = filepath.EvalSymlinks("/var/lib/kvmlab/images/micro/current"); err != nil {
		return m, fmt.Errorf("find the micro image: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(m.dir, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read the micro image's manifest: %w", err)
	}
	// As kvmlab tells its guests: one that measures the counter itself can hang on a busy host.
	virt, err := vm.Dial(ctx, "")
	if err != nil {
		return m, fmt.Errorf("ask libvirt about the host: %w", err)
	}
	defer func() { err = errors.Join(err, virt.Close()) }()
	info, err := virt.Host(ctx)
	if err != nil {
		return m, fmt.Errorf("ask libvirt about the host: %w", err)
	}
	if info.TSCkHz != 0 {
		m.Cmdline += fmt.Sprintf(" tsc_early_khz=%d", info.TSCkHz)
	}
	return m, nil
}

// note measures the class note's way.
func (f *labFigures) note(ctx context.Context, o options) error {
	return script(ctx, o, noteScript, &f.noteUp, &f.noteDown)
}

// floor measures QEMU alone.
func (f *labFigures) floor(ctx context.Context, o options) error {
	return script(ctx, o, bareScript, &f.bare, new(samples))
}

// script runs a way's script. It prints a line when the third lease is there and the seconds since it began, and one
// with the seconds that taking it down took.
func script(ctx context.Context, o options, text string, up, down *samples) (err error) {
	m, err := findMicro(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/run", "bench-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	cmd.Env = append(os.Environ(), "DIR="+dir, "KERNEL="+filepath.Join(m.dir, m.Kernel.Name),
		"INITRD="+filepath.Join(m.dir, m.Initrd.Name), "CMDLINE="+m.Cmdline)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	// The guests wait for their names, as kvmlab's do.
	named, stop := context.WithCancel(ctx)
	defer stop()
	for i := range 3 {
		go func() { // a guest without its name has no lease, and that is told
			_ = tellGuest(named, filepath.Join(dir, fmt.Sprintf("id%d", i+1)), fmt.Sprintf("hostname=pc%d", i+1), "ok")
		}()
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run the other way: %w\n%s%s", err, out.String(), complaints.String())
	}
	var took [2]float64
	if _, err := fmt.Sscan(out.String(), &took[0], &took[1]); err != nil {
		return fmt.Errorf("read what the other way took: %w\n%s", err, out.String())
	}
	up.add(took[0])
	down.add(took[1])
	_, _ = fmt.Fprintf(o.log, "  another way: %.1f s\n", took[0])
	return nil
}
