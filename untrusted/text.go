package untrusted

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Visible gives a text that fits into a line and does nothing to a terminal: what has no shape of its own is written as an
// escape of Go's strings (\x1b, \n, \u202e), and so are octets that are no UTF-8. Letters of any script, marks and
// symbols stay.
func Visible(text string) string {
	if isVisible(text) {
		return text
	}
	return string(appendVisible(nil, text, len(text)*len(`\U0010ffff`)))
}

// VisibleLines is Visible for a text of several lines: line breaks and tabs stay, and the carriage return of a line's end
// goes.
func VisibleLines(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		body, hasEnd := strings.CutSuffix(line, "\n")
		body = strings.TrimRight(body, "\r")
		for i, part := range strings.Split(body, "\t") {
			if i > 0 {
				out.WriteByte('\t')
			}
			out.WriteString(Visible(part))
		}
		if hasEnd {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// VisibleBytes is Visible for a text in octets, of which no more is taken than gives limit octets.
func VisibleBytes(text []byte, limit int) string {
	return string(appendVisible(make([]byte, 0, min(limit, len(text))), string(text[:min(limit, len(text))]), limit))
}

// isVisible reports whether Visible would change nothing.
func isVisible(text string) bool {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
			return false
		}
		i += size
	}
	return true
}

func appendVisible(out []byte, text string, limit int) []byte {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		shown := text[i : i+size]
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
			quoted := strconv.QuoteToASCII(shown)
			shown = quoted[1 : len(quoted)-1]
		}
		if len(out)+len(shown) > limit {
			return out
		}
		out = append(out, shown...)
		i += size
	}
	return out
}

// Cell makes a text safe as a cell of a table that a spreadsheet opens: one that begins like a formula gets an apostrophe in
// front, which spreadsheets take for "this is text" (OWASP, CSV injection). Numbers, and a dash alone, stay.
func Cell(text string) string {
	begin := strings.TrimLeft(text, " \u00a0\u3000")
	if begin == "" || text == "-" {
		return text
	}
	first, _ := utf8.DecodeRuneInString(begin)
	if !strings.ContainsRune("=+-@\t\r\n|%＝＋－＠", first) {
		return text
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return text
	}
	return "'" + text
}

// JSON escapes in a JSON text what Visible would make visible, as \uXXXX: the values stay what they are, and a terminal on
// which somebody looks at them does too. The text must be valid JSON.
func JSON(text []byte) []byte {
	if isVisible(string(bytes.ReplaceAll(text, []byte("\n"), nil))) {
		return text
	}
	out := make([]byte, 0, len(text)+64)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == '\n' || r == '\t' || r == '\r' || unicode.IsPrint(r) && r != 0x7f {
			out = append(out, text[i:i+size]...)
		} else {
			for _, unit := range utf16.Encode([]rune{r}) {
				out = append(out, `\u`...)
				out = append(out, strconv.FormatUint(0x10000+uint64(unit), 16)[1:]...)
			}
		}
		i += size
	}
	return out
}
