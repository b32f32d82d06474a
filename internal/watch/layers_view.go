package watch

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// octetsPerLine is how many octets a line of the hexadecimal dump has.
const octetsPerLine = 16

// fieldNameWidth is how wide the names of fields are where there is room, in cells.
const fieldNameWidth = 32

// dumpWidth is the width of such a line.
const dumpWidth = 6 + 3*octetsPerLine + 2 + octetsPerLine

// layersKey moves the choice of a field.
func (l *Ladder) layersKey(key string) {
	fields := l.current().Fields()
	switch key {
	case "up", "k":
		l.field--
	case "down", "j", "space":
		l.field++
	case "pgup":
		l.field -= 10
	case "pgdown":
		l.field += 10
	case "home", "g":
		l.field = 0
	case "end", "G":
		l.field = len(fields) - 1
	case "left":
		l.move(-1)
		l.field = min(l.field, len(l.current().Fields())-1)
		return
	case "right", "n":
		l.move(1)
		l.field = min(l.field, len(l.current().Fields())-1)
		return
	case "tab":
		l.field = nextLayer(fields, l.field)
	}
	l.field = max(min(l.field, len(fields)-1), 0)
}

// nextLayer is the first field of the layer after the chosen field's.
func nextLayer(fields []capture.Field, chosen int) int {
	if chosen >= len(fields) {
		return 0
	}
	for i := chosen; i < len(fields); i++ {
		if fields[i].Layer != fields[chosen].Layer {
			return i
		}
	}
	return 0
}

// layersView shows the packet's fields by layer, and its octets with those of the chosen field marked.
func (l *Ladder) layersView() []string {
	r := l.current()
	fields := r.Fields()
	title := fmt.Sprintf("%s  #%d  %s", l.paint.Bold(l.title), r.Number, r.briefly(l.say))
	body := max(l.height-2, 1)
	var lines []string
	if l.width >= dumpWidth*2 {
		lines = beside(l.fieldLines(fields, body), l.dump(r, fields, body), l.width-dumpWidth-4)
	} else {
		dumpHeight := min(len(r.Data())/octetsPerLine+2, body/3)
		lines = l.fieldLines(fields, max(body-dumpHeight-1, 1))
		if dumpHeight > 0 {
			lines = append(lines, l.rule(l.say.T("watch.layers.octets")))
			lines = append(lines, l.dump(r, fields, dumpHeight)...)
		}
	}
	for len(lines) < body {
		lines = append(lines, "")
	}
	lines = append([]string{title}, lines[:body]...)
	return append(lines, l.keysLine("watch.layers.keys"))
}

// beside puts two blocks of lines next to each other.
func beside(left, right []string, width int) []string {
	out := make([]string, max(len(left), len(right)))
	for i := range out {
		if i < len(left) {
			out[i] = ansi.Truncate(left[i], width, "")
		}
		if i < len(right) {
			out[i] += strings.Repeat(" ", max(width-ansi.StringWidth(out[i]), 0)) + "  " + right[i]
		}
	}
	return out
}

// layerTitles are the messages that name the layers.
var layerTitles = map[capture.Layer]string{
	capture.LayerLink: "watch.layers.link", capture.LayerNetwork: "watch.layers.network",
	capture.LayerTransport: "watch.layers.transport", capture.LayerMessage: "watch.layers.message",
}

