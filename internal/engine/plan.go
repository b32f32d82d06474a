package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// planVersion is the version of a plan's JSON.
const planVersion = 1

// Change is one step of a plan.
type Change struct {
	Action  Action  `json:"action"`
	Address Address `json:"address"`
	// Object is the name that the kernel or libvirt knows: br1, three-taps-pc1.
	Object string `json:"object"`
	// Reason says why, in a few English words: "does not exist", "is off".
	Reason string `json:"reason"`
	// Equivalent are the commands that do the same by hand.
	Equivalent []string `json:"equivalent"`
	// After are the objects whose changes, if the plan has any, come first. Changes that do not wait for each other
	// run at the same time.
	After []Address `json:"-"`
}

// Plan is what has to be done, in an order in which it could be done one by one.
type Plan struct {
	Lab     string
	Changes []Change
	// Conflicts forbid to carry the plan out.
	Conflicts []Conflict
}

// Conflict is something that Up must not or cannot change: above all an object in the way that is not the lab's.
type Conflict struct {
	Address Address // of the lab's object that it concerns; zero when it concerns the lab
	Err     error   // a diagnostic
}

// Err joins the conflicts; nil when the plan can be carried out.
func (p *Plan) Err() error {
	var errs []error
	for _, c := range p.Conflicts {
		errs = append(errs, c.Err)
	}
	return errors.Join(errs...)
}

// Change finds the change of an object.
func (p *Plan) Change(a Address) (Change, bool) {
	for _, c := range p.Changes {
		if c.Address == a {
			return c, true
		}
	}
	return Change{}, false
}

// MarshalJSON writes {"version":1,"lab":…,"changes":[…]}.
func (p *Plan) MarshalJSON() ([]byte, error) {
	changes := make([]Change, len(p.Changes))
	for i, c := range p.Changes {
		if c.Equivalent == nil {
			c.Equivalent = []string{}
		}
		changes[i] = c
	}
	return json.Marshal(struct {
		Version int      `json:"version"`
		Lab     string   `json:"lab"`
		Changes []Change `json:"changes"`
	}{planVersion, p.Lab, changes})
}

// Text writes the plan for people, one line per change and a count; explain adds the equivalent commands.
func (p *Plan) Text(explain bool) string {
	var b strings.Builder
	width := 0
	for _, c := range p.Changes {
		width = max(width, len(c.Address.String()))
	}
	var count [Delete + 1]int
	for _, c := range p.Changes {
		count[c.Action]++
		fmt.Fprintf(&b, "%s %-*s  %s\n", c.Action.Symbol(), width, c.Address, c.Reason)
		if explain {
			for _, command := range c.Equivalent {
				fmt.Fprintf(&b, "    %s\n", command)
			}
		}
	}
	if len(p.Changes) == 0 {
		return "Nothing to do.\n"
	}
	fmt.Fprintf(&b, "%d to create, %d to update, %d to delete.\n", count[Create], count[Update], count[Delete])
	return b.String()
}
