package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReplaceSection: a section is added, then replaced, and its neighbours stay as they are.
func TestReplaceSection(t *testing.T) {
	page := pageHead
	var err error
	for _, step := range [][2]string{{"one", "first\n"}, {"two", "second"}, {"one", "again\n\n"}} {
		if page, err = replaceSection(page, step[0], step[1]); err != nil {
			t.Fatal(err)
		}
	}
	want := pageHead + "\n<!-- bench one -->\nagain\n<!-- end of bench one -->\n\n" +
		"<!-- bench two -->\nsecond\n<!-- end of bench two -->\n"
	if d := cmp.Diff(want, page); d != "" {
		t.Errorf("page (-want +got):\n%s", d)
	}
	if _, err := replaceSection("<!-- bench one -->\n", "one", ""); err == nil {
		t.Error("a section without its end was replaced")
	}
}

func TestSpread(t *testing.T) {
	var s samples
	for _, v := range []float64{5, 1, 3, 2, 4} {
		s.add(v)
	}
	if got := s.quantile(0.5); got != 3 {
		t.Errorf("median %v", got)
	}
	if got := s.quantile(0.99); got != 5 {
		t.Errorf("p99 %v", got)
	}
	if got := s.String(); got != "3 (1–5)" {
		t.Errorf("written as %q", got)
	}
}
