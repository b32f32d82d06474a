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
	"github.com/kvmlab/kvmlab/internal/userfile"
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
		if err := a.writeScenario(dir, files); err != nil {
			return fmt.Errorf("make scenario: %w", err)
		}
		if filepath.Base(dir) == dir {
			dir = "./" + dir // a word alone would be the name of a built-in scenario
		}
		a.say("scenario.made", "dir", dir)
		return nil
	}
	return cmd
}

// writeScenario writes the files of a new scenario into a new folder, both for the user behind sudo.
func (a *app) writeScenario(dir string, files map[string][]byte) (err error) {
	owner := userfile.Invoker(a.env)
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, userfile.Give(folder, owner), folder.Close()) }()
	for name, text := range files {
		file, err := userfile.Create(filepath.Join(dir, name), owner)
		if err != nil {
			return err
		}
		_, err = file.Write(text)
		// Others may read it: it is for students.
		if err := errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
			return err
		}
	}
	return nil
}
