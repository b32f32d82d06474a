package lab

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema gives the JSON Schema (2020-12) of a lab file, for editors: it is made
// from the same tables that [Parse] reads by. What a schema cannot say (names
// that refer to each other, addresses in subnets) only Parse checks.
func Schema() ([]byte, error) {
	s := objectSchema("A lab of kvmlab: bridges, and virtual machines on them.", labKeys())
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.ID = "https://kvmlab.org/schema/lab-v1.json"
	s.Title = "kvmlab lab file"
	s.AnyOf = []*jsonschema.Schema{{Required: []string{"bridges"}}, {Required: []string{"guests"}}}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema of lab files: %w", err)
	}
	return append(data, '\n'), nil
}

// objectSchema is a mapping with these keys and no others.
func objectSchema[T any](doc string, keys []key[T]) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type: "object", Description: doc, Properties: make(map[string]*jsonschema.Schema),
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	for _, k := range keys {
		property := *k.schema
		property.Description = k.doc
		s.Properties[k.name] = &property
		s.PropertyOrder = append(s.PropertyOrder, k.name)
		if k.required {
			s.Required = append(s.Required, k.name)
		}
	}
	return s
}

func listOf(element *jsonschema.Schema, limit int) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "array", Items: element, MaxItems: new(limit)}
}

// oneOrListOf is a list, or one element in its place.
func oneOrListOf(element *jsonschema.Schema, limit int) *jsonschema.Schema {
	return either(element, listOf(element, limit))
}

func either(options ...*jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: options}
}

func constant(v any) *jsonschema.Schema { return &jsonschema.Schema{Const: new(v)} }

// oneWord is one word and no other.
func oneWord(word string) *jsonschema.Schema { return constant(word) }

// words is a choice of words; the first argument is the default.
func words[E enum](usual E, valid ...E) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, v := range valid {
		s.Enum = append(s.Enum, v.String())
	}
	return defaulting(s, usual.String())
}

// defaulting notes the value that counts when the key is left out.
func defaulting(s *jsonschema.Schema, usual string) *jsonschema.Schema {
	s.Default = json.RawMessage(fmt.Sprintf("%q", usual))
	return s
}

// pattern is a text of a form, with at most limit characters (0: no limit).
func pattern(form *regexp.Regexp, limit int) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string", Pattern: form.String()}
	if limit > 0 {
		s.MaxLength = new(limit)
	}
	return s
}

func integer(least, most, usual int) *jsonschema.Schema {
	return &jsonschema.Schema{
		Type: "integer", Minimum: new(float64(least)), Maximum: new(float64(most)),
		Default: json.RawMessage(fmt.Sprint(usual)),
	}
}

// The forms of addresses, as regular expressions that ECMA 262 knows too.
const (
	byteForm = `(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
	ipv4Form = byteForm + `(\.` + byteForm + `){3}`
)

func ipv4() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: "^" + ipv4Form + "$"}
}

func ipv4Prefix() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: "^" + ipv4Form + "/([89]|[12][0-9]|30)$"}
}

func rangeSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: "^" + ipv4Form + "( ?- ?" + ipv4Form + ")?$"}
}

func macSchema() *jsonschema.Schema {
	// The second digit of the first byte is even: one station, not a group.
	return &jsonschema.Schema{Type: "string", Pattern: "^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"}
}

// offSchema is `off`, which YAML 1.1 readers give to the schema as false.
func offSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Enum: []any{"off", false}}
}

// reservationSchema asks for an address and either a guest, a MAC or a client
// identifier.
func reservationSchema() *jsonschema.Schema {
	s := objectSchema("An address that is kept for one client.", reservationKeys())
	s.OneOf = []*jsonschema.Schema{
		{Required: []string{"guest"}}, {Required: []string{"mac"}}, {Required: []string{"client-id"}},
	}
	return s
}

// optionsSchema lists the options that have a name, and lets numbers pass.
func optionsSchema() *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type: "object", Properties: make(map[string]*jsonschema.Schema),
		PatternProperties:    map[string]*jsonschema.Schema{"^[1-9][0-9]{0,2}$": {Types: []string{"string", "integer", "boolean", "array"}}},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	for _, k := range optionKinds() {
		s.Properties[k.name] = k.schema()
		s.PropertyOrder = append(s.PropertyOrder, k.name)
	}
	return s
}

// schema is the schema of one option's value.
func (k optionKind) schema() *jsonschema.Schema {
	var s *jsonschema.Schema
	switch k.form {
	case formAddress:
		s = ipv4()
	case formAddresses:
		s = oneOrListOf(ipv4(), maxOptionValues)
	case formUint8, formUint16, formUint32, formInt32:
		s = &jsonschema.Schema{Type: "integer"}
	case formBool:
		s = &jsonschema.Schema{Type: "boolean"}
	case formRoutes, formDomains:
		s = oneOrListOf(&jsonschema.Schema{Type: "string"}, maxOptionValues)
	case formText, formHex:
		s = &jsonschema.Schema{Types: []string{"string", "number", "boolean"}}
	default:
		s = &jsonschema.Schema{}
	}
	s.Description = fmt.Sprintf("Option %d: %s.", k.code, k.want())
	return s
}
