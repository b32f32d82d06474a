package conffile

import (
	"fmt"
	"slices"
	"strings"
)

// dhcpdClear are the blocks that Lookup looks through: their statements count as those of what they stand in.
var dhcpdClear = words("group shared-network pool")

// Lookup implements [Document]. The parts of path are separated by "/"; each names a statement by its first words, and
// all but the last one a block. group, shared-network and pool need not be named, nor a host's subnet: hosts are global. A parameter or an option that the
// block does not set is the one of the block around it.
func (d *DHCPD) Lookup(path string) ([]Value, error) {
	var parts [][]string
	for part := range strings.SplitSeq(path, "/") {
		fields := strings.Fields(part)
		if len(fields) == 0 {
			return nil, fmt.Errorf("path %q of a dhcpd.conf: an empty part", path)
		}
		parts = append(parts, fields)
	}
	last := parts[len(parts)-1]
	lists := [][]*Statement{d.Statements}
	var blocks []*Statement
	for _, part := range parts[:len(parts)-1] {
		blocks = nil
		for _, list := range lists {
			blocks = append(blocks, find(list, part, true)...)
		}
		lists = nil
		for _, b := range blocks {
			lists = append(lists, b.Inside)
		}
	}
	var values []Value
	for i, list := range lists {
		found := find(list, last, false)
		if len(found) == 0 && len(blocks) > 0 && inherits(last) {
			found = d.inherited(blocks[i], last)
		}
		for _, s := range found {
			values = append(values, s.Rest(len(last)))
		}
	}
	return values, nil
}

// inherits says whether a statement holds for what is inside the block that it stands in.
func inherits(words []string) bool {
	first := strings.ToLower(words[0])
	return dhcpdSimple[first] && !slices.Contains([]string{"range", "range6", "hardware", "fixed-address", "include"}, first)
}

// inherited looks from a block outwards for the nearest statement that begins with words.
func (d *DHCPD) inherited(block *Statement, words []string) []*Statement {
	for outer := block.Parent; ; outer = outer.Parent {
		list := d.Statements
		if outer != nil {
			list = outer.Inside
		}
		var found []*Statement
		for _, s := range list {
			if !s.Block && s.Is(words...) {
				found = append(found, s)
			}
		}
		if len(found) > 0 || outer == nil {
			return found
		}
	}
}

// Effective is the statement that begins with words and holds in block (nil for the top), the innermost one; nil when
// there is none.
func (d *DHCPD) Effective(block *Statement, words ...string) *Statement {
	list := d.Statements
	if block != nil {
		list = block.Inside
	}
	for _, s := range slices.Backward(list) { // the last one wins
		if !s.Block && s.Is(words...) {
			return s
		}
	}
	if block == nil {
		return nil
	}
	return d.Effective(block.Parent, words...)
}

// find returns the statements of list that begin with words, and those inside transparent blocks.
func find(list []*Statement, words []string, block bool) []*Statement {
	var found []*Statement
	for _, s := range list {
		if s.Block == block && s.Is(words...) {
			found = append(found, s)
		} else if s.Block && (dhcpdClear[strings.ToLower(s.Words[0].Text)] || words[0] == "host" && s.Is("subnet")) {
			found = append(found, find(s.Inside, words, block)...)
		}
	}
	return found
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
