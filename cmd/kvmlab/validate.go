package main

import (
	"crypto/rand"
	"errors"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// validatedFile is what `kvmlab validate -o json` says about one lab file.
type validatedFile struct {
	File        string    `json:"file"`
	Valid       bool      `json:"valid"`
	Lab         string    `json:"lab,omitempty"` // the lab's name
	Bridges     int       `json:"bridges"`
	Guests      int       `json:"guests"`
	Diagnostics diag.List `json:"diagnostics"`
}

func newValidateCmd(a *app) *cobra.Command {
	cmd := a.command("validate FILE...", "validate")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return a.usageError(cmd, "usage.missing-argument", "argument", "FILE")
		}
		return nil
	}
	cmd.ValidArgsFunction = completeLabFiles
	cmd.RunE = func(_ *cobra.Command, args []string) error { return runValidate(a, args) }
	return cmd
}

// runValidate checks every file, so that all mistakes are told in one go.
func runValidate(a *app, files []string) error {
	var (
		report struct {
			Files []validatedFile `json:"files"`
		}
		all []error
	)
	for _, file := range files {
		result, err := validateFile(a, file)
		report.Files = append(report.Files, result)
		if err != nil {
			all = append(all, err)
		}
		if a.wantsJSON() {
			continue
		}
		if result.Valid {
			a.Outf("%s\n", a.T("validate.ok", "file", file, "lab", result.Lab,
				"bridges", a.msgs.N("count.bridges", result.Bridges), "guests", a.msgs.N("count.guests", result.Guests)))
		}
		a.showDiagnostics(result.Diagnostics)
	}
	err := errors.Join(all...)
	if a.wantsJSON() {
		if printErr := a.printJSON(report); printErr != nil {
			return printErr
		}
	}
	if err != nil {
		return &shownError{err}
	}
	return nil
}

// validateFile parses and resolves one file, with invented MACs: what `kvmlab up` would do before it touches the host.
func validateFile(a *app, file string) (validatedFile, error) {
	result := validatedFile{File: file}
	resolved, warnings, err := readAndResolve(a, file)
	result.Diagnostics = append(warnings, diagnosticsOf(err)...)
	if resolved != nil {
		result.Lab, result.Bridges, result.Guests = resolved.Name, len(resolved.Bridges), len(resolved.Guests)
	}
	result.Valid = err == nil
	return result, err
}

func readAndResolve(a *app, file string) (resolved *lab.Lab, warnings diag.List, err error) {
	src, err := a.readLabFile(file)
	if err != nil {
		return nil, nil, err
	}
	spec, err := lab.Parse(file, src)
	if err != nil {
		return nil, nil, err
	}
	resolved, err = lab.Resolve(spec, lab.ResolveOptions{Random: rand.Reader})
	return resolved, spec.Warnings, err
}
