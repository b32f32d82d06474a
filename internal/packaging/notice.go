package main

import (
	"bytes"
	"context"
	"fmt"
	"text/tabwriter"
)

const noticeHead = `kvmlab
Copyright 2026 The kvmlab authors

Licensed under the Apache License, Version 2.0: see LICENSE.

This file is written by ` + "`go run ./internal/packaging notice`" + `, and a test sees to it that it stays true.

The program kvmlab has these Go modules linked into it:

`

const noticeImage = `
The micro image, which ` + "`kvmlab image build`" + ` makes and the Debian package of kvmlab brings, is made of unchanged
files of these Debian packages (whose sources are Debian's: apt source PACKAGE):

`

const noticeTail = `
In the Debian package, /usr/share/doc/kvmlab/licences holds all of these licences in full, with the versions.
`

// notice is the text of NOTICE. It names no versions: those are in go.mod and in the image's manifest.
func notice(ctx context.Context, root string) (string, error) {
	modules, err := linkedModules(ctx, root)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	out.WriteString(noticeHead)
	table := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	for _, m := range modules {
		_, _ = fmt.Fprintf(table, "  %s\t%s\n", m.path, m.licence)
	}
	if err := table.Flush(); err != nil {
		return "", err
	}
	out.WriteString(noticeImage)
	for _, p := range debianLicences {
		_, _ = fmt.Fprintf(table, "  %s\t%s\n", p.name, p.licence)
	}
	if err := table.Flush(); err != nil {
		return "", err
	}
	out.WriteString(noticeTail)
	return out.String(), nil
}

// moduleLicences is the full text of the licences of all modules.
func moduleLicences(modules []module) (string, error) {
	var out bytes.Buffer
	out.WriteString("The program kvmlab has these Go modules linked into it, each under its own licence.\n")
	for _, m := range modules {
		text, err := licenceText(m.dir)
		if err != nil {
			return "", fmt.Errorf("licence of %s: %w", m.path, err)
		}
		heading(&out, fmt.Sprintf("%s %s (%s)", m.path, m.version, m.licence))
		out.WriteString(text)
	}
	return out.String(), nil
}
