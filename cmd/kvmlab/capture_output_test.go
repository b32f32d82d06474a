package main

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// TestCaptureRing fills a ring of files: each is a valid capture by itself, none is much larger than it may be, the oldest
// go, and what is left is the end of what came, without a gap.
func TestCaptureRing(t *testing.T) {
	t.Parallel()
	const (
		limit   = 4 << 10
		frames  = 200
		payload = 300
	)
	for name, test := range map[string]struct {
		keep int
	}{
		"three are kept": {keep: 3},
		"one is kept":    {keep: 1},
		"all are kept":   {keep: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			out := &captureOutput{path: filepath.Join(dir, "x.pcapng"), links: []capture.Link{{Name: "br1"}}, limit: limit, keep: test.keep}
			if err := out.Open(); err != nil {
				t.Fatal(err)
			}
			for i := range frames {
				if err := out.Write(numbered(i, payload)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(out.Counts("br1", capture.Counts{Received: frames}), out.Close()); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(out.names, files); d != "" {
				t.Errorf("files (-kept +there):\n%s", d)
			}
			if test.keep > 0 && len(files) != test.keep || test.keep == 0 && filepath.Base(files[0]) != "x_00001.pcapng" {
				t.Errorf("%d files, the first is %s", len(files), filepath.Base(files[0]))
			}
			var numbers []int
			for _, file := range files {
				numbers = append(numbers, numbersIn(t, file)...)
				if info, err := os.Stat(file); err != nil || info.Size() > limit+2*payload {
					t.Errorf("%s has %d octets, %v", filepath.Base(file), info.Size(), err)
				}
			}
			for i, n := range numbers {
				if n != frames-len(numbers)+i {
					t.Fatalf("frame %d of the ring is number %d", i, n)
				}
			}
			if test.keep == 0 && len(numbers) != frames || len(numbers) < limit/(2*payload) {
				t.Errorf("%d frames are left of %d", len(numbers), frames)
			}
		})
	}
}

// numbered is a frame that tells its number.
func numbered(n, size int) capture.Frame {
	data := make([]byte, size)
	data[12], data[13] = 0x88, 0xb5 // local experimental (IEEE 802 section 9.2.4)
	binary.BigEndian.PutUint32(data[14:], uint32(n))
	return capture.Frame{Time: time.Unix(int64(n), 0), Interface: "br1", Data: data, Length: size}
}

func numbersIn(t *testing.T, path string) (numbers []int) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := capture.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return numbers
		}
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, int(binary.BigEndian.Uint32(frame.Data[14:])))
	}
}
