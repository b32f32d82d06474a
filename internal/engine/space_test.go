package engine_test

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/netsetup"
)

// space is one network namespace of a world: the host's, or that of an isolated lab.
type space struct {
	*world
	lab string // empty: the host's
}

// links are the namespace's; the world is locked.
func (s space) links() map[string]netsetup.Link {
	if s.lab == "" {
		return s.world.links
	}
	return s.spaces[s.lab]
}

// Close ends nothing: a space is no file.
func (space) Close() error { return nil }

func (s space) Links(ctx context.Context) ([]netsetup.Link, error) {
	end, err := s.begin(ctx, "read links")
	if err != nil {
		return nil, err
	}
	defer end()
	var links []netsetup.Link
	for _, l := range s.links() {
		l.Carrier = false
		for _, d := range s.domains {
			l.Carrier = l.Carrier || l.Up && d.Run.Active() && slices.Contains(d.open, l.Index)
		}
		links = append(links, l)
	}
	slices.SortFunc(links, func(a, b netsetup.Link) int { return strings.Compare(a.Name, b.Name) })
	return links, nil
}

func (s space) Overlaps(ctx context.Context, prefix netip.Prefix, ignore ...string) ([]netsetup.Overlap, error) {
	end, err := s.begin(ctx, "read overlaps")
	if err != nil {
		return nil, err
	}
	defer end()
	var found []netsetup.Overlap
	for _, l := range s.links() {
		for _, a := range l.Addresses {
			if a.Overlaps(prefix) && !slices.Contains(ignore, l.Name) {
				found = append(found, netsetup.Overlap{Prefix: a, Link: l.Name, Kind: netsetup.OverlapAddress})
			}
		}
	}
	return found, nil
}

// claim finds or makes the link of an owner.
func (s space) claim(name string, kind netsetup.Kind, owner netsetup.Owner) (netsetup.Link, error) {
	if l, ok := s.links()[name]; ok {
		if l.Owner != owner || l.Kind != kind {
			return l, &netsetup.ForeignError{Name: name, Kind: l.Kind, Owner: l.Owner}
		}
		return l, nil
	}
	for _, l := range s.links() {
		if l.Owner == owner {
			delete(s.links(), l.Name)
			l.Name = name
			return l, nil
		}
	}
	s.index++
	return netsetup.Link{
		Name: name, Index: s.index, Kind: kind, Owner: owner, Alias: owner.Alias(), Altnames: []string{owner.Altname()},
	}, nil
}

func (s space) EnsureBridge(ctx context.Context, b netsetup.Bridge) (bool, error) {
	end, err := s.begin(ctx, "ensure "+b.Name)
	if err != nil {
		return false, err
	}
	defer end()
	l, err := s.claim(b.Name, netsetup.KindBridge, b.Owner)
	if err != nil {
		return false, err
	}
	l.Up, l.Addresses = true, nil
	if b.Address.IsValid() {
		l.Addresses = []netip.Prefix{b.Address}
	}
	s.links()[b.Name] = l
	return true, nil
}

func (s space) EnsureTap(ctx context.Context, t netsetup.Tap) (bool, error) {
	end, err := s.begin(ctx, "ensure "+t.Name)
	if err != nil {
		return false, err
	}
	defer end()
	if b, ok := s.links()[t.Bridge]; t.Bridge != "" && (!ok || b.Owner.Lab != t.Owner.Lab) {
		return false, netsetup.ErrNotFound
	}
	l, err := s.claim(t.Name, netsetup.KindTap, t.Owner)
	if err != nil {
		return false, err
	}
	l.Up, l.Master = !t.Staged, t.Bridge
	s.links()[t.Name] = l
	return true, nil
}

func (s space) RemoveLink(ctx context.Context, name string, owner netsetup.Owner) (bool, error) {
	end, err := s.begin(ctx, "remove "+name)
	if err != nil {
		return false, err
	}
	defer end()
	l, ok := s.links()[name]
	if !ok {
		return false, nil
	}
	if l.Owner != owner {
		return false, &netsetup.ForeignError{Name: name, Kind: l.Kind, Owner: l.Owner}
	}
	s.deleteLink(name)
	return true, nil
}

// deleteLink does what the kernel does: a bridge lets go of its ports.
func (s space) deleteLink(name string) {
	delete(s.links(), name)
	for other, l := range s.links() {
		if l.Master == name {
			l.Master = ""
			s.links()[other] = l
		}
	}
}

