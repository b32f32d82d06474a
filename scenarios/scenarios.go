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
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/userfile"
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
	// place is where its files are for people, and texts what they hold.
	place string
	texts map[string][]byte
}

// maxFile is how long a file of a scenario may be, in octets.
const maxFile = 1 << 20

// Open reads a built-in scenario. Errors: [ErrUnknown]; those of [OpenDir].
func Open(name string) (*Scenario, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("open scenario %q: %w", name, ErrUnknown)
	}
	return read(func(file string) ([]byte, error) { return files.ReadFile(path.Join(name, file)) },
		path.Join("scenarios", name), name)
}

// OpenDir reads the scenario in a folder, each file once. Errors: a [diag.List] of every mistake in its files, and a
// [diag.Diagnostic] for a file that is missing, or is no plain file.
func OpenDir(dir string) (*Scenario, error) { return openDir(dir, dir, nil) }

// OpenTrusted is [OpenDir] for a scenario that root is to bring up: a folder that others than root and the user could
// change is refused with a [diag.Diagnostic].
func OpenTrusted(dir string, user userfile.Owner) (*Scenario, error) {
	return openDir(dir, dir, &user)
}

// OpenCopy reads a copy that [Scenario.Files] were written to; origin is the folder that they came from, by which
// messages name it and every place in its files.
func OpenCopy(dir, origin string) (*Scenario, error) {
	s, err := openDir(dir, origin, nil)
	if err == nil {
		s.Name, s.Dir = filepath.Base(origin), origin
	}
	return s, err
}

// openDir reads the scenario in dir; place is where its files are for people.
func openDir(dir, place string, user *userfile.Owner) (_ *Scenario, err error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open scenario: %w", err)
	}
	folder, err := userfile.OpenFolder(absolute)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, diag.New(diag.ScenarioIncomplete, diag.Args{"path": path.Join(place, labName)})
	}
	if err != nil {
		return nil, fmt.Errorf("open scenario: %w", err)
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	s, err := read(func(file string) ([]byte, error) {
		text, err := folder.ReadFile(file, maxFile)
		if odd, ok := errors.AsType[*userfile.OddError](err); ok {
			err = diag.New(diag.ScenarioOddFile, diag.Args{"path": path.Join(place, file), "reason": odd.Why})
		}
		return text, err
	}, place, filepath.Base(absolute))
	if err != nil {
		return nil, err
	}
	s.Dir = absolute
	if user == nil {
		return s, nil
	}
	err = folder.Trust(*user)
	if odd, ok := errors.AsType[*userfile.OddError](err); ok {
		err = diag.New(diag.ScenarioOpenToOthers, diag.Args{"path": filepath.Clean(odd.Path), "reason": odd.Why})
	}
	return s, err
}

// read reads a scenario file by file; place is where its files are for people.
func read(file func(name string) ([]byte, error), place, name string) (*Scenario, error) {
	s := &Scenario{Name: name, place: place, texts: map[string][]byte{}}
	var missing diag.List
	for _, one := range fileNames() {
		text, err := file(one)
		if errors.Is(err, fs.ErrNotExist) {
			missing.Add(diag.New(diag.ScenarioIncomplete, diag.Args{"path": path.Join(place, one)}))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open scenario %q: %w", name, err)
		}
		s.texts[one] = text
	}
	if err := missing.Err(); err != nil {
		return nil, err
	}
	var err error
	if s.Lab, err = s.Spec(); err != nil {
		return nil, err
	}
	s.Checks, err = check.Parse(path.Join(place, checksName), s.texts[checksName], s.Lab)
	return s, err
}

// fileNames are the files that a scenario has.
func fileNames() []string { return append([]string{labName, checksName}, readmes()...) }

// Spec is the scenario's lab, as it was read.
func (s *Scenario) Spec() (*lab.Spec, error) {
	return lab.Parse(path.Join(s.place, labName), s.texts[labName])
}

// Files are the scenario's files by their names, as they were read.
func (s *Scenario) Files() map[string][]byte { return maps.Clone(s.texts) }

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
	if text, ok := s.texts[readmeName(language)]; ok {
		return string(text)
	}
	return string(s.texts[readmeName("en")])
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
	for _, file := range fileNames() {
		text, err := files.ReadFile(path.Join(skeletonName, file))
		if err != nil {
			return nil, fmt.Errorf("make scenario: %w", err)
		}
		out[file] = []byte(strings.ReplaceAll(string(text), "skeleton", name))
	}
	return out, nil
}
