package lab_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// TestSchemaFile keeps docs/lab.schema.json what the types say.
func TestSchemaFile(t *testing.T) {
	data, err := lab.Schema()
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "../../docs/lab.schema.json", data)
}

func readSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := lab.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// TestSchemaAgreesWithTheParser gives both the same files: an editor must not underline what kvmlab takes.
func TestSchemaAgreesWithTheParser(t *testing.T) {
	schema, err := readSchema(t).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"testdata/good/*.yaml", "../../scenarios/*/lab.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files like %s: %v", pattern, err)
		}
		for _, file := range files {
			if err := schema.Validate(readYAML(t, file)); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	for _, file := range []string{"shapes.yaml", "names.yaml", "guests.yaml"} {
		if schema.Validate(readYAML(t, "testdata/mistakes/"+file)) == nil {
			t.Errorf("%s: the schema finds no mistake", file)
		}
	}
}

// readYAML reads a file as an editor does: as plain data.
func readYAML(t *testing.T, file string) any {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	src = []byte(strings.Replace(string(src), "\n    name: br2 ", "\n    # ", 1)) // a key twice is no data at all
	var value any
	if err := yaml.Unmarshal(src, &value); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(textKeys(value)) // numbers and texts as JSON has them
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// textKeys turns the keys of mappings, which YAML may read as numbers, into text.
func textKeys(value any) any {
	switch v := value.(type) {
	case map[any]any:
		out := map[string]any{}
		for key, element := range v {
			out[fmt.Sprint(key)] = textKeys(element)
		}
		return out
	case map[string]any:
		for key, element := range v {
			v[key] = textKeys(element)
		}
	case []any:
		for i, element := range v {
			v[i] = textKeys(element)
		}
	}
	return value
}

// schemaNode is a JSON Schema with the keys of an object in their order.
type schemaNode struct {
	Description string
	Default     json.RawMessage
	Required    []string
	Properties  orderedProperties
	Items       *schemaNode
	AnyOf       []*schemaNode
}

type orderedProperties struct {
	names  []string
	byName map[string]*schemaNode
}

// UnmarshalJSON keeps the order, which encoding/json's maps lose.
func (p *orderedProperties) UnmarshalJSON(data []byte) error {
	p.byName = map[string]*schemaNode{}
	in := json.NewDecoder(bytes.NewReader(data))
	if _, err := in.Token(); err != nil { // the opening brace
		return err
	}
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return err
		}
		node := new(schemaNode)
		if err := in.Decode(node); err != nil {
			return err
		}
		p.names = append(p.names, name.(string))
		p.byName[name.(string)] = node
	}
	return nil
}

// TestReference keeps the tables of docs/lab-file.md what the schema says.
func TestReference(t *testing.T) {
	data, err := lab.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema schemaNode
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	bridge, guest := schema.Properties.byName["bridges"].Items, schema.Properties.byName["guests"].Items
	dhcpKeys := bridge.Properties.byName["dhcp"].AnyOf[1]
	const file = "../../docs/lab-file.md"
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(src)
	place := func(begin, what string) {
		const end = "<!-- end -->"
		before, rest, ok := strings.Cut(text, begin)
		_, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Errorf("%s has no place %s", file, begin)
			return
		}
		text = before + begin + what + end + after
	}
	options := dhcpKeys.Properties.byName["options"].Properties.names
	place("<!-- names of options -->\n", "`"+strings.Join(options, "`, `")+"`\n")
	for mark, s := range map[string]*schemaNode{
		"lab": &schema, "bridge": bridge, "dhcp": dhcpKeys,
		"reservation": dhcpKeys.Properties.byName["reservations"].Items,
		"guest":       guest, "nic": guest.Properties.byName["nics"].Items,
	} {
		place("<!-- keys of "+mark+" -->\n", keyTable(s))
	}
	compareGolden(t, file, []byte(text))
}

func keyTable(s *schemaNode) string {
	var b strings.Builder
	b.WriteString("| key | what it is | default |\n|---|---|---|\n")
	for _, name := range s.Properties.names {
		p := s.Properties.byName[name]
		fallback := ""
		if len(p.Default) > 0 {
			fallback = "`" + strings.Trim(string(p.Default), `"`) + "`"
		}
		if slices.Contains(s.Required, name) {
			fallback = "required"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, strings.ReplaceAll(p.Description, "<", "&lt;"), fallback)
	}
	return b.String()
}

