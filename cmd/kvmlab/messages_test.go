package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/internal/cliui"
)

// messageArgument says which argument of a call is a message id.
var messageArgument = map[string]int{
	"T": 0, "N": 0, "say": 0, "Say": 0, "fine": 0, "skipped": 0, "section": 0, "usageError": 1, "command": 1,
	"failed": 0, "because": 0, // of package check
}

// computedMessages are the ids that the code puts together from parts.
var computedMessages = []string{
	"doctor.status.ok", "doctor.status.warning", "doctor.status.error", "doctor.status.skipped",
	"state.up", "state.degraded", "state.down", "state.running", "state.paused", "state.shutdown", "state.shutoff",
	"state.crashed", "state.suspended", "state.missing",
	"lease.offered", "lease.bound", "lease.expired", "lease.released", "lease.declined",
	"image.step.resolve", "image.step.refresh", "image.step.download", "image.step.unpack", "image.step.install", "image.step.disk", "image.step.write",
	"doctor.class.memory", "doctor.class.processor", "doctor.class.disk",
	"check.why.no-renewal-t1", "check.why.no-renewal-t2", "check.why.no-renewal-expiry",
	"watch.short.1", "watch.short.3", "watch.short.6", "watch.short.12", "watch.short.50", "watch.short.51",
	"watch.short.53", "watch.short.54", "watch.short.55", "watch.short.58", "watch.short.59", "watch.short.61",
}

// TestMessagesExist finds every message id in the sources and looks it up in the catalogues; and finds every message of
// the catalogues that no source uses.
func TestMessagesExist(t *testing.T) {
	messages, err := cliui.LoadMessages("en")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]token.Position{}
	literals := map[string]bool{}
	for _, pattern := range []string{"*.go", "../../internal/doctor/*.go", "../../internal/cliui/*.go", "../../internal/watch/*.go", "../../internal/check/*.go"} {
		collectMessages(t, pattern, used, literals)
	}
	for _, id := range computedMessages {
		used[id] = token.Position{}
	}
	for id, pos := range used {
		if !messages.Has(id) {
			t.Errorf("%s: no message %q in internal/cliui/messages", pos, id)
		}
	}
	catalogue, err := cliui.Catalogue("en")
	if err != nil {
		t.Fatal(err)
	}
	for id := range catalogue {
		_, isUsed := used[id]
		progress := strings.HasPrefix(id, "progress.") // cliui puts these together; its golden tests show them all
		if !isUsed && !literals[id] && !progress {
			t.Errorf("message %q is in the catalogues but not used", id)
		}
	}
}

// collectMessages parses the sources and collects what stands in a message's place, and all other string literals.
func collectMessages(t *testing.T, pattern string, used map[string]token.Position, literals map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(fset, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if text, ok := literal(n); ok {
				literals[text] = true
			}
			if call, ok := n.(*ast.CallExpr); ok {
				for _, id := range messageIDs(call) {
					used[id] = fset.Position(call.Pos())
				}
			}
			return true
		})
	}
}

func messageIDs(call *ast.CallExpr) []string {
	var name string
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		if name = fun.Name; name == "t" {
			name = "T" // t := a.T
		}
	case *ast.SelectorExpr:
		name = fun.Sel.Name
	}
	index, ok := messageArgument[name]
	if !ok || index >= len(call.Args) {
		return nil
	}
	id, ok := literal(call.Args[index])
	switch {
	case !ok || id == "":
		return nil
	case name == "failed", name == "because":
		return []string{"check.why." + id}
	case name == "command":
		return []string{id + ".short", id + ".long", id + ".examples"}
	}
	return []string{id}
}

func literal(n ast.Node) (string, bool) {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}
