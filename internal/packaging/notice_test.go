package main

import (
	"debug/buildinfo"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNoticeIsTrue compares NOTICE with the modules that kvmlab links now.
func TestNoticeIsTrue(t *testing.T) {
	want, err := notice(t.Context(), checkout)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(readFile(t, filepath.Join(checkout, "NOTICE")))); diff != "" {
		t.Errorf("NOTICE is not what is linked; go run ./internal/packaging notice >NOTICE (-want +got):\n%s", diff)
	}
}

// TestNoticeNamesWhatTheProgramHolds compares it with what is written in the program itself.
func TestNoticeNamesWhatTheProgramHolds(t *testing.T) {
	_, program := makeFirst(t)
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]string{}
	for _, dep := range info.Deps {
		linked[dep.Path] = dep.Version
	}
	modules, err := linkedModules(t.Context(), checkout)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, m := range modules {
		if m.path != standardLibrary {
			listed[m.path] = m.version
		}
	}
	if diff := cmp.Diff(linked, listed); diff != "" {
		t.Errorf("modules (-in the program +in NOTICE):\n%s", diff)
	}
}

// TestNoticeNamesTheImagesPackages compares the list of Debian packages with those that the image was built from.
func TestNoticeNamesTheImagesPackages(t *testing.T) {
	img, err := microImage(store(t))
	if err != nil {
		t.Fatal(err)
	}
	used, listed := map[string]bool{}, map[string]bool{}
	for _, p := range img.Packages {
		used[commonName(p.Name)] = true
	}
	for _, p := range debianLicences {
		listed[p.name] = true
	}
	if diff := cmp.Diff(used, listed); diff != "" {
		t.Errorf("Debian packages (-in the image +in NOTICE):\n%s", diff)
	}
}

func TestIdentify(t *testing.T) {
	for want, text := range map[string]string{
		"BSD-3-Clause": "Redistribution and use in source and binary forms, with or without\nmodification, are permitted …\n" +
			"Neither the name of Google Inc. nor the names of its contributors may be used to\nendorse or promote products derived from this software",
		"BSD-2-Clause": "Redistribution and use in source and binary forms, with or\n  without modification, are permitted",
		"MIT":          "Permission is hereby granted, free of charge, to any person obtaining\na copy of this software",
		"Apache-2.0":   "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
		"":             "All rights reserved.",
	} {
		got, err := identify(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("identify(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}
