package diag_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// verb is a place in a format of package fmt.
var verb = regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z]`)

// TestPhrasesInTheSourceAreSaid looks at every diag.Args of the project: a sentence that stands in one, as it is or as a
// format, exists in every language.
func TestPhrasesInTheSourceAreSaid(t *testing.T) {
	seen, languages := 0, map[string]*diag.Language{}
	for _, code := range otherLanguages() {
		languages[code] = language(t, code)
	}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for name, phrase := range argsLiteral(n) {
				seen++
				d := &diag.Diagnostic{Code: "KL000", Args: diag.Args{name: verb.ReplaceAllString(phrase, "7")}}
				for code, lang := range languages {
					for _, unsaid := range lang.Unsaid(d) {
						t.Errorf("%s: %s: %s", files.Position(n.Pos()), code, unsaid)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil || seen < 50 {
		t.Errorf("%d phrases, %v", seen, err)
	}
}

// argsLiteral gives the texts that stand in a diag.Args{…}: literals, and the formats of fmt.Sprintf.
func argsLiteral(n ast.Node) map[string]string {
	literal, ok := n.(*ast.CompositeLit)
	if !ok || !isSelector(literal.Type, "Args") {
		return nil
	}
	phrases := map[string]string{}
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		value := pair.Value
		if call, ok := value.(*ast.CallExpr); ok && len(call.Args) > 0 {
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
				value = call.Args[0]
			}
		}
		name, ok := text(pair.Key)
		if phrase, isText := text(value); ok && isText {
			phrases[name] = phrase
		}
	}
	return phrases
}
