package cliui_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/cliui"
)

// TestJSONOnATerminal prints what a guest may have called itself: programs read it as it is, and a terminal is left alone.
func TestJSONOnATerminal(t *testing.T) {
	t.Parallel()
	const name = "josé\x1b[2J\u202e\u009b31m\x7f\U000e0041\n"
	value := struct {
		Name string `json:"name"`
	}{name}
	for what, write := range map[string]func(*bytes.Buffer) error{
		"indented": func(b *bytes.Buffer) error { return cliui.WriteJSON(b, value) },
		"a line":   func(b *bytes.Buffer) error { return cliui.WriteJSONLine(b, value) },
	} {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Fatal(err)
		}
		if text := strings.ReplaceAll(out.String(), "\n", ""); strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || !strings.Contains(text, "josé") {
			t.Errorf("%s: %q", what, text)
		}
		value.Name = ""
		if err := json.Unmarshal(out.Bytes(), &value); err != nil || value.Name != name {
			t.Errorf("%s: read back as %q, %v", what, value.Name, err)
		}
	}
}

func TestWriteCSV(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := cliui.WriteCSV(&out, [][]string{{"lab", "hostname"}, {"three-taps", `=HYPERLINK("http://x","y")`}, {"-1", "+1+1"}, {"a,b", "@x"}}); err != nil {
		t.Fatal(err)
	}
	got, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"lab", "hostname"}, {"three-taps", `'=HYPERLINK("http://x","y")`}, {"-1", "'+1+1"}, {"a,b", "'@x"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
