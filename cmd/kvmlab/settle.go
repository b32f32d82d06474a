package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settledGC is the garbage collector's target once a supervisor serves, in percent of what lives: it allocates little, and
// a class has one supervisor for each student.
const settledGC = 30

// restAfter is when a supervisor gives back what it has used while the guests started.
const restAfter = time.Minute

// settle gives back the memory that a supervisor does not need: what is garbage, and the program's pages. Its error says
// why the latter stay.
func settle() error {
	debug.SetGCPercent(settledGC)
	debug.FreeOSMemory()
	return unmapProgram()
}

// unmapProgram takes the pages of the program's file out of this process (madvise(2), MADV_DONTNEED). Whichever is used
// again is mapped anew from the page cache, where all supervisors share it. Pages that were written to, those of a
// position-independent program among them, would come back as they are in the file: mappings that have any stay.
func unmapProgram() error {
	maps, err := os.ReadFile("/proc/self/smaps") // proc(5)
	if err != nil {
		return fmt.Errorf("read this process's mappings: %w", err)
	}
	var from, to uint64
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 5 && strings.Contains(f[0], "-"): // address, permissions, offset, device, inode, path
			from, to = 0, 0
			if first, last, ok := strings.Cut(f[0], "-"); ok && strings.HasPrefix(f[1], "r-") && f[4] != "0" {
				from, err = strconv.ParseUint(first, 16, 64)
				if err == nil {
					to, err = strconv.ParseUint(last, 16, 64)
				}
			}
		case f[0] == "Anonymous:" && f[1] == "0" && to > from: // the mapping's pages that differ from the file
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(to-from), unix.MADV_DONTNEED); errno != 0 {
				err = errno
			}
		}
		if err != nil {
			return fmt.Errorf("unmap the program's pages: %w", err)
		}
	}
	return nil
}
