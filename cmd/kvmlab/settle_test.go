package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestUnmapProgram takes the program's pages out of this process, which goes on.
func TestUnmapProgram(t *testing.T) {
	before := programPages(t)
	if err := unmapProgram(); err != nil {
		t.Fatal(err)
	}
	if after := programPages(t); after > before/2 {
		t.Errorf("%d KiB of files are mapped, and were %d KiB", after, before)
	}
}

// programPages is how much of files this process has mapped and present, in KiB (RssFile, proc(5)).
func programPages(t *testing.T) (kib int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}
