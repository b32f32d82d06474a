package check

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/mistake"
	"github.com/kvmlab/kvmlab/internal/station"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// Causes looks for what the student has got wrong in the guest that the task is about, the cause that hides the others
// first. Without a task there are none. Errors: [ErrNoAnswer] when the guest cannot be asked, or answers nonsense.
func (r *Runner) Causes(ctx context.Context) (diag.List, error) {
	if r.File.Task == nil {
		return nil, nil
	}
	guest := r.File.Task.Guest.Value
	seen, err := mistake.Read(ctx, func(ctx context.Context, argv ...string) ([]byte, error) {
		words := make([]string, len(argv))
		for i, word := range argv {
			words[i] = quoted(word)
		}
		out, err := r.Evidence.Guest(ctx, guest, strings.Join(words, " ")+" 2>/dev/null")
		return []byte(out.Text), err
	})
	if errors.Is(err, mistake.ErrNonsense) {
		err = &SilentError{Guest: guest, Nonsense: true, Err: err}
	}
	if err != nil {
		return nil, err
	}
	want, err := r.task(ctx)
	if err != nil {
		return nil, err
	}
	return mistake.Find(seen, want), nil
}

// task says the file's task in the terms of package mistake, with what the host and the wire know.
func (r *Runner) task(ctx context.Context) (mistake.Task, error) {
	t := r.File.Task
	want := mistake.Task{
		Interface: t.NIC.Value, Address: t.Address.Value, Relay: t.Relay.Value, Lease: t.Lease.Value, Authoritative: t.Authoritative.Value,
	}
	if t.Range.Set {
		want.Ranges = []mistake.Range{{First: t.Range.Value.First, Last: t.Range.Value.Last}}
	}
	programs := map[string]mistake.Program{"isc": mistake.ISC, "kea": mistake.Kea, "dnsmasq": mistake.Dnsmasq}
	for _, p := range t.Programs {
		want.Programs = append(want.Programs, programs[p.Value])
	}
	for _, name := range slices.Sorted(maps.Keys(t.Options)) {
		want.Options = append(want.Options, mistake.Option{Name: name, Values: strings.Split(t.Options[name], ",")})
	}
	cards := r.cards()
	for _, reserved := range t.Reservations {
		want.Reservations = append(want.Reservations, reservation(reserved, cards))
	}
	for _, c := range r.File.Checks {
		// The published wrong belief is about the server's address: option 54 of any message.
		if text, ok := r.Answers[c.ID.Value]; ok && c.Assert.Kind == "answer" && slices.Contains([]string{"server_id", "src_ip"}, c.Assert.Field.Value) {
			want.Answers = append(want.Answers, mistake.Answer{To: mistake.ServerAddress, Text: text})
		}
	}
	var err error
	want.Host, err = r.hostFacts(ctx, cards)
	return want, err
}

func (r *Runner) cards() []mistake.NIC {
	var all []mistake.NIC
	for _, g := range r.Lab.Guests {
		for _, nic := range g.NICs {
			all = append(all, mistake.NIC{Guest: g.Name, Name: nic.Name, MAC: net.HardwareAddr(nic.MAC[:])})
		}
	}
	return all
}

func reservation(r Reservation, cards []mistake.NIC) mistake.Reservation {
	out := mistake.Reservation{Guest: r.Guest.Value, NIC: r.NIC.Or("eth0"), Address: r.Address.Value}
	for _, c := range cards {
		if c.Guest == out.Guest && c.Name == out.NIC {
			out.MAC = c.MAC
		} else {
			out.Others = append(out.Others, c)
		}
	}
	return out
}

// hostFacts is what the host and the wire of the served segment know.
func (r *Runner) hostFacts(ctx context.Context, cards []mistake.NIC) (mistake.Host, error) {
	t := r.File.Task
	host := mistake.Host{NICs: cards}
	for _, c := range cards {
		switch {
		case c.Guest == t.Guest.Value && c.Name == t.NIC.Value:
			host.Server = c
		case c.Guest == t.Guest.Value:
			host.Others = append(host.Others, c)
		}
	}
	links, err := r.Evidence.Links(ctx)
	if err != nil {
		return host, err
	}
	bridge := ""
	for _, g := range r.Lab.Guests {
		for _, nic := range g.NICs {
			host.Taps = append(host.Taps, tapOf(g.Name, nic, links))
			if g.Name == t.Guest.Value && nic.Name == t.NIC.Value {
				bridge = nic.Bridge
			}
		}
	}
	for _, l := range links {
		if l.Kind == netsetup.KindTap && !l.OwnedBy(r.Lab.Name) && l.Name == "tap0" {
			host.Strays = append(host.Strays, l.Name)
		}
	}
	return host, r.wireFacts(ctx, &host, bridge)
}

func tapOf(guest string, nic lab.NIC, links []netsetup.Link) mistake.Tap {
	tap := mistake.Tap{Name: nic.Tap, Guest: guest, NIC: nic.Name, Want: nic.Bridge}
	for _, l := range links {
		if l.Name == nic.Tap {
			tap.Exists, tap.Up, tap.Bridge = true, l.Up, l.Master
		}
	}
	return tap
}

// wireFacts notes who answered on a bridge, and which leases it has given.
func (r *Runner) wireFacts(ctx context.Context, host *mistake.Host, bridge string) error {
	records, err := r.Evidence.Wire(ctx)
	if err != nil {
		return err
	}
	seen := map[netip.Addr]int{}
	for _, p := range records {
		if p.DHCP == nil || p.DHCP.Op != 2 || p.IP == nil || p.Stations == nil || p.Interface != bridge ||
			station.Is(p.Ethernet.Source) {
			continue
		}
		id, ok := p.DHCP.Addr(54)
		if !ok {
			continue
		}
		server := mistake.Answering{
			Address: id, MAC: net.HardwareAddr(p.Ethernet.Source), Who: guestOf(p.Stations.Source), Seen: p.Time,
		}
		if i, known := seen[id]; known {
			host.Answering[i] = server
		} else {
			seen[id] = len(host.Answering)
			host.Answering = append(host.Answering, server)
		}
		if p.DHCP.Type == capture.Ack && !p.DHCP.YIAddr.IsUnspecified() {
			host.Leases = append(host.Leases, leaseOf(p.DHCP, id, p.Time))
		}
	}
	return nil
}

// leaseOf is what an ACK has lent.
func leaseOf(ack *capture.DHCP, server netip.Addr, at time.Time) mistake.Lease {
	l := mistake.Lease{
		Address: ack.YIAddr, MAC: net.HardwareAddr(ack.CHAddr), Server: server, Time: at, Options: map[string]string{},
	}
	if seconds, ok := ack.Seconds(51); ok {
		l.Span = time.Duration(seconds) * time.Second
	}
	for code, o := range ack.Options {
		l.Options[strconv.Itoa(code)] = optionText(o)
	}
	return l
}
