package conffile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// NodeKind is what a node of a JSON document is.
type NodeKind uint8

// The kinds of nodes. The zero value is invalid.
const (
	_ NodeKind = iota
	// Object has Members.
	Object
	// Array has Elements.
	Array
	// String has its value in Text.
	String
	// Plain is a number, true, false, null, or a word that is none of JSON's.
	Plain
)

// Node is a value of a JSON document.
type Node struct {
	Kind NodeKind
	// Text is a scalar's text, or the source of an object or array.
	Text     string
	Pos      diag.Pos
	Members  []Member
	Elements []*Node
}

// Member is a key of an object with its value.
type Member struct {
	Key   Value
	Value *Node
}

// Get returns the value of a key, the last one as Kea does, or nil.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for _, m := range slices.Backward(n.Members) {
		if m.Key.Text == key {
			return m.Value
		}
	}
	return nil
}

// KeaFile is a configuration file of Kea: JSON with comments as in C, C++ and the shell.
type KeaFile struct {
	// Root is nil when the file holds nothing.
	Root     *Node
	Problems []Problem
}

// ParseKea reads a configuration of Kea. Kea's <?include "file"?> is not followed and reads as nothing.
func ParseKea(name, text string) *KeaFile {
	p := &keaParser{src: newSource(name, text), file: &KeaFile{}}
	p.account = newAccount(&p.file.Problems)
	p.next()
	if p.tok.kind != 0 {
		p.file.Root = p.value(0)
		if p.tok.kind != 0 {
			p.problem(BadSyntax, p.tok)
		}
	}
	return p.file
}

// Lookup implements [Document].
func (f *KeaFile) Lookup(path string) ([]Value, error) {
	nodes := []*Node{}
	if f.Root != nil {
		nodes = append(nodes, f.Root)
	}
	for part := range strings.SplitSeq(path, ".") {
		key, index, indexed := strings.Cut(part, "[")
		if key == "" || indexed && !strings.HasSuffix(index, "]") {
			return nil, fmt.Errorf("path %q of Kea's configuration: %q is not KEY or KEY[INDEX]", path, part)
		}
		var next []*Node
		for _, n := range nodes {
			if child := n.Get(key); child != nil {
				next = append(next, child)
			}
		}
		if indexed {
			var err error
			if next, err = elements(next, strings.TrimSuffix(index, "]")); err != nil {
				return nil, fmt.Errorf("path %q of Kea's configuration: %w", path, err)
			}
		}
		nodes = next
	}
	values := make([]Value, 0, len(nodes))
	for _, n := range nodes {
		values = append(values, Value{n.Text, n.Pos})
	}
	return values, nil
}

// elements picks the element with an index of each array, or all for "*".
func elements(arrays []*Node, index string) ([]*Node, error) {
	var picked []*Node
	if index == "*" {
		for _, a := range arrays {
			picked = append(picked, a.Elements...)
		}
		return picked, nil
	}
	n, err := strconv.Atoi(index)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("%q is no index: give a number from 0, or *", index)
	}
	for _, a := range arrays {
		if n < len(a.Elements) {
			picked = append(picked, a.Elements[n])
		}
	}
	return picked, nil
}

// keaToken is one token; kind is a sign of JSON, '"' for a string, 'a' for another word, 0 for the end.
type keaToken struct {
	kind     byte
	text     string
	from, to int
}

type keaParser struct {
	src     *source
	file    *KeaFile
	account *account
	at      int
	tok     keaToken
	last    int // where the token before ended
}

func (p *keaParser) problem(kind Kind, t keaToken) {
	if p.account.budget.Spent() {
		return
	}
	p.account.problem(Problem{kind, p.src.pos(t.from, t.to), t.text})
}

// value reads a value. What cannot be one is a problem and reads as an empty word.
func (p *keaParser) value(depth int) *Node {
	t := p.tok
	n := &Node{Kind: Plain, Text: t.text, Pos: p.src.pos(t.from, t.to)}
	if depth > maxDepth {
		p.account.tooMuch(Value{t.text, n.Pos})
	}
	switch {
	case !p.account.pays(statementCost, Value{t.text, n.Pos}):
		p.at = len(p.src.text)
		p.next()
		return n
	case t.kind == '{' || t.kind == '[':
		n.Kind = Array
		if t.kind == '{' {
			n.Kind = Object
		}
		p.next()
		p.list(n, t, depth)
		n.Text = p.src.text[t.from:p.last]
		return n
	case t.kind == '"':
		n.Kind = String
	case t.kind == 'a' && !isPlainJSON(t.text), t.kind != 'a':
		p.problem(BadSyntax, t)
		if t.kind != 'a' {
			return n // not ours to take
		}
	}
	p.next()
	return n
}

