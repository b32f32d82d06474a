package cliui_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/cliui"
)

func TestMarkdown(t *testing.T) {
	const text = `# A title

Prose that is **longer** than one line, and so is wrapped at ` + "`thirty`" + ` cells.

1. The first item, which is longer than a line.

       code   in it

   A second paragraph of the item, as long as that.

2. The second.
- a dash

` + "```" + `
fenced   code, which is longer than thirty cells
` + "```" + `
`
	const want = `A title

Prose that is longer than one
line, and so is wrapped at
thirty cells.

1. The first item, which is
   longer than a line.

       code   in it

   A second paragraph of the
   item, as long as that.

2. The second.
- a dash

    fenced   code, which is longer than thirty cells
`
	if diff := cmp.Diff(want, cliui.Markdown(text, 30, cliui.Style{})); diff != "" {
		t.Error(diff)
	}
}
