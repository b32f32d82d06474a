package main

import (
	"context"
	"time"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/supervisor"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// followWire shows the lab's DHCP messages, from the beginning of this run on, as events of its guests. They come from
// the packets on the wire and not from the DHCP server, so it does not matter who serves: kvmlab, a guest, or two at
// once. It returns what ends it, after everything that has been on the wire until then.
func (w *leaseWaiter) followWire(ctx context.Context, l *lab.Lab) (end func()) {
	if w.watch == nil || len(l.Bridges) == 0 {
		return func() {}
	}
	stream, err := w.client.Frames(context.WithoutCancel(ctx), w.began.Format(time.RFC3339Nano))
	if err != nil { // the leases are awaited all the same
		w.app.log.Warn("follow the wire", "lab", l.Name, "err", err)
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		frames := new(capture.Reassembler)
		for {
			frame, err := stream.Next()
			if err != nil {
				return
			}
			if ev, ok := wireEvent(l, frames.Decode(frame)); ok {
				w.watch(ev)
			}
		}
	}()
	return func() { endWire(ctx, stream, done) }
}

// endWire lets a stream go on to its end, for a short while at the most.
func endWire(ctx context.Context, stream *supervisor.FrameStream, done <-chan struct{}) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
	defer cancel()
	if stream.End(limited) == nil {
		select {
		case <-done:
		case <-limited.Done():
		}
	}
	_ = stream.Close() // wakes Next, if need be
	<-done
}

// wireEvent makes an event of a DHCP message of one of the lab's guests. A message that a relay has passed on to another
// bridge is not another message of the guest.
func wireEvent(l *lab.Lab, p *capture.Packet) (lab.Event, bool) {
	d := p.DHCP
	if d == nil || d.Type == 0 || len(d.CHAddr) != len(macgen.MAC{}) {
		return lab.Event{}, false
	}
	mac := macgen.MAC(d.CHAddr)
	guest, nic, ok := cardOn(l, p.Interface, mac)
	if !ok {
		return lab.Event{}, false
	}
	const reply = 2 // BOOTREPLY, from a server (RFC 2131 section 2)
	ev := lab.Event{
		Time: p.Time, Kind: lab.EventDHCP, Bridge: p.Interface, Guest: guest, NIC: nic, MAC: mac, Message: d.Type.String(),
		Sent: d.Op == reply,
	}
	if ev.Sent {
		ev.Address = d.YIAddr
	}
	if why := d.Option(56); why != nil { // a NAK's reason (RFC 2132 section 9.9)
		ev.Text = why.Describe()
	}
	return ev, true
}

// cardOn finds the guest's card that is plugged into a bridge.
func cardOn(l *lab.Lab, bridge string, mac macgen.MAC) (guest, nic string, ok bool) {
	for _, g := range l.Guests {
		for _, n := range g.NICs {
			if n.MAC == mac && n.Bridge == bridge {
				return g.Name, n.Name, true
			}
		}
	}
	return "", "", false
}
