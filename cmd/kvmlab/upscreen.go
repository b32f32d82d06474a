package main

import (
	"strings"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
)

// upScreen shows `up` while it works: each guest's way through tap, boot, DISCOVER, OFFER, REQUEST and ACK. It gets
// the engine's changes, the packets on the wire and what the supervisor sees of guests, and turns them into progress.
type upScreen struct {
	app     *app
	explain bool
	waiter  *leaseWaiter
	trace   *timings
	screen  *cliui.Screen
	tapOf   map[string]string // guest by tap
}

func newUpScreen(a *app, explain bool) *upScreen {
	return &upScreen{app: a, explain: explain, tapOf: map[string]string{}}
}

// Begin connects the screen to the waiter whose events it shows.
func (s *upScreen) Begin(w *leaseWaiter) {
	s.waiter = w
	w.watch = s.Event
}

// Open starts drawing, once it is known which guests there are.
func (s *upScreen) Open(l *lab.Lab) {
	s.trace.Planned()
	guests := make([]string, len(l.Guests))
	for i, g := range l.Guests {
		guests[i] = g.Name
		for _, nic := range g.NICs {
			s.tapOf[nic.Tap] = g.Name
		}
	}
	p := cliui.NewProgress(cliui.ProgressOptions{Messages: s.app.msgs, Title: l.Name, Guests: guests})
	s.screen = cliui.StartProgress(s.app.Streams, p)
}

// Close leaves the last state on the screen.
func (s *upScreen) Close() {
	if s.screen != nil {
		s.screen.Close()
	}
}

// Change shows a change of the engine: a tap and a domain are steps of their guest, the rest is the lab's.
func (s *upScreen) Change(ev engine.Event) {
	s.trace.Change(ev)
	if s.waiter != nil {
		s.waiter.Change(ev)
	}
	if s.screen == nil {
		return
	}
	progress := cliui.ProgressEvent{Text: ev.Change.Address.String()}
	switch ev.Kind {
	case engine.Started:
		progress.State = cliui.StepBegun
	case engine.Done:
		progress.State = cliui.StepDone
	case engine.Failed:
		progress.State = cliui.StepFailed
	default: // an undo is told by the error at the end
		return
	}
	switch name := ev.Change.Address.Name; ev.Change.Address.Kind {
	case engine.KindTap:
		progress.Guest, progress.Step, progress.Text = s.tapOf[name], cliui.StepTap, name
	case engine.KindDomain:
		progress.Guest, progress.Step, progress.Text = name, cliui.StepBoot, ""
	default:
	}
	// A domain that is done is powered on; the guest itself says when it has booted.
	if ev.Change.Address.Kind != engine.KindDomain || progress.State != cliui.StepDone {
		s.screen.Send(progress)
	}
	if s.explain && ev.Kind == engine.Done {
		s.screen.Send(cliui.ProgressEvent{Note: explainChange(ev.Change, s.app.Phrase)})
	}
}

// explainChange is a change as the commands that do the same by hand, with the reason before them in the words of say.
func explainChange(c engine.Change, say func(string) string) string {
	lines := []string{"# " + say(c.Reason)}
	for _, command := range c.Equivalent {
		lines = append(lines, "$ "+command)
	}
	return strings.Join(lines, "\n")
}

// dhcpSteps are the messages of an exchange that works, as steps of a guest.
var dhcpSteps = map[string]cliui.Step{
	dhcp.Discover.String(): cliui.StepDiscover,
	dhcp.Offer.String():    cliui.StepOffer,
	dhcp.Request.String():  cliui.StepRequest,
	dhcp.Ack.String():      cliui.StepAck,
}

// Event shows what the supervisor, or the wire, saw of a guest.
func (s *upScreen) Event(ev lab.Event) {
	s.trace.Event(ev)
	if s.screen == nil || ev.Guest == "" {
		return
	}
	progress := cliui.ProgressEvent{Guest: ev.Guest, State: cliui.StepDone}
	switch step, isStep := dhcpSteps[ev.Message]; {
	case isStep:
		progress.Step = step
		if ev.Sent && ev.Address.IsValid() {
			progress.Text = ev.Address.String()
		}
	case ev.Message == lab.GuestIdentified:
		progress.Step = cliui.StepBoot
	case ev.Message == dhcp.Nak.String():
		progress.Step, progress.State, progress.Text = cliui.StepRequest, cliui.StepFailed, ev.Text
	default:
		return
	}
	s.screen.Send(progress)
}
