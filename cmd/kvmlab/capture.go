package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/userfile"
	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// captureOptions are the arguments of `kvmlab capture`.
type captureOptions struct {
	app      *app
	lab      string
	write    string
	since    string
	filters  []string
	count    int
	fileSize string
	files    int
	past     bool
}

// captureReport is what `kvmlab capture -o json` says on standard error's behalf when it ends.
type captureReport struct {
	Packets uint64                    `json:"packets"` // written
	Links   map[string]capture.Counts `json:"links"`
}

func newCaptureCmd(a *app) *cobra.Command {
	opts := &captureOptions{app: a}
	cmd := a.command("capture -w FILE [LAB]", "capture")
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgsFunction = completeLabs(a)
	flags := cmd.Flags()
	flags.StringVarP(&opts.write, "write", "w", "", a.T("capture.flag.write"))
	flags.StringVar(&opts.since, "since", "", a.T("capture.flag.since"))
	flags.BoolVar(&opts.past, "past", false, a.T("capture.flag.past"))
	flags.StringArrayVar(&opts.filters, "filter", nil, a.T("watch.flag.filter"))
	flags.IntVarP(&opts.count, "count", "c", 0, a.T("capture.flag.count"))
	flags.StringVar(&opts.fileSize, "file-size", "", a.T("capture.flag.file-size"))
	flags.IntVar(&opts.files, "files", 0, a.T("capture.flag.files"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			opts.lab = args[0]
		}
		switch {
		case opts.write == "":
			return a.usageError(cmd, "capture.needs-file")
		case opts.files > 0 && opts.fileSize == "":
			return a.usageError(cmd, "capture.files-without-size")
		case opts.fileSize != "" && opts.write == standardInput:
			return a.usageError(cmd, "capture.pipe-without-size")
		}
		return opts.run(cmd.Context())
	}
	return cmd
}

func (o *captureOptions) run(ctx context.Context) (err error) {
	selection, err := parseFilters(o.filters)
	if err != nil {
		return err
	}
	size, err := parseFileSize(o.fileSize)
	if err != nil {
		return err
	}
	if o.past && o.since == "" {
		o.since = "up"
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := openLabWire(ctx, o.app, o.lab, "capture", o.since)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if o.past {
		cancel() // the stream ends after what is on the wire now
	}
	out := &captureOutput{
		path: o.write, stdout: o.app.Out, links: captureLinks(w.lab), limit: size, keep: o.files,
		owner: userfile.Invoker(o.app.env),
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := out.Open(); err != nil {
		return err
	}
	if !o.past {
		o.app.say("capture.listening", "lab", w.lab.Name, "file", o.write)
	}
	if err := o.copy(w, out, selection); err != nil {
		return err
	}
	return o.report(w, out)
}

// captureLinks describes the lab's bridges.
func captureLinks(l *lab.Lab) []capture.Link {
	links := make([]capture.Link, len(l.Bridges))
	for i, bridge := range l.Bridges {
		links[i] = capture.Link{Name: bridge.Name, Description: fmt.Sprintf("bridge %s of lab %s", bridge.Name, l.Name)}
	}
	return links
}

// copy writes every wanted frame, each DHCP message with its comment.
func (o *captureOptions) copy(w *labWire, out *captureOutput, selection watch.Selection) error {
	follower, frames := watch.NewFollower(w.names), new(capture.Reassembler)
	for {
		frame, err := w.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		record := follower.Next(frames.Decode(frame))
		if !selection.Wants(record) {
			continue
		}
		if record.DHCP != nil {
			frame.Comment = record.Note
		}
		if err := out.Write(frame); err != nil {
			return err
		}
		if o.count > 0 && out.written >= uint64(o.count) {
			return nil
		}
	}
}

// report ends with the numbers.
func (o *captureOptions) report(w *labWire, out *captureOutput) error {
	for link, counts := range w.stream.Counts() {
		if err := out.Counts(link, counts); err != nil {
			return err
		}
	}
	if o.app.wantsJSON() && o.write != standardInput {
		return o.app.printJSON(captureReport{Packets: out.written, Links: w.stream.Counts()})
	}
	o.app.say("capture.done", "packets", out.written, "file", o.write)
	w.tellDrops()
	return nil
}

// parseFileSize reads a size with its unit; "" is no limit.
func parseFileSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	size, err := lab.ParseSize(text)
	if err != nil || size <= 0 {
		return 0, badFileSize(text)
	}
	return int64(size), nil
}
