package netsetup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// repair is one thing that is not as it should be, and what mends it: requests of its own, or a part of
// the one request that changes the link itself, which comes last.
type repair struct {
	reason   string
	commands []string // What a student would type; none for what [BridgeCommands] and [TapCommands] have apart.
	requests []*nl.NetlinkRequest
	attrs    []*nl.RtAttr
	ipv6Off  bool // What is no request: the host stops to speak IPv6 on the link. It comes first of all.
	up       bool
}

// find looks for an owner's link by its mark and by its name. It returns nil when neither is there,
// and a [*ForeignError] when the name belongs to anything else.
func (h *Handle) find(name string, owner Owner) (*Link, error) {
	answers, err := h.links.exchange(getLink(unix.IFLA_ALT_IFNAME, owner.Altname()), getLink(unix.IFLA_IFNAME, name))
	if err != nil {
		return nil, fmt.Errorf("look for link %q: %w", name, classify(err))
	}
	marked, err := foundLink(answers[0])
	if err != nil {
		return nil, fmt.Errorf("look for link %q: %w", owner.Altname(), err)
	}
	named, err := foundLink(answers[1])
	if err != nil {
		return nil, fmt.Errorf("look for link %q: %w", name, err)
	}
	switch {
	case named == nil || (marked != nil && marked.Index == named.Index):
		return marked, nil
	case marked == nil && named.Owner == owner && named.Name == name: // Its alternative name was taken off.
		return named, nil
	default:
		return marked, &ForeignError{Name: name, Kind: named.Kind, Owner: named.Owner}
	}
}

// foundLink returns nil for a link that is not there.
func foundLink(a answer) (*Link, error) {
	if errors.Is(a.err, unix.ENODEV) {
		return nil, nil
	}
	if a.err != nil {
		return nil, classify(a.err)
	}
	if len(a.messages) != 1 {
		return nil, fmt.Errorf("%d links in one answer", len(a.messages))
	}
	link, err := decodeLink(a.messages[0])
	return &link, err
}

// ensure makes a link with create unless it is there, and then brings it to what repairs finds
// missing. A link that was made by this call is removed again when anything fails.
func (h *Handle) ensure(ctx context.Context, name string, owner Owner, kind Kind,
	create func() (Link, error), repairs func(Link) ([]repair, error),
) (changed bool, err error) {
	if err := check(ctx, name, owner); err != nil {
		return false, err
	}
	have, err := h.find(name, owner)
	if err != nil {
		return false, err
	}
	if have != nil && have.Kind != kind {
		return false, &ForeignError{Name: have.Name, Kind: have.Kind, Owner: have.Owner}
	}
	created := have == nil
	if created {
		link, err := create()
		if err != nil {
			return false, err
		}
		have = &link
	}
	list, err := repairs(*have)
	if err == nil {
		err = h.mend(ctx, *have, list)
	}
	if err != nil {
		return !created, errors.Join(h.taken(err, name, owner), h.undo(created, have.Index))
	}
	return created || len(list) > 0, nil
}

func (h *Handle) mend(ctx context.Context, have Link, repairs []repair) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	var requests []*nl.NetlinkRequest
	var attrs []*nl.RtAttr
	up := false
	for _, r := range repairs {
		requests = append(requests, r.requests...)
		attrs = append(attrs, r.attrs...)
		up = up || r.up
		if r.ipv6Off {
			if err := h.silenceIPv6(have.Name); err != nil {
				return err
			}
		}
	}
	if up || len(attrs) > 0 {
		requests = append(requests, setLink(have.Index, up, attrs...))
	}
	_, err := h.links.do(requests...)
	return err
}

// taken turns "file exists", said to a renaming, into what is in the way.
func (h *Handle) taken(err error, name string, owner Owner) error {
	if errors.Is(err, unix.EEXIST) {
		if _, foreign := h.find(name, owner); foreign != nil {
			return foreign
		}
	}
	return err
}

func (h *Handle) undo(created bool, index int) error {
	if !created {
		return nil
	}
	if _, err := h.links.do(deleteLink(index)); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove what was made of it: %w", err)
	}
	return nil
}

// commonRepairs are those of every link that a lab owns.
func commonRepairs(have Link, name string, owner Owner) []repair {
	var list []repair
	if have.Name != name {
		r := repair{reason: fmt.Sprintf("is called %s", have.Name), attrs: []*nl.RtAttr{stringAttr(unix.IFLA_IFNAME, name)}}
		if have.Up { // Before Linux 6.2 only a link that is down could be renamed.
			r.requests, r.up = []*nl.NetlinkRequest{setDown(have.Index)}, true
		}
		list = append(list, r)
	}
	if !slices.Contains(have.Altnames, owner.Altname()) {
		list = append(list, repair{
			reason:   "lost its mark (the alternative name)",
			requests: []*nl.NetlinkRequest{altnameOn(have.Index, "", owner.Altname())},
			commands: MarkCommands(name, owner)[:1],
		})
	}
	if have.Alias != owner.Alias() {
		// A request of its own, ahead of the one that renames the link: udev is told of the new name at once, and its
		// rules find the alias then.
		alias := nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(owner.Alias()))
		list = append(list, repair{
			reason:   "lost its mark (the alias)",
			requests: []*nl.NetlinkRequest{setLink(have.Index, false, alias)},

			commands: MarkCommands(name, owner)[1:],
		})
	}
	list = append(list, seals(have, name)...)
	if !have.Up {
		list = append(list, repair{reason: "is down", up: true})
	}
	return list
}

// reasons lists what the repairs would mend.
func reasons(repairs []repair) []string {
	var list []string
	for _, r := range repairs {
		list = append(list, r.reason)
	}
	return list
}

// typed lists the commands that do the repairs.
func typed(repairs []repair) []string {
	var list []string
	for _, r := range repairs {
		list = append(list, r.commands...)
	}
	return list
}

// addressRepair gives a link an IPv4 address in place of those that it has. A link that has the
// address keeps whatever others somebody added by hand.
func addressRepair(have Link, want netip.Prefix) []repair {
	if !want.IsValid() {
		return nil
	}
	r := repair{reason: fmt.Sprintf("has no address %s", want)}
	for _, prefix := range have.Addresses {
		if prefix == want {
			return nil
		}
		if prefix.Addr().Is4() {
			r.reason = fmt.Sprintf("has the address %s instead of %s", prefix, want)
			r.requests = append(r.requests, address(unix.RTM_DELADDR, 0, have.Index, prefix))
		}
	}
	r.requests = append(r.requests, address(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, have.Index, want))
	return []repair{r}
}
