package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/vm/image"
)

// shortDigest is how many letters of an image's digest a table shows.
const shortDigest = 12

// imageInfo is what `kvmlab image … -o json` says about an image.
type imageInfo struct {
	Name      string          `json:"name"`
	Digest    string          `json:"digest"`
	Directory string          `json:"directory"`
	Kernel    string          `json:"kernel,omitempty"`
	Initrd    string          `json:"initrd,omitempty"`
	Disk      string          `json:"disk,omitempty"`
	DiskSize  lab.Size        `json:"disk_size,omitempty"`
	Cmdline   string          `json:"cmdline,omitempty"`
	MinMemory lab.Size        `json:"min_memory"`
	Recipe    string          `json:"recipe,omitempty"`
	Stale     bool            `json:"stale"`    // another version of this program built it
	Imported  bool            `json:"imported"` // it came from elsewhere: guests boot from its disk
	Keys      []string        `json:"ssh_keys,omitempty"`
	Packages  []image.Package `json:"packages"`
}

func describeImage(img image.Image) imageInfo {
	return imageInfo{
		Name: img.Name, Digest: img.Digest, Directory: img.Dir, Kernel: img.Kernel, Initrd: img.Initrd,
		Disk: img.Disk, DiskSize: lab.Size(img.DiskSize), Recipe: img.Recipe, Stale: img.Stale(),
		Cmdline: img.Cmdline, MinMemory: lab.Size(img.MinMemory), Packages: img.Packages,
		Imported: img.Imported(), Keys: img.Keys,
	}
}

func newImageCmd(a *app) *cobra.Command {
	cmd := a.parent(a.command("image", "image"))
	cmd.AddCommand(newImageBuildCmd(a), newImageImportCmd(a), newImageListCmd(a), newImageShowCmd(a), newImageRmCmd(a))
	return cmd
}

// images are all images of this computer: those that were made here, and those that came with kvmlab's package.
func (a *app) images() image.Path { return a.dirs.ImageStores() }

func newImageListCmd(a *app) *cobra.Command {
	cmd := a.command("list", "image.list")
	cmd.Args = a.maxArgs(0)
	cmd.RunE = func(*cobra.Command, []string) error { return listImages(a) }
	return cmd
}

func listImages(a *app) error {
	images, err := a.images().List()
	if a.wantsJSON() {
		var list struct {
			Images []imageInfo `json:"images"`
		}
		for _, img := range images {
			list.Images = append(list.Images, describeImage(img))
		}
		return errors.Join(a.printJSON(list), damagedImages(err))
	}
	if len(images) == 0 && err == nil {
		a.say("image.none")
		return nil
	}
	table := cliui.NewTable(a.OutStyle(), a.T("image.column-name"), a.T("image.column-digest"),
		a.T("image.column-memory"), a.T("image.column-packages"))
	for _, img := range images {
		table.Row(img.Name, shorten(img.Digest), lab.Size(img.MinMemory).String(), fmt.Sprint(len(img.Packages)))
	}
	_, printErr := table.WriteTo(a.Out)
	return errors.Join(printErr, damagedImages(err))
}

func newImageShowCmd(a *app) *cobra.Command {
	cmd := a.command("show [IMAGE]", "image.show")
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgsFunction = a.completeImages
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		name := image.Micro
		if len(args) > 0 {
			name = args[0]
		}
		return showImage(a, name)
	}
	return cmd
}

// completeImages proposes the images that there are.
func (a *app) completeImages(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	images, _ := a.images().List() // what can be listed is proposed
	var names []string
	for _, img := range images {
		names = append(names, img.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// showImage shows one image in full, after reading it whole: a damaged one is an error here and not at the next boot.
func showImage(a *app, name string) error {
	img, err := a.images().Lookup(name)
	if err == nil {
		err = img.Verify()
	}
	if err != nil {
		return imageError(name, "", err)
	}
	if a.wantsJSON() {
		return a.printJSON(describeImage(img))
	}
	for _, line := range [][2]string{
		{"image.column-name", img.Name},
		{"image.column-digest", img.Digest},
		{"image.column-kernel", img.Kernel},
		{"image.column-initrd", img.Initrd},
		{"image.column-cmdline", img.Cmdline},
		{"image.column-disk", img.Disk},
		{"image.column-size", sizeOf(img.DiskSize)},
		{"image.column-memory", sizeOf(img.MinMemory)},
		{"image.column-keys", strings.Join(img.Keys, "\n  ")},
	} {
		if line[1] != "" {
			a.Outf("%s: %s\n", a.T(line[0]), line[1])
		}
	}
	if img.Imported() {
		return nil // what is in it is not known
	}
	a.Outf("%s:\n", a.T("image.column-packages"))
	for _, p := range img.Packages {
		a.Outf("  %s %s\n", p.Name, p.Version)
	}
	return nil
}

// sizeOf is a size in words; empty for none.
func sizeOf(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return lab.Size(bytes).String()
}

func shorten(digest string) string { return digest[:min(shortDigest, len(digest))] }

// damagedImages turns the error of image.List into diagnostics.
func damagedImages(err error) error {
	if err == nil {
		return nil
	}
	return imageError("", "", err)
}
