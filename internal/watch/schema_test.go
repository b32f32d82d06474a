package watch_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// schemaFile documents the lines of `kvmlab watch -o json`.
var schemaFile = filepath.Join("..", "..", "docs", "watch.schema.json")

// recordSchema makes the schema of the types themselves.
func recordSchema(tb testing.TB) *jsonschema.Schema {
	tb.Helper()
	text := func(pattern, description string) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: pattern, Description: description}
	}
	option := &jsonschema.Schema{Ref: "#/$defs/option"}
	types := map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[capture.HardwareAddr](): text(`^([0-9a-f]{2}(:[0-9a-f]{2})*)?$`, "a hardware address"),
		reflect.TypeFor[capture.LinkType]():     text(`^[a-z0-9-]+$`, "what the frame begins with, when it is not Ethernet"),
		reflect.TypeFor[capture.EtherType]():    text(`^0x[0-9a-f]{4}$`, "an Ethernet type"),
		reflect.TypeFor[capture.XID]():          text(`^0x[0-9a-f]{8}$`, "a transaction identifier"),
		reflect.TypeFor[capture.Hex]():          text(`^([0-9a-f]{2})*$`, "octets in hexadecimal"),
		reflect.TypeFor[capture.MessageType]():  text(`^[A-Z]+$|^[0-9]+$`, "a DHCP message type by its name, or by its number when it has none"),
		reflect.TypeFor[netip.Addr]():           text(`^[0-9.]+$`, "an IPv4 address"),
		reflect.TypeFor[map[int]*capture.Option](): {
			Type: "object", Description: "options by their code", AdditionalProperties: option,
			PropertyNames: &jsonschema.Schema{Pattern: "^[0-9]+$"},
		},
	}
	schema, err := jsonschema.For[watch.Record](&jsonschema.ForOptions{TypeSchemas: types})
	if err != nil {
		tb.Fatal(err)
	}
	inner, err := jsonschema.For[capture.Option](&jsonschema.ForOptions{TypeSchemas: types})
	if err != nil {
		tb.Fatal(err)
	}
	inner.Properties["value"] = &jsonschema.Schema{Description: "typed by the option's code; null when the octets do not fit that type"}
	schema.Defs = map[string]*jsonschema.Schema{"option": inner}
	schema.Schema = "https://json-schema.org/draft/2020-12/schema"
	schema.Title = "A packet in kvmlab watch -o json"
	schema.Description = "One object in one line for each packet. Keys may be added within a version; none is renamed or removed. " +
		"A layer or field that was not on the wire is absent."
	return schema
}

// TestSchemaFile: docs/watch.schema.json is what the types say.
func TestSchemaFile(t *testing.T) {
	t.Parallel()
	got, err := json.MarshalIndent(recordSchema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("docs/watch.schema.json is not what the types say (go test ./internal/watch -update writes it):\n%s", d)
	}
}

// TestRecordsFollowSchema: real packets are valid by the schema, and a record that lacks a key is not.
func TestRecordsFollowSchema(t *testing.T) {
	t.Parallel()
	resolved, err := recordSchema(t).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := records(t)
	for _, r := range all {
		var line bytes.Buffer
		if err := r.WriteJSON(&line); err != nil {
			t.Fatal(err)
		}
		var value map[string]any
		if err := json.Unmarshal(line.Bytes(), &value); err != nil {
			t.Fatal(err)
		}
		if err := resolved.Validate(value); err != nil {
			t.Errorf("packet %d: %v\n%s", r.Number, err, line.String())
		}
		delete(value, "n")
		if resolved.Validate(value) == nil {
			t.Errorf("packet %d is valid without its number", r.Number)
		}
	}
}
