package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/scenarios"
)

// defaultScenario is the lab of `kvmlab up` without an argument.
const defaultScenario = "three-taps"

// upOptions are what `up` and `run` can be told.
type upOptions struct {
	app     *app
	what    string // a lab's name, a built-in lab or a lab file
	name    string // --name
	wait    time.Duration
	noWait  bool
	dryRun  bool
	explain bool
	old     bool // --old-images
	accel   accelChoice
	cold    bool // --cold
	isolate bool // --isolate
	timings bool // --timings
	build   bool // --build
	needs   bool // --needs

	begins   beginning           // the exercise that the lab is of; zero for a lab alone
	scenario *scenarios.Scenario // what was read of it already; nil when only what is known

	class      classFlags
	force      bool   // --force: do not ask whether the class fits
	individual bool   // --individual
	classKey   string // --class-key
}

// How long `up` waits for leases by default: without hardware virtualisation a micro guest boots in seconds and a full
// system, on a busy computer, in minutes.
const (
	microWait = 60 * time.Second
	fullWait  = 4 * time.Minute
)

func newUpCmd(a *app) *cobra.Command {
	opts := &upOptions{app: a, accel: accelAuto}
	cmd := a.command("up [LAB|FILE]", "up")
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgsFunction = completeUpArgs(a)
	opts.addFlags(cmd)
	cmd.Flags().BoolVar(&opts.noWait, "no-wait", false, a.T("up.flag.no-wait"))
	cmd.Flags().BoolVar(&opts.dryRun, "dry-run", false, a.T("up.flag.dry-run"))
	cmd.Flags().BoolVar(&opts.timings, "timings", false, a.T("up.flag.timings"))
	cmd.Flags().BoolVar(&opts.needs, "needs", false, a.T("up.flag.needs"))
	cmd.Flags().Lookup("needs").Hidden = true // it is for scripts/up
	opts.addClassFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.setArgs(args)
		switch {
		case opts.needs:
			return opts.runNeeds()
		case opts.individual && (opts.classKey == "" || !opts.class.asked()):
			return a.usageError(cmd, "class.no-key")
		case opts.class.asked() && opts.dryRun:
			return opts.runClassPlan(cmd.Context())
		case opts.class.asked():
			return opts.runClass(cmd.Context())
		case opts.dryRun:
			return opts.runPlan(cmd.Context())
		}
		return opts.run(cmd.Context())
	}
	return cmd
}

// addFlags adds the flags that `up` and `run` share.
func (o *upOptions) addFlags(cmd *cobra.Command) {
	t := o.app.T
	cmd.Flags().StringVar(&o.name, "name", "", t("up.flag.name"))
	cmd.Flags().BoolVar(&o.isolate, "isolate", false, t("up.flag.isolate"))
	cmd.Flags().DurationVar(&o.wait, "wait", 0, t("up.flag.wait"))
	cmd.Flags().BoolVar(&o.old, "old-images", false, t("up.flag.old-images"))
	cmd.Flags().BoolVar(&o.cold, "cold", false, t("up.flag.cold"))
	cmd.Flags().BoolVar(&o.explain, "explain", false, t("up.flag.explain"))
	cmd.Flags().BoolVar(&o.build, "build", false, t("up.flag.build"))
	cmd.Flags().Var(newChoice(&o.accel, accelAuto, accelKVM, accelTCG), "accel", t("up.flag.accel"))
}

// addClassFlags adds the flags of `up` for a whole class.
func (o *upOptions) addClassFlags(cmd *cobra.Command) {
	t := o.app.T
	o.class.app = o.app
	o.class.add(cmd)
	cmd.Flags().BoolVar(&o.force, "force", false, t("class.flag.force"))
	cmd.Flags().BoolVar(&o.individual, "individual", false, t("class.flag.individual"))
	cmd.Flags().StringVar(&o.classKey, "class-key", "", t("class.flag.class-key"))
}

func (o *upOptions) setArgs(args []string) {
	if len(args) > 0 {
		o.what = args[0]
	}
}

