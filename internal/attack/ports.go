package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// portNoise is what comes over the ports that kvmlab itself uses, where it waits for a word or for nothing.
var portNoise = []attack{
	{
		"ports/identity-line", "a line without an end on the identity's port",
		noise("org.kvmlab.id", strings.Repeat("x", 4096)),
	},
	{
		"ports/identity-ok", "the answer to an identity, again and again: a boot each time",
		noise("org.kvmlab.id", strings.Repeat("ok\nparked\n", 400)),
	},
	{
		"ports/identity-words", "escape sequences and zeros on the identity's port",
		noise("org.kvmlab.id", worst+"\n\x00\x00\r\n"),
	},
	{"ports/identity-reopen", "opens and closes the identity's port", reopenPort("org.kvmlab.id")},
	{
		"ports/window-noise", "noise on the port of the terminal's size, where nobody is to say anything",
		noise("org.kvmlab.tty", strings.Repeat("99999 99999\n", 300)),
	},
	{
		"ports/data-noise", "noise on the port that a copy comes by",
		noise("org.kvmlab.data", strings.Repeat("ready \n", 600)),
	},
	{"ports/data-line", "a line without an end there", noise("org.kvmlab.data", strings.Repeat("y", 4096))},
}

// withPort opens a port; whoever holds it is ended first, and is started again by the guest's init.
func withPort(ctx context.Context, name string, use func(port *os.File) error) error {
	device, err := findPort(name)
	if err != nil {
		return err
	}
	port, err := seize(ctx, device)
	if err != nil {
		return err
	}
	return errors.Join(use(port), port.Close())
}

func noise(name, text string) func(context.Context, *guest) error {
	return func(ctx context.Context, g *guest) error {
		return withPort(ctx, name, func(port *os.File) error {
			if err := port.SetDeadline(time.Now().Add(g.last)); err != nil {
				return err
			}
			written := 0
			for {
				n, err := port.WriteString(text)
				written += n
				if err != nil {
					_, err = fmt.Fprintf(g.out, "wrote %d octets\n", written)
					return err
				}
			}
		})
	}
}

func reopenPort(name string) func(context.Context, *guest) error {
	return func(ctx context.Context, g *guest) error {
		for end := time.Now().Add(g.last); time.Now().Before(end); {
			if err := withPort(ctx, name, func(*os.File) error { return nil }); err != nil {
				return err
			}
		}
		return nil
	}
}
