package lab

import (
	"fmt"
	"io"
	"iter"
	"net/netip"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
	"github.com/kvmlab/kvmlab/macgen"
)

// DefaultLease is the lease time when the lab file does not say.
const DefaultLease = 10 * time.Minute

// ResolveOptions are what the lab file leaves to the moment of `up`.
type ResolveOptions struct {
	// Previous is the lab as it was resolved before, or nil. MAC addresses that
	// were drawn for a guest's card then are kept, so that leases stay valid.
	Previous *Lab
	// Random gives the bytes of new MAC addresses: crypto/rand.Reader.
	Random io.Reader
	// Taken tells which MAC addresses the host has in use outside this lab; nil
	// means none. It is not asked about addresses that Previous has for the same
	// card.
	Taken func(macgen.MAC) bool
	// Name replaces the lab's name from the file, unless it is empty.
	Name string
	// Isolation replaces the lab's isolation from the file, unless it is zero.
	Isolation Isolation
}

// Resolve decides everything that the lab file leaves open. It is deterministic
// but for the MAC addresses drawn from Random. The error is a [diag.List]: the
// new name is not one ([diag.BadLabName]), a MAC address that the file fixes is
// in use ([diag.MACTaken]), or none could be drawn ([diag.NoFreeMAC]).
func Resolve(spec *Spec, opts ResolveOptions) (*Lab, error) {
	l := &Lab{
		Version:   Version,
		Name:      spec.Name.Value,
		Isolation: spec.Isolation.Or(Host),
		Bridges:   make([]Bridge, 0, len(spec.Bridges)),
		Guests:    make([]Guest, 0, len(spec.Guests)),
	}
	if opts.Isolation != 0 {
		l.Isolation = opts.Isolation
	}
	if opts.Name != "" {
		if d := badLabName(opts.Name); d != nil {
			return nil, diag.List{d}
		}
		l.Name = opts.Name
	}
	if len(spec.HostAllow) > 0 {
		l.HostAllow = values(spec.HostAllow)
	}
	for _, g := range spec.Guests {
		l.Guests = append(l.Guests, newGuest(l.Name, g))
	}
	nameTaps(spec, l)
	problems := giveMACs(spec, l, opts)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	for _, b := range spec.Bridges {
		l.Bridges = append(l.Bridges, newBridge(b, l))
	}
	return l, nil
}

// newGuest fills in everything but taps and MAC addresses.
func newGuest(lab string, g GuestSpec) Guest {
	image := g.Image.Or(DefaultImage)
	_, usual := memoryNeeds(image)
	guest := Guest{
		Name:   g.Name.Value,
		Image:  image,
		Memory: g.Memory.Or(usual),
		CPUs:   g.CPUs.Or(1),
		Disk:   g.Disk.Or(0),
		Files:  filesOf(g),
		UUID:   GuestUUID(lab, g.Name.Value),
		NICs:   make([]NIC, len(g.NICs)),
	}
	for i, nic := range g.NICs {
		guest.NICs[i] = NIC{Name: nicName(i), Bridge: nic.Bridge.Value, Tap: nic.Tap.Value, MAC: nic.MAC.Value}
	}
	return guest
}

// nameTaps gives tap1, tap2 … in order to the cards that name no tap, leaving
// out the names that the file uses for links.
func nameTaps(spec *Spec, l *Lab) {
	used := make(map[string]bool)
	for _, b := range spec.Bridges {
		used[b.Name.Value] = true
	}
	for _, g := range spec.Guests {
		for _, nic := range g.NICs {
			used[nic.Tap.Value] = true
		}
	}
	next := 1
	for _, nic := range l.cards() {
		for nic.Tap == "" {
			if name := fmt.Sprintf("tap%d", next); !used[name] {
				nic.Tap = name
			}
			next++
		}
	}
}

// giveMACs fills the MAC addresses that the file leaves to kvmlab: first those
// kept from before, then new ones that nobody has.
func giveMACs(spec *Spec, l *Lab, opts ResolveOptions) diag.List {
	taken := func(mac macgen.MAC) bool { return opts.Taken != nil && opts.Taken(mac) }
	mine := make(map[macgen.MAC]bool)
	var problems diag.List
	for guest, nic := range l.cards() {
		if nic.MAC.IsZero() {
			continue
		}
		mine[nic.MAC] = true
		if kept := previousMAC(opts.Previous, guest, nic.Name); kept != nic.MAC && taken(nic.MAC) {
			problems.Add(diag.New(diag.MACTaken, diag.Args{"mac": nic.MAC, "guest": guest, "nic": nic.Name}).
				At(macPos(spec, nic.MAC)))
		}
	}
	for guest, nic := range l.cards() {
		kept := previousMAC(opts.Previous, guest, nic.Name)
		if nic.MAC.IsZero() && !mine[kept] && macgen.ValidateStation(kept) == nil {
			nic.MAC = kept
			mine[kept] = true
		}
	}
	for guest, nic := range l.cards() {
		if !nic.MAC.IsZero() {
			continue
		}
		mac, err := macgen.Random(opts.Random, func(m macgen.MAC) bool { return mine[m] || taken(m) })
		if err != nil {
			problems.Add(diag.New(diag.NoFreeMAC, diag.Args{"guest": guest, "nic": nic.Name}).Wrap(err))
			continue
		}
		nic.MAC = mac
		mine[mac] = true
	}
	return problems
}

