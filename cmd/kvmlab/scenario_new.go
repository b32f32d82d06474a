package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/scenarios"
)

func newScenarioNewCmd(a *app) *cobra.Command {
	cmd := a.command("new DIR", "scenario.new")
	cmd.Args = a.exactArgs("DIR")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir := args[0]
		if err := lab.CheckName(filepath.Base(dir)); err != nil {
			return err // the lab is called as its folder
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return diag.New(diag.FolderInUse, diag.Args{"path": dir})
			}
			return fmt.Errorf("make scenario: %w", err)
		}
		files, err := scenarios.Skeleton(filepath.Base(dir))
		if err != nil {
			return err
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				return fmt.Errorf("make scenario: %w", err)
			}
		}
		if filepath.Base(dir) == dir {
			dir = "./" + dir // a word alone would be the name of a built-in scenario
		}
		a.say("scenario.made", "dir", dir)
		return nil
	}
	return cmd
}