// fieldLines lists the fields under their layers, scrolled to the chosen one.
func (l *Ladder) fieldLines(fields []capture.Field, height int) []string {
	var lines []string
	chosen, nameWidth := 0, max(min(fieldNameWidth, l.width/2-4), 1)
	for i, field := range fields {
		if i == 0 || field.Layer != fields[i-1].Layer {
			lines = append(lines, l.paint.Bold(l.say.T(layerTitles[field.Layer])))
		}
		name := l.say.Phrase(field.Name)
		if field.Code > 0 {
			name = fmt.Sprintf("%d %s", field.Code, field.Name) // an option by its name in the RFC
		}
		line := fmt.Sprintf("   %-*s %s", nameWidth, ansi.Truncate(name, nameWidth, ""), field.Text)
		if i == l.field {
			chosen = len(lines)
			line = l.paint.Select(" > " + line[3:])
		}
		lines = append(lines, line)
	}
	if malformed := l.current().Malformed; malformed != "" {
		lines = append(lines, l.paint.Bad(l.say.T("watch.say.malformed", "reason", l.say.Phrase(malformed))))
	}
	first := min(max(chosen-height/2, 0), max(len(lines)-height, 0))
	return lines[first:min(first+height, len(lines))]
}

// dump writes the octets in hexadecimal and as text, scrolled to the chosen field, whose octets stand in brackets.
func (l *Ladder) dump(r *Record, fields []capture.Field, height int) []string {
	data := r.Data()
	begin, end := 0, 0
	if l.field < len(fields) {
		begin, end = fields[l.field].Start, fields[l.field].End
	}
	var lines []string
	for at := 0; at < len(data); at += octetsPerLine {
		lines = append(lines, l.dumpLine(data, at, begin, end))
	}
	first := min(max(begin/octetsPerLine-height/3, 0), max(len(lines)-height, 0))
	return lines[first:min(first+height, len(lines))]
}

func (l *Ladder) dumpLine(data []byte, at, begin, end int) string {
	var octets, text strings.Builder
	for i := at; i < at+octetsPerLine; i++ {
		marked := i >= begin && i < end
		before := " "
		switch {
		case marked && (i == begin || i == at):
			before = "["
		case i == end && i > at && end > begin:
			before = "]"
		}
		octet, char := "  ", " "
		if i < len(data) {
			octet, char = fmt.Sprintf("%02x", data[i]), printableOctet(data[i])
		}
		if marked {
			octet, char = l.paint.Select(octet), l.paint.Select(char)
		}
		octets.WriteString(before + octet)
		text.WriteString(char)
	}
	after := " "
	if end >= at+octetsPerLine && begin < at+octetsPerLine && end > begin {
		after = "]"
	}
	return fmt.Sprintf("%04x %s%s %s", at, octets.String(), after, text.String())
}

func printableOctet(b byte) string {
	if b < 0x20 || b > 0x7e {
		return "."
	}
	return string(rune(b))
}

// withOverlay puts help or an explanation over the lower part of the screen.
func (l *Ladder) withOverlay(lines []string) []string {
	var text string
	switch l.overlay {
	case helpOverlay:
		text = l.say.T("watch.help")
	case explainOverlay:
		text = l.explanation()
	case noOverlay:
		return lines
	}
	var box []string
	for line := range strings.Lines(text) {
		for part := range strings.SplitSeq(ansi.Wrap(strings.TrimRight(line, "\n"), max(l.width-4, 1), ""), "\n") {
			box = append(box, "  "+part)
		}
	}
	box = append([]string{l.rule(l.say.T("watch.overlay.title"))}, box...)
	box = box[:min(len(box), max(l.height-2, 0))] // the title of the screen stays, and so does how to put the text away
	box = append(box, l.rule(l.say.T("watch.overlay.close")))
	above := min(max(l.height-len(box), 0), len(lines))
	return append(lines[:above:above], box...)
}

// explanation is the text about the chosen field, or about the selected packet as a whole.
func (l *Ladder) explanation() string {
	r := l.current()
	if l.layers {
		fields := r.Fields()
		if l.field < len(fields) {
			field := fields[l.field]
			title := l.say.Phrase(field.Name) + ": " + field.Text
			if topic, ok := TopicOf(field); ok {
				return title + "\n" + l.say.T(topic.Message)
			}
			return title + "\n" + l.say.T("watch.explain.nothing")
		}
	}
	if topic, ok := r.topic(); ok {
		return r.saying(l.say) + "\n" + l.say.T(topic.Message)
	}
	return l.say.T("watch.explain.nothing")
}
