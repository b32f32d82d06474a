package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cachePrefix begins the names of files that are there for their cache only.
const cachePrefix = "cache-"

// useMemory fills what is free of the machine's memory with the cache of a file that takes no room on the disk. The
// kernel takes such memory for whoever needs it.
func (o options) useMemory(ctx context.Context) error {
	free, err := memFree()
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(o.dir, cachePrefix)
	if err != nil {
		return fmt.Errorf("make a file: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if err := file.Truncate(free); err != nil {
		return err
	}
	o.say("%d MiB of free memory become the cache of a file", free>>20)
	buf := make([]byte, 1<<20)
	for ctx.Err() == nil {
		_, err := file.Read(buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a file: %w", err)
		}
	}
	return ctx.Err()
}

// freeMemory removes what useMemory has made, and leaves a virtual machine the time to give its memory back.
func (o options) freeMemory(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(o.dir, cachePrefix+"*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		err = errors.Join(err, os.Remove(file))
	}
	const settle = 20 * time.Second // the kernel reports free pages two seconds later, a few at a time
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settle):
		return err
	}
}

// memFree is MemFree of proc(5), in bytes.
func memFree() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "MemFree:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0, fmt.Errorf("read /proc/meminfo: %w", err)
	}
	return kib << 10, nil
}

// touchMemory measures what a page of free memory costs, and what it costs again right after it was given back.
func touchMemory() (first, soon time.Duration, err error) {
	const size, page = 2 << 30, 4096
	touch := func() (time.Duration, error) {
		memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
		if err != nil {
			return 0, fmt.Errorf("map memory: %w", err)
		}
		began := time.Now()
		for at := 0; at < size; at += page {
			memory[at] = 1
		}
		took := time.Since(began) / (size / page)
		return took, unix.Munmap(memory)
	}
	if first, err = touch(); err == nil {
		soon, err = touch()
	}
	return first, soon, err
}
