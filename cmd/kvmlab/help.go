package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kvmlab/kvmlab/internal/cliui"
)

// maxHelpWidth keeps the lines of help texts short enough to read on a wide screen.
const maxHelpWidth = 100

// command begins a command whose texts are <id>.short, <id>.long and <id>.examples in the catalogues.
func (a *app) command(use, id string) *cobra.Command {
	return &cobra.Command{
		Use:                   use,
		Short:                 a.T(id + ".short"),
		Long:                  a.T(id + ".long"),
		Example:               a.T(id + ".examples"),
		DisableFlagsInUseLine: true,
	}
}

// writeHelp prints a command's help: examples first, because they are what most readers came for.
func (a *app) writeHelp(cmd *cobra.Command) {
	width, _ := a.Size()
	width = min(width, maxHelpWidth)
	style := a.OutStyle()
	out := &strings.Builder{}
	section := func(id, body string) {
		if body != "" {
			fmt.Fprintf(out, "%s\n%s\n\n", style.Bold(a.T(id)), strings.TrimRight(body, "\n"))
		}
	}
	section("help.examples", indent(cmd.Example))
	fmt.Fprintf(out, "%s\n\n", cliui.Reflow(cmp.Or(cmd.Long, cmd.Short), width))
	section("help.usage", indent(a.usageLine(cmd)))
	for _, group := range cmd.Groups() {
		section(group.Title, commandList(cmd, group.ID))
	}
	if len(cmd.Groups()) == 0 {
		section("help.commands", commandList(cmd, ""))
	}
	section("help.flags", flagList(cmd.LocalNonPersistentFlags(), width))
	global := "help.global-flags"
	if !cmd.HasParent() {
		global = "help.flags"
	}
	section(global, flagList(inherited(cmd), width))
	text := strings.TrimRight(out.String(), "\n") + "\n"
	if cmd.HasAvailableSubCommands() {
		text += "\n" + a.T("help.more", "command", cmd.CommandPath()) + "\n"
	}
	_, _ = io.WriteString(a.Out, text)
}

// usageLine is the command with its arguments; a command that only holds others wants one of them.
func (a *app) usageLine(cmd *cobra.Command) string {
	line := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		return line + " " + a.T("help.word-command")
	}
	if cmd.HasAvailableLocalFlags() {
		line += " [" + a.T("help.word-flags") + "]"
	}
	return line
}

func commandList(parent *cobra.Command, group string) string {
	var rows [][2]string
	for _, cmd := range parent.Commands() {
		if cmd.GroupID == group && cmd.IsAvailableCommand() {
			rows = append(rows, [2]string{cmd.Name(), cmd.Short})
		}
	}
	return twoColumns(rows, maxHelpWidth)
}

func flagList(flags *pflag.FlagSet, width int) string {
	var rows [][2]string
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		name := "    --" + flag.Name
		if flag.Shorthand != "" {
			name = "-" + flag.Shorthand + ", --" + flag.Name
		}
		value, usage := pflag.UnquoteUsage(flag) // a `WORD` in the text stands for the value
		if value != "" {
			name += " " + value
		}
		rows = append(rows, [2]string{name, usage})
	})
	return twoColumns(rows, width)
}

// inherited are the flags of every command, without those that this one has in a form of its own.
func inherited(cmd *cobra.Command) *pflag.FlagSet {
	flags := pflag.NewFlagSet("inherited", pflag.ContinueOnError)
	flags.SortFlags = false
	cmd.Root().PersistentFlags().VisitAll(func(flag *pflag.Flag) {
		if cmd.LocalNonPersistentFlags().Lookup(flag.Name) == nil {
			flags.AddFlag(flag)
		}
	})
	return flags
}

// twoColumns sets names on the left and wrapped texts on the right.
func twoColumns(rows [][2]string, width int) string {
	if len(rows) == 0 {
		return ""
	}
	widest := slices.MaxFunc(rows, func(x, y [2]string) int { return len(x[0]) - len(y[0]) })
	left := 2 + len(widest[0]) + 2
	var out strings.Builder
	for _, row := range rows {
		text := cliui.Wrap(row[1], width, strings.Repeat(" ", left))
		fmt.Fprintf(&out, "  %-*s  %s\n", left-4, row[0], text)
	}
	return out.String()
}

// indent moves every line two columns to the right.
func indent(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}

// newHelpCmd is `kvmlab help COMMAND`, the same as `kvmlab COMMAND --help`.
func newHelpCmd(a *app) *cobra.Command {
	cmd := a.command("help [COMMAND]", "help-command")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		if found, _, err := cmd.Root().Find(args); err == nil {
			for _, sub := range found.Commands() {
				if sub.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
				}
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		found := cmd.Root()
		for i := range args {
			next, rest, err := found.Find(args[i : i+1])
			if err != nil || next == found || len(rest) > 0 {
				return a.parent(&cobra.Command{}).Args(found, args[i:])
			}
			found = next
		}
		a.writeHelp(found)
		return nil
	}
	return cmd
}
