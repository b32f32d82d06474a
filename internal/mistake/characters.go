package mistake

import (
	"fmt"
	"unicode/utf8"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// characterNames are the characters that web pages and word processors put in, by Unicode's names.
var characterNames = map[rune]string{
	'\r':     "CARRIAGE RETURN",
	'\u00a0': "NO-BREAK SPACE", '\u00ad': "SOFT HYPHEN", '\u200b': "ZERO WIDTH SPACE", '\u2010': "HYPHEN",
	'\u2011': "NON-BREAKING HYPHEN", '\u2012': "FIGURE DASH", '\u2013': "EN DASH", '\u2014': "EM DASH",
	'\u2018': "LEFT SINGLE QUOTATION MARK", '\u2019': "RIGHT SINGLE QUOTATION MARK",
	'\u201c': "LEFT DOUBLE QUOTATION MARK", '\u201d': "RIGHT DOUBLE QUOTATION MARK", '\u202f': "NARROW NO-BREAK SPACE",
	'\u2212': "MINUS SIGN", '\ufeff': "ZERO WIDTH NO-BREAK SPACE", '\u00b4': "ACUTE ACCENT",
	'\u2009': "THIN SPACE", '\u200e': "LEFT-TO-RIGHT MARK", '\uff1b': "FULLWIDTH SEMICOLON",
}

// foreign names a character that does not belong into a configuration.
func foreign(text string) *diag.Diagnostic {
	r, size := utf8.DecodeRuneInString(text)
	name, code := characterNames[r], fmt.Sprintf("U+%04X", r)
	switch {
	case r == utf8.RuneError && size <= 1:
		name, code = "not UTF-8", fmt.Sprintf("% X", text)
	case name == "":
		name = string(r)
	}
	return diag.New(diag.ForeignChar, diag.Args{"name": name, "code": code})
}
