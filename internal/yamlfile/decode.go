package yamlfile

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// A kind of file is described once, by tables of keys: what each is called and
// means, how it is read, and what the JSON Schema says of it. The reader, the
// "did you mean" and the schema all work from these tables, so they agree.

// Key is one key of a mapping whose values go into a T.
type Key[T any] struct {
	Name     string
	Doc      string
	Required bool
	Schema   *jsonschema.Schema
	Read     func(d *Decoder, n *yaml.Node, into *T)
}

// Decoder walks the node tree and collects every mistake on its way.
type Decoder struct {
	src   *source
	Diags diag.List
	// nodes counts the values visited; at maxNodes the walk ends.
	nodes int
	// open are the mappings and lists around the present value: an alias to one
	// of them would never end.
	open []*yaml.Node
}

// Add notes a mistake at a place.
func (d *Decoder) Add(at diag.Pos, code diag.Code, args diag.Args) {
	d.Diags.Add(diag.New(code, args).At(at))
}

// Pos is the place of a node, as wide as a one-line scalar is written.
func (d *Decoder) Pos(n *yaml.Node) diag.Pos {
	width := 1
	if n.Kind == yaml.ScalarNode && !strings.Contains(n.Value, "\n") {
		width = max(utf8.RuneCountInString(n.Value), 1)
		if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			width += 2
		}
	}
	return d.src.pos(n.Line, n.Column, width)
}

// Follow returns the node that n stands for, and false when the walk must not
// go on: an alias within its own value, or too many nodes.
func (d *Decoder) Follow(n *yaml.Node) (*yaml.Node, bool) {
	d.nodes++
	if d.nodes >= maxNodes {
		if d.nodes == maxNodes {
			d.Add(d.Pos(n), diag.TooLarge, diag.Args{"what": "the file has too many values", "limit": maxNodes})
		}
		return nil, false
	}
	if n.Kind != yaml.AliasNode {
		return n, true
	}
	if slices.Contains(d.open, n.Alias) {
		d.Add(d.Pos(n), diag.AliasLoop, diag.Args{"alias": n.Value})
		return nil, false
	}
	return n.Alias, n.Alias != nil
}

// Wrong reports a value of another shape than its key needs.
func (d *Decoder) Wrong(n *yaml.Node, what, want string) {
	d.Add(d.Pos(n), diag.WrongType, diag.Args{"key": what, "want": want, "got": shape(n)})
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

// Object reads a mapping by its table of keys. where says what it is ("a
// bridge") in messages. It reports false when n is no mapping at all.
func Object[T any](d *Decoder, n *yaml.Node, where string, keys []Key[T], into *T) bool {
	seen, ok := d.Mapping(n, where, "a mapping of keys and values", func(name, value *yaml.Node) {
		if k := find(keys, name.Value); k != nil {
			k.Read(d, value, into)
			return
		}
		names := keyNames(keys)
		d.Add(d.Pos(name), diag.UnknownKey, diag.Args{
			"key": name.Value, "where": where, "suggestion": Suggest(name.Value, names), "allowed": names,
		})
	})
	for _, k := range keys {
		if _, there := seen[k.Name]; ok && k.Required && !there {
			d.Add(d.Pos(n), diag.MissingKey, diag.Args{"key": k.Name, "where": where})
		}
	}
	return ok
}

// Mapping calls each for every key of a mapping that is a plain word and not there twice. where says what n is, want
// what it should be. It returns the lines of the keys, and false when n is no mapping at all.
func (d *Decoder) Mapping(n *yaml.Node, where, want string, each func(name, value *yaml.Node)) (map[string]int, bool) {
	n, ok := d.Follow(n)
	if !ok {
		return nil, false
	}
	if n.Kind != yaml.MappingNode {
		d.Wrong(n, where, want)
		return nil, false
	}
	d.open = append(d.open, n)
	defer func() { d.open = d.open[:len(d.open)-1] }()
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if name := n.Content[i]; d.keyName(name, where, seen) {
			each(name, n.Content[i+1])
		}
	}
	return seen, true
}

