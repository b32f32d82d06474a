package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// resourceHogs take as much as a guest can get, which is to be the host's as little as was promised.
var resourceHogs = []attack{
	{
		"resources/kernel-log", "the kernel's log as fast as it takes lines, and so the console",
		writeAll("/dev/kmsg", "<0>"+strings.Repeat("kmsg ", 40)+"\n"),
	},
	{
		"resources/console", "the console as fast as it takes octets, without a line's end",
		writeAll("/dev/ttyS0", strings.Repeat("console ", 512)),
	},
	{"resources/disk", "its disk, until there is no room or 200 MB are written", fillDisk(200)},
	{"resources/disk-full", "its whole disk", fillDisk(1 << 20)},
	{"resources/processes", "as many processes as it may have", forkBomb},
	{"resources/memory", "all of its memory", func(_ context.Context, g *guest) error {
		var held [][]byte
		for end := time.Now().Add(g.last); time.Now().Before(end); {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			held = append(held, b)
		}
		_, err := fmt.Fprintf(g.out, "held %d MB\n", len(held))
		return err
	}},
	{
		"resources/reboot", "reboots without a word",
		func(context.Context, *guest) error { return syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART) },
	},
	{"resources/panic", "has its kernel panic", func(context.Context, *guest) error {
		return errors.Join(
			os.WriteFile("/proc/sys/kernel/sysrq", []byte("1"), 0),
			os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0),
		)
	}},
	{
		"resources/off", "switches itself off",
		func(context.Context, *guest) error { return syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF) },
	},
}

func writeAll(path, text string) func(context.Context, *guest) error {
	return func(_ context.Context, g *guest) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		written := 0
		for end := time.Now().Add(g.last); time.Now().Before(end) && err == nil; {
			var n int
			n, err = f.WriteString(text)
			written += n
		}
		_, outErr := fmt.Fprintf(g.out, "wrote %d octets\n", written)
		return errors.Join(err, outErr, f.Close())
	}
}

// fillDisk writes what cannot be compressed away, and leaves nothing.
func fillDisk(megabytes int) func(context.Context, *guest) error {
	return func(_ context.Context, g *guest) error {
		const name = "/root/filling"
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		piece, written := full(1<<20), 0
		for written < megabytes {
			if _, err = f.Write(piece); err != nil {
				break
			}
			written++
		}
		if errors.Is(err, syscall.ENOSPC) {
			err = nil
		}
		_, outErr := fmt.Fprintf(g.out, "wrote %d MB\n", written)
		return errors.Join(err, f.Sync(), f.Close(), outErr, os.Remove(name))
	}
}

func forkBomb(ctx context.Context, g *guest) error {
	ctx, cancel := context.WithTimeout(ctx, g.last)
	defer cancel()
	started := 0
	for ctx.Err() == nil {
		if err := exec.CommandContext(ctx, "/bin/sleep", "100").Start(); err != nil {
			break
		}
		started++
	}
	_, err := fmt.Fprintf(g.out, "started %d processes\n", started)
	return err
}
