package main

import (
	"slices"
	"sync"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// coldStarts are the guests of a command that had to boot because their template did not serve. It is said at the end,
// below whatever shows the progress, and once for all that have the same reason.
type coldStarts struct {
	app *app

	mu     sync.Mutex
	guests map[string][]string // by reason
}

func (c *coldStarts) note(guest string, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.guests == nil {
		c.guests = map[string][]string{}
	}
	why := reason.Error()
	if !slices.Contains(c.guests[why], guest) {
		c.guests[why] = append(c.guests[why], guest)
	}
}

// say says it, once.
func (c *coldStarts) say() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list diag.List
	for reason, guests := range c.guests {
		slices.Sort(guests)
		list = append(list, diag.New(diag.ColdStart, diag.Args{"guests": guests, "reason": reason}))
	}
	c.guests = nil
	c.app.showDiagnostics(list)
}
