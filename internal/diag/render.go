package diag

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/clipperhouse/displaywidth"
)

// RenderOptions say how [Render] writes.
type RenderOptions struct {
	// Color adds ANSI colours. Colour never carries a meaning of its own.
	Color bool
	// Width is the terminal's width in columns, at which texts are wrapped and
	// long source lines clipped; 0 leaves lines as long as they are.
	Width int
	// Language is what it is said in; nil is English.
	Language *Language
}

// Render writes err for people: each diagnostic in its tree with its code, its
// position, an excerpt of the source with carets, its cause and its hint.
//
//	error[KL056]: the range 192.168.1.9-192.168.1.2 ends before it begins
//	  --> lab.yaml:9:15
//	   |
//	 9 |       range: [192.168.1.9-192.168.1.2]
//	   |               ^^^^^^^^^^^^^^^^^^^^^^^
//	hint: write 192.168.1.2-192.168.1.9
//
// An error without diagnostics is one line, "error: …". Control characters in
// texts and excerpts are made visible, so that a file cannot move the cursor of
// whoever reads its mistakes. The only error returned is w's.
func Render(w io.Writer, err error, opts RenderOptions) error {
	if err == nil {
		return nil
	}
	items := flatten(err, "")
	p := &printer{opts: opts}
	for i, it := range items {
		if i > 0 {
			p.out.WriteByte('\n')
		}
		p.item(it)
	}
	p.total(items)
	_, werr := w.Write(p.out.Bytes())
	return werr
}

// item is one thing to show: a diagnostic, or an error that has none.
type item struct {
	diag  *Diagnostic
	plain error
	// context is what wrappers around the diagnostic said: `guest "pc1"`.
	context string
}

// flatten collects the diagnostics of err's tree without going into their causes.
func flatten(err error, context string) []item {
	//nolint:errorlint // This walks the chain itself, one error at a time.
	switch e := err.(type) {
	case *Diagnostic:
		return []item{{diag: e, context: context}}
	case interface{ Unwrap() []error }:
		if CodeOf(err) == "" {
			break
		}
		var items []item
		for _, inner := range e.Unwrap() {
			items = append(items, flatten(inner, context)...)
		}
		return items
	case interface{ Unwrap() error }:
		inner := e.Unwrap()
		if inner == nil || CodeOf(inner) == "" {
			break
		}
		if prefix, ok := strings.CutSuffix(err.Error(), ": "+inner.Error()); ok {
			context = strings.TrimPrefix(context+": "+prefix, ": ")
		}
		return flatten(inner, context)
	}
	return []item{{plain: err, context: context}}
}

type printer struct {
	opts RenderOptions
	out  bytes.Buffer
}

// The SGR codes: bold red, bold yellow, cyan, blue.
const (
	styleError   = "1;31"
	styleWarning = "1;33"
	styleHint    = "36"
	styleGutter  = "34"
)

func (p *printer) paint(style, text string) string {
	if !p.opts.Color || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (p *printer) item(it item) {
	if it.diag == nil {
		p.labelled(p.opts.Language.Phrase("error"), styleError, p.opts.Language.Phrase(it.plain.Error()))
		return
	}
	d, lang := it.diag, p.opts.Language
	summary, hint := lang.Say(d)
	style := styleError
	if d.Severity == Warning {
		style = styleWarning
	}
	p.labelled(fmt.Sprintf("%s[%s]", lang.Phrase(d.Severity.String()), d.Code), style, summary)
	if !d.Pos.IsZero() {
		fmt.Fprintf(&p.out, "  %s %s\n", p.paint(styleGutter, "-->"), visible(d.Pos.String()))
	}
	p.excerpt(d.Pos, style)
	if it.context != "" {
		p.labelled(lang.Phrase("while"), styleGutter, lang.Phrase(it.context))
	}
	p.cause(d)
	if hint != "" {
		p.labelled(lang.Phrase("hint"), styleHint, hint)
	}
}

// cause writes what lies under a diagnostic, unless its summary has said so
// already. Diagnostics there keep their code and their hint, which may be the
// one that helps.
func (p *printer) cause(d *Diagnostic) {
	if d.Cause == nil {
		return
	}
	lang := p.opts.Language
	for _, it := range flatten(d.Cause, "") {
		if it.diag == nil {
			if strings.HasSuffix(d.Summary, it.plain.Error()) {
				continue
			}
			p.labelled(lang.Phrase("cause"), styleGutter, lang.Phrase(it.plain.Error()))
			continue
		}
		summary, hint := lang.Say(it.diag)
		p.labelled(fmt.Sprintf("%s[%s]", lang.Phrase("cause"), it.diag.Code), styleGutter, summary)
		p.cause(it.diag)
		if hint != "" {
			p.labelled(lang.Phrase("hint"), styleHint, hint)
		}
	}
}

// labelled writes "label: text", wrapped and indented under the label. Line
// breaks in the text stay: QEMU and joined errors say several things.
func (p *printer) labelled(label, style, text string) {
	used := displaywidth.String(label) + 2
	indent := min(used, 6)
	var lines []string
	for part := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		lines = append(lines, wrap(visible(part), p.opts.Width, used, indent)...)
		used = indent
	}
	p.out.WriteString(p.paint(style, label+":") + " " + lines[0] + "\n")
	for _, line := range lines[1:] {
		p.out.WriteString(strings.Repeat(" ", indent) + line + "\n")
	}
}

// total closes a list of several with their number.
func (p *printer) total(items []item) {
	if len(items) < 2 {
		return
	}
	failed, warned := 0, 0
	for _, it := range items {
		if it.diag != nil && it.diag.Severity == Warning {
			warned++
		} else {
			failed++
		}
	}
	var parts []string
	for _, n := range []struct {
		count     int
		one, more string
	}{{failed, "error", "errors"}, {warned, "warning", "warnings"}} {
		switch {
		case n.count == 1:
			parts = append(parts, "1 "+p.opts.Language.Phrase(n.one))
		case n.count > 1:
			parts = append(parts, strconv.Itoa(n.count)+" "+p.opts.Language.Phrase(n.more))
		}
	}
	p.out.WriteString("\n" + strings.Join(parts, ", ") + "\n")
}

// visible replaces control and other unprintable characters; a tab or line
// break becomes a space.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case !unicode.IsPrint(r):
			return '\uFFFD'
		}
		return r
	}, text)
}

// wrap breaks text at spaces so that the first line fits behind used columns
// and the others behind indent ones. A word that is too long stays whole: it
// may be a command to copy.
func wrap(text string, width, used, indent int) []string {
	if width <= 0 {
		return []string{text}
	}
	var lines []string
	line, room := "", max(width-used, 20)
	for word := range strings.SplitSeq(text, " ") {
		switch {
		case line == "":
			line = word
		case displaywidth.String(line)+1+displaywidth.String(word) <= room:
			line += " " + word
		default:
			lines = append(lines, line)
			line, room = word, max(width-indent, 20)
		}
	}
	return append(lines, line)
}
