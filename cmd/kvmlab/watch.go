package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// watchOptions are the arguments of `kvmlab watch`.
type watchOptions struct {
	app     *app
	lab     string
	read    string
	since   string
	filters []string
	predict bool
	answers string
}

func newWatchCmd(a *app) *cobra.Command {
	opts := &watchOptions{app: a}
	cmd := a.command("watch [LAB]", "watch")
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgsFunction = completeLabs(a)
	flags := cmd.Flags()
	flags.StringVar(&opts.read, "read", "", a.T("watch.flag.read"))
	flags.StringVar(&opts.since, "since", "", a.T("watch.flag.since"))
	flags.StringArrayVar(&opts.filters, "filter", nil, a.T("watch.flag.filter"))
	flags.BoolVar(&opts.predict, "predict", false, a.T("watch.flag.predict"))
	flags.StringVar(&opts.answers, "answers", "", a.T("watch.flag.answers"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			opts.lab = args[0]
		}
		switch {
		case opts.read != "" && opts.lab != "":
			return a.usageError(cmd, "watch.read-or-lab")
		case opts.read != "" && opts.since != "":
			return a.usageError(cmd, "watch.read-or-since")
		case opts.answers != "" && !opts.predict:
			return a.usageError(cmd, "watch.answers-without-predict")
		}
		return opts.run(cmd.Context())
	}
	return cmd
}

// frameSource is where frames come from: a file, or a lab's supervisor.
type frameSource interface {
	// Next waits for a frame; io.EOF is the end.
	Next() (capture.Frame, error)
}

// run follows the packets to their end.
func (o *watchOptions) run(ctx context.Context) error {
	selection, err := o.selection()
	if err != nil {
		return err
	}
	if o.read != "" {
		return o.runFile(ctx, selection)
	}
	return o.runLive(ctx, selection)
}

func (o *watchOptions) selection() (watch.Selection, error) { return parseFilters(o.filters) }

// parseFilters reads --filter, for capture as well.
func parseFilters(values []string) (watch.Selection, error) {
	selection, err := watch.ParseSelection(values)
	var (
		kind   *watch.KindError
		filter *capture.FilterError
	)
	switch {
	case errors.As(err, &kind):
		return selection, diag.New(diag.BadFilter, diag.Args{"filter": "kind=" + kind.Kind, "reason": kind.Error()}).Wrap(err)
	case errors.As(err, &filter):
		return selection, diag.New(diag.BadFilter, diag.Args{
			"filter": filter.Expression, "reason": fmt.Sprintf("character %d: %s", filter.At+1, filter.Reason),
		}).Wrap(err)
	}
	return selection, err
}

// show hands the packets to whoever wants to see them: a program, a student who predicts, the ladder, or a reader of
// sentences.
func (o *watchOptions) show(ctx context.Context, title string, source frameSource, follower *watch.Follower, selection watch.Selection) error {
	frames := new(capture.Reassembler)
	next := func() (*watch.Record, error) {
		for {
			frame, err := source.Next()
			if err != nil {
				return nil, err
			}
			record := follower.Next(frames.Decode(frame))
			if record.LinkType != capture.LinkUnknown && selection.Wants(record) {
				return record, nil
			}
		}
	}
	a := o.app
	switch {
	case o.predict:
		return o.runPredict(ctx, next)
	case a.wantsJSON():
		return eachRecord(next, func(r *watch.Record) error { return r.WriteJSON(a.Out) })
	case a.ladderFits():
		return runLadder(ctx, a, title, o.read == "", next, follower)
	default:
		return eachRecord(next, a.sentences())
	}
}

// eachRecord calls do for every record up to the end.
func eachRecord(next func() (*watch.Record, error), do func(*watch.Record) error) error {
	for {
		record, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(record); err != nil {
			return fmt.Errorf("write packet: %w", err)
		}
	}
}

// sentences prints each packet as one.
func (a *app) sentences() func(*watch.Record) error {
	var last time.Time
	return func(r *watch.Record) error {
		since := time.Duration(0)
		if !last.IsZero() {
			since = r.Time.Sub(last)
		}
		last = r.Time
		_, err := fmt.Fprintln(a.Out, r.Sentence(a, since))
		return err
	}
}

// ladderFits reports whether the ladder can be drawn; a terminal that is only too narrow is told so.
func (a *app) ladderFits() bool {
	if !a.OutIsTerminal() || !a.InIsTerminal() || a.Plain || a.env("TERM") == "dumb" {
		return false
	}
	width, _ := a.Size()
	if width < watch.MinWidth {
		a.showDiagnostics(diag.List{diag.New(diag.NarrowTerminal, diag.Args{"width": width, "need": watch.MinWidth})})
		return false
	}
	return true
}
