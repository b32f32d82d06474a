package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/scenarios"
)

// exerciseVersion is the version of the file that an exercise is kept in.
const exerciseVersion = 1

// progress is how far a student has come with the exercise of a lab. It is a file of the lab, and goes with it.
type progress struct {
	Version  int                  `json:"version"`
	Scenario string               `json:"scenario"`
	Dir      string               `json:"dir,omitempty"`     // of a scenario that is not built in
	Seed     string               `json:"seed"`              // of what is drawn
	Begun    bool                 `json:"begun"`             // its start steps were done
	BegunAt  time.Time            `json:"begun_at,omitzero"` // when that was
	Anew     bool                 `json:"anew,omitempty"`    // the host was restarted: some must be done again
	Answers  map[string]string    `json:"answers"`
	Hints    map[string]int       `json:"hints"`  // how many were given, by check
	Passed   map[string]time.Time `json:"passed"` // when a check passed first
	Last     map[string]string    `json:"last"`   // the state of each check when it was tried last
}

// beginning is an exercise that a lab is to be of: the progress that it begins with, and the files of its scenario
// when that is not built in.
type beginning struct {
	progress

	files map[string][]byte
}

// exercise is a lab that is up with its task.
type exercise struct {
	app      *app
	files    state.Lab
	lab      *lab.Lab
	scenario *scenarios.Scenario
	progress progress
}

// openExercise finds the exercise of a lab, or of the only lab.
func openExercise(a *app, name, command string) (*exercise, error) {
	if os.Geteuid() != 0 {
		return nil, diag.New(diag.NotRoot, diag.Args{"command": "kvmlab"})
	}
	name, err := chooseLab(a, name, command)
	if err != nil {
		return nil, err
	}
	e := &exercise{app: a}
	if e.files, err = a.dirs.Lab(name); err != nil {
		return nil, err
	}
	if e.lab, err = readLab(e.files); err != nil {
		return nil, err
	}
	if e.progress, err = readProgress(e.files); err != nil {
		return nil, err
	}
	if e.progress.Scenario == "" {
		return nil, diag.New(diag.NoScenario, diag.Args{"lab": name, "known": exerciseNames()})
	}
	e.scenario, err = e.open()
	return e, err
}

// open reads the exercise's scenario. One that is not built in is read from the copy that was made when its lab came
// up, in the state, and never again from where it came from: whoever can write there would be root with the next
// check.
func (e *exercise) open() (*scenarios.Scenario, error) {
	if e.progress.Dir == "" {
		return builtIn(e.progress.Scenario)
	}
	if _, err := os.Stat(e.files.ScenarioDir()); errors.Is(err, fs.ErrNotExist) {
		return nil, diag.New(diag.ScenarioNotKept, diag.Args{"lab": e.lab.Name, "dir": e.progress.Dir})
	}
	return scenarios.OpenCopy(e.files.ScenarioDir(), e.progress.Dir)
}

// builtIn reads a built-in scenario by its name.
func builtIn(name string) (*scenarios.Scenario, error) {
	s, err := scenarios.Open(name)
	if errors.Is(err, scenarios.ErrUnknown) {
		return nil, unknownScenario(name)
	}
	return s, err
}

func unknownScenario(name string) error {
	return diag.New(diag.UnknownScenario, diag.Args{
		"name": name, "suggestion": cliui.Closest(name, scenarios.Names()), "known": scenarios.Names(),
	})
}

// exerciseNames are the built-in scenarios that have checks.
func exerciseNames() []string {
	var names []string
	for _, name := range scenarios.Names() {
		if scenarios.HasChecks(name) {
			names = append(names, name)
		}
	}
	return names
}

// readProgress reads how far the exercise of a lab is; the zero progress when the lab is none.
func readProgress(files state.Lab) (progress, error) {
	p := progress{}
	data, err := os.ReadFile(files.ExerciseFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p, nil
	case err != nil:
		return p, fmt.Errorf("read exercise: %w", err)
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, diag.New(diag.StateUnreadable, diag.Args{"file": files.ExerciseFile()}).Wrap(err)
	}
	if p.Version > exerciseVersion {
		return p, diag.New(diag.StateNewer, diag.Args{"file": files.ExerciseFile(), "version": p.Version, "known": exerciseVersion})
	}
	return p, nil
}

func writeProgress(files state.Lab, p progress) error {
	p.Version = exerciseVersion
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("keep exercise: %w", err)
	}
	return state.WriteFile(files.ExerciseFile(), append(data, '\n'), state.FileMode)
}

// announce notes which exercise a lab is of, and keeps its scenario. An exercise that is there already keeps what its
// student has done.
func (a *app) announce(name string, begins beginning) error {
	files, err := a.dirs.Lab(name)
	if err != nil {
		return err
	}
	p, err := readProgress(files)
	if err == nil {
		err = a.comesBack(files, &p)
	}
	if err != nil || begins.Scenario == "" {
		return err
	}
	if begins.Dir != "" {
		if err := files.WriteScenario(begins.files); err != nil {
			return err
		}
	}
	if p.Scenario == begins.Scenario && p.Dir == begins.Dir {
		return nil
	}
	if begins.Seed == "" {
		begins.Seed = rand.Text()
	}
	return writeProgress(files, begins.progress)
}

