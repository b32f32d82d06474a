package watch

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// View draws the screen: Height lines of at most Width cells.
func (l *Ladder) View() []string {
	var lines []string
	if l.layers && l.current() != nil {
		lines = l.layersView()
	} else {
		lines = l.ladderView()
	}
	lines = l.withOverlay(lines)
	out := make([]string, max(l.height, 0))
	for i := range min(len(lines), l.height) {
		if l.ascii {
			lines[i] = asciiSigns.Replace(lines[i])
		}
		out[i] = strings.TrimRight(ansi.Truncate(lines[i], max(l.width, 0), ""), " ")
	}
	return out
}

// asciiSigns stand in for the signs of the catalogues in a locale that has none of them.
var asciiSigns = strings.NewReplacer("↑", "^", "↓", "v", "←", "<", "→", ">", "…", "...", "═", "=", "─", "-", "►", ">")

func (l *Ladder) ladderView() []string {
	lines := []string{l.headLine()}
	first, window := l.window()
	columns := l.columns(window)
	margin := strings.Repeat(" ", columns.layout.margin())
	if columns.layout.room > 0 {
		lines = append(lines, l.paint.Bold(margin+columns.header()))
	}

	for i, r := range window {
		lines = append(lines, l.row(first+i, r, columns))
	}
	if len(window) == 0 {
		lines = append(lines, "  "+l.say.T("watch.ladder.waiting"))
	}
	for len(lines) < 1+columns.layout.head()+l.rows() {
		lines = append(lines, margin+columns.lifelines())
	}

	lines = append(lines, l.panel("watch.ladder.packet", l.details(), l.detailHeight())...)
	lines = append(lines, l.panel("watch.ladder.clients", l.clientLines(), l.clientHeight())...)
	if l.height >= heightForKeys {
		lines = append(lines, l.keysLine("watch.ladder.keys"))
	}
	return lines
}

// keysLine names the keys, on a narrow screen just those that lead to the others.
func (l *Ladder) keysLine(keys string) string {
	text := l.say.T(keys)
	if ansi.StringWidth(text) > l.width {
		text = l.say.T("watch.ladder.keys-short")
	}
	return l.paint.Faint(text)
}

// panel is a part of the screen below the packets: a rule with its title and so many lines, none where there is no room.
func (l *Ladder) panel(title string, lines []string, height int) []string {
	if height <= 0 {
		return nil
	}
	out := []string{l.rule(l.say.T(title))}
	for i := range height {
		line := ""
		if i < len(lines) {
			line = lines[i]
		}
		out = append(out, line)
	}
	return out
}

// headLine is the title, what is shown, and whether time stands still.
func (l *Ladder) headLine() string {
	parts := []string{l.paint.Bold(l.title), l.say.T("watch.ladder.count", "shown", len(l.shown), "all", len(l.records))}
	if l.station != "" {
		parts = append(parts, l.say.T("watch.ladder.only", "station", l.station))
	}
	switch {
	case !l.live:
	case l.paused:
		parts = append(parts, l.paint.Warn(l.say.T("watch.ladder.paused")))
	default:
		parts = append(parts, l.paint.Good(l.say.T("watch.ladder.live")))
	}
	return strings.Join(parts, "  ")
}

// rule is a line across the screen with a title in it.
func (l *Ladder) rule(title string) string {
	bar := l.glyph("─", "-")
	left := strings.Repeat(bar, 2) + " " + title + " "
	return l.paint.Faint(left + strings.Repeat(bar, max(l.width-ansi.StringWidth(left), 0)))
}

func (l *Ladder) glyph(unicode, ascii string) string {
	if l.ascii {
		return ascii
	}
	return unicode
}

// window is the part of the packets that is on the screen, the selected one in it.
func (l *Ladder) window() (first int, records []*Record) {
	rows := l.rows()
	first = min(max(l.selected-rows+2, 0), max(len(l.shown)-rows, 0))
	if !l.paused || l.selected >= len(l.shown)-1 {
		first = max(len(l.shown)-rows, 0)
	}
	for _, at := range l.shown[first:min(first+rows, len(l.shown))] {
		records = append(records, l.records[at])
	}
	return first, records
}

// row is one packet: marker, time, difference, arrow, words.
func (l *Ladder) row(index int, r *Record, columns *columnSet) string {
	mark := " "
	if index == l.selected {
		mark = ">"
	}

	since, clock := time.Duration(0), time.Duration(0)
	if index > 0 {
		since = r.Time.Sub(l.records[l.shown[index-1]].Time)
	}
	if len(l.records) > 0 {
		clock = r.Time.Sub(l.records[0].Time)
	}

	line := mark + columns.layout.times(clock, since) + " "
	if columns.layout.room > 0 {
		line += columns.arrow(r) + " " + l.label(r, columns.layout)
	} else {
		line += l.words(r)
	}
	if index == l.selected {
		return l.paint.Select(line + strings.Repeat(" ", max(l.width-ansi.StringWidth(line), 0)))
	}
	return line
}

