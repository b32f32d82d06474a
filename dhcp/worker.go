package dhcp

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// outgoing is a reply on its way.
type outgoing struct {
	port   *port
	to     Destination
	sent   Event
	packet []byte // the IP packet
	buf    *[packetSize]byte
	drop   *Fault // it is lost
	late   *Fault // it leaves later
}

// buffers are the memory of replies between their making and their leaving.
var buffers = sync.Pool{New: func() any { return new([packetSize]byte) }}

// worker handles the batches of one interface.
type worker struct {
	s      *Server
	index  int
	port   *port
	m      Message
	ready  []outgoing // replies that need no commit
	packed []outgoing // what became of one reply
	asks   []ip4      // addresses to be probed
	out    *transmitter
	evs    []Event
}

func newWorker(s *Server, index int, p *port) *worker {
	return &worker{s: s, index: index, port: p, out: newTransmitter(s)}
}

// batch decides on everything that was received together. Leases of one batch share one fdatasync.
func (w *worker) batch(in *inbox, n int) {
	w.turn(func() {
		silent := w.silent()
		for i := range n {
			w.packet(in, i, silent)
		}
	})
}

// turn decides under the lock, and then, without it, sends what may leave at once and has the rest committed.
func (w *worker) turn(decide func()) {
	s := w.s
	w.ready, w.evs = w.ready[:0], w.evs[:0]
	s.mu.Lock()
	decide()
	commit := !s.pending.empty()
	s.mu.Unlock()
	if len(w.evs) > 0 {
		s.emit(w.evs...)
	}
	if len(w.asks) > 0 {
		w.ask()
		select {
		case s.probing[w.index] <- struct{}{}:
		default:
		}
	}
	w.out.send(w.ready)
	if commit {
		s.commitSoon()
	}
}

// silent returns why the interface must not answer, or nothing.
func (w *worker) silent() string {
	if why := w.s.silent[w.index]; why != "" {
		return why
	}
	if w.s.opts.Guard != nil {
		if err := w.s.opts.Guard(w.port.name); err != nil {
			return err.Error()
		}
	}
	return ""
}

// packet handles one packet of a batch.
func (w *worker) packet(in *inbox, i int, silent string) {
	b, whole := in.packet(i)
	from, index := in.sender(i)
	aux := in.aux(i)
	if index != w.port.index || aux.status&unix.TP_STATUS_VLAN_VALID != 0 && aux.vlanTCI&0xfff != 0 {
		return // another VLAN's
	}
	d, err := parsePacket(b, aux.status&unix.TP_STATUS_CSUMNOTREADY != 0)
	if errors.Is(err, errNotForUs) || d.dst.IsValid() && !w.forServer(toIP4(d.dst)) {
		return
	}
	if err == nil && !whole {
		err = errTruncated
	}
	if err == nil {
		err = w.m.Parse(d.payload)
	} else {
		w.m.reset()
	}
	switch {
	case err != nil:
		w.refuse(from, err)
	case silent != "":
		w.ignore(ReasonSilenced, silent)
	default:
		w.handle(Inbound{Link: w.index, Src: d.src, Dst: d.dst, Message: &w.m}, d.payload)
	}
}

// forServer tells whether a packet's destination is the server: one of its addresses, or a broadcast. The frame of
// a router's machine also carries what is only passing through.
func (w *worker) forServer(dst ip4) bool {
	l := &w.s.table.links[w.index]
	return dst == broadcastIP || w.s.table.isServer(dst) || l.sub != nil && dst == l.sub.last
}

// refuse tells of what is no DHCP message.
func (w *worker) refuse(from HWAddr, err error) {
	e := Event{
		Time: w.s.opts.Now(), Interface: w.port.name, Direction: In, Decision: DecisionIgnore,
		Reason: ReasonMalformed, Detail: err.Error(), XID: w.m.XID, MAC: w.m.CHAddr, Type: w.m.Type,
	}
	switch {
	case errors.Is(err, errBadChecksum):
		e.Reason = ReasonBadChecksum
	case errors.Is(err, errFragment):
		e.Reason = ReasonFragment
	}
	if e.MAC.IsZero() {
		e.MAC = from
	}
	w.evs = append(w.evs, e)
}

