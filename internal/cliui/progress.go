package cliui

import (
	"fmt"
	"slices"
)

// Step is one station on a guest's way to its address.
type Step uint8

// The steps, in order. The zero value is invalid.
const (
	_            Step = iota
	StepTap           // its tap is there and enslaved
	StepBoot          // its user space runs
	StepDiscover      // it has asked for a server
	StepOffer         // a server has offered an address
	StepRequest       // it has asked for that address
	StepAck           // the server has confirmed the lease
)

// steps lists the steps in order.
func steps() []Step { return []Step{StepTap, StepBoot, StepDiscover, StepOffer, StepRequest, StepAck} }

// String gives the step's message key, which for DHCP messages is also their name (RFC 2132 section 9.6).
func (s Step) String() string {
	switch s {
	case StepTap:
		return "tap"
	case StepBoot:
		return "boot"
	case StepDiscover:
		return "DISCOVER"
	case StepOffer:
		return "OFFER"
	case StepRequest:
		return "REQUEST"
	case StepAck:
		return "ACK"
	default:
		return fmt.Sprintf("Step(%d)", uint8(s))
	}
}

// StepState is how far a step is.
type StepState uint8

// The states of a step. The zero value stands for a step that has not begun.
const (
	StepPending StepState = iota
	StepBegun
	StepDone
	StepFailed
)

// String names the state.
func (s StepState) String() string {
	switch s {
	case StepPending:
		return "pending"
	case StepBegun:
		return "begun"
	case StepDone:
		return "done"
	case StepFailed:
		return "failed"
	default:
		return fmt.Sprintf("StepState(%d)", uint8(s))
	}
}

// ProgressEvent is one thing that happened while a lab comes up. It is about a step of a guest; or, with Guest empty,
// about a part of the whole lab that Text names ("bridge br1"); or, with Note set, only a line to print.
type ProgressEvent struct {
	Guest string    // one of ProgressOptions.Guests
	Step  Step      // required with Guest
	State StepState // what became of the step or the part
	Text  string    // of a guest: what to show beside it, such as the address; of the lab: the part's name
	Note  string    // a line that stays, above what is redrawn
	// Several says that Guest is a lab with guests of its own: Text is how many of them, or how long it took.
	Several bool
}

// ProgressOptions say what a Progress shows.
type ProgressOptions struct {
	Messages *Messages
	Title    string   // the lab's name
	Guests   []string // a line for each
}

// Progress is the way of a lab and its guests while they come up, as a value: Update takes what happened, View and Line
// say it. It knows no clock and no terminal.
type Progress struct {
	messages *Messages
	title    string
	parts    []progressPart
	rows     []progressRow
}

// progressPart is a part of the whole lab, such as a bridge.
type progressPart struct {
	name  string
	state StepState
}

// progressRow is one guest's way.
type progressRow struct {
	name   string
	states [StepAck + 1]StepState // by Step
	counts [StepAck + 1]int       // how often a step was done: more than once is a retransmission
	text   string
}

// NewProgress makes the progress of a lab where nothing has happened yet.
func NewProgress(opts ProgressOptions) *Progress {
	p := &Progress{messages: opts.Messages, title: opts.Title}
	for _, name := range opts.Guests {
		p.rows = append(p.rows, progressRow{name: name})
	}
	return p
}

// Update takes note of an event. Events about rows or steps that are not there are ignored.
func (p *Progress) Update(e ProgressEvent) {
	switch {
	case e.Note != "":
	case e.Guest == "":
		p.updatePart(e)
	case e.Step >= StepTap && e.Step <= StepAck:
		i := slices.IndexFunc(p.rows, func(r progressRow) bool { return r.name == e.Guest })
		if i >= 0 {
			p.rows[i].update(e)
		}
	}
}

func (p *Progress) updatePart(e ProgressEvent) {
	if e.Text == "" {
		return
	}
	i := slices.IndexFunc(p.parts, func(part progressPart) bool { return part.name == e.Text })
	if i < 0 {
		p.parts = append(p.parts, progressPart{name: e.Text})
		i = len(p.parts) - 1
	}
	p.parts[i].state = e.State
}

func (r *progressRow) update(e ProgressEvent) {
	if e.State == StepDone {
		r.counts[e.Step]++
	}
	r.states[e.Step] = e.State
	// Who speaks has booted, even if it says so later only.
	if e.State == StepDone && e.Step > StepBoot && r.states[StepBoot] == StepBegun {
		r.states[StepBoot] = StepDone
	}
	if e.Text != "" || e.State == StepFailed {
		r.text = e.Text
	}
}

// finished reports whether nothing more is to come for the row.
func (r *progressRow) finished() bool {
	return r.states[StepAck] == StepDone || slices.Contains(r.states[:], StepFailed)
}

// current is the step that the row is at: one that has begun or failed, otherwise the one after the last that is done;
// 0 before the first and after the last.
func (r *progressRow) current() Step {
	last := Step(0)
	for _, step := range steps() {
		switch r.states[step] {
		case StepBegun, StepFailed:
			return step
		case StepDone:
			last = step
		case StepPending:
		}
	}
	if last == 0 || last == StepAck {
		return 0
	}
	return last + 1
}

// shown is the state that a step is drawn in: the step that comes next counts as begun.
func (r *progressRow) shown(step Step) StepState {
	if r.states[step] == StepPending && r.current() == step && !r.finished() {
		return StepBegun
	}
	return r.states[step]
}

// repeated is the last step that was done, and how often, when that is more than once: a client that sends DISCOVER a
// third time is telling that nobody answers.
func (r *progressRow) repeated() (step Step, count int) {
	for _, step := range slices.Backward(steps()) {
		if r.states[step] == StepDone {
			return step, r.counts[step]
		}
	}
	return 0, 0
}
