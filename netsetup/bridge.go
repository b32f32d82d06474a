package netsetup

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/macgen"
)

// ErrAddress means that a bridge cannot have the address: it is not IPv4.
var ErrAddress = errors.New("not an IPv4 address with its prefix length")

// Bridge is a bridge as a lab wants it: up, with STP off and no forwarding delay, so that a port
// forwards the moment it is up and a guest's first DISCOVER is not lost; without multicast snooping,
// so that every port sees what the class note says it sees; without IPv6 addresses of its own.
type Bridge struct {
	Name    string
	Address netip.Prefix // With host bits, such as 192.168.1.1/24. The zero value leaves addresses alone: a bare switch.
	MAC     macgen.MAC   // Used when the bridge is made. Zero derives it from the owner.
	Owner   Owner
}

// MaxLearned is how many MAC addresses a lab's bridge learns; each costs the kernel some 200 bytes. Frames for the
// others go to every port, as in a switch whose table is full. Linux before 6.8 has no such limit: there the lab's
// firewall has it, see [Firewall].
const MaxLearned = 1024

// EnsureBridge makes the bridge, or brings what is there of it to what is wanted: name, marks,
// options, address, up. Changed tells whether anything had to be done.
//
// The error is a [*NameError], a [*ForeignError] when the name belongs to a link that is not the
// owner's, [ErrAddress], or [ErrPermission]; then a bridge that this call made is gone again.
func (h *Handle) EnsureBridge(ctx context.Context, want Bridge) (changed bool, err error) {
	if want.Address.IsValid() && !want.Address.Addr().Is4() {
		return false, fmt.Errorf("set up bridge %q: address %s: %w", want.Name, want.Address, ErrAddress)
	}
	changed, err = h.ensure(ctx, want.Name, want.Owner, KindBridge,
		func() (Link, error) { return h.createBridge(want) },
		func(have Link) (_ []repair, err error) {
			have.Addresses, err = h.addresses(have.Index)
			return want.repairs(have), err
		})
	if err != nil {
		return changed, fmt.Errorf("set up bridge %q: %w", want.Name, err)
	}
	return changed, nil
}

// BridgeDrift tells in words what EnsureBridge would mend on a link of its owner; none when all is
// as wanted.
func BridgeDrift(have Link, want Bridge) []string { return reasons(want.repairs(have)) }

// BridgeDriftCommands are the commands for that, but for name, address and being up.
func BridgeDriftCommands(have Link, want Bridge) []string { return typed(want.repairs(have)) }

func (b Bridge) repairs(have Link) []repair {
	var list []repair
	option := func(reason string, option int, value []byte, words string) {
		list = append(list, repair{
			reason: reason, requests: []*nl.NetlinkRequest{setBridge(have.Index, option, value)},
			commands: []string{fmt.Sprintf("ip link set %s type bridge %s", b.Name, words)},
		})
	}
	if have.STP { // First, because the kernel refuses a delay of less than 2 seconds while STP is on.
		option("has STP on", nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0), "stp_state 0")
	}
	if have.ForwardDelay != 0 {
		option(fmt.Sprintf("has a forwarding delay of %s", have.ForwardDelay), nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0), "forward_delay 0")
	}
	if have.MulticastSnooping {
		option("has multicast snooping on", nl.IFLA_BR_MCAST_SNOOPING, nl.Uint8Attr(0), "mcast_snooping 0")
	}
	if have.maxLearned != nil && *have.maxLearned != MaxLearned {
		option("has another limit of MAC addresses", unix.IFLA_BR_FDB_MAX_LEARNED, nl.Uint32Attr(MaxLearned),
			fmt.Sprintf("fdb_max_learned %d", MaxLearned))
	}
	list = append(list, addressRepair(have, b.Address)...)
	return append(list, commonRepairs(have, b.Name, b.Owner)...)
}

// createBridge makes the bridge under a temporary name and marks it, in one send: no other process
// and no signal finds it without the mark. Under its own name it could not be marked that way, for if
// a foreign bridge of that name came first, the second request would mark that one.
func (h *Handle) createBridge(want Bridge) (Link, error) {
	mac := want.MAC
	if mac.IsZero() {
		var err error
		if mac, err = macgen.Derive([]byte(want.Owner.Lab), want.Owner.Object, nil); err != nil {
			return Link{}, err
		}
	}
	name := temporaryName(want.Owner)
	answers, err := h.links.exchange(newBridge(name, mac), altnameOn(0, name, want.Owner.Altname()), getLink(unix.IFLA_IFNAME, name))
	if err != nil {
		return Link{}, classify(err)
	}
	if err := answers[0].err; err != nil {
		return Link{}, classify(err)
	}
	link, err := foundLink(answers[2])
	if err != nil || link == nil {
		return Link{}, errors.Join(fmt.Errorf("look for the new bridge %q: %w", name, ErrNotFound), err)
	}
	if err := answers[1].err; err != nil {
		return Link{}, errors.Join(fmt.Errorf("mark the new bridge: %w", classify(err)), h.undo(true, link.Index))
	}
	return *link, nil
}

// temporaryName differs for every owner, so that two processes at work at once cannot mark each
// other's bridge: 40 bits of a hash, 15 characters.
func temporaryName(owner Owner) string {
	sum := sha256.Sum256([]byte(owner.Altname()))
	return "kvmlab-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))
}

// addresses returns the addresses of one link.
func (h *Handle) addresses(index int) ([]netip.Prefix, error) {
	messages, err := h.links.dump(dumpAddresses())
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var list []netip.Prefix
	for _, message := range messages {
		of, prefix, err := decodeAddress(message)
		if err != nil {
			return nil, fmt.Errorf("list addresses: %w", err)
		}
		if of == index {
			list = append(list, prefix)
		}
	}
	return list, nil
}
