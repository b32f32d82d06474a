package diag_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// argValue gives a plausible value for a template argument by its name.
func argValue(name string) any {
	switch name {
	case "count", "length", "line", "addresses", "clients", "code":
		return 7
	case "known", "left", "labs", "allowed":
		return []string{"one", "two"}
	}
	return "<" + name + ">"
}

var argument = regexp.MustCompile(`\.([a-z]+)`)

// templateArgs finds the arguments that a template mentions.
func templateArgs(text string) map[string]bool {
	found := make(map[string]bool)
	for action := range strings.SplitSeq(text, "{{") {
		code, _, ok := strings.Cut(action, "}}")
		if !ok {
			continue
		}
		for _, m := range argument.FindAllStringSubmatch(code, -1) {
			found[m[1]] = true
		}
	}
	return found
}

func TestEveryEntryIsComplete(t *testing.T) {
	seen := make(map[diag.Code]bool)
	for _, e := range diag.All() {
		t.Run(string(e.Code), func(t *testing.T) {
			if !regexp.MustCompile(`^KL[0-7][0-9]{2}$`).MatchString(string(e.Code)) {
				t.Errorf("code %q is not KL and three digits", e.Code)
			}
			if seen[e.Code] {
				t.Errorf("code %s is registered twice", e.Code)
			}
			seen[e.Code] = true

			want := make(map[string]bool)
			args := diag.Args{}
			for _, name := range e.Args {
				want[name] = true
				args[name] = argValue(name)
			}
			if d := cmp.Diff(want, templateArgs(e.Summary+e.Hint)); d != "" {
				t.Errorf("documented and used arguments (-documented +used):\n%s", d)
			}
			d := diag.New(e.Code, args)
			for _, text := range []string{d.Summary, d.Hint} {
				if strings.Contains(text, "<no value>") || strings.Contains(text, "{{") || strings.Contains(text, "template") {
					t.Errorf("rendered %q", text)
				}
				if strings.HasSuffix(text, ".") {
					t.Errorf("%q ends in a full stop", text)
				}
			}
			if d.Summary == "" || d.Hint == "" {
				t.Error("summary or hint is empty")
			}
			lines := strings.Split(e.Explanation, "\n")
			if len(lines) < 2 || len(lines) > 9 {
				t.Errorf("the explanation has %d lines, want 2 to 9", len(lines))
			}
			for _, line := range lines {
				if len([]rune(line)) > 82 {
					t.Errorf("explanation line of %d columns: %s", len([]rune(line)), line)
				}
			}
			if e.Severity == diag.Warning && e.Exit != 0 {
				t.Error("a warning has an exit status")
			}
		})
	}
}

// TestEveryConstantIsRegistered reads the package's source: a code without an
// entry would show to the user as a mistake in kvmlab.
func TestEveryConstantIsRegistered(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			code, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := diag.Lookup(diag.Code(code)); !ok {
				t.Errorf("%s (%s) has no entry", name.Name, code)
			}
			declared++
		}
		return true
	})
	if declared != len(diag.All()) {
		t.Errorf("%d constants, %d entries", declared, len(diag.All()))
	}
}

func TestLookupTakesAnyCase(t *testing.T) {
	e, ok := diag.Lookup("kl041")
	if !ok || e.Code != diag.OutsideSubnet {
		t.Errorf("Lookup(kl041) = %s, %v", e.Code, ok)
	}
	if _, ok := diag.Lookup("KL999"); ok {
		t.Error("Lookup(KL999) found something")
	}
}

func TestUnregisteredCodeStillReports(t *testing.T) {
	d := diag.New("KL999", diag.Args{"a": 1})
	if d.Code != diag.Internal || !strings.Contains(d.Summary, "KL999") {
		t.Errorf("got %v", d)
	}
}
