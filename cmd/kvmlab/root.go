package main

import (
	"log/slog"

	"github.com/spf13/cobra"
)

// The groups that `kvmlab --help` lists commands in.
const (
	groupLab  = "lab"  // build a lab, look at it, take it down
	groupSee  = "see"  // packets and consoles
	groupTask = "task" // exercises and their checks
	groupHost = "host" // what labs are made of and need
	groupHelp = "help" // everything else
)

// newRootCmd assembles the program from its commands.
func newRootCmd(a *app) *cobra.Command {
	cobra.EnableCommandSorting = false // help lists commands in the order of a class, not of the alphabet
	root := a.parent(a.command("kvmlab", "root"))
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(a.flagError)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { a.writeHelp(cmd) })
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if a.global.verbose {
			a.level.Set(slog.LevelDebug)
		}
		return nil
	}
	addGlobalFlags(a, root)
	addCommands(a, root)
	return root
}

// addCommands gives root every command, group by group in the order in which help lists them.
func addCommands(a *app, root *cobra.Command) {
	groups := []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{groupLab, "help.group-lab", []*cobra.Command{
			newUpCmd(a),
			newDownCmd(a),
			newStatusCmd(a),
			newLeasesCmd(a),
			newRunCmd(a),
			newResetCmd(a),
			newValidateCmd(a),
		}},
		{groupSee, "help.group-see", []*cobra.Command{
			newWatchCmd(a),
			newCaptureCmd(a),
			newConsoleCmd(a),
			newShellCmd(a),
			newDHCPCmd(a),
			newExecCmd(a),
			newCpCmd(a),
		}},
		{groupTask, "help.group-task", []*cobra.Command{
			newScenarioCmd(a),
			newCheckCmd(a),
			newHintCmd(a),
		}},
		{groupHost, "help.group-host", []*cobra.Command{
			newDoctorCmd(a),
			newImageCmd(a),
		}},
		{groupHelp, "help.group-help", []*cobra.Command{
			newExplainCmd(a),
			newVersionCmd(a),
			newCompletionCmd(a),
		}},
	}
	for _, group := range groups {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, cmd := range group.commands {
			cmd.GroupID = group.id
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(newSuperviseCmd(a), newManCmd(a)) // hidden, and so in no group
	help := newHelpCmd(a)
	help.GroupID = groupHelp
	root.SetHelpCommand(help)
	root.AddCommand(help)
}
