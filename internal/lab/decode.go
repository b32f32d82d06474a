package lab

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// A lab file is described once, by tables of keys: what each is called and
// means, how it is read, and what the JSON Schema says of it. The reader, the
// "did you mean" and the schema all work from these tables, so they agree.

// key is one key of a mapping whose values go into a T.
type key[T any] struct {
	name     string
	doc      string
	required bool
	schema   *jsonschema.Schema
	read     func(d *decoder, n *yaml.Node, into *T)
}

// decoder walks the node tree and collects every mistake on its way.
type decoder struct {
	src   *source
	diags diag.List
	// nodes counts the values visited; at maxNodes the walk ends.
	nodes int
	// open are the mappings and lists around the present value: an alias to one
	// of them would never end.
	open []*yaml.Node
}

func (d *decoder) add(at diag.Pos, code diag.Code, args diag.Args) {
	d.diags.Add(diag.New(code, args).At(at))
}

// pos is the place of a node, as wide as a one-line scalar is written.
func (d *decoder) pos(n *yaml.Node) diag.Pos {
	width := 1
	if n.Kind == yaml.ScalarNode && !strings.Contains(n.Value, "\n") {
		width = max(utf8.RuneCountInString(n.Value), 1)
		if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			width += 2
		}
	}
	return d.src.pos(n.Line, n.Column, width)
}

// follow returns the node that n stands for, and false when the walk must not
// go on: an alias within its own value, or too many nodes.
func (d *decoder) follow(n *yaml.Node) (*yaml.Node, bool) {
	d.nodes++
	if d.nodes >= maxNodes {
		if d.nodes == maxNodes {
			d.add(d.pos(n), diag.TooLarge, diag.Args{"what": "the file has too many values", "limit": maxNodes})
		}
		return nil, false
	}
	if n.Kind != yaml.AliasNode {
		return n, true
	}
	if slices.Contains(d.open, n.Alias) {
		d.add(d.pos(n), diag.AliasLoop, diag.Args{"alias": n.Value})
		return nil, false
	}
	return n.Alias, n.Alias != nil
}

// wrong reports a value of another shape than its key needs.
func (d *decoder) wrong(n *yaml.Node, what, want string) {
	d.add(d.pos(n), diag.WrongType, diag.Args{"key": what, "want": want, "got": shape(n)})
}

// shape says in words what a node is.
func shape(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode, yaml.AliasNode, yaml.DocumentNode, yaml.StreamNode:
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return n.Value
	case "!!timestamp":
		return "the date " + n.Value
	case "!!str":
		return fmt.Sprintf("the text %q", n.Value)
	}
	return "a value tagged " + n.Tag
}

// object reads a mapping by its table of keys. where says what it is ("a
// bridge") in messages. It reports false when n is no mapping at all.
func object[T any](d *decoder, n *yaml.Node, where string, keys []key[T], into *T) bool {
	n, ok := d.follow(n)
	if !ok {
		return false
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, where, "a mapping of keys and values")
		return false
	}
	d.open = append(d.open, n)
	defer func() { d.open = d.open[:len(d.open)-1] }()

	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if !d.keyName(name, where, seen) {
			continue
		}
		if k := find(keys, name.Value); k != nil {
			k.read(d, value, into)
			continue
		}
		names := keyNames(keys)
		d.add(d.pos(name), diag.UnknownKey, diag.Args{
			"key": name.Value, "where": where, "suggestion": suggest(name.Value, names), "allowed": names,
		})
	}
	for _, k := range keys {
		if _, ok := seen[k.name]; k.required && !ok {
			d.add(d.pos(n), diag.MissingKey, diag.Args{"key": k.name, "where": where})
		}
	}
	return true
}

// keyName checks a key itself: a plain word, not "<<", and not there before.
func (d *decoder) keyName(name *yaml.Node, where string, seen map[string]int) bool {
	switch {
	case name.Kind != yaml.ScalarNode:
		d.wrong(name, "a key of "+where, "a word")
		return false
	case name.Tag == "!!merge":
		d.add(d.pos(name), diag.MergeKey, nil)
		return false
	}
	if line, ok := seen[name.Value]; ok {
		d.add(d.pos(name), diag.DuplicateKey, diag.Args{"key": name.Value, "line": line})
		return false
	}
	seen[name.Value] = name.Line
	return true
}

func find[T any](keys []key[T], name string) *key[T] {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	return nil
}

func keyNames[T any](keys []key[T]) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return names
}

// list calls each for every element of a list of at most limit elements.
func (d *decoder) list(n *yaml.Node, what string, limit int, each func(*yaml.Node)) {
	n, ok := d.follow(n)
	if !ok {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, what, "a list")
		return
	}
	d.open = append(d.open, n)
	defer func() { d.open = d.open[:len(d.open)-1] }()
	for i, element := range n.Content {
		if i == limit {
			d.add(d.pos(element), diag.TooLarge, diag.Args{
				"what": fmt.Sprintf("%s has %d elements", what, len(n.Content)), "limit": limit,
			})
			return
		}
		each(element)
	}
}

// oneOrMany reads a list, or a single value in the place of a list of one.
func (d *decoder) oneOrMany(n *yaml.Node, what string, limit int, each func(*yaml.Node)) {
	target := n
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		target = n.Alias
	}
	if target.Kind == yaml.ScalarNode && target.Tag != "!!null" {
		each(n)
		return
	}
	d.list(n, what, limit, each)
}

// scalar is a single value as it was written.
type scalar struct {
	key   string // the key that it belongs to, for messages
	value string
	tag   string // what YAML takes it for: !!str, !!int …
}

// readScalar reads a single value with parse. The field is set even when parse
// reports a mistake together with a value, so that what refers to the value is
// not reported as well.
func readScalar[V comparable](d *decoder, n *yaml.Node, what, want string, parse func(scalar) (V, *diag.Diagnostic)) Field[V] {
	var none V
	pos := d.pos(n)
	n, ok := d.follow(n)
	if !ok {
		return Field[V]{Pos: pos}
	}
	pos = d.pos(n)
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || !strings.HasPrefix(n.Tag, "!!") || n.Tag == "!!binary" {
		d.wrong(n, what, want)
		return Field[V]{Pos: pos}
	}
	v, problem := parse(scalar{key: what, value: n.Value, tag: n.Tag})
	if problem != nil {
		d.diags.Add(problem.At(pos))
	}
	return Field[V]{Value: v, Pos: pos, Set: problem == nil || v != none}
}

// scalarKey is a key with a single value.
func scalarKey[T any, V comparable](
	k key[T], want string, parse func(scalar) (V, *diag.Diagnostic), field func(*T) *Field[V],
) key[T] {
	k.read = func(d *decoder, n *yaml.Node, into *T) {
		*field(into) = readScalar(d, n, k.name, want, parse)
	}
	return k
}