// cards gives every card of the lab with the name of its guest, in order.
func (l *Lab) cards() iter.Seq2[string, *NIC] {
	return func(yield func(string, *NIC) bool) {
		for g := range l.Guests {
			for i := range l.Guests[g].NICs {
				if !yield(l.Guests[g].Name, &l.Guests[g].NICs[i]) {
					return
				}
			}
		}
	}
}

// macPos is where the file gives a MAC address, which it does once at most.
func macPos(spec *Spec, mac macgen.MAC) diag.Pos {
	for _, g := range spec.Guests {
		for _, nic := range g.NICs {
			if nic.MAC.Set && nic.MAC.Value == mac {
				return nic.MAC.Pos
			}
		}
	}
	return diag.Pos{}
}

// previousMAC is the address that a card had before, or zero.
func previousMAC(previous *Lab, guest, nic string) macgen.MAC {
	if previous == nil {
		return macgen.MAC{}
	}
	g, ok := previous.Guest(guest)
	if !ok {
		return macgen.MAC{}
	}
	for _, n := range g.NICs {
		if n.Name == nic {
			return n.MAC
		}
	}
	return macgen.MAC{}
}

func newBridge(b BridgeSpec, l *Lab) Bridge {
	bridge := Bridge{Name: b.Name.Value, Address: b.Address.Value, Internet: b.Internet.Or(NoInternet)}
	if len(b.Reach) > 0 {
		bridge.Reach = values(b.Reach)
	}
	if b.DHCP == nil {
		return bridge
	}
	own := b.Address.Value.Addr()
	dhcp := newDHCP(b.DHCP, own)
	if !b.DHCP.DNSSet {
		dhcp.DNS = []netip.Addr{own}
	}
	for i, r := range b.DHCP.Reservations {
		dhcp.Reservations[i].MAC = reservedMAC(l, b.Name.Value, r)
	}
	bridge.DHCP = dhcp
	return bridge
}

// newDHCP fills in what does not depend on guests. router is the default gateway
// when the file does not say.
func newDHCP(s *DHCPSpec, router netip.Addr) *DHCP {
	lease := max(s.Lease.Or(DefaultLease), s.MinLease.Value)
	if s.MaxLease.Set {
		lease = min(lease, s.MaxLease.Value)
	}
	d := &DHCP{
		Ranges: values(s.Ranges), Lease: lease, MinLease: s.MinLease.Value, MaxLease: s.MaxLease.Value,
		DNS: values(s.DNS), Router: s.Router.Or(router), NextServer: s.NextServer.Value,
		Reservations: make([]Reservation, len(s.Reservations)), Options: options(s.Options),
		Policy: Policy{
			Authoritative: s.Authoritative.Value, IgnoreClientID: !s.MatchClientID.Or(true), NoProbe: !s.Probe.Or(true),
			RapidCommit: s.RapidCommit.Value, NoAutoConfigure: !s.AutoConfigure.Or(true),
			IPv6OnlyWait: uint32(s.IPv6OnlyWait.Value / time.Second),
		},
	}
	if len(s.Exclude) > 0 {
		d.Exclude = values(s.Exclude)
	}
	if len(s.Faults) > 0 {
		d.Faults = values(s.Faults)
	}
	for i, r := range s.Reservations {
		d.Reservations[i] = Reservation{
			Guest: r.Guest.Value, MAC: r.MAC.Value, ClientID: r.ClientID.Value, CircuitID: r.Circuit.Value,
			Address: r.Address.Value, Hostname: r.Hostname.Value,
		}
		if len(r.Options) > 0 {
			d.Reservations[i].Options = options(r.Options)
		}
	}
	return d
}

func options(specs []OptionSpec) []Option {
	all := make([]Option, len(specs))
	for i, o := range specs {
		all[i] = o.Option
	}
	return all
}

// reservedMAC is the address of the guest's first card on the bridge, or the one
// that the file gives.
func reservedMAC(l *Lab, bridge string, r ReservationSpec) macgen.MAC {
	if g, ok := l.Guest(r.Guest.Value); ok {
		for _, nic := range g.NICs {
			if nic.Bridge == bridge {
				return nic.MAC
			}
		}
	}
	return r.MAC.Value
}

func values[T any](fields []yamlfile.Field[T]) []T {
	all := make([]T, len(fields))
	for i, f := range fields {
		all[i] = f.Value
	}
	return all
}
