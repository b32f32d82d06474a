package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/userfile"
	"github.com/kvmlab/kvmlab/scenarios"
)

func newScenarioCmd(a *app) *cobra.Command {
	cmd := a.parent(a.command("scenario", "scenario"))
	cmd.AddCommand(newScenarioListCmd(a), newScenarioShowCmd(a), newScenarioUpCmd(a), newScenarioSolveCmd(a),
		newCheckCmd(a), newHintCmd(a), newScenarioResetCmd(a), newScenarioNewCmd(a), newScenarioTestCmd(a))
	return cmd
}

// isFolder tells a scenario's folder from the name of one that is built in: names have no slash.
func isFolder(what string) bool { return strings.ContainsRune(what, filepath.Separator) || what == "." }

// anyScenario reads a scenario by its folder or its name.
func anyScenario(what string) (*scenarios.Scenario, error) {
	if isFolder(what) {
		return scenarios.OpenDir(what)
	}
	return builtIn(what)
}

// runnable is anyScenario for a scenario that is to be brought up by root. One that is not built in must be in nobody
// else's hands, and what it runs on the host must be allowed.
func (a *app) runnable(what string, hostSteps bool) (*scenarios.Scenario, error) {
	if !isFolder(what) {
		return builtIn(what)
	}
	s, err := scenarios.OpenTrusted(what, userfile.Invoker(a.env))
	if err != nil {
		return nil, err
	}
	scripts := s.Checks.HostScripts()
	if hostSteps || len(scripts) == 0 {
		return s, nil
	}
	var lines []string
	for _, script := range scripts {
		lines = append(lines, strconv.Itoa(script.Line))
	}
	return nil, diag.New(diag.HostScriptsNeedYes, diag.Args{
		"scenario": what, "count": len(scripts), "lines": strings.Join(lines, ", "),
	})
}

// listedScenario is an item of `kvmlab scenario list -o json`.
type listedScenario struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	Points int      `json:"points"`
	Guests int      `json:"guests"`
	Images []string `json:"images"`
}

func newScenarioListCmd(a *app) *cobra.Command {
	cmd := a.command("list", "scenario.list")
	cmd.Args = a.maxArgs(0)
	cmd.RunE = func(*cobra.Command, []string) error {
		list := []listedScenario{}
		for _, name := range exerciseNames() {
			s, err := scenarios.Open(name)
			if err != nil {
				return err
			}
			item := listedScenario{Name: name, Title: s.Title(a.msgs.Lang()), Points: s.Checks.Points(), Guests: len(s.Lab.Guests)}
			item.Images = s.Images()
			list = append(list, item)
		}
		if a.wantsJSON() {
			return a.printJSON(struct {
				Scenarios []listedScenario `json:"scenarios"`
			}{list})
		}
		table := cliui.NewTable(a.OutStyle(), a.T("table.scenario"), a.T("table.title"), a.T("table.images"))
		for _, s := range list {
			table.Row(s.Name, s.Title, strings.Join(s.Images, ", "))
		}
		_, err := table.WriteTo(a.Out)
		return err
	}
	return cmd
}

func newScenarioShowCmd(a *app) *cobra.Command {
	cmd := a.command("show NAME|DIR", "scenario.show")
	cmd.Args = a.exactArgs("NAME|DIR")
	cmd.ValidArgsFunction = completeScenarios
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		s, err := anyScenario(args[0])
		if err != nil {
			return err
		}
		scripts := []check.HostScript{}
		if s.Dir != "" { // what kvmlab's own do need nobody read, and students should not
			scripts = s.Checks.HostScripts()
		}
		if a.wantsJSON() {
			return a.printJSON(struct {
				Name        string             `json:"name"`
				Task        string             `json:"task"`
				HostScripts []check.HostScript `json:"host_scripts"`
			}{s.Name, s.Task(a.msgs.Lang()), scripts})
		}
		width, _ := a.Size()
		a.Outf("%s", cliui.Markdown(s.Task(a.msgs.Lang()), min(width, maxHelpWidth), a.OutStyle()))
		a.showHostScripts(scripts)
		return nil
	}
	return cmd
}

// showHostScripts prints what a scenario would run as root.
func (a *app) showHostScripts(scripts []check.HostScript) {
	if len(scripts) == 0 {
		return
	}
	a.Outf("\n%s\n", a.OutStyle().Bold(a.T("scenario.show.host")))
	for _, script := range scripts {
		a.Outf("\n%s\n", a.T("scenario.show.script", "line", script.Line, "part", script.Part))
		for line := range strings.Lines(script.Run) {
			a.Outf("    %s\n", strings.TrimRight(line, "\n"))
		}
	}
}

