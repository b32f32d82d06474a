package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// wanted is how a file in testdata/mistakes says what must be found: "# KL016:5" at the end of a line is the code and
// the column on that line.
var wanted = regexp.MustCompile(`KL[0-9]{3}:[0-9]+`)

// TestMistakes reads files full of mistakes: each is found at its place, all of them at once, and nothing else is.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for i, line := range strings.Split(string(src), "\n") {
				if _, comment, ok := strings.Cut(line, "#"); ok {
					for _, w := range wanted.FindAllString(comment, -1) {
						code, column, _ := strings.Cut(w, ":")
						want = append(want, fmt.Sprintf("%d:%s %s", i+1, column, code))
					}
				}
			}
			spec, err := lab.Parse(file, src)
			if d := cmp.Diff(want, found(spec, err)); d != "" {
				t.Errorf("mistakes (-want +got):\n%s\n%v", d, err)
			}
		})
	}
}

// found lists what Parse has to say of a file as "line:column code".
func found(spec *lab.Spec, err error) []string {
	var all diag.List
	switch list := err.(type) { //nolint:errorlint // Parse promises a List, not something around it
	case nil:
		all = spec.Warnings
	case diag.List:
		all = list
	default:
		return []string{fmt.Sprintf("%T", err)}
	}
	var got []string
	for _, d := range all {
		got = append(got, fmt.Sprintf("%d:%d %s", d.Pos.Line, d.Pos.Column, d.Code))
	}
	return got
}

// TestWholeFile is for what is wrong with a file as text, where a comment in it cannot say so.
func TestWholeFile(t *testing.T) {
	for _, test := range []struct {
		name, src string
		want      []string
	}{
		{"empty", "", []string{"0:0 KL013"}},
		{"only a comment", "# nothing\n", []string{"0:0 KL013"}},
		{"two documents", "version: 1\nname: a\n---\nversion: 1\n", []string{"3:1 KL014"}},
		{"a tab", "version: 1\nbridges:\n\t- name: br1\n", []string{"3:1 KL011"}},
		{"not UTF-8", "version: 1\nname: ma\xf1ana\n", []string{"2:9 KL012"}},
		{"UTF-16", "\xff\xfev\x00e\x00", []string{"0:0 KL012"}},
		{"a control character", "version: 1\nname: a\x07b\n", []string{"2:8 KL022"}},
		{"too long", strings.Repeat("# a\n", 100_000), []string{"0:0 KL015"}},
		{"a list", "- version: 1\n", []string{"1:1 KL018"}},
		{"unclosed", "version: 1\nname: [a\n", nil},
		{"a newer version", "version: 2\nname: a\nbridges: [{name: br1}]\n", []string{"1:10 KL023"}},
		{"nothing in it", "version: 1\nname: a\n", []string{"1:1 KL025"}},
		{"an alias of itself", "version: 1\nname: a\nbridges: &b [{name: br1, dhcp: {range: *b}}]\n", []string{"3:32 KL061", "3:40 KL021"}},
		{"a merge key", "version: 1\nname: a\nbridges: [{<<: {name: br1}}]\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec, err := lab.Parse("x.yaml", []byte(test.src))
			if err == nil {
				t.Fatalf("it was taken: %+v", spec)
			}
			if test.want == nil { // only that there is one, with a place
				if got := found(spec, err); len(got) == 0 || strings.HasPrefix(got[0], "0:") {
					t.Errorf("got %v: %v", got, err)
				}
				return
			}
			if d := cmp.Diff(test.want, found(spec, err)); d != "" {
				t.Errorf("mistakes (-want +got):\n%s\n%v", d, err)
			}
		})
	}
}

// TestSuggestions shows that a slip of the pen is answered with what was probably meant.
func TestSuggestions(t *testing.T) {
	for _, test := range []struct{ slip, meant, hint string }{
		{"memry: 128MiB", "memory: 128MiB", `"memory"`},
		{"nics: [{brigde: br1}]", "nics: [{bridge: br1}]", `"bridge"`},
		{"nics: [{bridge: br2}]", "nics: [{bridge: br1}]", `"br1"`},
	} {
		t.Run(test.slip, func(t *testing.T) {
			file := func(line string) []byte {
				return []byte("version: 1\nname: a\nbridges: [{name: br1}]\nguests:\n  - name: pc1\n    " + line + "\n")
			}
			if _, err := lab.Parse("x.yaml", file(test.meant)); err != nil {
				t.Fatal(err)
			}
			_, err := lab.Parse("x.yaml", file(test.slip))
			if err == nil {
				t.Fatal("it was taken")
			}
			list, _ := err.(diag.List) //nolint:errorlint // see found
			if !slices.ContainsFunc(list, func(d *diag.Diagnostic) bool { return strings.Contains(d.Hint, test.hint) }) {
				t.Errorf("no hint at %s: %v", test.hint, err)
			}
		})
	}
}

// FuzzParse looks for a file that makes the parser panic, or that is refused without a place or a reason.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/mistakes/*.yaml", "testdata/good/*.yaml", "../../scenarios/*/lab.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no files like %s: %v", pattern, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		spec, err := lab.Parse("fuzz.yaml", src)
		if (spec == nil) == (err == nil) {
			t.Fatalf("spec %v, error %v", spec, err)
		}
		if err != nil {
			list, ok := err.(diag.List) //nolint:errorlint // see found
			if !ok || len(list) == 0 || list[0].Summary == "" || list[0].Pos.File != "fuzz.yaml" {
				t.Fatalf("a mistake without words or place: %#v", err)
			}
			return
		}
		resolveAndReread(t, spec)
	})
}