// lab finds the lab that was asked for: as it is before its host is looked at, and how to resolve it under its lock.
func (o *upOptions) lab() (*lab.Lab, engine.Resolver, error) {
	spec, stored, err := o.spec()
	if err != nil {
		return nil, nil, err
	}
	if stored != "" {
		files, err := o.app.dirs.Lab(stored)
		if err != nil {
			return nil, nil, err
		}
		l, err := readLab(files)
		return l, o.resolveStored(stored), err
	}
	o.app.showDiagnostics(spec.Warnings)
	resolve := func(previous *lab.Lab, taken func(macgen.MAC) bool) (*lab.Lab, error) {
		return lab.Resolve(spec, lab.ResolveOptions{
			Previous: previous, Random: rand.Reader, Taken: taken, Name: o.name, Isolation: o.isolation(previous),
		})
	}
	// The name may come from the file or from --name; resolving once tells it, and tells mistakes before any lock.
	draft, err := resolve(nil, nil)
	return draft, resolve, err
}

// spec reads what was named on the command line: a file, a lab that is already there (its name is returned), or a
// built-in one.
func (o *upOptions) spec() (spec *lab.Spec, stored string, err error) {
	what := o.what
	if info, err := os.Stat(what); err == nil && info.IsDir() && looksLikeFile(what) {
		s, err := anyScenario(what)
		if err != nil {
			return nil, "", err
		}
		o.of(s)
		what = o.what
	}
	switch {
	case o.scenario != nil && o.scenario.Dir != "":
		spec, err = o.scenario.Spec()
		return spec, "", err
	case looksLikeFile(what):
		src, err := o.app.readLabFile(what)
		if err != nil {
			return nil, "", err
		}
		spec, err = lab.Parse(what, src)
		return spec, "", err
	case what == "":
		what = defaultScenario
	case o.name == "" && labIsThere(o.app, what):
		return nil, what, nil
	}
	file, src, err := scenarios.LabFile(what)
	if err != nil {
		return nil, "", unknownScenario(what)
	}
	if scenarios.HasChecks(what) {
		o.begins.Scenario = what
	}
	if spec, err = lab.Parse(file, src); err == nil {
		spec.Warnings = nil // they are for whoever writes a file: nobody else can act on them
	}
	return spec, "", err
}

// looksLikeFile tells a lab file from a name: names have no slash and no ending.
func looksLikeFile(what string) bool {
	return what == "-" || strings.ContainsRune(what, os.PathSeparator) ||
		filepath.Ext(what) == ".yaml" || filepath.Ext(what) == ".yml"
}

// labIsThere reports whether a lab of that name has a stored description.
func labIsThere(a *app, name string) bool {
	files, err := a.dirs.Lab(name)
	if err != nil {
		return false
	}
	data, err := files.ReadLabFile()
	return err == nil && data != nil
}

// isolation is what --isolate asks for. A lab that was isolated stays so when `up` mends it without the flag; else its
// file decides (zero).
func (o *upOptions) isolation(previous *lab.Lab) lab.Isolation {
	if o.isolate || previous != nil && previous.Isolation == lab.Netns {
		return lab.Netns
	}
	return 0
}

// resolveStored gives the description that the lab was brought up with.
func (o *upOptions) resolveStored(name string) engine.Resolver {
	return func(previous *lab.Lab, _ func(macgen.MAC) bool) (*lab.Lab, error) {
		if previous == nil {
			return nil, diag.New(diag.NoSuchLab, diag.Args{"lab": name, "suggestion": "", "known": []string{}})
		}
		if o.isolate {
			previous.Isolation = lab.Netns
		}
		return previous, nil
	}
}

// runPlan shows what `up` would do, and does nothing.
func (o *upOptions) runPlan(ctx context.Context) (err error) {
	draft, resolve, err := o.lab()
	if err != nil {
		return err
	}
	h, err := openHost(ctx, o.app, hostOptions{accel: o.accel, oldImages: o.old})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	plan, _, planErr := h.Plan(ctx, draft.Name, resolve)
	if plan == nil {
		return planErr
	}
	return errors.Join(showPlan(o.app, plan), planErr)
}

// showPlan prints a plan with the commands that a student would type for each change.
func showPlan(a *app, plan *engine.Plan) error {
	if a.wantsJSON() {
		return a.printJSON(plan)
	}
	if len(plan.Changes) == 0 {
		a.say("plan.empty", "lab", plan.Lab)
		return nil
	}
	said := engine.Plan{Lab: plan.Lab, Changes: slices.Clone(plan.Changes)}
	for i := range said.Changes {
		said.Changes[i].Reason = a.Phrase(said.Changes[i].Reason)
	}
	text := strings.TrimSuffix(said.Text(true), "\n")
	changes, count := text[:strings.LastIndex(text, "\n")+1], text[strings.LastIndex(text, "\n")+1:]
	a.Outf("%s%s\n", changes, a.Phrase(count))
	return nil
}

