package main

import (
	"errors"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
)

// shownError is an error that the command has already told the user about in its own form: it only decides the exit
// status.
type shownError struct{ err error }

// Error implements error.
func (e *shownError) Error() string { return e.err.Error() }

// Unwrap gives the error to diag.ExitCode.
func (e *shownError) Unwrap() error { return e.err }

// report tells the user about the error of a command, on Err, and gives the exit status. With -o json the error is a JSON
// object there too, so that a program need not read English.
func (a *app) report(command string, err error) int {
	if err == nil {
		err = a.OutErr()
	}
	if err == nil {
		return diag.ExitOK
	}
	status := new(statusError)
	if errors.As(err, &status) {
		return status.status
	}
	err = a.translate(command, err)
	shown := new(shownError)
	if !errors.As(err, &shown) {
		a.showError(err)
	}
	return diag.ExitCode(err)
}

func (a *app) showError(err error) {
	if a.wantsJSON() {
		_ = cliui.WriteJSON(a.Err, struct {
			Exit   int       `json:"exit"`
			Errors diag.List `json:"errors"`
		}{diag.ExitCode(err), diagnosticsOf(err)})
		return
	}
	width, _ := a.Size()
	_ = diag.Render(a.Err, err, diag.RenderOptions{
		Color: a.ErrStyle().Coloured(), Width: width, Language: a.language(),
	})
}

// showDiagnostics prints findings that are not (all) errors, in the form of errors.
func (a *app) showDiagnostics(list diag.List) {
	if len(list) > 0 {
		a.showError(list)
	}
}

// diagnosticsOf collects the diagnostics in err's tree, outermost first. An error without any is itself one, of kind
// "internal", so that nothing is lost.
func diagnosticsOf(err error) diag.List {
	if err == nil {
		return nil
	}
	var list diag.List
	//nolint:errorlint // this walks the tree itself, one error at a time
	switch e := err.(type) {
	case *diag.Diagnostic:
		return diag.List{e}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			list = append(list, diagnosticsOf(inner)...)
		}
	case interface{ Unwrap() error }:
		list = diagnosticsOf(e.Unwrap())
	}
	if len(list) == 0 {
		list = diag.List{diag.New(diag.Internal, diag.Args{"message": err.Error()})}
	}
	return list
}