func isPlainJSON(word string) bool {
	switch strings.ToLower(word) {
	case "true", "false", "null":
		return true
	}
	_, err := strconv.ParseFloat(word, 64)
	return err == nil
}

// list reads the inside of an object or array up to its end. It goes on after a missing or doubled comma.
func (p *keaParser) list(n *Node, open keaToken, depth int) {
	end := byte(']')
	if n.Kind == Object {
		end = '}'
	}
	comma := keaToken{}
	for first := true; ; first = false {
		switch {
		case p.tok.kind == end:
			if comma.kind != 0 {
				p.problem(TrailingComma, comma)
			}
			p.next()
			return
		case p.tok.kind == 0 || p.tok.kind == ']' || p.tok.kind == '}':
			// The other bracket belongs to a list outside, whose inside this one was not closed.
			p.problem(MissingClosing, keaToken{text: string(end), from: open.from, to: open.to})
			return
		case !first && comma.kind == 0:
			p.problem(MissingComma, keaToken{text: ",", from: p.last, to: p.last})
		}
		before := p.at
		p.element(n, depth)
		comma = keaToken{}
		for ; p.tok.kind == ','; p.next() {
			if comma.kind != 0 { // a second one, which Kea takes as it takes one at the end
				p.problem(TrailingComma, p.tok)
			}
			comma = p.tok
		}
		if p.at == before && p.tok.kind != end { // nothing was taken
			p.next()
		}
	}
}

// element reads one element, or one key with its value.
func (p *keaParser) element(n *Node, depth int) {
	if n.Kind == Array {
		if p.tok.kind == ',' || p.tok.kind == ':' {
			p.problem(BadSyntax, p.tok)
			return
		}
		n.Elements = append(n.Elements, p.value(depth+1))
		return
	}
	key := p.tok
	if key.kind != '"' {
		p.problem(BadSyntax, key)
		if key.kind != 'a' {
			return
		}
	}
	p.next()
	switch p.tok.kind {
	case ':':
		p.next()
	case '{', '[', '"', 'a': // the value, and the colon was forgotten
		p.problem(BadSyntax, p.tok)
	default:
		p.problem(BadSyntax, p.tok)
		return
	}
	n.Members = append(n.Members, Member{Value{key.text, p.src.pos(key.from, key.to)}, p.value(depth + 1)})
}

// next reads a token, over white space, comments and includes.
func (p *keaParser) next() {
	text := p.src.text
	p.last = p.tok.to
	p.skip()
	p.tok = keaToken{from: p.at, to: p.at}
	if p.at >= len(text) {
		return
	}
	c := text[p.at]
	p.tok.kind = 'a'
	switch {
	case strings.IndexByte("{}[],:", c) >= 0:
		p.tok.kind = c
		p.at++
	case c == '"':
		p.quoted()
		return
	default:
		p.plain()
	}
	p.tok.to, p.tok.text = p.at, text[p.tok.from:p.at]
}

func (p *keaParser) plain() {
	text := p.src.text
	for p.at < len(text) && strings.IndexByte(" \t\r\n{}[],:\"", text[p.at]) < 0 {
		r, size := utf8.DecodeRuneInString(text[p.at:])
		if r >= utf8.RuneSelf {
			p.problem(ForeignCharacter, keaToken{text: text[p.at : p.at+size], from: p.at, to: p.at + size})
		}
		p.at += size
	}
}

// quoted reads a string, which ends with its line at the latest.
func (p *keaParser) quoted() {
	text := p.src.text
	p.tok.kind = '"'
	for p.at++; p.at < len(text) && text[p.at] != '"' && text[p.at] != '\n'; p.at++ {
		if text[p.at] == '\\' {
			p.at++
		}
	}
	p.at = min(p.at, len(text))
	raw := text[p.tok.from:p.at]
	p.tok.text = raw[1:]
	closed := p.at < len(text) && text[p.at] == '"'
	if closed {
		p.at++
		if value, err := strconv.Unquote(raw + `"`); err == nil {
			p.tok.text = value
		}
	}
	p.tok.to = p.at
	if !closed {
		p.problem(UnclosedString, p.tok)
	}
}

// skip passes over what is no token.
func (p *keaParser) skip() {
	text := p.src.text
	for p.at < len(text) {
		rest := text[p.at:]
		end := ""
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			p.at++
			continue
		case rest[0] == '#' || strings.HasPrefix(rest, "//"):
			end = "\n"
		case strings.HasPrefix(rest, "/*"):
			end = "*/"
		case strings.HasPrefix(rest, "<?"):
			end = "?>"
		default:
			return
		}
		if i := strings.Index(rest, end); i >= 0 {
			p.at += i + len(end)
		} else {
			p.at = len(text)
		}
	}
}
