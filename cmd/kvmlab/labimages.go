package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/vm/image"
)

// haveImages sees to it that the images of a lab are on this host: it builds those that are not, unasked with --build and
// otherwise when a person says so. What is still missing afterwards matters only if a guest has to be started, which the
// engine finds out and says.
func (o *upOptions) haveImages(ctx context.Context, l *lab.Lab) error {
	if os.Geteuid() != 0 {
		return nil // which openHost says
	}
	names := o.app.toBuild(l)
	for _, name := range names { // before any is built
		if err := image.CheckPrograms(name); err != nil && o.build {
			return imageError(name, "", err)
		}
	}
	for _, name := range names {
		if !o.build && !o.app.wantsBuild(name) {
			return nil
		}
		if _, err := buildImage(ctx, o.app, name, image.Options{}); err != nil {
			return err
		}
	}
	return nil
}

// toBuild lists what a lab lacks of the images that kvmlab builds. A host that has to build one gets the micro image first,
// whatever its guests boot: it is what KVM is tested with.
func (a *app) toBuild(l *lab.Lab) []string {
	var names []string
	for _, g := range l.Guests {
		if !slices.Contains(names, g.Image) && slices.Contains(recipes(), g.Image) && !a.hasImage(g.Image) {
			names = append(names, g.Image)
		}
	}
	if len(names) > 0 && !slices.Contains(names, image.Micro) && !a.hasImage(image.Micro) {
		names = append(names, image.Micro)
	}
	slices.SortFunc(names, func(x, y string) int { return slices.Index(recipes(), x) - slices.Index(recipes(), y) })
	return names
}

// hasImage reports whether there is an image of that name, whole or not.
func (a *app) hasImage(name string) bool {
	_, err := a.images().Lookup(name)
	return !errors.Is(err, image.ErrNoImage)
}

// about is a time in words, to the second or to the minute.
func about(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return fmt.Sprintf("%d min", int(d.Minutes()))
}

// wantsBuild asks on a terminal whether to build an image now. Elsewhere nobody is asked, nor when something must be
// installed first, which the error says.
func (a *app) wantsBuild(name string) bool {
	if !a.InIsTerminal() || !a.ErrIsTerminal() || a.wantsJSON() || len(image.MissingPackages(name)) > 0 {
		return false
	}
	answer, err := a.ask("image.ask", "image", name, "time", about(buildTime(name)))
	return err == nil && (answer == "" || a.isYes(answer))
}

// ask asks a person, and gives the answer in lower case.
func (a *app) ask(id string, pairs ...any) (string, error) {
	a.Errf("%s ", a.T(id, pairs...))
	answer, err := bufio.NewReader(a.In).ReadString('\n')
	return strings.ToLower(strings.TrimSpace(answer)), err
}

// isYes reports whether an answer is one of the words for yes.
func (a *app) isYes(answer string) bool {
	return slices.Contains(strings.Fields(a.T("disks.yes")), answer)
}

// runNeeds prints the packages that must be installed before `up --build` can do all of its work, one a line: scripts/up
// installs them.
func (o *upOptions) runNeeds() error {
	l, _, err := o.lab()
	if err != nil {
		return err
	}
	for _, name := range o.app.toBuild(l) {
		for _, pkg := range image.MissingPackages(name) {
			o.app.Outf("package %s\n", pkg)
		}
	}
	return nil
}