// words is a packet on a screen that is too narrow for columns: who, whom, what.
func (l *Ladder) words(r *Record) string {
	label := l.label(r, layout{})
	if r.Stations == nil {
		return label
	}
	return r.Stations.Source + l.glyph("→", ">") + r.Stations.Destination + " " + label
}

// label is the words beside an arrow: step, message, how it is addressed, and with room its address.
func (l *Ladder) label(r *Record, room layout) string {
	var words []string
	if r.Step != "" {
		words = append(words, r.Step)
	}
	switch {
	case r.DHCP != nil && r.DHCP.Type != 0:
		words = append(words, r.DHCP.Type.String())
	case r.DHCP != nil:
		words = append(words, "BOOTP")
	case r.ARP != nil:
		words = append(words, "ARP "+string(r.ARP.Kind))
	default:
		words = append(words, r.Note)
	}
	if l.width >= wideTerminal {
		switch {
		case r.DHCP != nil && subject(r.DHCP) != "":
			words = append(words, subject(r.DHCP))
		case r.ARP != nil:
			words = append(words, r.ARP.TargetIP.String())
		}
	}
	if r.Linked() && room.addressed() {
		words = append(words, l.say.T(r.way()))
	}
	if r.Malformed != "" {
		words = append(words, l.paint.Bad("!"))
	}
	return strings.Join(words, " ")
}

// details are the fields of the selected packet that the class looks at, as many to a line as fit.
func (l *Ladder) details() []string {
	r := l.current()
	if r == nil {
		return nil
	}
	words := []string{fmt.Sprintf("#%d", r.Number), r.briefly(l.say)}
	arrow := l.glyph("→", "->")
	switch {
	case r.Ethernet != nil:
		words = append(words, fmt.Sprintf("L2 %s %s %s", r.Ethernet.Source, arrow, r.Ethernet.Destination))
	case r.From() != nil:
		words = append(words, fmt.Sprintf("L2 %s", r.From()))
	}
	if r.IP != nil {
		words = append(words, fmt.Sprintf("L3 %s %s %s", r.IP.Source, arrow, r.IP.Destination))
	}
	if r.UDP != nil {
		words = append(words, fmt.Sprintf("UDP %d %s %d", r.UDP.SourcePort, arrow, r.UDP.DestinationPort))
	}
	if d := r.DHCP; d != nil {
		words = append(words, "xid "+d.XID.String(), fmt.Sprintf("secs %d", d.Secs), fmt.Sprintf("flags 0x%04x", d.Flags),
			"ciaddr "+d.CIAddr.String(), "yiaddr "+d.YIAddr.String(), "siaddr "+d.SIAddr.String(),
			"giaddr "+d.GIAddr.String(), "chaddr "+d.CHAddr.String())
		for _, code := range detailOptions {
			if option := d.Option(code); option != nil {
				words = append(words, fmt.Sprintf("%d %s=%s", code, l.say.T(fmt.Sprintf("watch.short.%d", code)), option.Describe()))
			}
		}
	}
	if r.Malformed != "" {
		words = append([]string{l.say.T("watch.say.malformed", "reason", l.say.Phrase(r.Malformed))}, words...)
	}
	return fill(words, l.width)
}

// detailOptions are the options that the class looks at, in the order in which they are taught.
var detailOptions = []int{53, 50, 51, 54, 55, 61, 12, 1, 3, 6, 58, 59}

