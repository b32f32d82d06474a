package netsetup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Tap is a persistent tap as a lab wants it: up, on its bridge, without IPv6 addresses of its own.
type Tap struct {
	Name   string
	Bridge string // Empty: not enslaved by EnsureTap; where it is enslaved already, it stays.
	// Staged leaves the tap down, so that nothing the host sends waits in it for the guest: it is on its
	// way to another namespace (see [Handle.MoveTap]).
	Staged bool

	// Who may open the tap without CAP_NET_ADMIN: a process of this user that is also in this group,
	// as numbers. They are set when the tap is made. A tap without an owner could be opened by anybody,
	// so 0 means root.
	UID, GID int
	// User and Group are the names for UID and GID in [TapCommands]; when empty, the numbers stand there.
	User, Group string

	Owner Owner
}

// EnsureTap makes the tap, or brings what is there of it to what is wanted: name, marks, bridge, up.
// Changed tells whether anything had to be done. The bridge has to be there and be the same lab's.
//
// The error is a [*NameError]; a [*ForeignError] when the name, or the bridge, belongs to somebody else;
// [ErrNotFound] when there is no such bridge; [ErrNoTun]; or [ErrPermission]. Then a tap that this call
// made is gone again.
func (h *Handle) EnsureTap(ctx context.Context, want Tap) (changed bool, err error) {
	changed, err = h.ensureTap(ctx, want)
	if err != nil {
		return changed, fmt.Errorf("set up tap %q: %w", want.Name, err)
	}
	return changed, nil
}

func (h *Handle) ensureTap(ctx context.Context, want Tap) (changed bool, err error) {
	if want.UID < 0 || want.GID < 0 {
		return false, fmt.Errorf("owner %d and group %d: %w", want.UID, want.GID, os.ErrInvalid)
	}
	bridge := Link{Name: want.Bridge}
	if want.Bridge != "" {
		found, err := h.labBridge(want.Bridge, want.Owner.Lab)
		if err != nil {
			return false, err
		}
		bridge = *found
	}
	return h.ensure(ctx, want.Name, want.Owner, KindTap,
		func() (Link, error) { return h.createTap(want) },
		func(have Link) ([]repair, error) { return want.repairs(have, bridge), nil })
}

// TapDrift tells in words what EnsureTap would mend on a link of its owner; none when all is as
// wanted.
func TapDrift(have Link, want Tap) []string {
	return reasons(want.repairs(have, Link{Name: want.Bridge}))
}

// TapDriftCommands are the commands for that, but for name, bridge and being up.
func TapDriftCommands(have Link, want Tap) []string {
	return typed(want.repairs(have, Link{Name: want.Bridge}))
}

func (tap Tap) repairs(have, bridge Link) []repair {
	list := commonRepairs(have, tap.Name, tap.Owner)
	if tap.Staged {
		list = slices.DeleteFunc(list, func(r repair) bool { return r.up && len(r.attrs) == 0 })
	}
	// One link comes from a dump, with its master's name, the other from a look-up, with the index only.
	onBridge := have.Master == bridge.Name || (have.master != 0 && have.master == bridge.Index)
	if bridge.Name != "" && !onBridge {
		list = append(list, repair{
			reason: "is not a port of " + bridge.Name,
			attrs:  []*nl.RtAttr{nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(bridge.Index)))},
		})
	}
	return list
}

// createTap makes the tap under a name that the kernel chooses, so that it is new for certain: opening
// a tap by a name that exists would take over that one. It stays non-persistent until it is marked: if
// this process ends before, the tap ends with it.
//
// Nothing is forked until it is closed again: between fork and exec a child has the open files of its
// parent, and a tap that anybody has open cannot be opened by QEMU.
func (h *Handle) createTap(want Tap) (link Link, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	tun, err := h.openTap("kvmlab%d", uint(want.UID), uint(want.GID))
	if err != nil {
		return Link{}, err
	}
	defer func() { err = errors.Join(err, tun.Close()) }()
	answers, err := h.links.do(altnameOn(0, tun.Name(), want.Owner.Altname()), getLink(unix.IFLA_IFNAME, tun.Name()))
	if err != nil {
		return Link{}, err
	}
	if err := tun.persist(); err != nil {
		return Link{}, err
	}
	return decodeLink(answers[1].messages[0])
}

// labBridge returns a bridge that belongs to the lab.
func (h *Handle) labBridge(name, lab string) (*Link, error) {
	answers, err := h.links.exchange(getLink(unix.IFLA_IFNAME, name))
	if err != nil {
		return nil, fmt.Errorf("look for bridge %q: %w", name, classify(err))
	}
	link, err := foundLink(answers[0])
	switch {
	case err != nil:
		return nil, fmt.Errorf("look for bridge %q: %w", name, err)
	case link == nil:
		return nil, fmt.Errorf("look for bridge %q: %w", name, ErrNotFound)
	case link.Kind != KindBridge || !link.OwnedBy(lab):
		return nil, &ForeignError{Name: name, Kind: link.Kind, Owner: link.Owner}
	default:
		return link, nil
	}
}
