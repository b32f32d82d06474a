package cliui

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/term"
)

// defaultWidth is what a terminal that does not tell its width is taken for, and the width of plain output.
const defaultWidth = 80

// Streams are the standard streams of one run of a command, and what it may do on them.
type Streams struct {
	In  io.Reader // where answers and console input come from
	Out io.Writer // data
	Err io.Writer // progress, messages, errors

	// Plain asks for one line per step and no redrawing, whatever the terminal could do (--plain).
	Plain bool

	env func(string) string

	mu      sync.Mutex
	restore func() error // undoes raw mode; nil when the terminal is as it was
	outErr  error        // the first error of Outf
}

// NewStreams gathers three streams. env looks up an environment variable (os.Getenv, or a map in tests): NO_COLOR,
// TERM, COLUMNS and the locale decide what is printed.
func NewStreams(in io.Reader, out, err io.Writer, env func(string) string) *Streams {
	return &Streams{In: in, Out: out, Err: err, env: env}
}

// Outf prints data on Out. A command need not look at every write: the first error is kept, and OutErr tells it.
func (s *Streams) Outf(format string, args ...any) {
	_, err := fmt.Fprintf(s.Out, format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outErr == nil && err != nil {
		s.outErr = fmt.Errorf("write output: %w", err)
	}
}

// OutErr is the first error of Outf, a full disk say; nil when all was written.
func (s *Streams) OutErr() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outErr
}

// Errf prints a message on Err. When nobody can read messages there is nobody to tell that.
func (s *Streams) Errf(format string, args ...any) { _, _ = fmt.Fprintf(s.Err, format, args...) }

// terminalFd gives the file descriptor of a stream that is a terminal.
func terminalFd(stream any) (int, bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return 0, false
	}
	fd := int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// InIsTerminal reports whether a person may be typing.
func (s *Streams) InIsTerminal() bool { _, ok := terminalFd(s.In); return ok }

// OutIsTerminal reports whether the data is read by a person and not by a pipe or a file.
func (s *Streams) OutIsTerminal() bool { _, ok := terminalFd(s.Out); return ok }

// ErrIsTerminal reports whether messages are read on a terminal.
func (s *Streams) ErrIsTerminal() bool { _, ok := terminalFd(s.Err); return ok }

// Live reports whether Err may be redrawn in place: a terminal that understands escape sequences, without --plain.
func (s *Streams) Live() bool {
	return s.ErrIsTerminal() && !s.Plain && s.env("TERM") != "dumb"
}

// ErrStyle gives the styles for text on Err, OutStyle for text on Out. Colour is for terminals only, never with
// NO_COLOR set to anything (https://no-color.org), TERM=dumb or --plain.
func (s *Streams) ErrStyle() Style { return Style{enabled: s.ErrIsTerminal() && s.colourWanted()} }

// OutStyle gives the styles for text on Out; see ErrStyle.
func (s *Streams) OutStyle() Style { return Style{enabled: s.OutIsTerminal() && s.colourWanted()} }

func (s *Streams) colourWanted() bool {
	return s.env("NO_COLOR") == "" && s.env("TERM") != "dumb" && !s.Plain
}

// Size gives the width and height in cells of the terminal on Err (then of the one on Out). Without a terminal it is
// COLUMNS, or 80, by 0: a height of 0 means without limit.
func (s *Streams) Size() (width, height int) {
	for _, stream := range []io.Writer{s.Err, s.Out} {
		if fd, ok := terminalFd(stream); ok {
			if w, h, err := term.GetSize(fd); err == nil && w > 0 {
				return w, h
			}
		}
	}
	if w, err := strconv.Atoi(s.env("COLUMNS")); err == nil && w > 0 {
		return w, 0
	}
	return defaultWidth, 0
}

// Unicode reports whether the locale can show more than ASCII. The order LC_ALL, LC_CTYPE, LANG is POSIX's (XBD 8.2).
// A locale that is not set at all is taken for UTF-8, as containers and new terminals are.
func (s *Streams) Unicode() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := s.env(name); value != "" {
			value = strings.ToLower(value)
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return true
}

// leaveModes undoes what a program in a guest, an editor say, may have set on the terminal and left behind when the
// console was left: the second screen, a hidden cursor, application keys, bracketed paste, mouse reports, colours.
const leaveModes = "\x1b[?1047l\x1b[?25h\x1b[?1l\x1b>\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[0m"

// MakeRaw puts the terminal on In into raw mode: every key reaches the program, Ctrl-C included. Restore undoes it.
// It fails when In is not a terminal.
func (s *Streams) MakeRaw() error {
	fd, ok := terminalFd(s.In)
	if !ok {
		return errors.New("set raw mode: standard input is not a terminal")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.restore != nil {
		return nil
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		return fmt.Errorf("set raw mode: %w", err)
	}
	s.restore = func() error {
		if s.OutIsTerminal() {
			_, _ = io.WriteString(s.Out, leaveModes)
		}
		return term.Restore(fd, before)
	}
	return nil
}

// Restore puts the terminal back as it was before MakeRaw. It may be called at any time, from any goroutine and more
// than once: main calls it on every way out.
func (s *Streams) Restore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.restore == nil {
		return nil
	}
	undo := s.restore
	s.restore = nil
	if err := undo(); err != nil {
		return fmt.Errorf("restore the terminal: %w", err)
	}
	return nil
}