// ignore tells of a message that was not even looked at.
func (w *worker) ignore(why Reason, detail string) {
	x := exchange{t: w.s.table, at: w.s.opts.Now(), m: &w.m, link: &w.s.table.links[w.index]}
	e := x.event(DecisionIgnore, why)
	e.Address, e.Detail = x.about(), detail
	w.evs = append(w.evs, e)
}

// decide puts one message to the table and sorts what comes out. The caller holds the lock.
func (w *worker) decide(in Inbound, payload []byte) {
	s := w.s
	now := s.opts.Now()
	reply, events := Handle(now, s.table, in)
	w.evs = append(w.evs, events...)
	s.pending.records = s.table.encode(s.pending.records)
	if reply.Probe.IsValid() {
		if !s.startProbe(w, now, reply.Probe, payload, in) {
			w.ignore(ReasonOverloaded, "")
		}
		return
	}
	if reply.Type == 0 {
		return
	}
	for _, o := range w.strikeReply(reply) {
		if reply.Commit {
			s.pending.replies = append(s.pending.replies, o)
		} else {
			w.ready = append(w.ready, o)
		}
	}
}

// pack copies a reply out of the table's memory.
func (w *worker) pack(r Reply) outgoing {
	buf := buffers.Get().(*[packetSize]byte)
	o := outgoing{port: w.port, to: r.To, sent: r.Sent, buf: buf}
	o.packet = appendPacket(buf[:0], w.port.addr, toIP4(r.To.IP), r.To.Port, r.Payload)
	if o.routed() {
		allowFragments(o.packet)
	}
	return o
}

// transmitter sends replies. Each goroutine has its own.
type transmitter struct {
	s   *Server
	out *outbox
	evs []Event
}

func newTransmitter(s *Server) *transmitter { return &transmitter{s: s, out: &outbox{}} }

// send sends replies in their order, in as few system calls as can be, and tells of each, before anybody can tell of what
// a client answers.
func (t *transmitter) send(replies []outgoing) {
	if len(replies) == 0 {
		return
	}
	t.s.eventMu.Lock()
	defer t.s.eventMu.Unlock()
	now := t.s.opts.Now()
	t.evs = t.evs[:0]
	for i := range replies {
		replies[i].sent.Time = now
	}
	for start := 0; start < len(replies); {
		o := &replies[start]
		if o.drop != nil || o.late != nil {
			t.strike(o)
			start++
			continue
		}
		end := start
		for end < len(replies) && !t.out.full() && replies[end].joins(o) {
			t.out.add(o.port, replies[end].to, replies[end].packet)
			end++
		}
		way := o.port.outIO
		if o.routed() {
			way = o.port.routeIO
		}
		t.out.flush(way, func(i int, err error) { replies[start+i].fail(ReasonSendError, err.Error()) })
		start = end
	}
	t.done(replies)
}

// joins tells whether a reply can be sent by the same system call as another.
func (o *outgoing) joins(first *outgoing) bool {
	return o.port == first.port && o.routed() == first.routed() && o.drop == nil && o.late == nil
}

// routed tells whether a reply goes where the kernel's routes lead.
func (o *outgoing) routed() bool { return o.to.Link.IsZero() }

// done tells of the replies and gives their memory back. The caller holds the lock of the events.
func (t *transmitter) done(replies []outgoing) {
	for i := range replies {
		if replies[i].buf == nil { // it was put aside
			continue
		}
		t.evs = append(t.evs, replies[i].sent)
		buffers.Put(replies[i].buf)
		replies[i] = outgoing{}
	}
	t.s.tell(t.evs)
}

// hold tells of replies that will not be sent.
func (t *transmitter) hold(replies []outgoing, why Reason, detail string) {
	t.s.eventMu.Lock()
	defer t.s.eventMu.Unlock()
	t.evs = t.evs[:0]
	now := t.s.opts.Now()
	for i := range replies {
		replies[i].sent.Time = now
		replies[i].fail(why, detail)
	}
	t.done(replies)
}

func (o *outgoing) fail(why Reason, detail string) {
	o.sent.Decision, o.sent.Reason, o.sent.Detail = DecisionNotSent, why, detail
}
