// Command packaging makes kvmlab's Debian package out of what scripts/package has built: the program and the micro
// image. It is no part of kvmlab itself.
//
// Two runs over the same commit and image give the same bytes: nothing in the package has another time than the
// commit's, or a name or number of the machine that it was made on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/kvmlab/kvmlab/internal/state"
)

const usage = `Usage:
  packaging version                 the version that CHANGELOG.md is at
  packaging notice                  what NOTICE has to say, from the modules that kvmlab links
  packaging [--program FILE] [--images DIR] [--out DIR] deb
                                    write the package, and print where it is

All of them are run in the top folder of the checkout.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("packaging", flag.ContinueOnError)
	flags.Usage = func() { _, _ = io.WriteString(flags.Output(), usage) }
	var job job
	flags.StringVar(&job.program, "program", "bin/package/kvmlab", "the program, built with its version")
	images := filepath.Join(state.DefaultStateDir, "images")
	flags.StringVar(&job.images, "images", images, "the store that has the micro image")
	flags.StringVar(&job.out, "out", "bin", "where the package goes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	job.root = "."
	switch flags.Arg(0) {
	case "version":
		log, err := readChangelog(job.root)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, log[0].version)
		return err
	case "notice":
		text, err := notice(ctx, job.root)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, text)
		return err
	case "deb":
		file, err := job.build(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, file)
		return err
	}
	flags.Usage()
	return errors.New("say what: version, notice or deb")
}
