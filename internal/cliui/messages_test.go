package cliui_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nicksnyder/go-i18n/v2/i18n"

	"github.com/kvmlab/kvmlab/internal/cliui"
)

// TestCataloguesAgree holds every language against English: the same messages, in the same plural forms, with the same
// placeholders.
func TestCataloguesAgree(t *testing.T) {
	t.Parallel()
	english := catalogue(t, "en")
	for _, lang := range cliui.Languages()[1:] {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			other := catalogue(t, lang)
			for id, want := range english {
				got, ok := other[id]
				if !ok {
					t.Errorf("%s: missing", id)
					continue
				}
				if (got.One == "") != (want.One == "") || got.Other == "" {
					t.Errorf("%s: the plural forms differ", id)
				}
				if diff := cmp.Diff(placeholders(want.Other), placeholders(got.Other)); diff != "" {
					t.Errorf("%s: placeholders (-en +%s):\n%s", id, lang, diff)
				}
			}
			for id := range other {
				if english[id] == nil {
					t.Errorf("%s: not in the English catalogues", id)
				}
			}
		})
	}
}

// TestCataloguesFit keeps the lines of examples, which are not wrapped, to what help shows.
func TestCataloguesFit(t *testing.T) {
	t.Parallel()
	for _, lang := range cliui.Languages() {
		for id, message := range catalogue(t, lang) {
			if !strings.HasSuffix(id, ".examples") {
				continue
			}
			for line := range strings.Lines(message.Other) {
				if n := len([]rune(line)); n > 100 {
					t.Errorf("%s: %s: a line of %d characters", lang, id, n)
				}
			}
		}
	}
}

func catalogue(t *testing.T, lang string) map[string]*i18n.Message {
	t.Helper()
	messages, err := cliui.Catalogue(lang)
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) == 0 {
		t.Fatalf("no messages in %s", lang)
	}
	return messages
}

var placeholder = regexp.MustCompile(`\{\{[^}]*\}\}|` + "`[A-Z]+`")

func placeholders(text string) []string {
	found := placeholder.FindAllString(text, -1)
	slices.Sort(found)
	return found
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		wanted string
		env    map[string]string
		want   string
	}{
		"nothing set":             {want: "en"},
		"LANG":                    {env: map[string]string{"LANG": "es_ES.UTF-8"}, want: "es"},
		"LC_MESSAGES before LANG": {env: map[string]string{"LANG": "es_ES.UTF-8", "LC_MESSAGES": "ca_ES"}, want: "ca"},
		"LC_ALL before all":       {env: map[string]string{"LC_MESSAGES": "ca_ES", "LC_ALL": "C.UTF-8"}, want: "en"},
		"--lang before LC_ALL":    {wanted: "ca", env: map[string]string{"LC_ALL": "es_ES"}, want: "ca"},
		"another country":         {env: map[string]string{"LANG": "es_MX"}, want: "es"},
		"a variant":               {env: map[string]string{"LANG": "ca_ES.UTF-8@valencia"}, want: "ca"},
		"no catalogue":            {env: map[string]string{"LANG": "fr_FR.UTF-8"}, want: "en"},
		"no catalogue hides LANG": {env: map[string]string{"LC_ALL": "fr_FR", "LANG": "es_ES"}, want: "en"},
		"POSIX":                   {env: map[string]string{"LANG": "POSIX"}, want: "en"},
		"as on the web":           {wanted: "es-AR", want: "es"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := func(name string) string { return test.env[name] }
			if got := cliui.Language(test.wanted, env); got != test.want {
				t.Errorf("Language(%q, %v) = %q, want %q", test.wanted, test.env, got, test.want)
			}
		})
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	m := load(t, "es")
	if got, want := m.T("state.running"), "en marcha"; got != want {
		t.Errorf("T = %q, want %q", got, want)
	}
	if got, want := m.N("count.guests", 1), "1 equipo"; got != want {
		t.Errorf("N = %q, want %q", got, want)
	}
	if got, want := m.N("count.guests", 3), "3 equipos"; got != want {
		t.Errorf("N = %q, want %q", got, want)
	}
	if got, want := m.T("no.such.message"), "no.such.message"; got != want {
		t.Errorf("T of a missing message = %q, want its id", got)
	}
	if m.Has("no.such.message") || !m.Has("state.running") || !m.Has("validate.ok") {
		t.Error("Has is wrong about what there is")
	}
}

func load(t *testing.T, lang string) *cliui.Messages {
	t.Helper()
	m, err := cliui.LoadMessages(lang)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