// TestOptionsAgreeWithTheServer: what the lab file takes as a DHCP option, the server must be able to encode, under the
// same number.
func TestOptionsAgreeWithTheServer(t *testing.T) {
	sample := []string{"192.168.1.1", "1", "true", "text.lan", "10.0.0.0/8 192.168.1.1", "c0ffee"}
	options := readSchema(t).Properties["bridges"].Items.Properties["dhcp"].AnyOf[1].Properties["options"]
	if len(options.Properties) < 20 {
		t.Fatalf("the schema knows %d options", len(options.Properties))
	}
	for name := range options.Properties {
		t.Run(name, func(t *testing.T) {
			accepted := 0
			for _, value := range sample {
				file := fmt.Sprintf("version: 1\nname: a\nbridges:\n  - name: b\n    address: 192.168.1.1/24\n"+
					"    dhcp: {range: 192.168.1.2, options: {%s: %q}}\n", name, value)
				spec, err := lab.Parse("x.yaml", []byte(file))
				if err != nil {
					continue
				}
				accepted++
				option := spec.Bridges[0].DHCP.Options[0].Option
				encoded, err := dhcp.ParseOption(name, option.Value)
				if err != nil || encoded.Code != option.Code {
					t.Errorf("the server has %+v, %v for %+v", encoded, err, option)
				}
				if again, err := dhcp.ParseOption(strconv.Itoa(int(option.Code)), option.Value); err == nil && again.Code != option.Code {
					t.Errorf("by number it is %d", again.Code)
				}
			}
			if accepted == 0 {
				t.Errorf("no value of %v is taken", sample)
			}
		})
	}
}

// TestServerExample reads the file that docs/dhcp-serve.md shows.
func TestServerExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/dhcp-serve.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the page shows no file")
	}
	s, err := lab.ParseServer("example.yaml", []byte(example), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Interfaces) != 2 || len(s.Subnets) != 2 || !s.Subnets[1].Relayed || s.Subnets[1].DHCP.DNS == nil ||
		len(s.Subnets[0].DHCP.Reservations) != 2 || !s.Subnets[0].DHCP.Policy.Authoritative {
		t.Errorf("server %+v", s)
	}
	if s, err = lab.ParseServer("example.yaml", []byte(example), []string{"br1"}); err != nil || s.Interfaces[0] != "br1" {
		t.Errorf("with --interface br1: %+v, %v", s, err)
	}
}

// TestFaultsAgreeWithTheServer: both take and refuse the same faults.
func TestFaultsAgreeWithTheServer(t *testing.T) {
	for _, text := range []string{
		"drop=OFFER", "drop=OFFER#2", "delay=ACK:3s", "delay=ACK#1:1h", "delay=NAK:10ms", "duplicate=REQUEST", "nak", "nak#3",
		"router=192.168.1.254", "mask=255.255.0.0", "dns=192.168.1.9", "pool-full", "lease=5s", "silent",
		"", "drop", "drop=OFER", "delay=ACK", "delay=ACK:2h", "delay=ACK:0s", "duplicate=", "nak#0", "router", "router=::1", "lease=0s",
		"lease", "pool-full=1", "silent#1", "slow",
	} {
		f, err := lab.ParseFault(text)
		served, serverErr := dhcp.ParseFault(text)
		if (err == nil) != (serverErr == nil) {
			t.Errorf("%q: here %v, at the server %v", text, err, serverErr)
		}
		if err == nil && string(f) != text {
			t.Errorf("%q is kept as %q", text, f)
		}
		if serverErr == nil && served.Interface != "" {
			t.Errorf("%q is for %q", text, served.Interface)
		}
	}
}

// TestRangeCount counts over the edge of an octet.
func TestRangeCount(t *testing.T) {
	r := lab.Range{First: netip.MustParseAddr("10.0.0.250"), Last: netip.MustParseAddr("10.0.1.5")}
	if r.Count() != 12 || !r.Contains(netip.MustParseAddr("10.0.1.0")) || r.Contains(netip.MustParseAddr("10.0.1.6")) {
		t.Errorf("%s has %d addresses", r, r.Count())
	}
}
