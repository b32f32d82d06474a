package lab

import (
	"encoding/json"
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// Schema gives the JSON Schema (2020-12) of a lab file, for editors: it is made
// from the same tables that [Parse] reads by. What a schema cannot say (names
// that refer to each other, addresses in subnets) only Parse checks.
func Schema() ([]byte, error) {
	s := yamlfile.ObjectSchema("A lab of kvmlab: bridges, and virtual machines on them.", labKeys())
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

// reservationSchema asks for an address and either a guest, a MAC, a client
// identifier or a circuit.
func reservationSchema() *jsonschema.Schema {
	s := yamlfile.ObjectSchema("An address that is kept for one client.", reservationKeys())
	s.OneOf = []*jsonschema.Schema{
		{Required: []string{"guest"}}, {Required: []string{"mac"}}, {Required: []string{"client-id"}}, {Required: []string{"circuit-id"}},
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
		s = yamlfile.OneOrListOf(ipv4(), maxOptionValues)
	case formUint8, formUint16, formUint32, formInt32:
		s = &jsonschema.Schema{Type: "integer"}
	case formBool:
		s = &jsonschema.Schema{Type: "boolean"}
	case formRoutes, formDomains:
		s = yamlfile.OneOrListOf(&jsonschema.Schema{Type: "string"}, maxOptionValues)
	case formText, formHex:
		s = &jsonschema.Schema{Types: []string{"string", "number", "boolean"}}
	default:
		s = &jsonschema.Schema{}
	}
	s.Description = fmt.Sprintf("Option %d: %s.", k.code, k.want())
	return s
}
