package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// standardInput is the file name that stands for it.
const standardInput = "-"

// runFile shows a capture file. It is read twice, so that stations have their names from the first packet on; standard
// input, which can be read once only, gives names as they come to be known.
func (o *watchOptions) runFile(ctx context.Context, selection watch.Selection) (err error) {
	names := watch.NewNames()
	if o.read != standardInput {
		if err := learnNames(o.read, names); err != nil {
			return err
		}
	}
	source, err := openCaptureFile(o.app, o.read)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	source.ctx = func() error { return ctx.Err() }
	return o.show(ctx, filepath.Base(o.read), source, watch.NewFollower(names), selection)
}

// learnNames reads a file for the names alone. A file that breaks off gives those before the break.
func learnNames(path string, names *watch.Names) (err error) {
	source, err := openCaptureFile(nil, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	frames := new(capture.Reassembler)
	for {
		frame, err := source.Next()
		if err != nil {
			return nil //nolint:nilerr // the second reading tells it
		}
		names.Learn(frames.Decode(frame))
	}
}

// captureFile is a capture file as a source of frames.
type captureFile struct {
	app    *app // warnings go to its Err; nil: nowhere
	path   string
	file   io.Closer
	reader *capture.Reader
	ctx    func() error
	frames int // that were decoded
}

// openCaptureFile opens a file, or standard input.
func openCaptureFile(a *app, path string) (*captureFile, error) {
	c := &captureFile{app: a, path: path, ctx: func() error { return nil }}
	var in io.Reader
	if path == standardInput && a != nil {
		in, c.file = a.In, io.NopCloser(nil)
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, diag.New(diag.FileUnreadable, diag.Args{"file": path}).Wrap(err)
		}
		in, c.file = f, f
	}
	var err error
	c.reader, err = capture.NewReader(in)
	var format *capture.FormatError
	switch {
	case errors.As(err, &format):
		err = diag.New(diag.NoCaptureFile, diag.Args{"file": path, "found": format.Found}).Wrap(format)
	case err != nil:
		err = diag.New(diag.FileUnreadable, diag.Args{"file": path}).Wrap(err)
	}
	if err != nil {
		return nil, errors.Join(err, c.file.Close())
	}
	return c, nil
}

// Next reads a frame. A file that breaks off ends there, with a warning; so does one with frames that nobody decodes. One
// that has no others is no capture for us.
func (c *captureFile) Next() (capture.Frame, error) {
	if err := c.ctx(); err != nil {
		return capture.Frame{}, err
	}
	frame, err := c.reader.Next()
	frame.Serial = 0 // a file's packets are counted by their place in it, as Wireshark does
	if cut, ok := errors.AsType[*capture.TruncatedError](err); ok {
		if c.app != nil {
			c.app.showDiagnostics(diag.List{diag.New(diag.CaptureCut, diag.Args{
				"file": c.path, "count": cut.Frames, "reason": cut.Err.Error(),
			})})
		}
		err = io.EOF
	}
	if err == nil && frame.Link != capture.LinkUnknown {
		c.frames++
	}
	if errors.Is(err, io.EOF) {
		if none := c.leftOut(); none != nil {
			return capture.Frame{}, none
		}
	}
	return frame, err
}

// leftOut tells at the end which frames were not decoded, if there were any.
func (c *captureFile) leftOut() error {
	count, types := 0, []string{}
	for number, n := range c.reader.Alien() {
		count += n
		types = append(types, strconv.Itoa(number))
	}
	slices.Sort(types)
	switch {
	case count > 0 && c.frames == 0:
		found := "only frames of link type " + strings.Join(types, ", ")
		return diag.New(diag.NoCaptureFile, diag.Args{"file": c.path, "found": found})
	case count > 0 && c.app != nil:
		c.app.showDiagnostics(diag.List{diag.New(diag.FramesLeftOut, diag.Args{
			"file": c.path, "count": count, "types": strings.Join(types, ", "),
		})})
	}
	return nil
}

// Close closes the file.
func (c *captureFile) Close() error { return c.file.Close() }
