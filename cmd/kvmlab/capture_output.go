package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/userfile"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// captureOutput writes a capture to standard output, a file, or a ring of files. Every frame goes out at once, so that
// whoever reads a pipe sees it now and a killed capture leaves all that came.
type captureOutput struct {
	path    string
	stdout  io.Writer
	links   []capture.Link
	owner   userfile.Owner // whose the files are
	limit   int64          // octets after which the next file begins; 0: one file
	keep    int            // how many files are kept; 0: all
	written uint64

	file   *os.File // nil for standard output
	out    *capture.Writer
	number int
	names  []string
}

// badFileSize is the diagnostic for a --file-size that is none.
func badFileSize(text string) error {
	return diag.New(diag.BadFlag, diag.Args{"flag": "--file-size", "value": text, "allowed": "10MiB, 512KiB, 1GiB"})
}

// Open begins the first file.
func (c *captureOutput) Open() error {
	if c.path == standardInput {
		return c.begin(c.stdout)
	}
	c.number++
	name := c.path
	if c.limit > 0 { // as dumpcap names them: x.pcapng becomes x_00001.pcapng
		ext := filepath.Ext(c.path)
		name = fmt.Sprintf("%s_%05d%s", strings.TrimSuffix(c.path, ext), c.number, ext)
	}
	file, err := createFor(c.owner, name)
	if err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	c.file = file
	c.names = append(c.names, name)
	return c.begin(file)
}

// createFor opens a file to be written that is to be a user's.
func createFor(owner userfile.Owner, path string) (*os.File, error) {
	file, err := userfile.Create(path, owner)
	if odd, ok := errors.AsType[*userfile.OddError](err); ok {
		return nil, diag.New(diag.OutputOdd, diag.Args{"path": odd.Path, "reason": odd.Why}).Wrap(err)
	}
	return file, err
}

// begin writes the header at once: a capture of nothing is a valid file too.
func (c *captureOutput) begin(w io.Writer) (err error) {
	if c.out, err = capture.NewWriter(w, applicationName(), c.links...); err != nil {
		return err
	}
	return c.out.Flush()
}

// Write writes a frame.
func (c *captureOutput) Write(f capture.Frame) error {
	if c.limit > 0 && c.out.Size() >= c.limit {
		if err := c.turn(); err != nil {
			return err
		}
	}
	c.written++
	return errors.Join(c.out.Write(f), c.out.Flush())
}

// turn goes on in the next file and removes the oldest one that is too many.
func (c *captureOutput) turn() error {
	if err := c.Close(); err != nil {
		return err
	}
	if err := c.Open(); err != nil {
		return err
	}
	for c.keep > 0 && len(c.names) > c.keep {
		if err := os.Remove(c.names[0]); err != nil {
			return fmt.Errorf("remove old capture file: %w", err)
		}
		c.names = c.names[1:]
	}
	return nil
}

// Counts writes what the capture says of a link.
func (c *captureOutput) Counts(link string, counts capture.Counts) error {
	return errors.Join(c.out.WriteCounts(link, counts, capture.Frame{Time: time.Now()}), c.out.Flush())
}

// Close closes the file.
func (c *captureOutput) Close() error {
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}

// applicationName is what a capture says that it was made with.
func applicationName() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "kvmlab"
	}
	return "kvmlab " + buildVersion(info).Kvmlab
}
