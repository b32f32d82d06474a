package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// The limits of a file, far beyond any real one. They bound the time and
// memory that a hostile or mistaken file can take.
const (
	maxBytes = 256 << 10
	maxDepth = 20
	maxNodes = 20_000 // values, those behind aliases counted each time
)

// source is the text of a file, for excerpts.
type source struct {
	file  string
	lines []string
}

// pos is the place of width characters at line and column, both from 1.
func (s *source) pos(line, column, width int) diag.Pos {
	line, column = max(line, 1), max(column, 1)
	p := diag.Pos{File: s.file, Line: line, Column: column, Width: width}
	if line <= len(s.lines) {
		p.Text = s.lines[line-1]
	}
	return p
}

// posAt is the place of the byte at offset in text, from which lines were made.
func (s *source) posAt(text string, offset int) diag.Pos {
	before := text[:offset]
	line := strings.Count(before, "\n")
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return s.pos(line+1, column+1, 1)
}

// readSource checks that src is text that YAML can be made of and brings its
// line ends into one form. The byte order mark that Windows editors write in
// front of UTF-8 is dropped.
func readSource(file string, src []byte) (*source, string, *diag.Diagnostic) {
	s := &source{file: file}
	whole := diag.Pos{File: file}
	if len(src) > maxBytes {
		return s, "", diag.New(diag.TooLarge, diag.Args{
			"what": fmt.Sprintf("the file has %d bytes", len(src)), "limit": fmt.Sprintf("%d", maxBytes),
		}).At(whole)
	}
	if bytes.HasPrefix(src, []byte{0xff, 0xfe}) || bytes.HasPrefix(src, []byte{0xfe, 0xff}) {
		return s, "", diag.New(diag.NotUTF8, diag.Args{"what": "it begins like UTF-16"}).At(whole)
	}
	text := string(bytes.TrimPrefix(src, []byte("\xef\xbb\xbf")))
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	s.lines = strings.Split(strings.ToValidUTF8(text, "\uFFFD"), "\n")
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return s, "", diag.New(diag.NotUTF8, diag.Args{"what": fmt.Sprintf("the byte %02X", text[i])}).At(s.posAt(text, i))
			}
		}
		if forbidden(r) {
			return s, "", diag.New(diag.ControlChar, diag.Args{"char": fmt.Sprintf("%U", r)}).At(s.posAt(text, i))
		}
	}
	return s, text, nil
}

// forbidden tells the characters that YAML does not allow, and the Unicode line
// separators, which YAML 1.1 takes for line ends and no editor shows.
func forbidden(r rune) bool {
	switch {
	case r == '\t' || r == '\n':
		return false
	case r < 0x20 || r >= 0x7f && r <= 0x9f:
		return true
	case r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffe || r == 0xffff:
		return true
	}
	return false
}

// depthLimit stops the YAML reader at brackets within brackets, and remembers
// that it did.
type depthLimit struct{ exceeded bool }

var errDepth = errors.New("nested too deeply")

// CheckDepth implements yaml.LoaderLimitsPlugin.
func (l *depthLimit) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > maxDepth {
		l.exceeded = true
		return errDepth
	}
	return nil
}

// CheckAlias implements yaml.LoaderLimitsPlugin. Aliases are counted when they
// are followed, by the decoder.
func (*depthLimit) CheckAlias(int, int) error { return nil }

// readYAML makes the node tree of the one document in text.
func (s *source) readYAML(text string) (*yaml.Node, *diag.Diagnostic) {
	limit := &depthLimit{}
	loader, err := yaml.NewLoader(strings.NewReader(text), yaml.WithPlugin(limit))
	if err != nil {
		return nil, diag.New(diag.Internal, diag.Args{"message": "set up the YAML reader"}).Wrap(err)
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		return nil, diag.New(diag.EmptyFile, nil).At(diag.Pos{File: s.file})
	case err != nil:
		return nil, s.syntax(err, limit.exceeded)
	}
	switch err := loader.Load(&second); {
	case err == nil:
		return nil, diag.New(diag.ManyDocuments, nil).At(s.pos(second.Line, second.Column, 3))
	case !errors.Is(err, io.EOF):
		return nil, s.syntax(err, limit.exceeded)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, diag.New(diag.EmptyFile, nil).At(diag.Pos{File: s.file})
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, diag.New(diag.EmptyFile, nil).At(diag.Pos{File: s.file})
	}
	return root, nil
}

// syntax turns the YAML reader's error into a diagnostic at its place.
func (s *source) syntax(err error, tooDeep bool) *diag.Diagnostic {
	mark, message := yaml.Mark{}, err.Error()
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		mark, message = e.Mark, e.Message
		if e.ContextMsg != "" {
			message += " (" + e.ContextMsg + ")"
		}
	}
	pos := s.pos(mark.Line, mark.Column, 1)
	if tooDeep {
		return diag.New(diag.TooLarge, diag.Args{"what": "values are nested too deeply", "limit": maxDepth}).At(pos)
	}
	indent := pos.Text[:len(pos.Text)-len(strings.TrimLeft(pos.Text, " \t"))]
	if tab := strings.IndexByte(indent, '\t'); tab >= 0 {
		return diag.New(diag.TabIndent, nil).At(s.pos(mark.Line, tab+1, 1))
	}
	return diag.New(diag.Syntax, diag.Args{"message": message}).At(pos)
}

// Open reads the one document of a file and returns its root. file is its name for positions. When it cannot be read
// at all, the mistake is noted and Open reports false.
func (d *Decoder) Open(file string, src []byte) (*yaml.Node, bool) {
	s, text, problem := readSource(file, src)
	d.src = s
	var root *yaml.Node
	if problem == nil {
		root, problem = s.readYAML(text)
	}
	if problem != nil {
		d.Diags.Add(problem)
		return nil, false
	}
	return root, true
}
