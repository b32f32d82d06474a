package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sampleChangelog = `# Changes

Newest first.

## 0.2.0 (2027-02-03)

- One thing.
- Another thing, which is so long that it goes on and on in the file, over
  more than one line, and in the package as well.

## 0.1.0~rc1 (2026-12-01)

- First.
`

func TestDebianChangelog(t *testing.T) {
	list, err := parseChangelog(sampleChangelog)
	if err != nil {
		t.Fatal(err)
	}
	want := `kvmlab (0.2.0) stable; urgency=medium

  * One thing.
  * Another thing, which is so long that it goes on and on in the file, over
    more than one line, and in the package as well.

 -- ` + maintainer + `  Wed, 03 Feb 2027 00:00:00 +0000

kvmlab (0.1.0~rc1) stable; urgency=medium

  * First.

 -- ` + maintainer + `  Tue, 01 Dec 2026 00:00:00 +0000
`
	if diff := cmp.Diff(want, debianChangelog(list)); diff != "" {
		t.Errorf("changelog (-want +got):\n%s", diff)
	}
}

func TestChangelogMistakes(t *testing.T) {
	for name, text := range map[string]string{
		"no release":     "# Changes\n",
		"no day":         "## 1.0.0\n\n- One.\n",
		"not a day":      "## 1.0.0 (2026-02-30)\n\n- One.\n",
		"not a version":  "## 1.0-2 (2026-02-03)\n\n- One.\n",
		"no change":      "## 1.0.0 (2026-02-03)\n\n## 0.9.0 (2026-02-02)\n\n- One.\n",
		"text, no point": "## 1.0.0 (2026-02-03)\n\nOne.\n",
	} {
		t.Run(name, func(t *testing.T) {
			if list, err := parseChangelog(text); err == nil {
				t.Errorf("%q was read as %v", text, list)
			}
		})
	}
}

// TestOwnChangelog reads the project's own.
func TestOwnChangelog(t *testing.T) {
	list, err := readChangelog(checkout)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		for _, change := range r.changes {
			if !strings.HasSuffix(change, ".") {
				t.Errorf("%s: not a sentence: %q", r.version, change)
			}
		}
	}
}
