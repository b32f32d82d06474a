package conffile

import (
	"strings"
	"unicode/utf8"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// Word is one word of a dhcpd.conf: a name, an address, a string, or a sign that stands for itself.
type Word struct {
	Text string
	// Quoted says that it was a string.
	Quoted bool
	Pos    diag.Pos

	from, to int // its offsets
	line     int
}

// is compares with a keyword; dhcpd does not look at capitals.
func (w Word) is(keyword string) bool { return !w.Quoted && strings.EqualFold(w.Text, keyword) }

// dhcpdLexer cuts a dhcpd.conf into words. Unlike dhcpd's own (common/conflex.c), which makes four numbers and three
// dots of an address, it leaves in one piece what an author sees as one word.
type dhcpdLexer struct {
	src     *source
	at      int
	account *account
}

// next returns the next word; ok is false at the end of the file.
func (l *dhcpdLexer) next() (w Word, ok bool) {
	text := l.src.text
	for l.at < len(text) {
		switch c := text[l.at]; {
		case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
			l.at++
		case c == '#':
			if end := strings.IndexByte(text[l.at:], '\n'); end >= 0 {
				l.at += end
			} else {
				l.at = len(text)
			}
		case c == '"':
			return l.quoted(), true
		default:
			return l.plain(), true
		}
	}
	return Word{}, false
}

// quoted reads a string. One that is not closed on its line ends there, because its author meant that.
func (l *dhcpdLexer) quoted() Word {
	text, from := l.src.text, l.at
	for l.at++; l.at < len(text) && text[l.at] != '"' && text[l.at] != '\n'; l.at++ {
		if text[l.at] == '\\' {
			l.at++
		}
	}
	l.at = min(l.at, len(text))
	value := text[from+1 : l.at]
	if l.at < len(text) && text[l.at] == '"' {
		l.at++
	} else {
		// The statement's own semicolon is no part of what was meant.
		for trimmed := strings.TrimRight(value, " \t\r;{}"); len(trimmed) < len(value); value = trimmed {
			l.at = from + 1 + len(trimmed)
		}
		l.account.problem(Problem{UnclosedString, l.src.pos(from, l.at), value})
	}
	w := l.word(from)
	w.Text, w.Quoted = value, true
	return w
}

// plain reads a word without quotation marks, or one sign.
func (l *dhcpdLexer) plain() Word {
	text, from, foreign := l.src.text, l.at, -1
	for l.at < len(text) {
		r, size := utf8.DecodeRuneInString(text[l.at:])
		if r < utf8.RuneSelf && !isWordByte(text[l.at]) {
			break
		}
		if r >= utf8.RuneSelf && foreign < 0 {
			foreign = l.at
		}
		l.at += size
	}
	if l.at == from {
		l.at++
	}
	if foreign >= 0 {
		_, size := utf8.DecodeRuneInString(text[foreign:])
		l.account.problem(Problem{ForeignCharacter, l.src.pos(foreign, foreign+size), text[foreign : foreign+size]})
	}
	return l.word(from)
}

func (l *dhcpdLexer) word(from int) Word {
	return Word{Text: l.src.text[from:l.at], Pos: l.src.pos(from, l.at), from: from, to: l.at, line: l.src.line(from)}
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_.:/-@", c) >= 0
}
