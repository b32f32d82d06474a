package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// maxLabFile is far above any lab that a person writes, in bytes; lab.Parse has the finer limits.
const maxLabFile = 8 << 20

// readLabFile reads the lab file that the user named; "-" is standard input.
func (a *app) readLabFile(file string) ([]byte, error) {
	if file == "-" {
		src, err := io.ReadAll(io.LimitReader(a.In, maxLabFile))
		if err != nil {
			return nil, fmt.Errorf("read the lab file from standard input: %w", err)
		}
		return src, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, unreadableLabFile(file, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	src, err := io.ReadAll(io.LimitReader(f, maxLabFile))
	if err != nil {
		return nil, unreadableLabFile(file, err)
	}
	return src, nil
}

// readConfigFile reads a file that a flag named.
func (a *app) readConfigFile(file string) ([]byte, error) {
	src, err := a.readLabFile(file)
	if d, ok := errors.AsType[*diag.Diagnostic](err); ok && d.Code == diag.LabFileNotFound {
		return nil, diag.New(diag.FileUnreadable, diag.Args{"file": file}).Wrap(fs.ErrNotExist)
	}
	return src, err
}

func unreadableLabFile(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return diag.New(diag.LabFileNotFound, diag.Args{"file": file})
	}
	return diag.New(diag.FileUnreadable, diag.Args{"file": file}).Wrap(err)
}

// completeLabFiles lets the shell propose YAML files.
func completeLabFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}
