package cliui

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"go.yaml.in/yaml/v4"
	"golang.org/x/text/language"
)

// catalogues holds messages/<topic>.<language>.yaml: one message per key, a text/template over named values. English
// is the source; a test sees to it that Spanish and Catalan have the same messages with the same placeholders.
//
//go:embed messages/*.yaml
var catalogues embed.FS

// Languages lists the message languages, the first being the one that the others fall back to.
func Languages() []string { return []string{"en", "es", "ca"} }

// Language picks the message language: the first of wanted (the value of --lang), LC_ALL, LC_MESSAGES and LANG that
// is set decides, as POSIX (XBD 8.2) orders them; a language that there is no catalogue of gives English.
func Language(wanted string, env func(string) string) string {
	for _, value := range []string{wanted, env("LC_ALL"), env("LC_MESSAGES"), env("LANG")} {
		if value != "" {
			if code := languageCode(value); slices.Contains(Languages(), code) {
				return code
			}
			break
		}
	}
	return Languages()[0]
}

// KnownLanguage reports whether value, such as "ca" or "es_MX.UTF-8", names a language that there is a catalogue of.
func KnownLanguage(value string) bool { return slices.Contains(Languages(), languageCode(value)) }

// languageCode cuts language[_territory][.codeset][@modifier] down to the language.
func languageCode(value string) string {
	code, _, _ := strings.Cut(strings.ToLower(value), ".")
	code, _, _ = strings.Cut(code, "@")
	code, _, _ = strings.Cut(code, "_")
	code, _, _ = strings.Cut(code, "-")
	return code
}

// Messages says things in one language.
type Messages struct {
	lang      string
	localizer *i18n.Localizer
}

// LoadMessages reads the catalogues of lang and of English, which stands in for what lang lacks.
func LoadMessages(lang string) (*Messages, error) {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("yaml", yaml.Unmarshal)
	files, err := fs.Glob(catalogues, "messages/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list message catalogues: %w", err)
	}
	for _, file := range files {
		if code := catalogueLanguage(file); code == Languages()[0] || code == lang {
			if _, err := bundle.LoadMessageFileFS(catalogues, file); err != nil {
				return nil, fmt.Errorf("read message catalogue %s: %w", path.Base(file), err)
			}
		}
	}
	return &Messages{lang: lang, localizer: i18n.NewLocalizer(bundle, lang)}, nil
}

// catalogueLanguage gives "es" for messages/up.es.yaml.
func catalogueLanguage(file string) string {
	return strings.TrimPrefix(path.Ext(strings.TrimSuffix(file, path.Ext(file))), ".")
}

// Lang is the code of the language: en, es or ca.
func (m *Messages) Lang() string { return m.lang }

// T says the message id with named values: T("down.done", "lab", name). A message that is missing shows as its id,
// so that a mistake in a catalogue never hides what happened.
func (m *Messages) T(id string, pairs ...any) string {
	return m.localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: namedValues(pairs)})
}

// N says the message id in the plural form for count, which the message calls {{.count}}.
func (m *Messages) N(id string, count int, pairs ...any) string {
	values := namedValues(pairs)
	values["count"] = count
	return m.localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: values, PluralCount: count})
}

// Has reports whether there is a message id, in the language or in English.
func (m *Messages) Has(id string) bool {
	_, err := m.localizer.Localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: map[string]any{}})
	missing := new(i18n.MessageNotFoundErr)
	return !errors.As(err, &missing)
}

func (m *Messages) localize(config *i18n.LocalizeConfig) string {
	text, err := m.localizer.Localize(config)
	if text == "" && err != nil {
		return config.MessageID
	}
	return strings.TrimRight(text, "\n")
}

// namedValues turns "name", value, … into template data.
func namedValues(pairs []any) map[string]any {
	values := make(map[string]any, len(pairs)/2+1)
	for i := 0; i+1 < len(pairs); i += 2 {
		values[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return values
}

// Catalogue gives every message of a language by its id, as it is written; English stands in for nothing here. It is
// for tests that compare the languages.
func Catalogue(lang string) (map[string]*i18n.Message, error) {
	files, err := fs.Glob(catalogues, "messages/*."+lang+".yaml")
	if err != nil {
		return nil, fmt.Errorf("list message catalogues: %w", err)
	}
	all := map[string]*i18n.Message{}
	for _, file := range files {
		data, err := catalogues.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read message catalogue: %w", err)
		}
		parsed, err := i18n.ParseMessageFileBytes(data, file, map[string]i18n.UnmarshalFunc{"yaml": yaml.Unmarshal})
		if err != nil {
			return nil, fmt.Errorf("read message catalogue %s: %w", path.Base(file), err)
		}
		for _, message := range parsed.Messages {
			if all[message.ID] != nil {
				return nil, fmt.Errorf("read message catalogue %s: %q is there twice", path.Base(file), message.ID)
			}
			all[message.ID] = message
		}
	}
	return all, nil
}
