package lab_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
)

const fullGuest = `
version: 1
name: aula
bridges: [{name: br1, dhcp: off}]
guests:
  - name: srv
    image: debian
    disk: 8GiB
    files:
      - path: /etc/motd
        content: |
          hello
          there
      - {path: /root/go, content: "#!/bin/sh", mode: "0755"}
      - {path: /root/number, content: 42}
    nics: [{bridge: br1}]
`

func TestFilesAndDisk(t *testing.T) {
	spec, err := lab.Parse("lab.yaml", []byte(fullGuest))
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.Resolve(spec, lab.ResolveOptions{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	text, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if l, err = lab.Decode("lab.json", text); err != nil {
		t.Fatal(err)
	}
	want := []lab.File{
		{Path: "/etc/motd", Mode: 0o644, Content: "hello\nthere\n"},
		{Path: "/root/go", Mode: 0o755, Content: "#!/bin/sh"},
		{Path: "/root/number", Mode: 0o644, Content: "42"},
	}
	if diff := cmp.Diff(want, l.Guests[0].Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if l.Guests[0].Disk != 8*lab.GiB || l.Guests[0].Memory != 512*lab.MiB || l.Bridges[0].DHCP != nil {
		t.Errorf("%+v", l)
	}
}

func TestFilesAndDiskMistakes(t *testing.T) {
	for name, test := range map[string]struct {
		guest string
		code  diag.Code
	}{
		"a relative path":        {`image: debian, files: [{path: etc/motd, content: x}]`, diag.BadFilePath},
		"a path that climbs":     {`image: debian, files: [{path: /etc/../x, content: x}]`, diag.BadFilePath},
		"a colon in a path":      {`image: debian, files: [{path: "/a:b", content: x}]`, diag.BadFilePath},
		"no content":             {`image: debian, files: [{path: /a}]`, diag.MissingKey},
		"permissions in decimal": {`image: debian, files: [{path: /a, content: x, mode: "999"}]`, diag.BadFileMode},
		"one file twice":         {`image: debian, files: [{path: /a, content: x}, {path: /a, content: y}]`, diag.DuplicateName},
		"too much":               {`image: debian, files: [{path: /a, content: "` + strings.Repeat("x", 129<<10) + `"}]`, diag.TooLarge},
		"a small disk":           {`image: debian, disk: 1GiB`, diag.BadDisk},
		"a huge disk":            {`image: debian, disk: 2000GiB`, diag.BadDisk},
		"no size":                {`image: debian, disk: 10`, diag.BadSize},
		"a disk for micro":       {`disk: 8GiB`, diag.DiskUnused},
		"an unknown key":         {`image: debian, files: [{path: /a, content: x, owner: ana}]`, diag.UnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			text := "version: 1\nname: aula\nbridges: [{name: br1}]\nguests:\n  - {name: srv, nics: [{bridge: br1}], " + test.guest + "}\n"
			_, err := lab.Parse("lab.yaml", []byte(text))
			var list diag.List
			if !errors.As(err, &list) {
				t.Fatalf("no mistake found: %v", err)
			}
			for _, d := range list {
				if d.Code == test.code {
					return
				}
			}
			t.Errorf("no %s in:\n%v", test.code, err)
		})
	}
}
