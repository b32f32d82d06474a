package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
)

// usageError is a mistake on the command line: message id, with its values, in the catalogues.
func (a *app) usageError(cmd *cobra.Command, id string, pairs ...any) error {
	return diag.New(diag.Usage, diag.Args{"message": a.T(id, pairs...), "command": cmd.CommandPath()})
}

// flagError turns pflag's errors into diagnostics.
func (a *app) flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		noValue *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &unknown):
		return a.unknownFlag(cmd, unknown)
	case errors.As(err, &noValue):
		return a.usageError(cmd, "usage.flag-needs-value", "flag", "--"+noValue.GetFlag().Name)
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		return diag.New(diag.BadFlag, diag.Args{
			"flag": "--" + flag.Name, "value": invalid.GetValue(), "allowed": allowedValues(a, flag),
		})
	default:
		return diag.New(diag.Usage, diag.Args{"message": err.Error(), "command": cmd.CommandPath()}).Wrap(err)
	}
}

func (a *app) unknownFlag(cmd *cobra.Command, err *pflag.NotExistError) error {
	if short := err.GetSpecifiedShortnames(); short != "" {
		return a.usageError(cmd, "usage.unknown-flag", "flag", "-"+err.GetSpecifiedName(), "suggestion", "")
	}
	var names []string
	collect := func(flag *pflag.Flag) {
		if !flag.Hidden {
			names = append(names, flag.Name)
		}
	}
	cmd.LocalFlags().VisitAll(collect)
	cmd.InheritedFlags().VisitAll(collect)
	suggestion := cliui.Closest(err.GetSpecifiedName(), names)
	if suggestion != "" {
		suggestion = "--" + suggestion
	}
	return a.usageError(cmd, "usage.unknown-flag", "flag", "--"+err.GetSpecifiedName(), "suggestion", suggestion)
}

// parent makes cmd a command that only holds others: alone it shows its help, and an unknown word under it is an error
// that proposes the nearest one.
func (a *app) parent(cmd *cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		return diag.New(diag.UnknownCommand, diag.Args{
			"command": args[0], "suggestion": cliui.Closest(args[0], names),
		})
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// exactArgs takes the named arguments, no less and no more.
func (a *app) exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return a.usageError(cmd, "usage.missing-argument", "argument", strings.Join(names[len(args):], " "))
		}
		return a.maxArgs(len(names))(cmd, args)
	}
}

// maxArgs takes at most n arguments.
func (a *app) maxArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return a.usageError(cmd, "usage.extra-argument", "argument", args[n])
		}
		return nil
	}
}
