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

// TestWrapKeepsCommandsWhole does not divide at a hyphen.
func TestWrapKeepsCommandsWhole(t *testing.T) {
	if diff := cmp.Diff("on the console:\n  dhcp-release eth0", cliui.Wrap("on the console: dhcp-release eth0", 24, "  ")); diff != "" {
		t.Error(diff)
	}
}

func TestMarkdownTable(t *testing.T) {
	const text = `| message | goes **to** |
|---|:--|
| DISCOVER | everybody on the link, for nobody is known yet |
| a \| b |

| no table
`
	const want = `message    goes to
DISCOVER   everybody on the
           link, for nobody is
           known yet
a | b

| no table
`
	if diff := cmp.Diff(want, cliui.Markdown(text, 30, cliui.Style{})); diff != "" {
		t.Error(diff)
	}
	const wide = "| mensaje | ñandú |\n|-|-|\n| más | é |\n"
	if diff := cmp.Diff("mensaje   ñandú\nmás       é\n", cliui.Markdown(wide, 80, cliui.Style{})); diff != "" {
		t.Error(diff)
	}
}
