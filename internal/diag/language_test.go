package diag_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// otherLanguages are those that every text must exist in, beside English.
func otherLanguages() []string { return []string{"es", "ca"} }

func language(t *testing.T, code string) *diag.Language {
	t.Helper()
	lang, err := diag.LoadLanguage(code)
	if err != nil {
		t.Fatal(err)
	}
	return lang
}

// action is a place in a template: {{.name}}, {{quote .name}}, {{if …}}.
var action = regexp.MustCompile(`\{\{[^}]*\}\}`)

// actions lists a template's places, each once: a language may need a name twice that another needs once.
func actions(text string) []string {
	found := action.FindAllString(text, -1)
	for i, a := range found {
		found[i] = strings.Join(strings.Fields(a), " ")
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// TestEveryCodeIsSaidInEveryLanguage holds the languages against the registry.
func TestEveryCodeIsSaidInEveryLanguage(t *testing.T) {
	for _, code := range otherLanguages() {
		lang := language(t, code)
		for _, e := range diag.All() {
			t.Run(code+"/"+string(e.Code), func(t *testing.T) {
				text, ok := lang.Texts(e.Code)
				if !ok {
					t.Fatal("no texts")
				}
				if d := cmp.Diff(actions(e.Summary), actions(text.Summary)); d != "" {
					t.Errorf("places of the summary (-en +%s):\n%s", code, d)
				}
				if d := cmp.Diff(actions(e.Hint), actions(text.Hint)); d != "" {
					t.Errorf("places of the hint (-en +%s):\n%s", code, d)
				}
				if len(text.Explanation) < len(e.Explanation)/2 || text.Explanation == e.Explanation {
					t.Errorf("the explanation has %d characters, the English one %d", len(text.Explanation), len(e.Explanation))
				}
				args := diag.Args{}
				for _, name := range e.Args {
					args[name] = argValue(name)
				}
				summary, hint := lang.Say(diag.New(e.Code, args))
				for _, said := range []string{summary, hint} {
					if said == "" || strings.HasSuffix(said, ".") || strings.Contains(said, "{{") || strings.Contains(said, "<no value>") {
						t.Errorf("says %q", said)
					}
				}
			})
		}
	}
}

// TestCataloguesHaveNothingElse finds codes and keys that mean nothing, and topics that a language lacks.
func TestCataloguesHaveNothingElse(t *testing.T) {
	topics := map[string][]string{}
	files, err := filepath.Glob("texts/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d catalogues, %v", len(files), err)
	}
	for _, file := range files {
		topic, code, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".yaml"), ".")
		topics[topic] = append(topics[topic], code)
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts := map[diag.Code]diag.Text{}
		if err := yaml.Load(source, &texts, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for code := range texts {
			if _, ok := diag.Lookup(code); !ok || string(code) != strings.ToUpper(string(code)) {
				t.Errorf("%s: there is no code %s", file, code)
			}
		}
	}
	for topic, codes := range topics {
		if d := cmp.Diff(slices.Sorted(slices.Values(otherLanguages())), slices.Sorted(slices.Values(codes))); d != "" {
			t.Errorf("languages of the topic %s (-want +got):\n%s", topic, d)
		}
	}
}

// TestPhrasesAgree holds the catalogues of phrases against each other: the same phrases, with as many places.
func TestPhrasesAgree(t *testing.T) {
	all := map[string]map[string]string{}
	for _, code := range otherLanguages() {
		source, err := os.ReadFile("phrases." + code + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		phrases := map[string]string{}
		if err := yaml.Load(source, &phrases, yaml.WithUniqueKeys()); err != nil {
			t.Fatal(err)
		}
		for english, said := range phrases {
			if strings.Count(english, "{}") != strings.Count(said, "{}") || strings.TrimSpace(said) == "" {
				t.Errorf("%s: %q is %q", code, english, said)
			}
		}
		all[code] = phrases
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(all["es"])), slices.Sorted(maps.Keys(all["ca"]))); d != "" {
		t.Errorf("phrases (-es +ca):\n%s", d)
	}
}

func TestPhrase(t *testing.T) {
	es := language(t, "es")
	tests := map[string]struct{ english, want string }{
		"a word":              {"warning", "aviso"},
		"another program's":   {"qemu exploded", "qemu exploded"},
		"a place":             {"it has 70 characters, and a hostname can have 63", "tiene 70 caracteres, y un nombre de equipo puede tener 63"},
		"a phrase in a place": {"a key of the lab", "una clave del laboratorio"},
		"joined by a colon":   {"pc1: it is empty", "pc1: está vacío"},
		"why there is no KVM": {
			"no KVM on this host: open /dev/kvm: no such file or directory",
			"este ordenador no tiene KVM: abrir /dev/kvm: no existe ese fichero o directorio",
		},
		"why KVM is not for QEMU": {
			"QEMU's user cannot open the KVM device: open /dev/kvm as uid 64055: permission denied",
			"el usuario con el que funciona QEMU no puede abrir el dispositivo de KVM: abrir /dev/kvm como uid 64055: permiso denegado",
		},
		"what was tried": {
			"kvm on microvm: QEMU stopped: 1; kvm on q35: QEMU stopped: 2",
			"KVM con microvm: QEMU se paró: 1; KVM con q35: QEMU se paró: 2",
		},
		"joined by a line break": {"it is empty\nit is empty", "está vacío\nestá vacío"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := es.Phrase(test.english); got != test.want {
				t.Errorf("Phrase(%q) = %q, want %q", test.english, got, test.want)
			}
			if got := (*diag.Language)(nil).Phrase(test.english); got != test.english {
				t.Errorf("in English %q", got)
			}
		})
	}
}

// TestNamesAreNotTranslated: what a user named stays as it is, even when kvmlab has a word for it.
func TestNamesAreNotTranslated(t *testing.T) {
	d := diag.New(diag.DuplicateName, diag.Args{"kind": "bridge", "name": "bridge", "line": 3})
	summary, _ := language(t, "es").Say(d)
	if !strings.Contains(summary, `"bridge"`) || !strings.Contains(summary, "puente") {
		t.Errorf("says %q", summary)
	}
}

func TestLoadLanguageWithoutCatalogues(t *testing.T) {
	for _, code := range []string{"en", "fr"} {
		if lang := language(t, code); lang != nil {
			t.Errorf("%s has catalogues", code)
		}
	}
}

func TestRenderInAnotherLanguage(t *testing.T) {
	err := diag.List{
		reversed().Wrap(diag.New(diag.NetworkDenied, diag.Args{"action": "create a bridge"}).Wrap(os.ErrPermission)),
		diag.New(diag.GuestNoNIC, diag.Args{"guest": "pc9"}),
		diag.New(diag.GuestNoNIC, diag.Args{"guest": "pc8"}),
	}
	for _, code := range otherLanguages() {
		var out strings.Builder
		if err := diag.Render(&out, err, diag.RenderOptions{Language: language(t, code)}); err != nil {
			t.Fatal(err)
		}
		golden(t, "render-"+code, out.String())
	}
}
