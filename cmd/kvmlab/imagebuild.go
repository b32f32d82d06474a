package main

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/vm/image"
)

// recipes are the images that can be built.
func recipes() []string { return []string{image.Micro, image.Debian} }

// buildTime is about how long a build takes on two processors, the fetching of its packages included. What the bar
// says of it is a help to decide whether to wait, and no promise.
func buildTime(name string) time.Duration {
	if name == image.Debian {
		return 2 * time.Minute
	}
	return 15 * time.Second
}

// buildCommands are what builds an image on this host, as a person would type it; empty for one that kvmlab does not build.
func buildCommands(name string) string {
	if !slices.Contains(recipes(), name) {
		return ""
	}
	commands := "sudo kvmlab image build " + name
	if packages := image.MissingPackages(name); len(packages) > 0 {
		commands = "sudo apt-get install " + strings.Join(packages, " ") + "; " + commands
	}
	return commands
}

func newImageBuildCmd(a *app) *cobra.Command {
	var offline, force bool
	cmd := a.command("build [IMAGE]", "image.build")
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgs = recipes()
	cmd.Flags().BoolVar(&offline, "offline", false, a.T("image.build.flag.offline"))
	cmd.Flags().BoolVar(&force, "force", false, a.T("image.build.flag.force"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := image.Micro
		if len(args) > 0 {
			name = args[0]
		}
		img, err := buildImage(cmd.Context(), a, name, image.Options{Offline: offline, Force: force})
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(describeImage(img))
		}
		a.say("image.built", "image", img.Name, "digest", shorten(img.Digest), "directory", img.Dir)
		return nil
	}
	return cmd
}

// buildImage builds an image and shows how far it is. Its step is kept for the error: what an error alone says ("exit
// status 100") seldom tells where it happened.
func buildImage(ctx context.Context, a *app, name string, o image.Options) (image.Image, error) {
	makers := map[string]func(context.Context, image.Options) (image.Image, error){
		image.Micro: image.BuildMicro, image.Debian: image.BuildDebian,
	}
	build, known := makers[name]
	if !known {
		return image.Image{}, diag.New(diag.UnknownRecipe, diag.Args{"image": name, "known": strings.Join(recipes(), ", ")})
	}
	step := a.T("image.step.begin")
	a.say("image.building", "image", name, "time", about(buildTime(name)))
	bar := cliui.StartBar(a.Streams, buildTime(name))
	o.Store, o.Log = a.dirs.ImagesDir(), a.log
	o.Progress = func(p image.Progress) {
		step = stepOf(a, p)
		bar.Set(p.Step, p.Steps, step)
	}
	o.Notice = func(n image.Notice) { bar.Above(func() { sayNotice(a, name, n) }) }
	img, err := build(ctx, o)
	bar.Close()
	if err != nil {
		return image.Image{}, imageError(name, step, err)
	}
	return img, nil
}

// stepOf is a step of a build in words.
func stepOf(a *app, p image.Progress) string {
	what := make([]string, len(p.Packages))
	for i := range what {
		what[i] = p.Packages[i].Name
	}
	return strings.TrimSpace(a.T("image.step."+p.Stage.String()) + " " + strings.Join(what, ", ") + p.Detail)
}

// sayNotice says what a build tells on its way.
func sayNotice(a *app, name string, n image.Notice) {
	switch n.Kind {
	case image.NoticeRefresh:
		a.say("image.notice.refresh", "reason", fetchReason(n.Err))
	case image.NoticeHere:
		a.say("image.notice.here")
	case image.NoticeCached:
		a.showDiagnostics(diag.List{diag.New(diag.BuiltFromCache, diag.Args{"image": name, "reason": fetchReason(n.Err)})})
	case image.NoticeWaiting:
		a.showDiagnostics(diag.List{diag.New(diag.ImageBusy, diag.Args{"image": name})})
	}
}

// fetchReason says in a line why packages could not be had: in apt's words, where apt has said something.
func fetchReason(err error) string {
	if fetch := new(image.FetchError); errors.As(err, &fetch) {
		return fetch.Said
	}
	reason, _, _ := strings.Cut(err.Error(), "\n") // what errors.Join adds is of no use to a person
	return reason
}

// imageError gives the errors of vm/image their codes. step says how far a build was; "" when none was under way.
func imageError(name, step string, err error) error {
	var (
		room    *image.NoRoomError
		corrupt *image.CorruptError
		program *image.ProgramError
		badName *image.NameError
		notOne  *image.NotImageError
		unknown *image.PackageError
		sum     *image.ChecksumError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, image.ErrNoImage):
		return diag.New(diag.NoImage, diag.Args{"image": name, "commands": buildCommands(name)}).Wrap(err)
	case errors.As(err, &room):
		return diag.New(diag.ImageNoRoom, diag.Args{
			"path": room.Path, "need": lab.Size(room.Need), "have": lab.Size(room.Free),
		}).Wrap(err)
	case errors.As(err, &corrupt):
		return diag.New(diag.ImageDamaged, diag.Args{"image": name, "path": corrupt.File, "reason": corrupt.Reason()}).Wrap(err)
	case errors.As(err, &badName):
		return diag.New(diag.ImageName, diag.Args{"image": badName.Name, "reason": badName.Problem.String()}).Wrap(err)
	case errors.As(err, &sum):
		return diag.New(diag.ImageChecksum, diag.Args{
			"file": sum.File, "want": hex.EncodeToString(sum.Want), "got": hex.EncodeToString(sum.Got),
		}).Wrap(err)
	case errors.As(err, &notOne):
		return diag.New(diag.NotImage, diag.Args{"file": notOne.File, "reason": notOne.Reason}).Wrap(err)
	case errors.Is(err, image.ErrNoApt):
		return diag.New(diag.MissingProgram, diag.Args{"program": "apt-get", "package": "apt"}).Wrap(err)
	case errors.As(err, &program):
		return diag.New(diag.MissingProgram, diag.Args{"program": program.Program, "package": program.Package}).Wrap(err)
	case errors.As(err, &unknown):
		return diag.New(diag.PackageFailed, diag.Args{"package": unknown.Package}).Wrap(err)
	case errors.Is(err, image.ErrOffline):
		return diag.New(diag.FetchFailed, diag.Args{"image": name, "reason": fetchReason(err)}).Wrap(err)
	case step != "":
		return diag.New(diag.ImageBuildFailed, diag.Args{"image": name, "step": step}).Wrap(err)
	}
	return err
}
