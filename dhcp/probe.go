package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// maxProbes is how many addresses are probed at once. Each is one DISCOVER that waits.
const maxProbes = 4096

// probe is a DISCOVER that waits for the answer to "who has this address?".
type probe struct {
	addr     ip4
	link     int
	deadline time.Time
	src, dst netip.Addr
	payload  []byte
}

// arpSize is an ARP packet for IPv4 over Ethernet (RFC 826).
const arpSize = 28

// appendARPProbe writes an ARP request with a sender address of zero: it asks without putting anything into
// anybody's cache (RFC 5227 section 2.1.1; Linux answers it as "duplicate address detection").
func appendARPProbe(dst []byte, mac HWAddr, target ip4) []byte {
	dst = append(dst, 0, 1, 0x08, 0, 6, 4, 0, 1)
	dst = append(dst, mac.bytes[:6]...)
	dst = append(dst, make([]byte, 10)...)
	return binary.BigEndian.AppendUint32(dst, uint32(target))
}

// parseARPReply returns who answers for which address.
func parseARPReply(b []byte) (a ip4, who HWAddr, ok bool) {
	if len(b) < arpSize || [8]byte(b[:8]) != [8]byte{0, 1, 0x08, 0, 6, 4, 0, 2} {
		return 0, HWAddr{}, false
	}
	return ip4(binary.BigEndian.Uint32(b[14:])), Ethernet([6]byte(b[8:14])), true
}

// startProbe puts a message aside until its probe is over. The caller holds the lock, and sends the probe after it.
func (s *Server) startProbe(w *worker, now time.Time, addr netip.Addr, payload []byte, in Inbound) bool {
	a := toIP4(addr)
	if len(s.probes) >= maxProbes || w.port.arp == nil {
		s.table.giveUp(a)
		return false
	}
	s.probes[a] = &probe{
		addr: a, link: in.Link, deadline: now.Add(s.table.cfg.ProbeWait), src: in.Src, dst: in.Dst,
		payload: slices.Clone(payload),
	}
	w.asks = append(w.asks, a)
	return true
}

// giveUp ends a probe that was never made.
func (t *Table) giveUp(a ip4) {
	if b := t.byAddr[a]; b != nil {
		b.probing = false
	}
}

// ask broadcasts the ARP requests of the probes that were started.
func (w *worker) ask() {
	for _, a := range w.asks {
		if err := w.port.sendARP(a); err != nil {
			w.s.opts.Log.Warn("probe address", "iface", w.port.name, "error", err)
		}
	}
	w.asks = w.asks[:0]
}

func (p *port) sendARP(target ip4) error {
	var frame [arpSize]byte
	to := unix.SockaddrLinklayer{
		Protocol: htons(unix.ETH_P_ARP), Ifindex: p.index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255},
	}
	var sendErr error
	err := p.arpIO.Write(func(fd uintptr) bool {
		mac, err := p.hardwareAddress(int(fd))
		if sendErr = err; err != nil {
			return true
		}
		sendErr = unix.Sendto(int(fd), appendARPProbe(frame[:0], mac, target), 0, &to)
		return !errors.Is(sendErr, unix.EAGAIN)
	})
	return errors.Join(err, os.NewSyscallError("sendto", sendErr))
}

// hardwareAddress asks for the interface's address each time: that of a bridge changes with its ports.
func (p *port) hardwareAddress(fd int) (HWAddr, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return HWAddr{}, os.NewSyscallError("getsockname", err)
	}
	if ll, ok := sa.(*unix.SockaddrLinklayer); ok && ll.Halen == 6 {
		return Ethernet([6]byte(ll.Addr[:6])), nil
	}
	return HWAddr{}, fmt.Errorf("interface %q has no Ethernet address", p.name)
}

// listenARP takes the answers to probes on one interface.
func (s *Server) listenARP(link int, p *port) error {
	in, w := newInbox(), newWorker(s, link, p)
	for {
		n, err := in.receive(p.arpIO)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
			return nil
		case errors.Is(err, unix.ENETDOWN):
			continue
		case err != nil:
			return fmt.Errorf("receive ARP on %q: %w", p.name, err)
		}
		w.turn(func() { w.answers(in, n) })
	}
}

// answers takes what came in answer to probes. The caller holds the lock.
func (w *worker) answers(in *inbox, n int) {
	for i := range n {
		b, _ := in.packet(i)
		if a, who, ok := parseARPReply(b); ok {
			w.answered(a, who)
		}
	}
}

// answered ends a probe that somebody answered. The client gets another address. The caller holds the lock.
func (w *worker) answered(a ip4, who HWAddr) {
	s := w.s
	p := s.probes[a]
	if p == nil || p.link != w.index {
		return
	}
	delete(s.probes, a)
	events := s.table.Conflict(s.opts.Now(), a.addr(), who)
	w.evs = append(w.evs, events...)
	s.pending.records = s.table.encode(s.pending.records)
	w.resume(p)
}

// resume handles the message of a finished probe.
func (w *worker) resume(p *probe) {
	if err := w.m.Parse(p.payload); err != nil {
		return // it parsed before
	}
	if why := w.silent(); why != "" {
		w.ignore(ReasonSilenced, why)
		return
	}
	w.decide(Inbound{Link: p.link, Src: p.src, Dst: p.dst, Message: &w.m}, p.payload)
}

// watchProbes ends the probes of one interface that nobody answered, until done is closed. All wait equally long,
// so one look at the first one's end is enough, and none while there is nothing to wait for. An answer that came in time
// counts, even if a busy machine has not let listenARP see it yet.
func (s *Server) watchProbes(link int, p *port, done <-chan struct{}) {
	in, w := newInbox(), newWorker(s, link, p)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-s.probing[link]:
		case <-timer.C:
		}
		var next time.Time
		n := in.poll(p.arpIO)
		w.turn(func() {
			w.answers(in, n)
			next = w.expire()
		})
		if !next.IsZero() {
			timer.Reset(max(next.Sub(s.opts.Now()), 0))
		}
	}
}

// expire ends the probes that are due and returns when the next one is. The caller holds the lock.
func (w *worker) expire() (next time.Time) {
	s, now := w.s, w.s.opts.Now()
	for a, p := range s.probes {
		switch {
		case p.link != w.index:
		case !p.deadline.After(now):
			delete(s.probes, a)
			s.table.Clear(now, a.addr())
			w.resume(p)
		case next.IsZero() || p.deadline.Before(next):
			next = p.deadline
		}
	}
	return next
}
