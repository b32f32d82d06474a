package yamlfile

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/google/jsonschema-go/jsonschema"
)

// ObjectSchema is a mapping with these keys and no others.
func ObjectSchema[T any](doc string, keys []Key[T]) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type: "object", Description: doc, Properties: make(map[string]*jsonschema.Schema),
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	for _, k := range keys {
		property := *k.Schema
		property.Description = k.Doc
		s.Properties[k.Name] = &property
		s.PropertyOrder = append(s.PropertyOrder, k.Name)
		if k.Required {
			s.Required = append(s.Required, k.Name)
		}
	}
	return s
}

// ListOf is a list of at most limit elements.
func ListOf(element *jsonschema.Schema, limit int) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "array", Items: element, MaxItems: new(limit)}
}

// OneOrListOf is a list, or one element in its place.
func OneOrListOf(element *jsonschema.Schema, limit int) *jsonschema.Schema {
	return Either(element, ListOf(element, limit))
}

// Either is one of several schemas.
func Either(options ...*jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: options}
}

// Constant is one value and no other.
func Constant(v any) *jsonschema.Schema { return &jsonschema.Schema{Const: new(v)} }

// OneWord is one word and no other.
func OneWord(word string) *jsonschema.Schema { return Constant(word) }

// Words is a choice of words; the first argument is the default.
func Words[E Enum](usual E, valid ...E) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, v := range valid {
		s.Enum = append(s.Enum, v.String())
	}
	return Defaulting(s, usual.String())
}

// Defaulting notes the value that counts when the key is left out.
func Defaulting(s *jsonschema.Schema, usual string) *jsonschema.Schema {
	s.Default = json.RawMessage(fmt.Sprintf("%q", usual))
	return s
}

// Pattern is a text of a form, with at most limit characters (0: no limit).
func Pattern(form *regexp.Regexp, limit int) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string", Pattern: form.String()}
	if limit > 0 {
		s.MaxLength = new(limit)
	}
	return s
}

// Integer is a whole number between two bounds.
func Integer(least, most, usual int) *jsonschema.Schema {
	return &jsonschema.Schema{
		Type: "integer", Minimum: new(float64(least)), Maximum: new(float64(most)),
		Default: json.RawMessage(fmt.Sprint(usual)),
	}
}
