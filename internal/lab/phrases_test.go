package lab_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// TestMistakesAreSaidInEveryLanguage: the words within a message, such as what a value should have been, are as much a
// part of it as the sentence around them.
func TestMistakesAreSaidInEveryLanguage(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, code := range []string{"es", "ca"} {
		lang, err := diag.LoadLanguage(code)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = lab.Parse(file, src)
			for _, d := range mistakes(err) {
				for _, unsaid := range lang.Unsaid(d) {
					t.Errorf("%s: %s: %s", code, d.Pos, unsaid)
				}
			}
		}
	}
}

func mistakes(err error) diag.List {
	list, _ := errors.AsType[diag.List](err)
	return list
}
