package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
)

// The ordinary user of the host, who may do everything with sudo.
const (
	userName     = "ana"
	userPassword = "ana"
)

var (
	loginPrompt    = regexp.MustCompile(`login: $`)
	passwordPrompt = regexp.MustCompile(`Password: $`)
	shellPrompt    = regexp.MustCompile(userName + `@\S+:~\$ $`)
)

// seat is a shell of the ordinary user on a console.
type seat struct{ *console }

// logIn waits for the console's login and becomes the user there. The shell is told to be plain (no prompt, no echo, no
// line editing), so that what is read afterwards is the commands' output alone.
func logIn(ctx context.Context, c *console) (*seat, error) {
	for _, step := range []struct {
		prompt *regexp.Regexp
		answer string
	}{
		{loginPrompt, userName},
		{passwordPrompt, userPassword},
		{shellPrompt, "exec env TERM=dumb PS1= PS2= bash --norc --noprofile --noediting"},
	} {
		if _, _, err := c.expect(ctx, step.prompt); err != nil {
			return nil, err
		}
		if err := c.write(step.answer + "\n"); err != nil {
			return nil, err
		}
	}
	s := &seat{console: c}
	return s, s.beSeated(ctx)
}

// beSeated has the terminal not echo, and waits until the shell has obeyed.
func (s *seat) beSeated(ctx context.Context) error {
	if err := s.write("stty -echo columns 200; echo seated-$((6*7))\n"); err != nil {
		return err
	}
	_, _, err := s.expect(ctx, regexp.MustCompile(`seated-42\n`))
	return err
}

// run has the shell run a command line, which reads nothing, and returns what it printed (both streams, for it is a
// terminal) and its exit status. The line may hold at most 4000 bytes: a terminal's limit.
func (s *seat) run(ctx context.Context, line string) (output string, status int, err error) {
	mark := fmt.Sprintf("end-%08x", rand.Uint32()) // no output has it
	s.skip()
	if err := s.write(fmt.Sprintf("{ %s\n} </dev/null; echo \"<%s:$?>\"\n", line, mark)); err != nil {
		return "", 0, err
	}
	output, groups, err := s.expect(ctx, regexp.MustCompile(`<`+mark+`:(\d+)>\n`))
	if err != nil {
		return "", 0, fmt.Errorf("run %q: %w", line, err)
	}
	status, err = strconv.Atoi(groups[1])
	return strings.TrimSuffix(output, "\n"), status, err
}
