package cliui_test

import (
	"bytes"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/term"
	"pgregory.net/rapid"

	"github.com/kvmlab/kvmlab/internal/cliui"
)

// terminal plays a terminal that understands what a frame uses. Like most, it wraps its lines anew when its width
// changes.
type terminal struct {
	width   int
	lines   [][]rune     // rows
	wrapped map[int]bool // rows that go on in the next one
	row     int
	col     int
}

func (m *terminal) resize(width int) {
	var whole [][]rune // lines before wrapping; the cursor is always at the start of one
	cursor, open := 0, false
	for i, row := range m.lines {
		if !open {
			whole = append(whole, nil)
		}
		if i == m.row {
			cursor = len(whole) - 1
		}
		whole[len(whole)-1] = append(whole[len(whole)-1], row...)
		open = m.wrapped[i]
	}
	m.width, m.lines, m.wrapped = width, nil, map[int]bool{}
	for i, line := range whole {
		if i == cursor {
			m.row = len(m.lines)
		}
		for len(line) > width {
			m.wrapped[len(m.lines)] = true
			m.lines = append(m.lines, line[:width])
			line = line[width:]
		}
		m.lines = append(m.lines, line)
	}
}

func (m *terminal) write(t *rapid.T, text string) {
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' })
			m.control(t, rest[:end], rest[end])
			text = rest[end+1:]
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch r {
		case '\r':
			m.col = 0
		case '\n':
			m.row++
		default:
			m.put(r)
		}
		m.fill()
	}
}

func (m *terminal) fill() {
	for len(m.lines) <= m.row {
		m.lines = append(m.lines, nil)
	}
}

func (m *terminal) put(r rune) {
	if m.col >= m.width {
		m.wrapped[m.row] = true
		m.row, m.col = m.row+1, 0
	}
	m.fill()
	for len(m.lines[m.row]) <= m.col {
		m.lines[m.row] = append(m.lines[m.row], ' ')
	}
	m.lines[m.row][m.col] = r
	m.col++
}

func (m *terminal) control(t *rapid.T, parameter string, final byte) {
	m.fill()
	switch {
	case final == 'A':
		n, err := strconv.Atoi(parameter)
		if err != nil || n > m.row {
			t.Fatalf("the cursor goes up %s rows from row %d", parameter, m.row)
		}
		m.row -= n
	case final == 'K':
		delete(m.wrapped, m.row)
		m.lines[m.row] = m.lines[m.row][:min(m.col, len(m.lines[m.row]))]
	case final == 'J':
		maps.DeleteFunc(m.wrapped, func(row int, _ bool) bool { return row >= m.row })
		m.lines[m.row] = m.lines[m.row][:min(m.col, len(m.lines[m.row]))]
		m.lines = m.lines[:m.row+1]
	case (final == 'h' || final == 'l') && parameter == "?2026":
	default:
		t.Fatalf("unexpected control sequence %q", parameter+string(final))
	}
}

