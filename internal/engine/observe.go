package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// Observed is what exists on the host, as far as it concerns labs.
type Observed struct {
	Links      []netsetup.Link // of the host's network namespace
	Namespace  NamespaceState
	Inside     []netsetup.Link // of the lab's own namespace
	Firewall   FirewallState
	Domains    []vm.State
	Supervisor SupervisorState
	// Overlaps are, by wanted bridge, what of the host is in the way of its subnet.
	Overlaps map[string][]netsetup.Overlap
	// Applied is what the journal knows of objects that cannot tell it themselves, see applied.
	Applied map[Address]string
}

// SupervisorState is what is known of a lab's supervisor.
type SupervisorState struct {
	Running bool
	PID     int // 0 when it does not run
}

// observe reads the host for one lab; the journal is not part of the host. What could not be read is in the error; the
// rest is returned all the same, so that Down can go on.
func (e *Engine) observe(ctx context.Context, files state.Lab) (*Observed, error) {
	seen := &Observed{}
	var errs [5]error
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if seen.Links, err = e.cfg.Network.Links(ctx); err != nil {
			errs[0] = explainNetwork("read the network links", err)
		}
	})
	wg.Go(func() {
		var err error
		if seen.Domains, err = e.cfg.Hypervisor.Domains(ctx); err != nil {
			errs[1] = explainHypervisor(err)
		}
	})
	wg.Go(func() {
		var err error
		seen.Supervisor.Running, seen.Supervisor.PID, err = e.cfg.Supervisor(files).Observe(ctx)
		if err != nil {
			errs[2] = fmt.Errorf("observe supervisor: %w", err)
		}
	})
	wg.Go(func() {
		if err := e.lookInside(ctx, files.Name(), seen); err != nil {
			errs[3] = explainNetwork("read the lab's network namespace", err)
		}
	})
	wg.Go(func() {
		var err error
		if seen.Firewall.There, err = e.cfg.Network.FindFirewall(ctx, files.Name()); err != nil {
			errs[4] = explainNetwork("look for the lab's firewall", err)
		}
	})
	wg.Wait()
	// Links come sorted; libvirt promises no order, and a plan is to be the same every time.
	slices.SortFunc(seen.Domains, func(a, b vm.State) int { return strings.Compare(a.Name, b.Name) })
	return seen, errors.Join(errs[:]...)
}

// observeAll reads the host and the journal.
func (e *Engine) observeAll(ctx context.Context, files state.Lab) (*Observed, error) {
	seen, hostErr := e.observe(ctx, files)
	records, err := state.ReadJournal(files.JournalFile())
	seen.Applied = applied(records)
	return seen, errors.Join(hostErr, explainState(files.JournalFile(), err))
}

// applied returns what the journal's last finished change left on each object: the image of a guest, the digest of
// the lab that the supervisor serves. An object whose last change is unfinished has none.
func applied(records []state.Record) map[Address]string {
	known := map[Address]string{}
	for _, r := range records {
		var a Address
		if a.UnmarshalText([]byte(r.Address)) != nil {
			continue
		}
		if r.Kind == state.Done && r.Action != Delete.String() {
			known[a] = r.Applied
		} else {
			delete(known, a)
		}
	}
	return known
}

// overlaps finds what of the host is in the way of the subnets of the bridges that are yet to get their address.
func (e *Engine) overlaps(ctx context.Context, want *lab.Lab, seen *Observed) error {
	seen.Overlaps = map[string][]netsetup.Overlap{}
	if want.Isolation == lab.Netns {
		return nil // its routing table is its own
	}
	var own []string
	for _, l := range seen.Links {
		if l.OwnedBy(want.Name) {
			own = append(own, l.Name)
		}
	}
	for _, b := range want.Bridges {
		if link, ok := seen.link(want.Name, b.Name); !b.Address.IsValid() || ok && slices.Contains(link.Addresses, b.Address) {
			continue
		}
		found, err := e.cfg.Network.Overlaps(ctx, b.Address, own...)
		if err != nil {
			return explainNetwork("look for overlapping subnets", err)
		}
		if len(found) > 0 {
			seen.Overlaps[b.Name] = found
		}
	}
	return nil
}

// link finds the bridge or tap that carries the mark of a lab's object. A mark can be copied by hand; the link that
// also has the object's name counts before others.
func (o *Observed) link(labName, object string) (found netsetup.Link, ok bool) {
	for _, l := range o.Links {
		if ours(l, labName) && l.Owner.Object == object && (!ok || l.Name == object) {
			found, ok = l, true
		}
	}
	return found, ok
}

// ours reports whether l is of a kind that kvmlab makes and carries the lab's mark.
func ours(l netsetup.Link, labName string) bool {
	return l.OwnedBy(labName) && (l.Kind == netsetup.KindBridge || l.Kind == netsetup.KindTap)
}

// linkNamed finds a link of any owner by its name.
func (o *Observed) linkNamed(name string) (netsetup.Link, bool) {
	i := slices.IndexFunc(o.Links, func(l netsetup.Link) bool { return l.Name == name })
	if i < 0 {
		return netsetup.Link{}, false
	}
	return o.Links[i], true
}

// domainNamed finds a domain of any owner by its name.
func (o *Observed) domainNamed(name string) (vm.State, bool) {
	i := slices.IndexFunc(o.Domains, func(d vm.State) bool { return d.Name == name })
	if i < 0 {
		return vm.State{}, false
	}
	return o.Domains[i], true
}

// empty reports that nothing on the host is the lab's.
func (o *Observed) empty(labName string) bool {
	return !o.Supervisor.Running && !o.isolated() && !o.Firewall.There &&
		!slices.ContainsFunc(o.Links, func(l netsetup.Link) bool { return ours(l, labName) }) &&
		!slices.ContainsFunc(o.Domains, func(d vm.State) bool { return d.Owned && d.Owner.Lab == labName })
}

// taken returns a function that tells which MAC addresses a new NIC of the lab must not get: those of the host's
// links and of other labs' and strangers' guests. The lab's own guests keep theirs.
func (o *Observed) taken(labName string) func(macgen.MAC) bool {
	used := map[macgen.MAC]bool{}
	for _, l := range o.Links {
		used[l.MAC] = true
	}
	for _, d := range o.Domains {
		if d.Owned && d.Owner.Lab == labName {
			continue
		}
		for _, nic := range d.NICs {
			used[nic.MAC] = true
		}
	}
	return func(mac macgen.MAC) bool { return used[mac] }
}

// fromMarks rebuilds what the objects of a lab tell of it, for a lab whose state was lost: enough to keep the MAC
// addresses of its guests. It returns nil when there is no guest.
func (o *Observed) fromMarks(labName string) *lab.Lab {
	l := &lab.Lab{Version: lab.Version, Name: labName, Isolation: lab.Host}
	if o.isolated() {
		l.Isolation = lab.Netns
	}
	for _, d := range o.Domains {
		if !d.Owned || d.Owner.Lab != labName {
			continue
		}
		g := lab.Guest{Name: d.Owner.Guest, UUID: d.UUID}
		for i, nic := range d.NICs {
			tap := o.opened(nic.Tap)
			g.NICs = append(g.NICs, lab.NIC{Name: fmt.Sprintf("eth%d", i), Bridge: tap.Master, Tap: tap.Name, MAC: nic.MAC})
		}
		l.Guests = append(l.Guests, g)
	}
	if len(l.Guests) == 0 {
		return nil
	}
	return l
}
