package diag

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// catalogues holds texts/<topic>.<language>.yaml, the texts of the codes, and phrases.<language>.yaml, what stands in
// their arguments and beside them. English is in the registry: a test compares the other languages with it.
//
//go:embed texts/*.yaml phrases.*.yaml
var catalogues embed.FS

// Text is what a language says about a code; see [Entry] for the fields.
type Text struct {
	Summary     string `yaml:"summary"`
	Hint        string `yaml:"hint"`
	Explanation string `yaml:"explanation"`
}

// Language says diagnostics in another language than English. A nil Language is English. What it has no text for is
// said in English, so that a gap in a catalogue never hides what happened.
type Language struct {
	texts    map[Code]Text
	phrases  map[string]string
	patterns []pattern
}

// pattern is a phrase with places for anything, which are written {}.
type pattern struct {
	english *regexp.Regexp
	said    string
}

// LoadLanguage reads the catalogues of a language, such as "es". English, and a language without catalogues, is nil.
func LoadLanguage(code string) (*Language, error) {
	files, err := fs.Glob(catalogues, "texts/*."+code+".yaml")
	if err != nil || len(files) == 0 {
		return nil, err
	}
	l := &Language{texts: map[Code]Text{}, phrases: map[string]string{}}
	for _, file := range files {
		texts := map[Code]Text{}
		if err := readCatalogue(file, &texts); err != nil {
			return nil, err
		}
		for code, text := range texts {
			if _, twice := l.texts[code]; twice {
				return nil, fmt.Errorf("read catalogue %s: %s is in another one too", path.Base(file), code)
			}
			l.texts[code] = text
		}
	}
	if err := readCatalogue("phrases."+code+".yaml", &l.phrases); err != nil {
		return nil, err
	}
	l.compile()
	return l, nil
}

func readCatalogue(file string, into any) error {
	data, err := catalogues.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("read catalogue %s: %w", path.Base(file), err)
	}
	return nil
}

// compile makes patterns of the phrases with places in them. The longest come first: they say most.
func (l *Language) compile() {
	var keys []string
	for key := range l.phrases {
		if strings.Contains(key, "{}") {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		if c := len(b) - len(a); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	for _, key := range keys {
		source := strings.ReplaceAll(regexp.QuoteMeta(key), `\{\}`, "(.+)")
		l.patterns = append(l.patterns, pattern{regexp.MustCompile("^" + source + "$"), l.phrases[key]})
	}
}

// Texts gives the texts of a code, as templates.
func (l *Language) Texts(code Code) (Text, bool) {
	if l == nil {
		return Text{}, false
	}
	text, ok := l.texts[code]
	return text, ok
}

// Say gives the summary and the hint of a diagnostic.
func (l *Language) Say(d *Diagnostic) (summary, hint string) {
	text, ok := l.Texts(d.Code)
	if !ok {
		return d.Summary, d.Hint
	}
	args := make(Args, len(d.Args))
	for name, value := range d.Args {
		args[name] = l.argument(name, value)
	}
	return fill(text.Summary, args), fill(text.Hint, args)
}

// Explain gives the long text about a code.
func (l *Language) Explain(e Entry) string {
	if text, ok := l.Texts(e.Code); ok {
		return strings.TrimSpace(text.Explanation)
	}
	return e.Explanation
}

// phraseArgs names the arguments that hold words of kvmlab's own. All others hold names, addresses and other values,
// which are said as they are: a guest may be called "bridge".
func phraseArgs() []string {
	return []string{
		"action", "allowed", "call", "feature", "found", "got", "instead", "key", "kind", "left", "limit", "message", "opened",
		"problem", "reason", "step", "want", "what", "where", "which",
	}
}

// argument translates an argument that holds words of kvmlab's own. In key and allowed a single word is a key or a
// value of the lab file.
func (l *Language) argument(name string, value any) any {
	if !slices.Contains(phraseArgs(), name) {
		return value
	}
	say := func(text string) string {
		if (name == "key" || name == "allowed") && !strings.Contains(text, " ") {
			return text
		}
		return l.Phrase(text)
	}
	switch v := value.(type) {
	case string:
		return say(v)
	case []string:
		said := make([]string, len(v))
		for i, text := range v {
			said[i] = say(text)
		}
		return said
	}
	return value
}

// Phrase translates an English phrase: one of the catalogue, word for word or by a pattern, or several with a colon, a
// semicolon or a line break between them, as errors are joined. Others stay English: they are another program's words, or a name.
func (l *Language) Phrase(english string) string {
	said, _ := l.translate(english)
	return said
}

// Unsaid lists the arguments of d that would be said in English though they are sentences of kvmlab's own. Tests of the
// packages that make them want it empty.
func (l *Language) Unsaid(d *Diagnostic) []string {
	var unsaid []string
	for name, value := range d.Args {
		text, ok := value.(string)
		if !ok || !strings.Contains(text, " ") || !slices.Contains(phraseArgs(), name) {
			continue
		}
		if _, known := l.translate(text); !known {
			unsaid = append(unsaid, fmt.Sprintf("%s %s: %s", d.Code, name, text))
		}
	}
	slices.Sort(unsaid)
	return unsaid
}

func (l *Language) translate(english string) (said string, known bool) {
	if l == nil {
		return english, true
	}
	if said, ok := l.phrases[english]; ok {
		return said, true
	}
	if first, rest, ok := strings.Cut(english, "\n"); ok {
		return l.join(first, "\n", rest)
	}
	for _, p := range l.patterns {
		if places := p.english.FindStringSubmatch(english); places != nil {
			said := p.said
			for _, place := range places[1:] {
				said = strings.Replace(said, "{}", l.Phrase(place), 1)
			}
			return said, true
		}
	}
	for _, between := range []string{"; ", ": "} {
		if first, rest, ok := strings.Cut(english, between); ok {
			return l.join(first, between, rest)
		}
	}
	return english, false
}

// join translates two phrases with something between them.
func (l *Language) join(first, between, rest string) (said string, known bool) {
	saidFirst, knownFirst := l.translate(first)
	saidRest, knownRest := l.translate(rest)
	return saidFirst + between + saidRest, knownFirst && knownRest
}
