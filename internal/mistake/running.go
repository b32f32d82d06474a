package mistake

import (
	"slices"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// restartMargin is by how much a file must be newer than the process that reads it: the start of a process is known to
// a hundredth of a second, and a start script takes longer than this before it starts a server.
const restartMargin = 100 * time.Millisecond

// running looks at the server's process and at what it listens on.
func (f *finder) running() {
	p, ok := f.program()
	if !ok || f.seen.Processes == nil {
		return
	}
	process := f.process(p)
	if process == nil {
		f.add(rankRunning, diag.New(diag.ServerNotRunning, diag.Args{"program": p.name, "unit": p.unit}))
		return
	}
	if !f.ownFile(p) {
		f.restarted(p, process)
	}
	f.sockets(p, process)
}

// restarted compares the times of the files with that of the process.
func (f *finder) restarted(p program, process *Process) {
	if process.Started.IsZero() {
		return
	}
	newest, name := process.Started.Add(restartMargin), ""
	for _, file := range f.read {
		if x, there := f.seen.Files[file]; there && x.Modified.After(newest) {
			newest, name = x.Modified, file
		}
	}
	if name == "" {
		return
	}
	d := diag.New(diag.ServerNotRestarted, diag.Args{"program": p.name, "file": name, "unit": p.unit}).At(diag.Pos{File: name})
	if f.servedWell(process.Started) {
		// What it has read before does what was asked: perhaps a comment was added.
		d.Severity = diag.Warning
	}
	f.add(rankRunning, d)
}

// clockMargin is by how much a guest's clock may be behind the host's, by which leases are seen: it reads whole seconds
// when it boots.
const clockMargin = time.Second

// servedWell says whether a client has got a lease as asked since a time of the guest's clock.
func (f *finder) servedWell(since time.Time) bool {
	since = since.Add(clockMargin)
	return slices.ContainsFunc(f.want.Host.Leases, func(l Lease) bool {
		if f.want.Relay.IsValid() {
			return l.Time.After(since) && l.Server == f.want.Relay
		}
		return l.Time.After(since) && l.Server == f.want.Address.Addr() && f.asked(l) && f.carries(l)
	})
}

// carries says whether a lease has the time and the options that the task asks for, as far as they are known.
func (f *finder) carries(l Lease) bool {
	if f.want.Lease != 0 && l.Span != 0 && l.Span != f.want.Lease {
		return false
	}
	for _, o := range f.want.Options {
		names := dnsmasqOptions[o.Name]
		if len(names) == 0 || l.Options == nil {
			continue
		}
		if l.Options[names[len(names)-1]] != strings.Join(o.Values, ",") {
			return false
		}
	}
	return true
}

// asked says whether a lease is one that the task asks for.
func (f *finder) asked(l Lease) bool {
	return slices.ContainsFunc(f.want.Ranges, func(r Range) bool { return r.contains(l.Address) }) ||
		slices.ContainsFunc(f.want.Reservations, func(r Reservation) bool { return r.Address == l.Address })
}

// sockets looks at the cards that a server listens on: dhcpd and Kea have a packet socket on each, dnsmasq a UDP socket
// that is bound to the card.
func (f *finder) sockets(p program, process *Process) {
	var cards []string
	for _, s := range f.seen.Sockets {
		if s.Program == p.name && (s.PID == 0 || s.PID == process.PID) && s.Interface != "" &&
			(s.Packet || s.Local.Port() == 67) && !slices.Contains(cards, s.Interface) {
			cards = append(cards, s.Interface)
		}
	}
	if len(cards) == 0 || f.want.Interface == "" || slices.Contains(cards, f.want.Interface) || f.below(rankRunning) ||
		f.has(diag.ServerNotRestarted) {
		return
	}
	f.add(rankRunning, diag.New(diag.ServedElsewhere, diag.Args{"program": p.name, "got": cards[0], "want": f.want.Interface}))
}
