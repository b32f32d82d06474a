package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
)

func TestSafeName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"ana":                     "ana",
		"José Núñez":              "jose-nunez",
		"Núria Puig i Garcia":     "nuria-puig-i-garcia",
		"Marçal O'Brien":          "marcal-obrien",
		"Gal·la":                  "galla",
		"Łukasz Groß":             "lukasz-gross",
		"  Luis   de  la Fuente ": "luis-de-la-fuente",
		"n\u0303u":                "nu",
		"ÅSA":                     "asa",
		"team_7.b":                "team-7-b",
		"李":                       "",
		"Ana 李":                   "",
		"--":                      "",
	} {
		if got := safeName(name); got != want {
			t.Errorf("safeName(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestParseClass(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, src string
		want      []student // without their positions
		lines     []int
		codes     []diag.Code
		at        []diag.Pos
	}{
		{
			name: "names", src: "name\nAna\nLuis\n",
			want: []student{{Name: "Ana", Lab: "ana"}, {Name: "Luis", Lab: "luis"}}, lines: []int{2, 3},
		},
		{
			name: "seeds first, as a spreadsheet writes it", src: "\ufeffSeed;Name\r\n7;\"Núñez; José\"\r\n;Ana\r\n;\r\n",
			want: []student{{Name: "Núñez; José", Lab: "nunez-jose", Seed: "7"}, {Name: "Ana", Lab: "ana"}}, lines: []int{2, 3},
		},
		{name: "no header", src: "ana\nluis\n", codes: []diag.Code{diag.ClassHeader}, at: []diag.Pos{{File: "f.csv", Line: 1, Column: 1}}},
		{name: "unknown column", src: "name,group\nana,a\n", codes: []diag.Code{diag.ClassHeader}, at: []diag.Pos{{File: "f.csv", Line: 1, Column: 1}}},
		{name: "nothing", src: "", codes: []diag.Code{diag.ClassHeader}, at: []diag.Pos{{File: "f.csv", Line: 1, Column: 1}}},
		{name: "nobody", src: "name\n", codes: []diag.Code{diag.ClassFile}, at: []diag.Pos{{}}},
		{name: "no CSV", src: "name\n\"ana\n", codes: []diag.Code{diag.ClassFile}, at: []diag.Pos{{File: "f.csv", Line: 2, Column: 6}}},
		{
			name: "clashes", src: "name\nJosé\n\nana\njose\nANA\n", codes: []diag.Code{diag.ClassClash, diag.ClassClash},
			at: []diag.Pos{{File: "f.csv", Line: 5}, {File: "f.csv", Line: 6}},
		},
		{
			name: "names that will not do", src: "name,seed\n李,1\n7up,\n,9\n" + strings.Repeat("x", 60) + ",\n",
			codes: []diag.Code{diag.ClassName, diag.ClassName, diag.ClassName, diag.ClassName},
			at:    []diag.Pos{{File: "f.csv", Line: 2}, {File: "f.csv", Line: 3}, {File: "f.csv", Line: 4}, {File: "f.csv", Line: 5}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			list, err := parseClass("f.csv", []byte(test.src))
			if err == nil {
				list, err = namedLabs(list)
			}
			var codes []diag.Code
			var at []diag.Pos
			for _, d := range problemsOf(err) {
				codes, at = append(codes, d.Code), append(at, d.Pos)
			}
			if d := cmp.Diff(test.codes, codes); d != "" {
				t.Errorf("%v: %s", err, d)
			}
			if d := cmp.Diff(test.at, at); d != "" {
				t.Error(d)
			}
			if err != nil {
				return
			}
			var lines []int
			for i := range list {
				lines = append(lines, list[i].pos.Line)
				list[i].pos = diag.Pos{}
			}
			if d := cmp.Diff(test.want, list, cmp.AllowUnexported(student{})); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(test.lines, lines); d != "" {
				t.Error(d)
			}
		})
	}
}

// problemsOf are the diagnostics in an error: one, or a list.
func problemsOf(err error) diag.List {
	if list, ok := errors.AsType[diag.List](err); ok {
		return list
	}
	if d, ok := errors.AsType[*diag.Diagnostic](err); ok {
		return diag.List{d}
	}
	return nil
}
