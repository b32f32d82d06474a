package cliui_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/cliui"
)

func TestTable(t *testing.T) {
	t.Parallel()
	table := cliui.NewTable(cliui.Style{}, "GUEST", "ADDRESS", "NOTE")
	table.Row("pc1", "192.168.1.2", "")
	table.Row("perímetro", "10.0.0.1", "wide: 日本", "dropped")
	table.Row("\x1b[31mpc3\x1b[0m")
	var out strings.Builder
	if _, err := table.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"GUEST       ADDRESS       NOTE\n" +
		"pc1         192.168.1.2   -\n" +
		"perímetro   10.0.0.1      wide: 日本\n" +
		"\x1b[31mpc3\x1b[0m         -             -\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	type inner struct {
		Names []string `json:"names"`
	}
	type outer struct {
		Labs  []inner          `json:"labs"`
		Map   map[string][]int `json:"map"`
		Ptr   *inner           `json:"ptr"`
		Any   any              `json:"any"`
		When  time.Time        `json:"when"`
		Bytes []byte           `json:"bytes,omitempty"`
		none  []string
	}
	when := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	tests := map[string]struct {
		value any
		want  string
	}{
		"empty": {struct{}{}, `{"version":1}`},
		"nothing is null": {
			outer{Labs: []inner{{}}, Map: map[string][]int{"a": nil}, Ptr: &inner{}, Any: inner{}, When: when, none: nil},
			`{"version":1,"labs":[{"names":[]}],"map":{"a":[]},"ptr":{"names":[]},"any":{"names":[]},"when":"2026-05-04T03:02:01Z"}`,
		},
		"no list": {struct {
			Labs []inner `json:"labs"`
		}{}, `{"version":1,"labs":[]}`},
		"not for browsers":        {map[string]string{"a": "<&>"}, `{"version":1,"a":"<&>"}`},
		"a version of its own":    {rawJSON(`{"version":1,"lab":"x"}`), `{"version":1,"lab":"x"}`},
		"a version at its middle": {rawJSON(`{"lab":"x"}`), `{"version":1,"lab":"x"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := cliui.WriteJSONLine(&out, test.value); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want+"\n", out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if err := cliui.WriteJSON(io.Discard, []int{1}); err == nil {
		t.Error("a list at the top: no error")
	}
}

type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func TestClosest(t *testing.T) {
	t.Parallel()
	words := []string{"up", "down", "status", "leases", "console", "validate"}
	for typed, want := range map[string]string{
		"stauts": "status", "statsu": "status", "stat": "status", "dwon": "down", "lease": "leases", "UP": "up",
		"pu": "up", "consle": "console", "xyzzy": "", "": "", "download": "",
	} {
		if got := cliui.Closest(typed, words); got != want {
			t.Errorf("Closest(%q) = %q, want %q", typed, got, want)
		}
	}
}

func TestColour(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		env   map[string]string
		plain bool
		want  bool
	}{
		"a terminal":   {env: map[string]string{"TERM": "xterm"}, want: true},
		"NO_COLOR":     {env: map[string]string{"TERM": "xterm", "NO_COLOR": "1"}},
		"TERM=dumb":    {env: map[string]string{"TERM": "dumb"}},
		"with --plain": {env: map[string]string{"TERM": "xterm"}, plain: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			streams, _ := terminalStreams(t, test.env)
			streams.Plain = test.plain
			if got := streams.OutStyle().Coloured(); got != test.want {
				t.Errorf("Coloured() = %v, want %v", got, test.want)
			}
			if got := streams.ErrStyle().Bad("x"); (got != "x") != test.want {
				t.Errorf("Bad(x) = %q", got)
			}
		})
	}
	if cliui.NewStreams(nil, &bytes.Buffer{}, &bytes.Buffer{}, noEnv).OutStyle().Coloured() {
		t.Error("colour in a pipe")
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	streams, _ := terminalStreams(t, map[string]string{"COLUMNS": "33"})
	if w, h := streams.Size(); w != 80 || h != 24 {
		t.Errorf("a terminal of 80x24 is taken for %dx%d", w, h)
	}
	pipe := cliui.NewStreams(nil, io.Discard, io.Discard, func(string) string { return "33" })
	if w, h := pipe.Size(); w != 33 || h != 0 {
		t.Errorf("COLUMNS=33 gives %dx%d", w, h)
	}
}

func TestUnicode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, true},
		{map[string]string{"LANG": "C"}, false},
		{map[string]string{"LANG": "es_ES.UTF-8"}, true},
		{map[string]string{"LANG": "es_ES.UTF-8", "LC_ALL": "C"}, false},
		{map[string]string{"LC_CTYPE": "C.utf8", "LANG": "C"}, true},
	} {
		streams := cliui.NewStreams(nil, nil, nil, func(name string) string { return test.env[name] })
		if got := streams.Unicode(); got != test.want {
			t.Errorf("Unicode() with %v = %v, want %v", test.env, got, test.want)
		}
	}
}

var errFull = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestOutErr(t *testing.T) {
	t.Parallel()
	streams := cliui.NewStreams(nil, fullDisk{}, fullDisk{}, noEnv)
	streams.Errf("nobody hears this\n")
	if err := streams.OutErr(); err != nil {
		t.Errorf("before Outf: %v", err)
	}
	streams.Outf("data\n")
	if err := streams.OutErr(); !errors.Is(err, errFull) {
		t.Errorf("OutErr = %v, want %v", err, errFull)
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	got := "hint: " + cliui.Wrap("one two three four five six", 24, "      ")
	if want := "hint: one two three four\n      five six"; got != want {
		t.Errorf("Wrap = %q, want %q", got, want)
	}
	got = cliui.Reflow("a\nb\n\nc d e f g h i j k l m n", 20)
	if want := "a b\n\nc d e f g h i j k l\nm n"; got != want {
		t.Errorf("Reflow = %q, want %q", got, want)
	}
}
