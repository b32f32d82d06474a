package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/vm/image"
)

func newImageImportCmd(a *app) *cobra.Command {
	var (
		keyFiles []string
		sum      string
	)
	cmd := a.command("import NAME FILE", "image.import")
	cmd.Args = a.exactArgs("NAME", "FILE")
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return []string{"qcow2", "img", "raw"}, cobra.ShellCompDirectiveFilterFileExt
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.Flags().StringArrayVar(&keyFiles, "ssh-key", nil, a.T("image.import.flag.ssh-key"))
	cmd.Flags().StringVar(&sum, "sha256", "", a.T("image.import.flag.sha256"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return importImage(cmd.Context(), a, args[0], args[1], keyFiles, sum)
	}
	return cmd
}

// parseSum reads a SHA-256 as sha256sum(1) prints it; nil when none was given.
func parseSum(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != sha256.Size {
		return nil, diag.New(diag.BadFlag, diag.Args{
			"flag": "--sha256", "value": text, "allowed": "64 hexadecimal digits, as sha256sum prints them",
		})
	}
	return sum, nil
}

func importImage(ctx context.Context, a *app, name, file string, keyFiles []string, want string) error {
	keys, err := readKeys(keyFiles)
	if err != nil {
		return err
	}
	sum, err := parseSum(want)
	if err != nil {
		return err
	}
	step := a.T("image.step.begin")
	bar := cliui.StartBar(a.Streams, 0)
	img, err := image.Import(ctx, image.ImportOptions{
		Store: a.dirs.ImagesDir(), Name: name, File: file, SHA256: sum, Keys: keys, Log: a.log,
		Progress: func(p image.Progress) {
			step = stepOf(a, p)
			bar.Set(p.Step, p.Steps, step)
		},
	})
	bar.Close()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return diag.New(diag.FileUnreadable, diag.Args{"file": file}).Wrap(err)
	case err != nil:
		return imageError(name, step, err)
	case a.wantsJSON():
		return a.printJSON(describeImage(img))
	}
	a.say("image.imported", "image", img.Name, "digest", shorten(img.Digest), "directory", img.Dir)
	return nil
}

// readKeys reads SSH public keys: the lines of the files that begin with a kind of key (sshd(8)).
func readKeys(files []string) ([]string, error) {
	var keys []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, diag.New(diag.FileUnreadable, diag.Args{"file": file}).Wrap(err)
		}
		before := len(keys)
		for line := range strings.Lines(string(text)) {
			kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			if rest != "" && (strings.HasPrefix(kind, "ssh-") || strings.HasPrefix(kind, "ecdsa-") || strings.HasPrefix(kind, "sk-")) {
				keys = append(keys, strings.TrimSpace(line))
			}
		}
		if len(keys) == before {
			return nil, diag.New(diag.BadKey, diag.Args{"file": file})
		}
	}
	return keys, nil
}

func newImageRmCmd(a *app) *cobra.Command {
	cmd := a.command("rm NAME", "image.rm")
	cmd.Args = a.exactArgs("NAME")
	cmd.ValidArgsFunction = a.completeImages
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return removeImage(cmd.Context(), a, args[0]) }
	return cmd
}

func removeImage(ctx context.Context, a *app, name string) error {
	labs, err := labsWith(a.dirs, name)
	if err != nil {
		return err
	}
	if len(labs) > 0 {
		return diag.New(diag.ImageUsed, diag.Args{"image": name, "labs": labs})
	}
	err = image.Remove(ctx, a.dirs.ImagesDir(), name)
	if errors.Is(err, image.ErrNoImage) && a.dirs.Packaged != "" {
		if _, err := image.Lookup(a.dirs.Packaged, name); err == nil {
			return diag.New(diag.ImagePackaged, diag.Args{"image": name})
		}
	}
	if err != nil {
		return imageError(name, "", err)
	}
	a.say("image.removed", "image", name)
	return nil
}

// labsWith lists the labs that need an image: those that are up with it, and those that keep a disk which lies on it.
func labsWith(dirs state.Dirs, name string) ([]string, error) {
	up, err := dirs.Labs()
	if err != nil {
		return nil, err
	}
	kept, err := dirs.KeptDisks()
	if err != nil {
		return nil, err
	}
	var labs []string
	for _, labName := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(up, kept)))) {
		files, err := dirs.Lab(labName)
		if err != nil {
			return nil, err
		}
		uses, err := labUses(files, filepath.Join(dirs.ImagesDir(), name))
		if err != nil {
			return nil, err
		}
		if uses {
			labs = append(labs, labName)
		}
	}
	return labs, nil
}

// labUses reports whether a lab's guests boot the image of that directory, or a disk lies on it.
func labUses(files state.Lab, dir string) (bool, error) {
	data, err := files.ReadLabFile()
	if err != nil {
		return false, err
	}
	if data != nil {
		l, err := lab.Decode(files.LabFile(), data)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(l.Guests, func(g lab.Guest) bool { return g.Image == filepath.Base(dir) }) {
			return true, nil
		}
	}
	guests, err := files.Disks()
	return slices.ContainsFunc(guests, func(guest string) bool {
		o, err := image.ReadOverlay(files.Disk(guest))
		return err == nil && strings.HasPrefix(o.Base, dir+"/")
	}), err
}