func (m *terminal) text() string {
	var lines []string
	for _, line := range m.lines {
		lines = append(lines, strings.TrimRight(string(line), " "))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// TestFrames draws any progress on a terminal of any width that changes meanwhile: what is on it at the end is the notes
// and the last state, nothing twice and nothing left over.
func TestFrames(t *testing.T) {
	t.Parallel()
	messages := load(t, "en")
	rapid.Check(t, func(t *rapid.T) {
		p := cliui.NewProgress(cliui.ProgressOptions{Messages: messages, Title: "lab", Guests: []string{"pc1", "pc2"}})
		screen := &terminal{width: rapid.IntRange(10, 120).Draw(t, "width"), wrapped: map[int]bool{}}
		screen.write(t, "$ up\r\n")
		want := []string{"$ up"}
		var drawn []int
		var lines []string
		for range rapid.IntRange(1, 12).Draw(t, "frames") {
			if rapid.Bool().Draw(t, "resize") {
				screen.resize(rapid.IntRange(12, 120).Draw(t, "to"))
			}
			note := rapid.SampledFrom([]string{"", "", "ok", "two\nlines"}).Draw(t, "note")
			if note != "" {
				want = append(want, note)
			}
			p.Update(cliui.ProgressEvent{
				Guest: rapid.SampledFrom([]string{"", "pc1", "pc2"}).Draw(t, "guest"),
				Step:  cliui.Step(rapid.IntRange(1, 6).Draw(t, "step")),
				State: cliui.StepState(rapid.IntRange(1, 3).Draw(t, "state")),
				Text:  rapid.SampledFrom([]string{"bridge br1", "192.168.1.2", "supervisor"}).Draw(t, "text"),
			})
			lines = p.View(cliui.ViewOptions{Width: screen.width})
			var frame string
			frame, drawn = cliui.Frame(drawn, lines, note, screen.width)
			screen.write(t, frame)
		}
		for _, line := range lines {
			want = append(want, strings.TrimRight(line, " "))
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), screen.text()); diff != "" {
			t.Fatalf("on the screen (-want +got):\n%s", diff)
		}
	})
}

// TestScreenOnTerminal runs the real thing on a pseudo terminal.
func TestScreenOnTerminal(t *testing.T) {
	t.Parallel()
	streams, read := terminalStreams(t, map[string]string{"TERM": "xterm", "LANG": "C.UTF-8"})
	screen := cliui.StartProgress(streams, newProgress(t, "en", "pc1"))
	screen.Send(step("pc1", cliui.StepAck, "192.168.1.2"))
	time.Sleep(150 * time.Millisecond) // a redraw by the clock
	screen.Close()
	screen.Close()
	screen.Send(step("pc1", cliui.StepAck, "10.0.0.1"))
	got := read()
	if strings.Contains(got, "\x1b[?25l") || strings.Contains(got, "\x1b[?1049h") {
		t.Errorf("the cursor is hidden or the screen switched: %q", got)
	}
	if !strings.Contains(ansi.Strip(got), "✓ ACK") || strings.Contains(got, "10.0.0.1") {
		t.Errorf("the terminal got %q", got)
	}
	if strings.Count(got, "\x1b[?2026h") != strings.Count(got, "\x1b[?2026l") {
		t.Errorf("an update is not ended: %q", got)
	}
}

// TestScreenElsewhere shows that a pipe, --plain and TERM=dumb get lines without a single control character.
func TestScreenElsewhere(t *testing.T) {
	t.Parallel()
	show := func(streams *cliui.Streams) {
		screen := cliui.StartProgress(streams, newProgress(t, "en", "pc1"))
		screen.Send(step("pc1", cliui.StepDiscover, ""))
		screen.Close()
	}
	const want = "pc1: DISCOVER: is there a DHCP server?\n"
	var buffer bytes.Buffer
	show(cliui.NewStreams(strings.NewReader(""), io.Discard, &buffer, noEnv))
	if got := buffer.String(); got != want {
		t.Errorf("a pipe got %q, want %q", got, want)
	}
	dumb, read := terminalStreams(t, map[string]string{"TERM": "dumb"})
	show(dumb)
	if got := strings.ReplaceAll(read(), "\r", ""); got != want {
		t.Errorf("a dumb terminal got %q, want %q", got, want)
	}
	plain, read := terminalStreams(t, map[string]string{"TERM": "xterm"})
	plain.Plain = true
	show(plain)
	if got := strings.ReplaceAll(read(), "\r", ""); got != want {
		t.Errorf("--plain got %q, want %q", got, want)
	}
}

func noEnv(string) string { return "" }

// terminalStreams gives streams on a pseudo terminal; read closes it and returns all that it was sent.
func terminalStreams(t *testing.T, env map[string]string) (streams *cliui.Streams, read func() string) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatalf("open a pseudo terminal: %v", err)
	}
	t.Cleanup(func() { _ = master.Close(); _ = slave.Close() })
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		data, _ := io.ReadAll(master) // ends with EIO when the slave is closed
		got <- string(data)
	}()
	streams = cliui.NewStreams(slave, slave, slave, func(name string) string { return env[name] })
	return streams, func() string { _ = slave.Close(); return <-got }
}

// TestRawModeIsUndone compares the terminal's settings before MakeRaw and after Restore.
func TestRawModeIsUndone(t *testing.T) {
	t.Parallel()
	streams, read := terminalStreams(t, nil)
	fd := int(streams.In.(*os.File).Fd())
	before, err := term.GetState(fd)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := streams.MakeRaw(); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := term.GetState(fd)
	if err != nil {
		t.Fatal(err)
	}
	if *before == *raw {
		t.Error("MakeRaw changed nothing")
	}
	for range 2 {
		if err := streams.Restore(); err != nil {
			t.Fatal(err)
		}
	}
	after, err := term.GetState(fd)
	if err != nil {
		t.Fatal(err)
	}
	if *before != *after {
		t.Error("the terminal is not as it was")
	}
	if got := read(); strings.Count(got, "\x1b[?25h") != 1 {
		t.Errorf("the cursor is not shown again, once: %q", got)
	}
	pipe := cliui.NewStreams(strings.NewReader(""), io.Discard, io.Discard, noEnv)
	if err := pipe.MakeRaw(); err == nil {
		t.Error("MakeRaw on a pipe: no error")
	}
}
