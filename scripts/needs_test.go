package scripts_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// TestNeedsAreDeclared: what the tests of a package want to find on the PATH is in the packages that scripts/setup installs
// for them, or in what these depend on.
func TestNeedsAreDeclared(t *testing.T) {
	nstest.RequireCommand(t, "dpkg-query")
	base := strings.Fields(bashLine(t, `source <(sed -n '/^readonly SANDBOX_PACKAGES/p' setup); echo "${SANDBOX_PACKAGES[@]}"`))
	guests := strings.Fields(bashLine(t, `source <(sed -n '/^readonly RUN_PACKAGES/,/^)/p' setup); echo "${RUN_PACKAGES[@]}"`))
	if len(base) == 0 || len(guests) == 0 {
		t.Fatal("scripts/setup has no lists any more")
	}
	seen, owners, known := 0, ownersOf(t), packagesHere(t)
	for dir, commands := range wantedCommands(t) {
		declared := slices.Clone(base)
		for need := range strings.FieldsSeq(bashLine(t, "source lib.sh; test_needs ./"+dir)) {
			switch {
			case need == "@guests":
				declared = append(declared, guests...)
			case !strings.HasPrefix(need, "@"):
				declared = append(declared, need)
			}
		}
		installed := known.with(declared)
		for _, command := range commands {
			if seen++; !slices.ContainsFunc(owners.of(command), func(name string) bool { return installed[name] }) {
				t.Errorf("%s: its tests want %s, which no package in its lines //kvmlab:needs has: %v", dir, command, declared)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found in the tests", seen)
	}
}

func bashLine(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "bash", "-euc", script).Output()
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return strings.TrimSpace(string(out))
}

// wantedCommands are the words that tests give to nstest.RequireCommand, by directory.
func wantedCommands(t *testing.T) map[string][]string {
	t.Helper()
	wanted := map[string][]string{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") || strings.Contains(path, "nstest") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, _ := filepath.Rel("..", filepath.Dir(path))
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "RequireCommand" {
				return true
			}
			for _, arg := range call.Args {
				if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					word, _ := strconv.Unquote(lit.Value)
					wanted[dir] = append(wanted[dir], word)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return wanted
}

// packages are those of this machine.
type packages struct {
	depends  map[string][]string
	provides map[string]string // by the virtual name
	always   []string          // what every Debian has
}

func packagesHere(t *testing.T) packages {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "dpkg-query", "--show",
		"--showformat=${Package}\t${Essential}\t${Priority}\t${Pre-Depends}, ${Depends}\t${Provides}\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	split := func(list string) (words []string) {
		for entry := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == '|' }) {
			if fields := strings.Fields(entry); len(fields) > 0 {
				words = append(words, strings.TrimSuffix(fields[0], ":any"))
			}
		}
		return words
	}
	p := packages{depends: map[string][]string{}, provides: map[string]string{}}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		p.depends[fields[0]] = split(fields[3])
		for _, virtual := range split(fields[4]) {
			p.provides[virtual] = fields[0]
		}
		if fields[1] == "yes" || fields[2] == "required" {
			p.always = append(p.always, fields[0])
		}
	}
	return p
}

// with are the packages and all that they depend on.
func (p packages) with(names []string) map[string]bool {
	all, todo := map[string]bool{}, slices.Concat(names, p.always)
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if _, real := p.depends[name]; !real {
			name = p.provides[name]
		}
		if !all[name] {
			all[name] = true
			todo = append(todo, p.depends[name]...)
		}
	}
	return all
}

// owners are the packages that have a command, by its name.
type owners map[string][]string

// of are the packages that have a command, or one that an alternative of this name stands for (iptables, iptables-nft).
func (o owners) of(command string) []string {
	file, err := exec.LookPath(command)
	for err == nil && o[filepath.Base(file)] == nil {
		file, err = os.Readlink(file)
	}
	return o[filepath.Base(file)]
}

func ownersOf(t *testing.T) owners {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "dpkg", "--search", "*bin/*").Output()
	if err != nil {
		t.Fatal(err)
	}
	owners := owners{}
	for line := range strings.Lines(string(out)) {
		names, file, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for name := range strings.SplitSeq(names, ", ") {
			name, _, _ = strings.Cut(name, ":")
			owners[filepath.Base(file)] = append(owners[filepath.Base(file)], name)
		}
	}
	return owners
}