// keyName checks a key itself: a plain word, not "<<", and not there before.
func (d *Decoder) keyName(name *yaml.Node, where string, seen map[string]int) bool {
	switch {
	case name.Kind != yaml.ScalarNode:
		d.Wrong(name, "a key of "+where, "a word")
		return false
	case name.Tag == "!!merge":
		d.Add(d.Pos(name), diag.MergeKey, nil)
		return false
	}
	if line, ok := seen[name.Value]; ok {
		d.Add(d.Pos(name), diag.DuplicateKey, diag.Args{"key": name.Value, "line": line})
		return false
	}
	seen[name.Value] = name.Line
	return true
}

func find[T any](keys []Key[T], name string) *Key[T] {
	for i := range keys {
		if keys[i].Name == name {
			return &keys[i]
		}
	}
	return nil
}

func keyNames[T any](keys []Key[T]) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name
	}
	return names
}

// List calls each for every element of a list of at most limit elements.
func (d *Decoder) List(n *yaml.Node, what string, limit int, each func(*yaml.Node)) {
	n, ok := d.Follow(n)
	if !ok {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.Wrong(n, what, "a list")
		return
	}
	d.open = append(d.open, n)
	defer func() { d.open = d.open[:len(d.open)-1] }()
	for i, element := range n.Content {
		if i == limit {
			d.Add(d.Pos(element), diag.TooLarge, diag.Args{
				"what": fmt.Sprintf("%s has %d elements", what, len(n.Content)), "limit": limit,
			})
			return
		}
		each(element)
	}
}

// OneOrMany reads a list, or a single value in the place of a list of one.
func (d *Decoder) OneOrMany(n *yaml.Node, what string, limit int, each func(*yaml.Node)) {
	target := n
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		target = n.Alias
	}
	if target.Kind == yaml.ScalarNode && target.Tag != "!!null" {
		each(n)
		return
	}
	d.List(n, what, limit, each)
}

// Scalar is a single value as it was written.
type Scalar struct {
	Key   string // the key that it belongs to, for messages
	Value string
	Tag   string // what YAML takes it for: !!str, !!int …
}

// ReadScalar reads a single value with parse. The field is set even when parse
// reports a mistake together with a value, so that what refers to the value is
// not reported as well.
func ReadScalar[V comparable](d *Decoder, n *yaml.Node, what, want string, parse func(Scalar) (V, *diag.Diagnostic)) Field[V] {
	var none V
	pos := d.Pos(n)
	n, ok := d.Follow(n)
	if !ok {
		return Field[V]{Pos: pos}
	}
	pos = d.Pos(n)
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || !strings.HasPrefix(n.Tag, "!!") || n.Tag == "!!binary" {
		d.Wrong(n, what, want)
		return Field[V]{Pos: pos}
	}
	v, problem := parse(Scalar{Key: what, Value: n.Value, Tag: n.Tag})
	if problem != nil {
		d.Diags.Add(problem.At(pos))
	}
	return Field[V]{Value: v, Pos: pos, Set: problem == nil || v != none}
}

// ScalarKey is a key with a single value.
func ScalarKey[T any, V comparable](
	k Key[T], want string, parse func(Scalar) (V, *diag.Diagnostic), field func(*T) *Field[V],
) Key[T] {
	k.Read = func(d *Decoder, n *yaml.Node, into *T) {
		*field(into) = ReadScalar(d, n, k.Name, want, parse)
	}
	return k
}

// Objects reads a list of mappings; note takes down where each begins and
// whether a mistake was found in it.
func Objects[T any](
	d *Decoder, n *yaml.Node, what, where string, limit int, keys []Key[T], note func(one *T, at diag.Pos, broken bool),
) []T {
	var all []T
	d.List(n, what, limit, func(element *yaml.Node) {
		var one T
		before := len(d.Diags)
		ok := Object(d, element, where, keys, &one)
		note(&one, d.Pos(element), len(d.Diags) > before)
		if ok {
			all = append(all, one)
		}
	})
	return all
}