// MoveTap does what the kernel does: the tap keeps its owner and who has it open, and loses bridge and carrier.
func (s space) MoveTap(ctx context.Context, owner netsetup.Owner, lab, name string) error {
	end, err := s.begin(ctx, "move "+name)
	if err != nil {
		return err
	}
	defer end()
	target, ok := s.spaces[lab]
	if !ok {
		return netsetup.ErrNoNamespace
	}
	for old, l := range s.links() {
		if l.Owner != owner || l.Kind != netsetup.KindTap {
			continue
		}
		if other, taken := target[name]; taken {
			return &netsetup.ForeignError{Name: name, Kind: other.Kind, Owner: other.Owner}
		}
		delete(s.links(), old)
		l.Name, l.Master, l.Up = name, "", false
		target[name] = l
		return nil
	}
	return netsetup.ErrNotFound
}

// namespaces are the isolated labs' of a world. A nil map in the world stands for a stranger's namespace.
type namespaces struct{ *world }

func (n namespaces) Labs(ctx context.Context) ([]string, error) {
	end, err := n.begin(ctx, "read namespaces")
	if err != nil {
		return nil, err
	}
	defer end()
	var labs []string
	for lab, links := range n.spaces {
		if links != nil {
			labs = append(labs, lab)
		}
	}
	slices.Sort(labs)
	return labs, nil
}

func (n namespaces) Open(ctx context.Context, lab string) (engine.Inside, error) {
	end, err := n.begin(ctx, "read namespace")
	if err != nil {
		return nil, err
	}
	defer end()
	links, ok := n.spaces[lab]
	switch {
	case !ok:
		return nil, netsetup.ErrNoNamespace
	case links == nil:
		return nil, &netsetup.ForeignNamespaceError{Name: netsetup.NamespaceName(lab)}
	case links["lo"].Owner.Lab == "":
		return nil, netsetup.ErrBareNamespace
	}
	return space{n.world, lab}, nil
}

func (n namespaces) Ensure(ctx context.Context, lab string) (bool, error) {
	end, err := n.begin(ctx, "ensure namespace")
	if err != nil {
		return false, err
	}
	defer end()
	links, ok := n.spaces[lab]
	if ok && links == nil {
		return false, &netsetup.ForeignNamespaceError{Name: netsetup.NamespaceName(lab)}
	}
	if links == nil {
		links = map[string]netsetup.Link{}
	}
	links["lo"] = netsetup.Link{Name: "lo", Kind: netsetup.KindOther, Up: true, Owner: netsetup.Owner{Lab: lab, Object: "lo"}}
	n.spaces[lab] = links
	return true, nil
}

func (n namespaces) Remove(ctx context.Context, lab string) (bool, error) {
	end, err := n.begin(ctx, "remove namespace")
	if err != nil {
		return false, err
	}
	defer end()
	links, ok := n.spaces[lab]
	if ok && links == nil {
		return false, &netsetup.ForeignNamespaceError{Name: netsetup.NamespaceName(lab)}
	}
	delete(n.spaces, lab)
	return ok, nil
}

func (s space) FindFirewall(ctx context.Context, lab string) (bool, error) {
	end, err := s.begin(ctx, "read firewall")
	if err != nil {
		return false, err
	}
	defer end()
	_, ok := s.walls[lab]
	return ok, nil
}

func (s space) FirewallLabs(ctx context.Context) ([]string, error) {
	end, err := s.begin(ctx, "read firewall")
	if err != nil {
		return nil, err
	}
	defer end()
	return slices.Sorted(maps.Keys(s.walls)), nil
}

func (s space) FirewallDrift(ctx context.Context, want netsetup.Firewall) (string, error) {
	end, err := s.begin(ctx, "read firewall")
	if err != nil {
		return "", err
	}
	defer end()
	if cmp.Equal(s.walls[want.Lab], want, cmpopts.EquateComparable(netip.Prefix{})) {
		return "", nil
	}
	return "is for something else", nil
}

func (s space) EnsureFirewall(ctx context.Context, want netsetup.Firewall) (bool, error) {
	end, err := s.begin(ctx, "ensure firewall")
	if err != nil {
		return false, err
	}
	defer end()
	s.walls[want.Lab] = want
	return true, nil
}

func (s space) RemoveFirewall(ctx context.Context, lab string) (bool, error) {
	end, err := s.begin(ctx, "remove firewall")
	if err != nil {
		return false, err
	}
	defer end()
	delete(s.walls, lab)
	return true, nil
}

func (s space) Networks(ctx context.Context, _ string) ([]netip.Prefix, error) {
	end, err := s.begin(ctx, "read networks")
	if err != nil {
		return nil, err
	}
	defer end()
	return s.networks, nil
}

func (s space) CheckForwarding() error {
	if s.noForwarding {
		return netsetup.ErrNotForwarding
	}
	return nil
}
