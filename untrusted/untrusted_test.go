package untrusted_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"

	"github.com/kvmlab/kvmlab/untrusted"
)

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"pc1":                      "pc1",
		"l'ordinador de l'Aña":     "l'ordinador de l'Aña",
		"教室 ☃ 👩":                   "教室 ☃ 👩",
		`C:\new`:                   `C:\new`,
		"a\x1b[2Jb":                `a\x1b[2Jb`,
		"a\r\nb\tc\x00\x7f":        `a\r\nb\tc\x00\x7f`,
		"\u009b31m":                `\u009b31m`, // CSI in one character (ECMA-48)
		"gpj\u202e.exe":            `gpj\u202e.exe`,
		"a\u2066b\u2069c\u200ed":   `a\u2066b\u2069c\u200ed`,
		"zero\u200bwidth\ufeff":    `zero\u200bwidth\ufeff`,
		"soft\u00adhyphen":         `soft\u00adhyphen`,
		"no\u00a0break\u2028":      `no\u00a0break\u2028`,
		"\xff\xfe":                 `\xff\xfe`,
		"tag\U000e0041":            `tag\U000e0041`,
		"a real \ufffd stays":      "a real \ufffd stays",
		"\x1b]0;title\x07\x1b]52;": `\x1b]0;title\a\x1b]52;`,
	} {
		if got := untrusted.Visible(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got, want := untrusted.VisibleLines("a\x1bb\r\nc\td\n\x1b"), "a\\x1bb\nc\td\n\\x1b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestVisibleBytes(t *testing.T) {
	for text, want := range map[string]string{
		"josé-pc-of-the-class": "josé-pc",
		"1234567é":             "1234567", // no half of a letter
		"12345\x1b[2J":         "12345",   // no half of an escape
		"ab":                   "ab",
	} {
		if got := untrusted.VisibleBytes([]byte(text), 8); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestCell(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"pc1":                  "pc1",
		"-":                    "-",
		"-5":                   "-5",
		"+3.5":                 "+3.5",
		"a=b":                  "a=b",
		"=HYPERLINK(\"x\")":    "'=HYPERLINK(\"x\")",
		"+1+cmd|' /C calc'!A0": "'+1+cmd|' /C calc'!A0",
		"-2+3":                 "'-2+3",
		"@SUM(A1)":             "'@SUM(A1)",
		" =1+1":                "' =1+1",
		"\t=1":                 "'\t=1",
		"＝1+1":                 "'＝1+1",
	} {
		if got := untrusted.Cell(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestReader(t *testing.T) {
	for size, fails := range map[int]bool{0: false, 9: false, 10: false, 11: true, 5000: true} {
		for name, from := range map[string]io.Reader{
			"at once": strings.NewReader(strings.Repeat("x", size)), "by octets": iotest.OneByteReader(strings.NewReader(strings.Repeat("x", size))),
		} {
			got, err := io.ReadAll(untrusted.Reader(from, 10))
			if errors.Is(err, untrusted.ErrTooMuch) != fails || len(got) != min(size, 10) {
				t.Errorf("%d octets %s: %d came, %v", size, name, len(got), err)
			}
		}
	}
}

func TestBudget(t *testing.T) {
	b := untrusted.NewBudget(10)
	if !b.Take(4) || !b.Take(6) || b.Spent() {
		t.Error("what was there was refused")
	}
	if b.Take(1) || !b.Spent() || b.Take(0) {
		t.Error("it gives more than it had")
	}
}

func FuzzText(f *testing.F) {
	for _, text := range []string{"", "pc1", "\x1b[2J", "\u202e", "é\xff", "=1+1", "\U000e0041", "\\", "\u00a0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shown := untrusted.Visible(text)
		for _, r := range shown {
			if !unicode.IsPrint(r) {
				t.Errorf("%q: %U is still there", text, r)
			}
		}
		if again := untrusted.Visible(shown); again != shown {
			t.Errorf("%q: twice is not once: %q", text, again)
		}
		if cut := untrusted.VisibleBytes([]byte(text), 20); len(cut) > 20 || !utf8.ValidString(cut) {
			t.Errorf("%q: %q", text, cut)
		}
		if cell := untrusted.Cell(text); cell != "" && strings.ContainsAny(cell[:1], "=@") {
			t.Errorf("%q: %q is a formula", text, cell)
		}
		encoded, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var want, got string
		if err := json.Unmarshal(encoded, &want); err != nil {
			t.Fatal(err)
		}
		escaped := untrusted.JSON(encoded)
		if err := json.Unmarshal(escaped, &got); err != nil || got != want || untrusted.Visible(string(escaped)) != string(escaped) {
			t.Errorf("%q: %s: %q, %v", text, escaped, got, err)
		}
	})
}