// fill puts words into lines of at most width cells, two spaces between them.
func fill(words []string, width int) []string {
	var lines []string
	line := ""
	for _, word := range words {
		switch {
		case line == "":
			line = word
		case ansi.StringWidth(line)+2+ansi.StringWidth(word) <= width:
			line += "  " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// clients are the clients as they were after the selected packet.
func (l *Ladder) clients() []*ClientView {
	var out []*ClientView
	place := map[mac]int{}
	r := l.current()
	for _, past := range l.records {
		if past.after == nil {
			continue
		}
		if i, there := place[past.after.key]; there {
			if r == nil || past.Number <= r.Number {
				out[i] = past.after
			}
			continue
		}
		place[past.after.key] = len(out)
		view := past.after
		if r != nil && past.Number > r.Number {
			view = &ClientView{MAC: past.after.MAC, State: Init, key: past.after.key}
		}
		out = append(out, view)
	}
	return out
}

// clientLines shows each client's state and its lease as a bar.
func (l *Ladder) clientLines() []string {
	clients := l.clients()
	if len(clients) == 0 {
		return []string{l.say.T("watch.ladder.no-clients")}
	}
	now := l.now
	if r := l.current(); r != nil && (l.paused || !l.live || now.IsZero()) {
		now = r.Time
	}
	var lines []string
	for _, c := range clients {
		name := ansi.Truncate(l.names.Of(c.MAC), 17, "")
		line := fmt.Sprintf("%-17s %-11s", name, c.At(now))
		if c.Lease != nil && c.At(now) != Init {
			line += fmt.Sprintf(" %-15s %s", c.Lease.Address, l.leaseBar(c.Lease, now))
		}
		lines = append(lines, line)
	}
	return lines
}

// leaseBar draws the lease from its beginning to its end, with T1 and T2 where they are.
func (l *Ladder) leaseBar(lease *Lease, now time.Time) string {
	if lease.Length == 0 {
		return l.say.T("watch.ladder.for-ever")
	}
	width := 12 + max(min(l.width-80, 40), 0)
	at := func(d time.Duration) int { return min(int(int64(width)*int64(d)/int64(lease.Length)), width-1) }
	cells := make([]string, width)
	gone := now.Sub(lease.Start)
	for i := range cells {
		cells[i] = l.glyph("░", ".")
		if i < at(gone) {
			cells[i] = l.glyph("█", "#")
		}
	}
	cells[at(lease.T1)], cells[at(lease.T2)] = "1", "2"
	left := (lease.Length - gone).Round(time.Second)
	text := l.say.T("watch.ladder.left", "left", left, "length", lease.Length)
	if l.width >= wideTerminal {
		text += fmt.Sprintf("  T1 %s  T2 %s", lease.T1, lease.T2)
		if !lease.T1FromWire {
			text += " " + l.say.T("watch.ladder.assumed")
		}
	}
	return "[" + strings.Join(cells, "") + "] " + text
}

// columnSet is where the stations stand.
type columnSet struct {
	l         *Ladder
	layout    layout
	addresses []capture.HardwareAddr
	width     int // of a column
	total     int // of all of them
}

// columns chooses the stations to show: all, or those on the screen, or as many of these as fit.
func (l *Ladder) columns(window []*Record) *columnSet {
	layout := layoutFor(l.width)
	if layout.room == 0 {
		return &columnSet{l: l, layout: layout}
	}
	shown := make([]*Record, len(l.shown))
	for i, at := range l.shown {
		shown[i] = l.records[at]
	}
	most := max(layout.room/minColumnWidth, 1)
	addresses := l.stations(shown)
	if len(addresses) > most {
		addresses = l.stations(window)
	}
	if len(addresses) > most {
		addresses = append(addresses[:most-1:most-1], addresses[len(addresses)-1]) // the server stays
	}
	width := min(layout.room/max(len(addresses), 1), maxColumnWidth)
	return &columnSet{l: l, layout: layout, addresses: addresses, width: width, total: width * max(len(addresses), 1)}
}

// centre is the cell of a column's line.
func (c *columnSet) centre(i int) int { return i*c.width + c.width/2 }

func (c *columnSet) header() string {
	var out strings.Builder
	for _, address := range c.addresses {
		name := c.l.names.Of(address)
		if strings.Count(name, ":") == 5 && c.width < 18 {
			name = name[len(name)-8:] // of a MAC address the end tells more than the beginning
		}
		name = ansi.Truncate(name, c.width-1, "")
		left := max((c.width-ansi.StringWidth(name)+1)/2, 0)
		out.WriteString(strings.Repeat(" ", left) + name + strings.Repeat(" ", max(c.width-left-ansi.StringWidth(name), 0)))
	}
	return out.String()
}

func (c *columnSet) cells() []string {
	cells := make([]string, c.total)
	for i := range cells {
		cells[i] = " "
	}
	for i := range c.addresses {
		cells[c.centre(i)] = c.l.glyph("│", "|")
	}
	return cells
}

func (c *columnSet) lifelines() string { return strings.Join(c.cells(), "") }

// index is the column of a station, -1 for one that is not shown.
func (c *columnSet) index(address capture.HardwareAddr) int {
	for i := range c.addresses {
		if c.addresses[i].String() == address.String() {
			return i
		}
	}
	return -1
}

// arrow draws a packet: from its sender to its receiver with a single line, or to everybody with a double one.
func (c *columnSet) arrow(r *Record) string {
	cells := c.cells()
	if !r.Linked() || len(c.addresses) == 0 {
		return strings.Join(cells, "")
	}
	from, to := c.index(r.From()), c.index(r.To())
	begin := c.total - 1 // a sender that is not shown is beyond the right edge
	if from >= 0 {
		begin = c.centre(from)
	}
	if r.Broadcast() || r.Multicast() {
		c.line(cells, begin, 0, true)
		c.line(cells, begin, c.total-1, true)
	} else {
		end := c.total - 1
		if to >= 0 {
			end = c.centre(to)
		}
		c.line(cells, begin, end, false)
	}
	cells[begin] = c.l.glyph("●", "*")
	return strings.Join(cells, "")
}

// line draws from one cell to another, with a head at its end.
func (c *columnSet) line(cells []string, begin, end int, double bool) {
	stroke, cross := c.l.glyph("─", "-"), c.l.glyph("┼", "+")
	if double {
		stroke, cross = c.l.glyph("═", "="), c.l.glyph("╪", "#")
	}
	step, head := 1, c.l.glyph("►", ">")
	if end < begin {
		step, head = -1, c.l.glyph("◄", "<")
	}
	for at := begin; at != end; at += step {
		if cells[at] == " " {
			cells[at] = stroke
		} else {
			cells[at] = cross
		}
	}
	if begin != end {
		cells[end] = head
	}
}