// run brings the lab up in a supervisor of its own and shows the result.
func (o *upOptions) run(ctx context.Context) (err error) {
	began := o.app.now()
	draft, resolve, err := o.lab()
	if err != nil {
		return err
	}
	if err := o.haveImages(ctx, draft); err != nil {
		return err
	}
	show := newUpScreen(o.app, o.explain)
	show.trace = newTimings(o.app, o.timings)
	defer show.Close()
	h, err := openHost(ctx, o.app, hostOptions{accel: o.accel, cold: o.cold, oldImages: o.old, sink: show.Change})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	result, err := o.bringUp(ctx, h, draft.Name, resolve, show)
	show.Close()
	if err != nil {
		return err
	}
	if err := o.showResult(ctx, h, result, o.app.now().Sub(began), show.trace); err != nil {
		return err
	}
	if len(result.Plan.Changes) > 0 && !o.app.wantsJSON() {
		o.app.say("up.next", "guest", firstGuest(result.Lab), "lab", result.Lab.Name)
		o.sayTask(result.Lab.Name)
	}
	return nil
}

// bringUp runs the engine and waits for the leases inside its transaction, so that a guest that gets none, or Ctrl-C
// while waiting, undoes what this run has made.
func (o *upOptions) bringUp(ctx context.Context, h *host, name string, resolve engine.Resolver, show *upScreen) (*engine.Result, error) {
	waiter, err := newLeaseWaiter(ctx, o.app, name, o.wait)
	if err != nil {
		return nil, err
	}
	defer waiter.Close()
	ready := waiter.Wait
	if o.noWait {
		ready = nil
	}
	show.Begin(waiter)
	// From the first change on `check` knows what it is that is still coming up.
	var unnoted error
	planned := func(l *lab.Lab) {
		warnOfBorder(ctx, o.app, l)
		show.Open(l)
		unnoted = o.app.announce(name, o.begins)
	}
	result, err := h.Up(ctx, name, resolve, engine.UpOptions{Planned: planned, Ready: ready})
	if err := errors.Join(err, unnoted); err != nil {
		return result, err
	}
	return result, o.app.begin(ctx, h, name, o.begins)
}

// showResult prints the table of guests and how long it took.
func (o *upOptions) showResult(ctx context.Context, h *host, result *engine.Result, took time.Duration, trace *timings) error {
	a := o.app
	st, err := observeLab(ctx, a, h, result.Lab.Name)
	if err != nil {
		return err
	}
	if a.wantsJSON() {
		return a.printJSON(struct {
			Changes int      `json:"changes"`
			Lab     labState `json:"lab"`
			Timings []timing `json:"timings,omitempty"`
		}{len(result.Plan.Changes), st, trace.sorted()})
	}
	if err := errors.Join(trace.write(a), writeGuestTable(a, a.Out, st)); err != nil {
		return err
	}
	if len(result.Plan.Changes) == 0 {
		a.say("up.unchanged", "lab", st.Name)
		return nil
	}
	a.say("up.done", "lab", st.Name, "seconds", fmt.Sprintf("%.1f", took.Seconds()))
	return nil
}

// sayTask says where the task of an exercise is.
func (o *upOptions) sayTask(name string) {
	if begins := o.begins; begins.Scenario != "" {
		scenario := begins.Scenario
		if begins.Dir != "" {
			scenario = begins.Dir
		}
		o.app.say("up.task", "scenario", scenario, "lab", name)
	}
}

// firstGuest is the guest that examples name.
func firstGuest(l *lab.Lab) string {
	if len(l.Guests) == 0 {
		return "GUEST"
	}
	return l.Guests[0].Name
}

// completeUpArgs proposes labs that are there, built-in ones, and files.
func completeUpArgs(a *app) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		names, err := a.dirs.Labs()
		if err != nil {
			names = nil
		}
		return append(names, scenarios.Names()...), cobra.ShellCompDirectiveDefault
	}
}
