package lab_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/macgen"
)

func parse(t *testing.T, src string) *lab.Spec {
	t.Helper()
	spec, err := lab.Parse("x.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// resolveAndReread resolves a lab, writes it as lab.json and reads that again: nothing may be lost on the way.
func resolveAndReread(t *testing.T, spec *lab.Spec) *lab.Lab {
	t.Helper()
	resolved, err := lab.Resolve(spec, lab.ResolveOptions{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	data, err := resolved.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := lab.Decode("lab.json", data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	checkSame(t, data, again)
	return resolved
}

// checkSame compares a lab with the lab.json of another.
func checkSame(t *testing.T, want []byte, got *lab.Lab) {
	t.Helper()
	data, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(data)); d != "" {
		t.Errorf("the lab has changed (-want +got):\n%s", d)
	}
}

// TestGoodFiles resolves each file in testdata/good and compares lab.json with the golden file beside it. The MAC
// addresses that are drawn come from a fixed stream of bytes.
func TestGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			spec, err := lab.Parse(file, src)
			if err != nil {
				t.Fatal(err)
			}
			resolveAndReread(t, spec)
			random := bytes.NewReader([]byte("a stream of bytes that is long enough for every card here"))
			l, err := lab.Resolve(spec, lab.ResolveOptions{Random: random})
			if err != nil {
				t.Fatal(err)
			}
			data, err := l.Encode()
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, file[:len(file)-len(".yaml")]+".json", data)
		})
	}
}

// compareGolden compares with a file that is made anew when UPDATE_GOLDEN is set.
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
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s differs; if that is meant, run the test with UPDATE_GOLDEN=1 (-want +got):\n%s", file, d)
	}
}

const twoGuests = `
version: 1
name: pair
bridges: [{name: br1}]
guests:
  - {name: pc1, nics: [{bridge: br1}]}
  - {name: pc2, nics: [{bridge: br1, mac: "02:00:00:00:00:02"}]}
`

func TestMACsAreKept(t *testing.T) {
	spec := parse(t, twoGuests)
	first, err := lab.Resolve(spec, lab.ResolveOptions{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	// The host reports the lab's own addresses as taken; they are this lab's all the same.
	taken := func(mac macgen.MAC) bool {
		return mac == first.Guests[0].NICs[0].MAC || mac == first.Guests[1].NICs[0].MAC
	}
	again, err := lab.Resolve(spec, lab.ResolveOptions{Random: rand.Reader, Previous: first, Taken: taken})
	if err != nil {
		t.Fatal(err)
	}
	data, err := first.Encode()
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, data, again)
}

func TestNewMACsAvoidTheHostAndTheLab(t *testing.T) {
	// The stream draws first an address of the host, then the one that pc2 has, then a free one.
	random := bytes.NewReader([]byte{1, 1, 1, 1, 1, 0, 0, 0, 0, 2, 9, 9, 9, 9, 9})
	l, err := lab.Resolve(parse(t, twoGuests), lab.ResolveOptions{
		Random: random, Taken: func(mac macgen.MAC) bool { return mac == macgen.MAC{2, 1, 1, 1, 1, 1} },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.Guests[0].NICs[0].MAC, (macgen.MAC{2, 9, 9, 9, 9, 9}); got != want {
		t.Errorf("pc1 has %s, want %s", got, want)
	}
}

func TestFixedMACIsTaken(t *testing.T) {
	_, err := lab.Resolve(parse(t, twoGuests), lab.ResolveOptions{
		Random: rand.Reader, Taken: func(mac macgen.MAC) bool { return mac == macgen.MAC{2, 0, 0, 0, 0, 2} },
	})
	if diag.CodeOf(err) != diag.MACTaken {
		t.Errorf("got %v", err)
	}
}

func TestRandomnessEnds(t *testing.T) {
	_, err := lab.Resolve(parse(t, twoGuests), lab.ResolveOptions{Random: bytes.NewReader(nil)})
	if diag.CodeOf(err) != diag.NoFreeMAC {
		t.Errorf("got %v", err)
	}
}

func TestResolveUnderAnotherName(t *testing.T) {
	l, err := lab.Resolve(parse(t, twoGuests), lab.ResolveOptions{Random: rand.Reader, Name: "ana", Isolation: lab.Netns})
	if err != nil {
		t.Fatal(err)
	}
	if l.Name != "ana" || l.Isolation != lab.Netns || l.DomainName("pc1") != "ana-pc1" {
		t.Errorf("got %s, %s, %s", l.Name, l.Isolation, l.DomainName("pc1"))
	}
	if l.Guests[0].UUID != lab.GuestUUID("ana", "pc1") || l.Guests[0].UUID.Version() != 5 {
		t.Errorf("UUID %s", l.Guests[0].UUID)
	}
	_, err = lab.Resolve(parse(t, twoGuests), lab.ResolveOptions{Random: rand.Reader, Name: "Aña"})
	if diag.CodeOf(err) != diag.BadLabName {
		t.Errorf("a name that is none: %v", err)
	}
}

func TestDecodeDamaged(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       diag.Code
	}{
		{"newer", `{"version": 2, "name": "a", "future": true}`, diag.StateNewer},
		{"torn", `{"version": 1, "name": "a", "bri`, diag.StateUnreadable},
		{"empty", ``, diag.StateUnreadable},
		{"unknown key", `{"version": 1, "name": "a", "colour": 1}`, diag.StateUnreadable},
		{"no name", `{"version": 1}`, diag.StateUnreadable},
		{"no version", `{"name": "a"}`, diag.StateUnreadable},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := lab.Decode("lab.json", []byte(test.data))
			if d := new(diag.Diagnostic); !errors.As(err, &d) || d.Code != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestDomainNamesDiffer makes names of everything that labs and guests can be called with a few letters and dashes.
func TestDomainNamesDiffer(t *testing.T) {
	words := []string{"a", "b", "a-b", "b-a", "a--b", "a-a-b", "a-b-a"}
	whose := map[string]string{}
	for _, name := range words {
		for _, guest := range words {
			domain, who := (&lab.Lab{Name: name}).DomainName(guest), name+"/"+guest
			if other, taken := whose[domain]; taken {
				t.Errorf("%s and %s are both %s", other, who, domain)
			}
			whose[domain] = who
		}
	}
}
