package diag_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
)

var update = flag.Bool("update", false, "write the golden files")

// reversed is a mistake with an excerpt.
func reversed() *diag.Diagnostic {
	return diag.New(diag.RangeReversed, diag.Args{
		"range": "192.168.1.9-192.168.1.2", "first": "192.168.1.9", "last": "192.168.1.2",
	}).At(diag.Pos{
		File: "lab.yaml", Line: 9, Column: 15, Width: 23,
		Text: "      range: [192.168.1.9-192.168.1.2]",
	})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got), -update accepts it:\n%s", name, d)
	}
}

func TestRender(t *testing.T) {
	warning := diag.New(diag.GuestNoNIC, diag.Args{"guest": "pc9"}).
		At(diag.Pos{File: "lab.yaml", Line: 20, Column: 5, Text: "  - name: pc9", Width: 4})
	hostile := diag.New(diag.UnknownKey, diag.Args{
		"key": "a\x1b[31m", "where": "the lab", "suggestion": "", "allowed": []string{"name", "version"},
	}).At(diag.Pos{File: "x\x1b]0;boo\x07.yaml", Line: 1, Column: 3, Width: 1, Text: "a\x1b[31m\tb: 1"})
	long := reversed().At(diag.Pos{
		File: "lab.yaml", Line: 12, Column: 120, Width: 4,
		Text: strings.Repeat("abc ", 29) + "xx here" + strings.Repeat(" xyz", 30),
	})
	wide := reversed().At(diag.Pos{File: "l.yaml", Line: 1, Column: 8, Width: 3, Text: "# 网络教室 abc é"})

	tests := []struct {
		name string
		err  error
		opts diag.RenderOptions
	}{
		{"one", reversed(), diag.RenderOptions{}},
		{"color", reversed(), diag.RenderOptions{Color: true}},
		{"list", diag.List{reversed(), warning}, diag.RenderOptions{}},
		{"plain", errors.New("read link: no such device"), diag.RenderOptions{}},
		{"lines", errors.Join(errors.New("close tap1: busy"), errors.New("close tap2: busy")), diag.RenderOptions{}},
		{"narrow", diag.List{reversed(), long}, diag.RenderOptions{Width: 50}},
		{"hostile", hostile, diag.RenderOptions{}},
		{"wide characters", wide, diag.RenderOptions{Width: 80}},
		{
			"wrapped",
			fmt.Errorf("bring up the lab: %w", fmt.Errorf("guest %q: %w", "pc1", diag.New(diag.NoImage, diag.Args{"image": "micro", "commands": "sudo kvmlab image build micro"}))),
			diag.RenderOptions{},
		},
		{
			"cause",
			diag.New(diag.RolledBack, diag.Args{"lab": "three-taps", "what": "br1 could not be made"}).Wrap(
				diag.New(diag.NetworkDenied, diag.Args{"action": `create bridge "br1"`}).Wrap(os.ErrPermission)),
			diag.RenderOptions{Width: 72},
		},
		{"joined", errors.Join(reversed(), errors.New("close the file: bad descriptor")), diag.RenderOptions{}},
		{"no column", diag.New(diag.EmptyFile, nil).At(diag.Pos{File: "lab.yaml"}), diag.RenderOptions{}},
		{
			"beyond the line",
			reversed().At(diag.Pos{File: "lab.yaml", Line: 3, Column: 40, Text: "dhcp:"}),
			diag.RenderOptions{},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			if err := diag.Render(&out, tt.err, tt.opts); err != nil {
				t.Fatal(err)
			}
			golden(t, "render-"+strings.ReplaceAll(tt.name, " ", "-"), out.String())
			if !tt.opts.Color && strings.Contains(out.String(), "\x1b") {
				t.Error("an escape character came through")
			}
		})
	}
}

func TestRenderNothing(t *testing.T) {
	var out strings.Builder
	if err := diag.Render(&out, nil, diag.RenderOptions{}); err != nil || out.Len() != 0 {
		t.Errorf("wrote %q, %v", out.String(), err)
	}
}

