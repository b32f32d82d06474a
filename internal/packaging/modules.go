package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// module is a Go module that is linked into kvmlab.
type module struct {
	path, version, dir string
	licence            string // its SPDX identifier
}

// standardLibrary is the name that Go's own packages have here.
const standardLibrary = "Go's standard library"

// linkedModules lists what kvmlab is made of beside itself, sorted, with their licences.
func linkedModules(ctx context.Context, root string) ([]module, error) {
	const format = `{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}`
	out, err := goCommand(ctx, root, "list", "-deps", "-f", format, "./cmd/kvmlab")
	if err != nil {
		return nil, err
	}
	goRoot, err := goCommand(ctx, root, "env", "GOROOT", "GOVERSION")
	if err != nil {
		return nil, err
	}
	home, version, _ := strings.Cut(strings.TrimSpace(goRoot), "\n")
	list := []module{{path: standardLibrary, version: version, dir: home}}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue // A package of the standard library.
		}
		list = append(list, module{path: fields[0], version: fields[1], dir: fields[2]})
	}
	slices.SortFunc(list, func(a, b module) int {
		return strings.Compare(strings.ToLower(a.path), strings.ToLower(b.path))
	})
	list = slices.Compact(list)
	for i, m := range list {
		text, err := licenceText(m.dir)
		if err != nil {
			return nil, fmt.Errorf("licence of %s: %w", m.path, err)
		}
		if list[i].licence, err = identify(text); err != nil {
			return nil, fmt.Errorf("licence of %s in %s: %w", m.path, m.dir, err)
		}
	}
	return list, nil
}

func goCommand(ctx context.Context, root string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, said.String())
	}
	return string(out), nil
}

// licenceText is all that a module's folder says about its licence, with the notices that Apache's asks to hand on.
func licenceText(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		known := slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE"}, func(prefix string) bool {
			return strings.HasPrefix(name, prefix)
		})
		if !known || !e.Type().IsRegular() || strings.HasSuffix(name, ".GO") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		text.Write(bytes.TrimSpace(content))
		text.WriteString("\n\n")
	}
	return text.String(), nil
}

// identify tells a licence by sentences that only it has. The order matters: the licences of the BSD family contain one
// another, and some files hold two.
func identify(text string) (string, error) {
	words := strings.ToLower(strings.Join(strings.Fields(text), " "))
	for _, known := range []struct{ id, phrase string }{
		{"MPL-2.0", "Mozilla Public License Version 2.0"},
		{"Apache-2.0", "terms and conditions for use, reproduction, and distribution"},
		{"CC0-1.0", "Creative Commons CC0 1.0 Universal"},
		{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
		{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
		{"ISC", "Permission to use, copy, modify, and distribute this software for any purpose"},
		{"BSD-3-Clause", "may be used to endorse or promote products derived from this software"},
		{"BSD-2-Clause", "Redistribution and use in source and binary forms, with or without modification"},
	} {
		if strings.Contains(words, strings.ToLower(known.phrase)) {
			return known.id, nil
		}
	}
	return "", errors.New("no licence that is known here")
}