func newScenarioUpCmd(a *app) *cobra.Command {
	o := &upOptions{app: a, accel: accelAuto}
	cmd := a.command("up NAME|DIR", "scenario.up")
	cmd.Args = a.exactArgs("NAME|DIR")
	cmd.ValidArgsFunction = completeScenarios
	o.addFlags(cmd)
	o.addClassFlags(cmd)
	cmd.Flags().StringVar(&o.begins.Seed, "seed", "", a.T("scenario.flag.seed"))
	var hostSteps bool
	cmd.Flags().BoolVar(&hostSteps, "allow-host-steps", false, a.T("scenario.flag.allow-host-steps"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := a.runnable(args[0], hostSteps)
		if err != nil {
			return err
		}
		o.of(s)
		if o.class.asked() {
			return o.runClass(cmd.Context())
		}
		return o.run(cmd.Context())
	}
	return cmd
}

// of says that the lab of a scenario is meant.
func (o *upOptions) of(s *scenarios.Scenario) {
	o.what, o.scenario = s.Name, s
	o.begins.Scenario, o.begins.Dir, o.begins.files = s.Name, s.Dir, s.Files()
}

func newScenarioSolveCmd(a *app) *cobra.Command {
	cmd := a.command("solve [LAB]", "scenario.solve")
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgsFunction = completeLabs(a)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := openExercise(a, strings.Join(args, ""), "solve")
		if err != nil {
			return err
		}
		if checks := e.scenario.Checks; !checks.Solve.Or(true) || len(checks.Solution) == 0 {
			return diag.New(diag.SolveForbidden, diag.Args{"scenario": e.scenario.Name})
		}
		return e.withHost(cmd.Context(), func(h *host) error {
			if err := e.apply(cmd.Context(), h, e.scenario.Checks.Solution); err != nil {
				return err
			}
			a.say("scenario.solved", "lab", e.lab.Name)
			return nil
		})
	}
	return cmd
}

func newScenarioResetCmd(a *app) *cobra.Command {
	var guest string
	var yes bool
	cmd := a.command("reset [LAB]", "scenario.reset")
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgsFunction = completeLabs(a)
	cmd.Flags().StringVar(&guest, "guest", "", a.T("scenario.flag.guest"))
	cmd.Flags().BoolVar(&yes, "yes", false, a.T("disks.flag.yes"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := openExercise(a, strings.Join(args, ""), "reset")
		if err != nil {
			return err
		}
		return e.reset(cmd.Context(), guest, yes)
	}
	return cmd
}

// reset gives guests their first state back: one of them, or all, and with all of them forgets what was answered.
func (e *exercise) reset(ctx context.Context, guest string, yes bool) (err error) {
	guests := []string{guest}
	if guest == "" {
		guests = nil
		for _, g := range e.lab.Guests {
			guests = append(guests, g.Name)
		}
	}
	for _, name := range guests {
		if _, ok := e.lab.Guest(name); !ok {
			return noSuchGuest(e.lab.Name, name, guests, []string{e.lab.Name})
		}
	}
	disks, err := labDisks(e.app.dirs, []string{e.lab.Name})
	if err != nil {
		return err
	}
	disks = slices.DeleteFunc(disks, func(disk string) bool {
		return !slices.Contains(guests, strings.TrimPrefix(disk, e.lab.Name+"/"))
	})
	if err := e.app.confirmLoss("kvmlab scenario reset "+e.lab.Name, disks, yes); err != nil {
		return err
	}
	show := newUpScreen(e.app, false)
	defer show.Close()
	h, err := openHost(ctx, e.app, hostOptions{sink: show.Change})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	for _, name := range guests {
		if _, err := h.Reset(ctx, e.lab.Name, name); err != nil {
			return err
		}
	}
	// Who serves in the middle of an exercise, and whom, is the student's business: nobody waits for a lease then.
	up := &upOptions{app: e.app, noWait: guest != ""}
	_, err = up.bringUp(ctx, h, e.lab.Name, up.resolveStored(e.lab.Name), show)
	show.Close()
	if err != nil {
		return err
	}
	if guest == "" {
		e.progress = progress{Scenario: e.progress.Scenario, Dir: e.progress.Dir, Seed: e.progress.Seed}
		err = e.begin(ctx, h)
	} else {
		err = e.apply(ctx, h, check.InGuest(guest, e.scenario.Checks.Beginning(e.progress.Seed)))
	}
	if err != nil {
		return err
	}
	e.app.say("scenario.reset.done", "guests", strings.Join(guests, ", "))
	return nil
}

// completeScenarios proposes the built-in scenarios, and folders.
func completeScenarios(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return exerciseNames(), cobra.ShellCompDirectiveDefault
}
