package conffile

import (
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// DHCPD is a dhcpd.conf with what it includes.
type DHCPD struct {
	Statements []*Statement
	Problems   []Problem

	account *account
}

// Statement is one statement: its words up to the semicolon or the brace, and the block behind them.
type Statement struct {
	Words []Word
	// Block says that it has a block, whose statements Inside are.
	Block  bool
	Inside []*Statement
	// Parent is the statement in whose block it stands, nil at the top.
	Parent *Statement
}

// Pos is the place of its first word.
func (s *Statement) Pos() diag.Pos { return s.Words[0].Pos }

// Is compares its first words; dhcpd does not look at capitals.
func (s *Statement) Is(keywords ...string) bool {
	if len(s.Words) < len(keywords) {
		return false
	}
	for i, k := range keywords {
		if !s.Words[i].is(k) {
			return false
		}
	}
	return true
}

// Rest is what follows the first n words, as one text: commas stand close to the word before them.
func (s *Statement) Rest(n int) Value {
	if len(s.Words) <= n {
		return Value{Pos: s.Words[len(s.Words)-1].Pos}
	}
	var b strings.Builder
	for i, w := range s.Words[n:] {
		if i > 0 && w.Text != "," {
			b.WriteByte(' ')
		}
		b.WriteString(w.Text)
	}
	pos := s.Words[n].Pos
	if last := s.Words[len(s.Words)-1].Pos; last.Line == pos.Line && last.File == pos.File {
		pos.Width = last.Column + last.Width - pos.Column
	}
	return Value{Text: b.String(), Pos: pos}
}

// All calls yield for every statement, outer before inner, until it returns false.
func (d *DHCPD) All(yield func(*Statement) bool) { walk(d.Statements, yield) }

func walk(list []*Statement, yield func(*Statement) bool) bool {
	for _, s := range list {
		if !yield(s) || !walk(s.Inside, yield) {
			return false
		}
	}
	return true
}

// maxInclude is how deep includes may be nested: deeper is a loop of other names for one file.
const maxInclude = 16

// ParseDHCPD reads the dhcpd.conf called name, and what it includes from files.
func ParseDHCPD(name string, files map[string]string) *DHCPD {
	d := &DHCPD{}
	d.account = newAccount(&d.Problems)
	d.Statements = d.file(name, files, nil, nil)
	return d
}

// file reads one file; open are those that are being read.
func (d *DHCPD) file(name string, files map[string]string, parent *Statement, open []string) []*Statement {
	p := &dhcpdParser{doc: d, files: files, open: append(open, name), src: newSource(name, files[name])}
	p.lex = dhcpdLexer{src: p.src, account: d.account}
	p.frames = []frame{{block: parent}}
	p.run()
	return p.frames[0].list
}

// frame is a block that is being read; the first is the file.
type frame struct {
	block *Statement // nil for the file's own
	list  []*Statement
	// indent is that of the line on which the block begins.
	indent int
}

type dhcpdParser struct {
	doc    *DHCPD
	files  map[string]string
	open   []string
	src    *source
	lex    dhcpdLexer
	frames []frame
	now    *Statement // the statement that is being read
	parens int        // inside it
	// suspect is the block that was probably left open: see close.
	suspect *Statement
}

func (p *dhcpdParser) problem(kind Kind, pos diag.Pos, text string) {
	p.doc.account.problem(Problem{kind, pos, text})
}

func (p *dhcpdParser) run() {
	for w, ok := p.lex.next(); ok && p.pays(w); w, ok = p.lex.next() {
		p.word(w)
	}
	if p.now != nil && !p.doc.account.budget.Spent() {
		p.missingSemicolon()
	}
	for len(p.frames) > 1 {
		last := p.frames[len(p.frames)-1]
		if len(p.frames) == 2 && !p.doc.account.budget.Spent() {
			p.problem(MissingClosing, cmpOr(p.suspect, last.block).Pos(), cmpOr(p.suspect, last.block).Words[0].Text)
		}
		p.leave()
	}
}

// pays takes what a word costs off the document's budget, and ends a document that is too deep.
func (p *dhcpdParser) pays(w Word) bool {
	cost, at := wordCost, Value{w.Text, w.Pos}
	if p.now == nil {
		cost += statementCost
	}
	if len(p.frames) > maxDepth {
		p.doc.account.tooMuch(at)
		return false
	}
	return p.doc.account.pays(cost, at)
}

func cmpOr(a, b *Statement) *Statement {
	if a != nil {
		return a
	}
	return b
}

func (p *dhcpdParser) word(w Word) {
	bracket := !w.Quoted && p.isBracket(w.Text)
	switch {
	case w.Quoted:
		p.add(w)
	case w.Text == "{" || bracket && (w.Text == "(" || w.Text == "["):
		if bracket {
			p.problem(WrongBracket, w.Pos, w.Text)
		}
		p.enter(w)
	case w.Text == "}" || bracket:
		if bracket {
			p.problem(WrongBracket, w.Pos, w.Text)
		}
		if p.now != nil {
			p.missingSemicolon()
		}
		p.close(w)
	case w.Text == ";":
		if p.now == nil {
			p.problem(StraySemicolon, w.Pos, w.Text)
		}
		p.end()
	default:
		p.add(w)
	}
}

// isBracket says whether a bracket stands where a brace belongs: behind the head of a block, or where a statement begins.
func (p *dhcpdParser) isBracket(text string) bool {
	switch text {
	case "(", "[":
		return p.now != nil && dhcpdBlocks[strings.ToLower(p.now.Words[0].Text)]
	case ")", "]":
		return p.parens == 0 && (p.now == nil || dhcpdSimple[strings.ToLower(p.now.Words[0].Text)])
	}
	return false
}

// add puts a word into the statement, or begins the next one when the word can only be the first of one: dhcpd finds a
// missing semicolon or brace in the same way, by the word after it.
func (p *dhcpdParser) add(w Word) {
	if p.now != nil && p.begins(w) {
		first := strings.ToLower(p.now.Words[0].Text)
		if dhcpdBlocks[first] {
			p.problem(MissingOpening, p.behind(), p.now.Words[0].Text)
			p.enter(w)
		} else {
			p.missingSemicolon()
		}
	}
	switch w.Text {
	case "(":
		p.parens++
	case ")":
		p.parens--
	}
	if p.now == nil {
		p.now = &Statement{Parent: p.top().block}
	}
	p.now.Words = append(p.now.Words, w)
}

// begins says whether w, which follows other words without a semicolon, begins a statement of its own.
func (p *dhcpdParser) begins(w Word) bool {
	text := strings.ToLower(w.Text)
	if w.Quoted || p.parens > 0 || !dhcpdSimple[text] && !dhcpdBlocks[text] {
		return false
	}
	before := p.now.Words[len(p.now.Words)-1]
	first := strings.ToLower(p.now.Words[0].Text)
	newLine := w.line > before.line
	switch {
	case before.Text == "," || before.Text == "=" || before.is("option") || before.is("not"):
		return false
	case first == "allow" || first == "deny" || first == "ignore":
		return newLine // "allow duplicates", "deny dynamic bootp clients"
	case dhcpdBlocks[first]:
		// A host may be called "range"; only a statement after the whole head is one.
		return newLine && len(p.now.Words) > 1 && first != "failover" && first != "subclass"
	case dhcpdSimple[first]:
		return newLine || len(p.now.Words) > 1
	case dhcpdFree[first]:
		return false
	}
	return newLine
}

func (p *dhcpdParser) top() *frame { return &p.frames[len(p.frames)-1] }

// behind is the place behind the last word of the statement.
func (p *dhcpdParser) behind() diag.Pos {
	last := p.now.Words[len(p.now.Words)-1]
	pos := p.src.pos(last.to, last.to)
	return pos
}

func (p *dhcpdParser) missingSemicolon() {
	p.problem(MissingSemicolon, p.behind(), p.now.Words[0].Text)
	p.end()
}

// end finishes the statement that is being read.
func (p *dhcpdParser) end() {
	s := p.now
	p.now, p.parens = nil, 0
	if s == nil {
		return
	}
	top := p.top()
	top.list = append(top.list, s)
	if s.Is("include") && len(s.Words) == 2 {
		p.include(s)
	}
}

func (p *dhcpdParser) include(s *Statement) {
	name := s.Words[1].Text
	text, there := p.files[name]
	switch {
	case !p.doc.account.pays(fileCost+len(text), Value{name, s.Words[1].Pos}):
	case !there:
		p.problem(MissingFile, s.Words[1].Pos, name)
	case slices.Contains(p.open, name) || len(p.open) > maxInclude:
		p.problem(IncludeLoop, s.Words[1].Pos, name)
	default:
		top := p.top()
		top.list = append(top.list, p.doc.file(name, p.files, top.block, slices.Clone(p.open))...)
	}
}

// enter begins the block of the statement that is being read.
func (p *dhcpdParser) enter(at Word) {
	s := p.now
	if s == nil {
		s = &Statement{Words: []Word{at}, Parent: p.top().block}
	}
	p.now, p.parens = nil, 0
	s.Block = true
	// A subnet cannot stand in a subnet: the outer one was left open.
	if outer := p.top().block; p.suspect == nil && outer != nil && isNetwork(s) && (isNetwork(outer) || outer.Is("host") || outer.Is("pool")) {
		p.suspect = outer
	}
	p.top().list = append(p.top().list, s)
	p.frames = append(p.frames, frame{block: s, indent: p.src.lineIndent(s.Words[0].from)})
}

func isNetwork(s *Statement) bool { return s.Is("subnet") || s.Is("shared-network") }

// close ends a block. A brace that is set in like an outer block closes, to its author, that one; the inner was left open.
func (p *dhcpdParser) close(w Word) {
	if len(p.frames) == 1 {
		p.problem(StrayClosing, w.Pos, w.Text)
		return
	}
	indent := p.src.indent(w.from)
	if top := p.top(); p.suspect == nil && indent >= 0 && indent < top.indent {
		for _, outer := range p.frames[1 : len(p.frames)-1] {
			if outer.indent == indent {
				p.suspect = top.block
			}
		}
	}
	p.leave()
}

func (p *dhcpdParser) leave() {
	last := p.frames[len(p.frames)-1]
	last.block.Inside = last.list
	p.frames = p.frames[:len(p.frames)-1]
}
