package dhcp

import (
	"errors"
	"slices"
	"time"
)

// Faults returns the teaching faults that are set.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.table.faults)
}

// SetFaults puts these teaching faults in the place of those that were set, from the next message on; none clears
// all. Each that is new or gone is an event. Those that count messages begin anew. On an error, which holds a
// *ConfigError for each mistake, nothing changes.
func (s *Server) SetFaults(faults ...Fault) error {
	var ch checker
	s.table.cfg.checkFaults(&ch, faults)
	if err := errors.Join(ch.errs...); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.table.faults
	s.table.setFaults(slices.Clone(faults))
	s.tellFaults(ReasonFaultCleared, old, faults)
	s.tellFaults(ReasonFaultSet, faults, old)
	return nil
}

// tellFaults emits an event for each fault that is in one list and not in the other.
func (s *Server) tellFaults(why Reason, faults, not []Fault) {
	for _, f := range faults {
		if !slices.Contains(not, f) {
			s.emit(Event{
				Interface: f.Interface, Direction: Internal, Decision: DecisionNote, Reason: why, Detail: f.String(),
			})
		}
	}
}

// handle lets the faults strike a message that came in, and decides about what is left of it. The caller holds the
// lock.
func (w *worker) handle(in Inbound, payload []byte) {
	faults := &w.s.table.links[w.index].faults
	if faults.silent {
		w.ignore(ReasonFault, FaultSilent.String())
		return
	}
	drop, twice, late := faults.strike(in.Message.Type)
	switch {
	case drop != nil:
		w.ignore(ReasonFault, drop.String())
	case late != nil:
		w.note(late)
		w.s.handleLater(w, in, payload, late)
	default:
		w.decide(in, payload)
		if twice != nil {
			w.note(twice)
			w.decide(in, payload)
		}
	}
}

// note tells of a fault that struck the message which the worker handles.
func (w *worker) note(f *Fault) {
	x := exchange{t: w.s.table, at: w.s.opts.Now(), m: &w.m, link: &w.s.table.links[w.index]}
	e := x.event(DecisionNote, ReasonFault)
	e.Address, e.Detail = x.about(), f.String()
	w.evs = append(w.evs, e)
}

// handleLater handles a message after the fault's delay, unless the server ends before.
func (s *Server) handleLater(w *worker, in Inbound, payload []byte, f *Fault) {
	p := &probe{link: in.Link, src: in.Src, dst: in.Dst, payload: slices.Clone(payload)}
	port := w.port
	s.after(f.Delay, func(ended bool) {
		late := newWorker(s, p.link, port)
		late.turn(func() {
			if !ended {
				late.resume(p)
			} else if late.m.Parse(p.payload) == nil {
				late.ignore(ReasonFault, f.String())
			}
		})
	})
}

// after calls fn once the time has come or the server ends.
func (s *Server) after(d time.Duration, fn func(ended bool)) {
	s.late.Go(func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			fn(false)
		case <-s.ending:
			fn(true)
		}
	})
}

// strikeReply packs a reply, as often as the faults want it to be sent, and marked with what they do to it.
func (w *worker) strikeReply(r Reply) []outgoing {
	drop, twice, late := w.s.table.links[w.index].faults.strike(r.Type)
	o := w.pack(r)
	o.drop, o.late = drop, late
	w.packed = append(w.packed[:0], o)
	if twice != nil && drop == nil {
		w.note(twice)
		again := w.pack(r)
		again.late = late
		w.packed = append(w.packed, again)
	}
	return w.packed
}

// strike does to a reply what its fault wants: it is lost, or put aside for later.
func (t *transmitter) strike(o *outgoing) {
	if o.drop != nil {
		o.fail(ReasonFault, o.drop.String())
		return
	}
	later, s := *o, t.s
	*o = outgoing{}
	why, delay := later.late.String(), later.late.Delay
	later.late = nil
	t.evs = append(t.evs, Event{
		Time: s.opts.Now(), Interface: later.port.name, Direction: Internal, Type: later.sent.Type,
		XID: later.sent.XID, MAC: later.sent.MAC, Address: later.sent.Address, Decision: DecisionNote,
		Reason: ReasonFault, Detail: why,
	})
	s.after(delay, func(ended bool) {
		out := newTransmitter(s)
		if ended {
			out.hold([]outgoing{later}, ReasonFault, why)
			return
		}
		out.send([]outgoing{later})
	})
}