// TestRenderAtEveryColumn looks for places that the clipping cannot take.
func TestRenderAtEveryColumn(t *testing.T) {
	text := "      range: [192.168.1.9-192.168.1.2]   # 网络教室 é tab\there"
	for width := range 60 {
		for column := range 70 {
			for _, marked := range []int{0, 1, 5, 100} {
				d := reversed().At(diag.Pos{File: "f", Line: 1, Column: column, Width: marked, Text: text})
				var out strings.Builder
				if err := diag.Render(&out, d, diag.RenderOptions{Width: width}); err != nil {
					t.Fatal(err)
				}
				if column > 0 && !strings.Contains(out.String(), "^") {
					t.Fatalf("width %d, column %d: no caret in\n%s", width, column, out.String())
				}
			}
		}
	}
}

func TestExitCode(t *testing.T) {
	usage := reversed()
	host := diag.New(diag.NoImage, diag.Args{"image": "micro", "commands": "sudo kvmlab image build micro"})
	warning := diag.New(diag.GuestNoNIC, diag.Args{"guest": "pc1"})
	rolledBack := diag.New(diag.RolledBack, diag.Args{"lab": "l", "what": "w"})
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"nothing", nil, diag.ExitOK},
		{"plain", errors.New("x"), diag.ExitFailed},
		{"a lab file", usage, diag.ExitUsage},
		{"the host", fmt.Errorf("up: %w", host), diag.ExitHost},
		{"warnings decide nothing", diag.List{warning, host}, diag.ExitHost},
		{"only a warning", warning, diag.ExitFailed},
		{"the first decides", diag.List{usage, host}, diag.ExitUsage},
		{"the cause decides", rolledBack.Wrap(host), diag.ExitHost},
		{"no cause", rolledBack, diag.ExitFailed},
		{"joined", errors.Join(errors.New("x"), host), diag.ExitHost},
		{"cancelled", rolledBack.Wrap(fmt.Errorf("start guest: %w", context.Canceled)), diag.ExitCancelled},
		{"time ran out", context.DeadlineExceeded, diag.ExitFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := diag.ExitCode(tt.err); got != tt.want {
				t.Errorf("ExitCode = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestList(t *testing.T) {
	at := func(line, column int) *diag.Diagnostic {
		return reversed().At(diag.Pos{File: "lab.yaml", Line: line, Column: column})
	}
	warning := diag.New(diag.GuestNoNIC, diag.Args{"guest": "pc9"})
	l := diag.List{at(9, 1), at(2, 8), at(2, 3), at(9, 1)}
	l.Sort()
	if d := cmp.Diff([]string{"lab.yaml:2:3", "lab.yaml:2:8", "lab.yaml:9:1"},
		[]string{l[0].Pos.String(), l[1].Pos.String(), l[2].Pos.String()}); d != "" || len(l) != 3 {
		t.Errorf("sorted to %d elements:\n%s", len(l), d)
	}
	l.Add(warning)
	if len(l.Errors()) != 3 || len(l.Warnings()) != 1 {
		t.Errorf("%d errors, %d warnings", len(l.Errors()), len(l.Warnings()))
	}
	if err := (diag.List{warning}).Err(); err != nil {
		t.Errorf("warnings alone are an error: %v", err)
	}
	if !errors.Is(fmt.Errorf("load: %w", l.Err()), diag.New(diag.RangeReversed, diag.Args{"range": "", "first": "", "last": ""})) {
		t.Error("errors.Is does not find a code inside a list")
	}
	if got := diag.CodeOf(fmt.Errorf("x: %w", l)); got != diag.RangeReversed {
		t.Errorf("CodeOf = %q", got)
	}
}

func TestDiagnosticJSON(t *testing.T) {
	got, err := json.Marshal(reversed().Wrap(errors.New("why")))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"code":"KL056","severity":"error","summary":"the range 192.168.1.9-192.168.1.2 ends before it begins",` +
		`"hint":"write 192.168.1.2-192.168.1.9","pos":{"file":"lab.yaml","line":9,"column":15},` +
		`"args":{"first":"192.168.1.9","last":"192.168.1.2","range":"192.168.1.9-192.168.1.2"},"cause":"why"}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
}

// TestCauseThatIsTheReason: a cause that the summary ends with is not said twice.
func TestCauseThatIsTheReason(t *testing.T) {
	reason := errors.New("nested too deep")
	d := diag.New(diag.BadFilter, diag.Args{"filter": "x", "reason": reason.Error()}).Wrap(reason)
	var out strings.Builder
	if err := diag.Render(&out, d, diag.RenderOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "nested too deep"); n != 1 {
		t.Errorf("said %d times:\n%s", n, out.String())
	}
}
