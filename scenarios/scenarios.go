// Package scenarios holds the exercises that are built into kvmlab, and reads those of others. A scenario is a folder:
//
//	lab.yaml          the lab, see package lab
//	checks.yaml       what must be so in the end, see package check; a lab without it is no exercise
//	README.<lang>.md  the task in English, Spanish and Catalan; its first line is the title
package scenarios

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
)

//go:embed */*.yaml */*.md
var files embed.FS

// Default is the lab that `kvmlab up` brings up when none is named.
const Default = "three-taps"

// ErrUnknown is returned for a name that no built-in lab has.
var ErrUnknown = errors.New("no such built-in lab")

// Names gives the names of all built-in labs, sorted.
func Names() []string {
	// Reading a folder that is part of the program cannot fail.
	entries, _ := files.ReadDir(".")
	var names []string
	for _, e := range entries {
		if e.Name() != skeletonName {
			names = append(names, e.Name())
		}
	}
	return names
}

// LabFile gives the lab file of a built-in lab: the name that positions in it
// are shown with, and its text. The error is [ErrUnknown] when there is none of
// that name.
func LabFile(name string) (file string, text []byte, err error) {
	if !slices.Contains(Names(), name) {
		return "", nil, fmt.Errorf("open built-in lab %q: %w", name, ErrUnknown)
	}
	file = path.Join(name, labName)
	text, err = files.ReadFile(file)
	if err != nil {
		return "", nil, fmt.Errorf("open built-in lab %q: %w", name, err)
	}
	return path.Join("scenarios", file), text, nil
}

const (
	labName    = "lab.yaml"
	checksName = "checks.yaml"
	// skeletonName is the folder that [Skeleton] comes from.
	skeletonName = "_skeleton"
)

// Scenario is an exercise: a lab, a task and what must be so in the end.
type Scenario struct {
	Name string
	// Dir is the folder it was read from, "" for a built-in one.
	Dir    string
	Lab    *lab.Spec
	Checks *check.File
	// tasks are the texts of the README files by their language.
	tasks map[string]string
}

// Open reads a built-in scenario. Errors: [ErrUnknown]; those of [OpenDir].
func Open(name string) (*Scenario, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("open scenario %q: %w", name, ErrUnknown)
	}
	sub, err := fs.Sub(files, name)
	if err != nil {
		return nil, fmt.Errorf("open scenario %q: %w", name, err)
	}
	return read(sub, path.Join("scenarios", name), name)
}

// OpenDir reads the scenario in a folder. Errors: a [diag.List] of every mistake in its files, and a
// [diag.Diagnostic] for a file that is missing.
func OpenDir(dir string) (*Scenario, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open scenario: %w", err)
	}
	s, err := read(os.DirFS(absolute), dir, filepath.Base(absolute))
	if err != nil {
		return nil, err
	}
	s.Dir = absolute
	return s, nil
}

// read reads a scenario; place is where its files are for people.
func read(dir fs.FS, place, name string) (*Scenario, error) {
	s := &Scenario{Name: name, tasks: map[string]string{}}
	texts := map[string][]byte{}
	var missing diag.List
	for _, file := range append([]string{labName, checksName}, readmes()...) {
		text, err := fs.ReadFile(dir, file)
		if errors.Is(err, fs.ErrNotExist) {
			missing.Add(diag.New(diag.ScenarioIncomplete, diag.Args{"path": path.Join(place, file)}))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open scenario %q: %w", name, err)
		}
		texts[file] = text
	}
	if err := missing.Err(); err != nil {
		return nil, err
	}
	for _, language := range check.Languages() {
		s.tasks[language] = string(texts[readmeName(language)])
	}
	var err error
	if s.Lab, err = lab.Parse(path.Join(place, labName), texts[labName]); err != nil {
		return nil, err
	}
	s.Checks, err = check.Parse(path.Join(place, checksName), texts[checksName], s.Lab)
	return s, err
}

func readmeName(language string) string { return "README." + language + ".md" }

func readmes() []string {
	var names []string
	for _, language := range check.Languages() {
		names = append(names, readmeName(language))
	}
	return names
}

// HasChecks tells an exercise from a lab alone.
func HasChecks(name string) bool {
	_, err := fs.Stat(files, path.Join(name, checksName))
	return err == nil
}

// Task is the text of the task in a language, in Markdown; the English one in a language that there is none of.
func (s *Scenario) Task(language string) string {
	if text, ok := s.tasks[language]; ok {
		return text
	}
	return s.tasks["en"]
}

// Title is the task's first line without its mark.
func (s *Scenario) Title(language string) string {
	line, _, _ := strings.Cut(s.Task(language), "\n")
	return strings.TrimSpace(strings.TrimLeft(line, "# "))
}

// Images are the images that the lab's guests boot, sorted.
func (s *Scenario) Images() []string {
	var images []string
	for _, g := range s.Lab.Guests {
		images = append(images, g.Image.Or(lab.DefaultImage))
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// Skeleton gives the files of a new scenario, by name: a small exercise that passes its own test, for a teacher to
// change. name is what its lab is called.
func Skeleton(name string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, file := range append([]string{labName, checksName}, readmes()...) {
		text, err := files.ReadFile(path.Join(skeletonName, file))
		if err != nil {
			return nil, fmt.Errorf("make scenario: %w", err)
		}
		out[file] = []byte(strings.ReplaceAll(string(text), "skeleton", name))
	}
	return out, nil
}
