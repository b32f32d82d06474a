package watch

import (
	"slices"
	"time"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// MinWidth is the narrowest terminal that the ladder begins on, in cells. On one that becomes narrower later it goes on.
const MinWidth = 40

// recordsKept bounds the memory of a ladder that runs all day: a record is about a kilobyte.
const recordsKept = 20000

// Ladder is the ladder diagram: records and keys come in, the lines of a screen come out. It has no clock and does no
// input or output.
type Ladder struct {
	say    Speaker
	title  string
	names  *Names
	paint  Paint
	ascii  bool
	live   bool // packets go on coming
	now    time.Time
	width  int
	height int

	records  []*Record
	shown    []int // of records, those that the filters let through
	selected int   // in shown
	paused   bool  // new packets do not move the selection
	others   bool  // show what is neither DHCP nor ARP nor ICMP, too
	station  string

	layers  bool // the selected packet is open
	field   int  // in its fields
	overlay overlay
}

// overlay is a text over the lower part of the screen.
type overlay uint8

const (
	noOverlay overlay = iota
	helpOverlay
	explainOverlay
)

// LadderOptions are what a ladder is made with.
type LadderOptions struct {
	Say   Speaker
	Title string // the lab or the file
	Names *Names
	Paint Paint
	ASCII bool // the locale shows nothing else
	Live  bool // it follows what happens; a file is shown from its beginning
}

// NewLadder is a ladder without packets.
func NewLadder(opts LadderOptions) *Ladder {
	return &Ladder{
		say: opts.Say, title: opts.Title, names: opts.Names, paint: opts.Paint.orPlain(), ascii: opts.ASCII, live: opts.Live,
		paused: !opts.Live, width: 80, height: 24,
	}
}

// Add shows one more packet.
func (l *Ladder) Add(r *Record) {
	if len(l.records) >= recordsKept {
		l.records = slices.Clone(l.records[recordsKept/4:])
		l.records = append(l.records, r)
		l.refilter()
		return
	}
	l.records = append(l.records, r)
	if l.wants(r) {
		l.shown = append(l.shown, len(l.records)-1)
		if !l.paused {
			l.selected = len(l.shown) - 1
		}
	}
}

// End tells that no more packets will come.
func (l *Ladder) End() { l.live = false }

// Resize gives the size of the screen in cells.
func (l *Ladder) Resize(width, height int) { l.width, l.height = width, height }

// Repaint changes the paint, when the terminal has told its background.
func (l *Ladder) Repaint(p Paint) { l.paint = p.orPlain() }

// Tick gives the time, for the leases' bars.
func (l *Ladder) Tick(now time.Time) { l.now = now }

func (l *Ladder) wants(r *Record) bool {
	return (l.others || r.Kind() != "other") && (l.station == "" || r.Involves(l.station))
}

// refilter applies the filters anew and keeps the selected packet, or the next one before it, selected.
func (l *Ladder) refilter() {
	keep := l.current()
	l.shown, l.selected = nil, 0
	for i, r := range l.records {
		if l.wants(r) {
			l.shown = append(l.shown, i)
			if keep != nil && r.Number <= keep.Number {
				l.selected = len(l.shown) - 1
			}
		}
	}
}

// current is the selected record, nil when there is none.
func (l *Ladder) current() *Record {
	if l.selected >= len(l.shown) {
		return nil
	}
	return l.records[l.shown[l.selected]]
}

// Key handles a key by its name ("space", "up", "e") and reports whether the user wants to leave.
func (l *Ladder) Key(key string) (quit bool) {
	if l.overlay != noOverlay {
		l.overlay = noOverlay // any key puts it away
		if key == "q" || key == "esc" || key == "enter" || key == "?" || key == "e" || key == "space" {
			return false
		}
	}
	switch key {
	case "q", "ctrl+c":
		return true
	case "?", "h", "f1":
		l.overlay = helpOverlay
	case "e":
		if l.current() != nil {
			l.overlay = explainOverlay
		}
	case "enter":
		l.layers, l.field = !l.layers && l.current() != nil, 0
		l.paused = l.paused || l.layers
	case "esc", "backspace":
		l.layers = false
	default:
		if l.layers && l.current() != nil {
			l.layersKey(key)
			return false
		}
		l.ladderKey(key)
	}
	return false
}

func (l *Ladder) ladderKey(key string) {
	switch key {
	case "space", "p":
		if l.paused = !l.paused; !l.paused {
			l.selected = max(len(l.shown)-1, 0)
		}
	case "up", "k", "left":
		l.move(-1)
	case "down", "j", "right":
		l.move(1)
	case "pgup":
		l.move(-l.rows())
	case "pgdown":
		l.move(l.rows())
	case "home", "g":
		l.move(-len(l.shown))
	case "end", "G":
		l.move(len(l.shown))
	case "n":
		l.nextExchange(1)
	case "N":
		l.nextExchange(-1)
	case "f":
		l.nextStation()
	case "a":
		l.others = !l.others
		l.refilter()
	}
}

// move steps by so many packets; stepping pauses.
func (l *Ladder) move(by int) {
	l.paused = true
	l.selected = min(max(l.selected+by, 0), max(len(l.shown)-1, 0))
}

// nextExchange goes to the first packet of the next exchange, or of the one before.
func (l *Ladder) nextExchange(way int) {
	l.paused = true
	here := 0
	if r := l.current(); r != nil {
		here = r.Exchange
	}
	first := map[int]bool{}
	target := -1
	for i, at := range l.shown {
		exchange := l.records[at].Exchange
		if exchange == 0 || first[exchange] {
			continue
		}
		first[exchange] = true
		switch {
		case way > 0 && i > l.selected && exchange != here:
			l.selected = i
			return
		case way < 0 && i < l.selected:
			target = i
		}
	}
	if target >= 0 {
		l.selected = target
	}
}

// nextStation filters by the next station, and by none after the last.
func (l *Ladder) nextStation() {
	stations := l.stationNames()
	next := slices.Index(stations, l.station) + 1
	l.station = ""
	if next < len(stations) {
		l.station = stations[next]
	}
	l.refilter()
}

// stationNames are the names of all stations, those of clients first.
func (l *Ladder) stationNames() []string {
	var names []string
	listed := map[string]bool{}
	for _, address := range l.stations(l.records) {
		if name := l.names.Of(address); !listed[name] {
			listed[name] = true
			names = append(names, name)
		}
	}
	return names
}

// stations are the addresses of single stations in records, clients first and servers last, otherwise as they appear.
func (l *Ladder) stations(records []*Record) []capture.HardwareAddr {
	var out []capture.HardwareAddr
	known := map[mac]bool{}
	for _, r := range records {
		for _, address := range []capture.HardwareAddr{r.From(), r.To()} {
			if m, ok := macOf(address); ok && !m.group() && !known[m] {
				known[m] = true
				out = append(out, address)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b capture.HardwareAddr) int {
		return columnOrder(l.names.Role(a)) - columnOrder(l.names.Role(b))
	})
	return out
}

// columnOrder puts clients on the left and servers on the right, with the others between.
func columnOrder(r Role) int { return map[Role]int{Client: 0, Stranger: 1, Relay: 2, Server: 3}[r] }

// Paint is how parts of the screen are made to stand out. Meaning never rests on it.
type Paint struct {
	Bold, Faint, Select, Good, Warn, Bad func(string) string
}

// orPlain fills in what is missing with no paint at all.
func (p Paint) orPlain() Paint {
	for _, f := range []*func(string) string{&p.Bold, &p.Faint, &p.Select, &p.Good, &p.Warn, &p.Bad} {
		if *f == nil {
			*f = func(s string) string { return s }
		}
	}
	return p
}
