package check_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
)

const testLab = `
version: 1
name: test
bridges: [{name: br1, address: 192.168.1.1/24, dhcp: {range: 192.168.1.2-192.168.1.10}}]
guests:
  - {name: pc1, nics: [{bridge: br1}]}
  - {name: srv, nics: [{bridge: br1}, {bridge: br1}]}
`

func parseLab(t *testing.T) *lab.Spec {
	t.Helper()
	spec, err := lab.Parse("lab.yaml", []byte(testLab))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// TestMistakes gives files with mistakes, and compares all that is said of them.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = check.Parse("checks.yaml", src, parseLab(t))
			if err == nil {
				t.Fatal("no mistake was found")
			}
			var out bytes.Buffer
			if err := diag.Render(&out, err, diag.RenderOptions{Width: 100}); err != nil {
				t.Fatal(err)
			}
			compareGolden(t, strings.TrimSuffix(file, ".yaml")+".golden", out.Bytes())
		})
	}
}

// TestSchemaFile keeps docs/checks.schema.json what the types say.
func TestSchemaFile(t *testing.T) {
	data, err := check.Schema()
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "../../docs/checks.schema.json", data)
}

// TestSchemaAgreesWithTheParser gives the schema the files that the parser takes.
func TestSchemaAgreesWithTheParser(t *testing.T) {
	data, err := check.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	schema, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../scenarios/*/checks.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var plain any
		if err := yaml.Unmarshal(src, &plain); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(plain); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestKindsAreDocumented keeps the guide for teachers complete.
func TestKindsAreDocumented(t *testing.T) {
	guide, err := os.ReadFile("../../docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range check.Kinds() {
		if !bytes.Contains(guide, []byte("\n### "+kind+"\n")) {
			t.Errorf("docs/scenarios.md does not describe the kind %q", kind)
		}
	}
}

func compareGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s, to be written anew with UPDATE_GOLDEN=1 (-want +got):\n%s", file, diff)
	}
}
