package yamlfile

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/kvmlab/kvmlab/internal/diag"
)

var decimalForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})$`)

// Field is a value of the lab file and the place where it was written. Set is
// false, and Value zero, when the file leaves it out.
type Field[T any] struct {
	Value T
	Pos   diag.Pos
	Set   bool
}

// Or returns the value, or fallback when the file leaves it out.
func (f Field[T]) Or(fallback T) T {
	if f.Set {
		return f.Value
	}
	return fallback
}

// RequireText refuses what YAML takes for a number, a date or a truth value, where a
// name is wanted: 007 and true could come out differently than they look.
func RequireText(s Scalar, want string) *diag.Diagnostic {
	if s.Tag == "!!str" {
		return nil
	}
	return diag.New(diag.ScalarNotPlain, diag.Args{"key": s.Key, "value": s.Value, "want": want})
}

// ParseInt reads a whole number without sign or leading zeros.
func ParseInt(s Scalar) (int, *diag.Diagnostic) {
	n, err := strconv.Atoi(s.Value)
	if err != nil || s.Tag != "!!int" || !decimalForm.MatchString(s.Value) {
		return 0, diag.New(diag.ScalarNotPlain, diag.Args{"key": s.Key, "value": s.Value, "want": "a whole number"})
	}
	return n, nil
}

// ParsePrefix reads an IPv4 address with the length of its network's prefix.
func ParsePrefix(s Scalar) (netip.Prefix, *diag.Diagnostic) {
	if a, err := netip.ParseAddr(s.Value); err == nil && a.Is4() {
		return netip.Prefix{}, diag.New(diag.NoPrefixLength, diag.Args{"address": a})
	}
	p, err := netip.ParsePrefix(s.Value)
	if err != nil || !p.Addr().Is4() {
		return netip.Prefix{}, diag.New(diag.BadAddress, diag.Args{
			"key": s.Key, "value": s.Value, "want": "an IPv4 address with its prefix length, such as 192.168.1.1/24",
		})
	}
	return p, nil
}

// ParseAddr reads an IPv4 address.
func ParseAddr(s Scalar) (netip.Addr, *diag.Diagnostic) {
	a, err := netip.ParseAddr(s.Value)
	if err != nil || !a.Is4() {
		return netip.Addr{}, diag.New(diag.BadAddress, diag.Args{
			"key": s.Key, "value": s.Value, "want": "an IPv4 address, such as 192.168.1.1",
		})
	}
	return a, nil
}

// ParseWord reads one of the words of an enum.
func ParseWord[E Enum](valid ...E) func(Scalar) (E, *diag.Diagnostic) {
	return func(s Scalar) (E, *diag.Diagnostic) {
		var none E
		words := make([]string, len(valid))
		for i, v := range valid {
			if words[i] = v.String(); words[i] == s.Value {
				return v, nil
			}
		}
		return none, diag.New(diag.NotOneOf, diag.Args{
			"key": s.Key, "value": s.Value, "allowed": words, "suggestion": Suggest(s.Value, words),
		})
	}
}

// BoolKey is a key that is true or false.
func BoolKey[T any](name string, usual bool, doc string, field func(*T) *Field[bool]) Key[T] {
	schema := &jsonschema.Schema{Type: "boolean", Default: json.RawMessage(strconv.FormatBool(usual))}
	return ScalarKey(Key[T]{Name: name, Schema: schema, Doc: doc}, "true or false", ParseBool, field)
}

// ParseBool reads true or false, as YAML 1.2 writes them.
func ParseBool(s Scalar) (bool, *diag.Diagnostic) {
	if s.Value == "true" || s.Value == "false" {
		return s.Value == "true", nil
	}
	return false, diag.New(diag.NotOneOf, diag.Args{
		"key": s.Key, "value": s.Value, "suggestion": "", "allowed": []string{"true", "false"},
	})
}

// AppendSet appends a value that could be read.
func AppendSet[V any](all []Field[V], one Field[V]) []Field[V] {
	if !one.Set {
		return all
	}
	return append(all, one)
}

// Enum is a closed set of words.
type Enum interface {
	comparable
	fmt.Stringer
}
