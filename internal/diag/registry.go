package diag

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/template"
)

// Entry is what the registry knows about a code.
type Entry struct {
	Code Code
	// Severity is Error unless the table says Warning.
	Severity Severity
	// Exit is the status of a command that fails with this code; 0 leaves the
	// decision to the cause, or to the general 1.
	Exit int
	// Args names the arguments that the templates use, all of them required.
	Args []string
	// Summary and Hint are text/template sources over Args. The functions are
	// quote ("x", with control characters escaped) and join (a, b, c).
	Summary string
	Hint    string
	// Explanation is the long text of `kvmlab explain`: why it is so, and what
	// to learn from it. Plain text, paragraphs of lines up to 78 columns.
	Explanation string
}

// All returns every registered code, in order of its number.
func All() []Entry {
	all := slices.Concat(usageEntries, syntaxEntries, nameEntries, addressEntries, dhcpFileEntries,
		guestFileEntries, hostEntries, networkEntries, domainEntries, guestEntries, wayInEntries, untrustedEntries, imageEntries, dhcpEntries, archiveEntries, borderEntries,
		dhcpServeEntries, captureEntries, lifecycleEntries, classEntries, scenarioEntries,
		mistakeFileEntries, mistakeNetworkEntries, importEntries, evidenceEntries)
	for i := range all {
		if all[i].Severity == 0 {
			all[i].Severity = Error
		}
		all[i].Explanation = strings.TrimSpace(all[i].Explanation)
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(string(a.Code), string(b.Code)) })
	return all
}

// Lookup finds a code, in any case ("kl041" is KL041).
func Lookup(code Code) (Entry, bool) {
	code = Code(strings.ToUpper(string(code)))
	for _, e := range All() {
		if e.Code == code {
			return e, true
		}
	}
	return Entry{}, false
}

// fill executes a template. A mistake in the template or its arguments shows in
// the text rather than hiding the diagnostic; the registry's tests find it.
func fill(text string, args Args) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	t, err := template.New("").Funcs(template.FuncMap{"quote": quote, "join": join}).
		Option("missingkey=error").Parse(text)
	if err != nil {
		return fmt.Sprintf("%s (%v)", text, err)
	}
	var out bytes.Buffer
	if args == nil {
		args = Args{}
	}
	if err := t.Execute(&out, args); err != nil {
		return fmt.Sprintf("%s (%v)", text, err)
	}
	return out.String()
}

// quote puts a value that the user wrote between quotation marks and escapes
// what could disturb a terminal.
func quote(v any) string { return fmt.Sprintf("%q", fmt.Sprint(v)) }

// join lists the elements of any slice with commas.
func join(v any) string {
	s := reflect.ValueOf(v)
	if s.Kind() != reflect.Slice {
		return fmt.Sprint(v)
	}
	parts := make([]string, s.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(s.Index(i).Interface())
	}
	return strings.Join(parts, ", ")
}
