package diag_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// TestEveryCallGivesItsArguments looks at every diag.New of the project: an argument that is forgotten would show a
// person the template in place of the sentence.
func TestEveryCallGivesItsArguments(t *testing.T) {
	want := map[string][]string{} // by the constant's name
	codes, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(codes, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if code, ok := text(spec.Values[0]); ok {
				if e, ok := diag.Lookup(diag.Code(code)); ok {
					want[spec.Names[0].Name] = slices.Sorted(slices.Values(e.Args))
				}
			}
		}
		return true
	})
	calls := 0
	err = filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if code, got, ok := diagCall(n); ok {
				calls++
				if d := cmp.Diff(want[code], got); d != "" {
					t.Errorf("%s: arguments of %s (-want +got):\n%s", files.Position(n.Pos()), code, d)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || calls < 50 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// diagCall takes a call diag.New(diag.Code, diag.Args{…}) or (…, nil) apart. Arguments that are built elsewhere are not
// looked at.
func diagCall(n ast.Node) (code string, args []string, ok bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) != 2 || !isSelector(call.Fun, "New") {
		return "", nil, false
	}
	name, ok := call.Args[0].(*ast.SelectorExpr)
	if !ok || !isSelector(name, name.Sel.Name) {
		return "", nil, false
	}
	switch given := call.Args[1].(type) {
	case *ast.Ident:
		return name.Sel.Name, nil, given.Name == "nil"
	case *ast.CompositeLit:
		for _, element := range given.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				key, _ := text(pair.Key)
				args = append(args, key)
			}
		}
		slices.Sort(args)
		return name.Sel.Name, args, true
	}
	return "", nil, false
}

// isSelector tells diag.NAME.
func isSelector(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "diag"
}

// text is the value of a string literal.
func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(lit.Value)
	return value, err == nil
}
