// Command bench measures kvmlab and writes docs/benchmarks.md, a section for each benchmark. It is run by scripts/bench
// on a private host and is no part of kvmlab itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// sections are the benchmarks by the names of their sections.
var sections = map[string]func(ctx context.Context, o options) (string, error){
	"lab":    benchLab,
	"class":  benchClass,
	"boot":   benchBoot,
	"first":  benchFirst,
	"copy":   benchCopy,
	"crowd":  benchCrowd,
	"dhcp":   benchDHCP,
	"memory": benchMemory,
	"taps":   benchTaps,
	"wire":   benchWire,
}

// options are what all benchmarks are told.
type options struct {
	kvmlab string            // the program to measure
	dir    string            // an empty directory on a real disk
	images map[string]string // by digest: what to call an earlier debian image
	rounds int               // how often lab and boot measure each way; 0: what is usual
	quick  bool              // only whether it works: the numbers mean nothing
	log    io.Writer         // what is being done
}

// say tells what is being done; nothing depends on its being read.
func (o options) say(format string, args ...any) { _, _ = fmt.Fprintf(o.log, format+"\n", args...) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == echoCommand {
		return echoServer(args[1:])
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	o := options{log: os.Stderr}
	var doc string
	flags.StringVar(&o.kvmlab, "kvmlab", "bin/kvmlab", "the program to measure")
	flags.StringVar(&o.dir, "dir", ".", "where leases are written: a directory on a real disk")
	flags.StringVar(&doc, "doc", "docs/benchmarks.md", "the page to write the section into; - prints it")
	o.images = map[string]string{}
	flags.Func("image", "what to call an earlier debian image, as DIGEST=NAME", func(text string) error {
		digest, name, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("want DIGEST=NAME")
		}
		o.images[digest] = name
		return nil
	})
	flags.IntVar(&o.rounds, "rounds", 0, "how often each way to a lab, and each image, is measured (5)")
	flags.BoolVar(&o.quick, "quick", false, "see in a minute whether it works; the page is left alone")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var names []string
	for name := range sections {
		names = append(names, name)
	}
	slices.Sort(names)
	if flags.NArg() != 1 || sections[flags.Arg(0)] == nil {
		return fmt.Errorf("say which benchmark: %s", strings.Join(names, ", "))
	}
	return measure(ctx, o, flags.Arg(0), doc)
}

// measure runs one benchmark in a directory of its own and writes its section.
func measure(ctx context.Context, o options, name, doc string) (err error) {
	if o.dir, err = os.MkdirTemp(o.dir, ".bench-"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	text, err := sections[name](ctx, o)
	if err != nil {
		return err
	}
	if o.quick || doc == "-" {
		_, err = os.Stdout.WriteString(text)
		return err
	}
	return writeSection(doc, name, text)
}
