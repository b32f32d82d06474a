package check

import (
	"regexp"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// Languages are those in which everything that a student reads must be written.
func Languages() []string { return []string{"en", "es", "ca"} }

// Texts is a text in every language, by its code.
type Texts map[string]string

// In gives the text in a language, and the English one in a language that there is none of.
func (t Texts) In(language string) string {
	if text, ok := t[language]; ok {
		return text
	}
	return t["en"]
}

// textKey is a key whose value is a text in every language.
func textKey[T any](name, doc string, required bool, field func(*T) *Texts) yamlfile.Key[T] {
	return yamlfile.Key[T]{
		Name: name, Doc: doc, Required: required, Schema: textsSchema(),
		Read: func(d *yamlfile.Decoder, n *yaml.Node, into *T) { *field(into) = readTexts(d, n, name) },
	}
}

func textsSchema() *jsonschema.Schema {
	s := yamlfile.ObjectSchema("A text in every language.", languageKeys("text"))
	s.Required = Languages()
	return s
}

func languageKeys(what string) []yamlfile.Key[Texts] {
	var keys []yamlfile.Key[Texts]
	for _, language := range Languages() {
		keys = append(keys, yamlfile.Key[Texts]{
			Name: language, Required: true, Schema: yamlfile.Pattern(regexp.MustCompile(`\S`), 0),
			Doc: "The text in the language " + language + ".",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, into *Texts) {
				f := yamlfile.ReadScalar(d, n, what+"."+language, "a text", filled)
				(*into)[language] = f.Value
			},
		})
	}
	return keys
}

func readTexts(d *yamlfile.Decoder, n *yaml.Node, what string) Texts {
	t := Texts{}
	yamlfile.Object(d, n, what, languageKeys(what), &t)
	return t
}

// filled reads any scalar that is not empty as a text.
func filled(s yamlfile.Scalar) (string, *diag.Diagnostic) {
	if s.Value == "" {
		return "", diag.New(diag.WrongType, diag.Args{"key": s.Key, "want": "a text", "got": "nothing"})
	}
	return s.Value, nil
}

// oneOf reads one of several words.
func oneOf(words ...string) func(yamlfile.Scalar) (string, *diag.Diagnostic) {
	return func(s yamlfile.Scalar) (string, *diag.Diagnostic) {
		if slices.Contains(words, s.Value) {
			return s.Value, nil
		}
		return "", diag.New(diag.NotOneOf, diag.Args{
			"key": s.Key, "value": s.Value, "allowed": words, "suggestion": yamlfile.Suggest(s.Value, words),
		})
	}
}