// begin notes which exercise a lab is of, and does what it begins with, once.
func (a *app) begin(ctx context.Context, h *host, name string, begins beginning) error {
	if err := a.announce(name, begins); err != nil {
		return err
	}
	files, err := a.dirs.Lab(name)
	if err != nil {
		return err
	}
	p, err := readProgress(files)
	if err != nil || p.Scenario == "" || p.Begun && !p.Anew {
		return err
	}
	e, err := openExercise(a, name, "up")
	if err != nil {
		return err
	}
	if p.Begun {
		return e.beginAnew(ctx, h)
	}
	return e.begin(ctx, h)
}

// begin does what the exercise begins with. When that fails, the next `up` does it again.
func (e *exercise) begin(ctx context.Context, h *host) error {
	if steps := e.scenario.Checks.Beginning(e.progress.Seed); len(steps) > 0 {
		e.app.say("scenario.begin", "lab", e.lab.Name)
		if err := e.apply(ctx, h, steps); err != nil {
			return err
		}
	}
	e.progress.Begun, e.progress.BegunAt, e.progress.Answers = true, e.app.now(), nil
	return writeProgress(e.files, e.progress)
}

// did keeps the answers that steps have given, and says which step has not worked.
func (e *exercise) did(r *check.Runner, err error) error {
	e.progress.Answers = r.Answers
	if step, ok := errors.AsType[*check.StepError](err); ok {
		return diag.New(diag.StepFailed, diag.Args{
			"scenario": e.scenario.Name, "line": step.Step.Pos.Line, "status": step.Output.Status,
			"output": strings.TrimSpace(step.Output.Text),
		})
	}
	if silent, ok := errors.AsType[*check.SilentError](err); ok {
		return (&wayIn{app: e.app, guest: silent.Guest, wait: bootPatience}).explain(silent)
	}
	return errors.Join(err, writeProgress(e.files, e.progress))
}

// apply does steps, for which guests may still have to boot, and keeps the answers they give.
func (e *exercise) apply(ctx context.Context, h *host, steps []check.Step) error {
	r := e.patientRunner(h)
	return e.did(r, r.Apply(ctx, steps))
}

// patientRunner is a runner that waits for guests to boot.
func (e *exercise) patientRunner(h *host) *check.Runner {
	r := e.runner(h)
	evidence := newLabEvidence(e.app, h, e.lab, e.files)
	evidence.wait = bootPatience
	evidence.each, evidence.all = beginAllowance, beginAllowance
	r.Evidence = evidence
	return r
}

// runner tries the checks on the lab.
func (e *exercise) runner(h *host) *check.Runner {
	return &check.Runner{
		File: e.scenario.Checks, Lab: e.lab, Evidence: newLabEvidence(e.app, h, e.lab, e.files),
		Answers: e.progress.Answers, Now: e.app.now, Begun: e.progress.BegunAt,
	}
}

// comingUp is the error while `up` has not done yet what the exercise begins with, or could not do it.
func (e *exercise) comingUp() error {
	if e.progress.Begun {
		return nil
	}
	return diag.New(diag.LabNotReady, diag.Args{"lab": e.lab.Name, "state": e.app.T("state.coming")})
}

// withHost opens the host, sees that the lab is up, and does something with both.
func (e *exercise) withHost(ctx context.Context, do func(h *host) error) (err error) {
	if err := e.comingUp(); err != nil {
		return err
	}
	h, err := openHost(ctx, e.app, hostOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	seen, err := h.Status(ctx, e.lab.Name)
	if err != nil {
		return err
	}
	if !seen.Supervisor.Running {
		return diag.New(diag.LabNotReady, diag.Args{"lab": e.lab.Name, "state": e.app.T("state." + seen.Condition.String())})
	}
	return do(h)
}

// reload reads what another command has kept meanwhile: while `check --watch` goes on, answers are given beside it.
func (e *exercise) reload() error {
	p, err := readProgress(e.files)
	if err == nil && p.Scenario == "" { // the lab has gone
		err = diag.New(diag.NoSuchLab, diag.Args{"lab": e.lab.Name, "suggestion": "", "known": []string{}})
	}
	if err == nil {
		e.progress = p
	}
	return err
}

// note keeps what came of the checks.
func (e *exercise) note(results []check.Result) error {
	if err := e.reload(); err != nil {
		return err
	}
	p := &e.progress
	if p.Passed == nil {
		p.Passed = map[string]time.Time{}
	}
	p.Last = map[string]string{}
	for _, r := range results {
		id := r.Check.ID.Value
		p.Last[id] = r.State.String()
		if _, before := p.Passed[id]; r.State == check.Passed && !before {
			p.Passed[id] = e.app.now().UTC().Truncate(time.Second)
		}
	}
	return writeProgress(e.files, *p)
}
