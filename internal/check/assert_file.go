package check

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/internal/conffile"
)

// fileFormats are the formats in which a file can be looked into, by their names in checks.yaml.
func fileFormats() map[string]conffile.Format {
	return map[string]conffile.Format{
		"dhcpd": conffile.DHCPDFormat, "kea": conffile.KeaFormat, "dnsmasq": conffile.DnsmasqFormat,
		"interfaces": conffile.InterfacesFormat, "defaults": conffile.DefaultsFormat,
	}
}

func formats() []string { return []string{"dhcpd", "kea", "dnsmasq", "interfaces", "defaults"} }

func tryFile(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	guest, path := a.Guest.Value, a.Path.Value
	out, err := e.Guest(ctx, guest, "cat -- "+quoted(path))
	if err != nil {
		return Verdict{}, err
	}
	there := out.Status == 0
	switch {
	case there != a.Exists.Or(true) && there:
		return failed("file-there", "guest", guest, "path", path)
	case there != a.Exists.Or(true):
		return failed("no-file", "guest", guest, "path", path)
	case !there:
		return passed(0)
	case a.Match.Set && !regexp.MustCompile(a.Match.Value).MatchString(out.Text):
		return failed("file-match", "path", path)
	case a.Key.Set:
		return keyIn(a, out.Text)
	}
	return passed(0)
}

// keyIn looks a key up in a file. Several values pass when one of them is the wanted one.
func keyIn(a *Assertion, text string) (Verdict, error) {
	path := a.Path.Value
	document := conffile.Parse(fileFormats()[a.Format.Value], path, map[string]string{path: text})
	values, err := document.Lookup(a.Key.Value)
	if err != nil {
		return Verdict{}, fmt.Errorf("look up %q in %s: %w", a.Key.Value, path, err)
	}
	if len(values) == 0 {
		return failed("no-key", "path", path, "key", a.Key.Value)
	}
	right := func(v conffile.Value) bool { return sameText(v.Text, a.Value.Value) }
	if a.Value.Set && !slices.ContainsFunc(values, right) {
		var found []string
		for _, v := range values {
			found = append(found, v.Text)
		}
		return failed("other-value", "path", path, "line", values[0].Pos.Line, "key", a.Key.Value,
			"value", strings.Join(found, ", "), "want", a.Value.Value)
	}
	return passed(0)
}
