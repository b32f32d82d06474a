package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
)

// tailSize is how much of a transcript an error quotes, in bytes: some screens full.
const tailSize = 6000

// console is a serial line of the host: all that it has said, and a way to type. A reader of its own empties the line,
// so that a host which prints is never held up.
type console struct {
	line io.ReadWriter

	mu      sync.Mutex
	said    []byte        // everything, without carriage returns
	read    int           // how much of it expect has gone past
	changed chan struct{} // closed, and replaced, when more was said or the line has ended
	ended   error         // why the line has ended; io.EOF when QEMU has
}

func newConsole(line io.ReadWriter) *console {
	c := &console{line: line, changed: make(chan struct{})}
	go c.listen()
	return c
}

func (c *console) listen() {
	buf := make([]byte, 4096)
	for {
		n, err := c.line.Read(buf)
		c.mu.Lock()
		c.said = append(c.said, bytes.ReplaceAll(buf[:n], []byte{'\r'}, nil)...)
		c.ended = err
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// expect waits until the line says something new that matches, and returns what came before the match and the match's
// groups. What follows it is new for the next call.
func (c *console) expect(ctx context.Context, pattern *regexp.Regexp) (before string, groups []string, err error) {
	for {
		c.mu.Lock()
		fresh := c.said[c.read:]
		if m := pattern.FindSubmatchIndex(fresh); m != nil {
			before = string(fresh[:m[0]])
			for i := 0; i < len(m); i += 2 {
				groups = append(groups, string(fresh[m[i]:m[i+1]]))
			}
			c.read += m[1]
			c.mu.Unlock()
			return before, groups, nil
		}
		changed, ended := c.changed, c.ended
		c.mu.Unlock()

		if ended != nil {
			return "", nil, fmt.Errorf("the console ended before it said %q: %w; its last words:\n%s",
				pattern, ended, c.tail())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", nil, fmt.Errorf("wait until the console says %q: %w; its last words:\n%s",
				pattern, context.Cause(ctx), c.tail())
		}
	}
}

// skip makes everything that was said so far old.
func (c *console) skip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = len(c.said)
}

// write types the text.
func (c *console) write(text string) error {
	if _, err := io.WriteString(c.line, text); err != nil {
		return fmt.Errorf("type on the console: %w", err)
	}
	return nil
}

// transcript is all that was said.
func (c *console) transcript() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.said)
}

// tail is the end of what was said, from the beginning of a line.
func (c *console) tail() string {
	text := c.transcript()
	if len(text) <= tailSize {
		return text
	}
	text = text[len(text)-tailSize:]
	if _, whole, ok := strings.Cut(text, "\n"); ok {
		return whole
	}
	return text
}
