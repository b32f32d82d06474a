package cliui

// Style paints text with the terminal's own sixteen colours, so that it follows a light or a dark theme. The zero
// Style paints nothing. Meaning never rests on colour alone: the words and marks say it too.
type Style struct{ enabled bool }

// Coloured reports whether the style paints.
func (s Style) Coloured() bool { return s.enabled }

// The SGR parameters (ECMA-48 section 8.3.117) of the few styles in use.
const (
	sgrBold   = "1"
	sgrFaint  = "2"
	sgrRed    = "31"
	sgrGreen  = "32"
	sgrYellow = "33"
)

func (s Style) paint(sgr, text string) string {
	if !s.enabled || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// Bold is for what the eye should find first.
func (s Style) Bold(text string) string { return s.paint(sgrBold, text) }

// Faint is for what may be passed over.
func (s Style) Faint(text string) string { return s.paint(sgrFaint, text) }

// Good is for what is as it should be.
func (s Style) Good(text string) string { return s.paint(sgrGreen, text) }

// Warn is for what needs a look, and for what is going on now.
func (s Style) Warn(text string) string { return s.paint(sgrYellow, text) }

// Bad is for what went wrong.
func (s Style) Bad(text string) string { return s.paint(sgrRed, text) }
