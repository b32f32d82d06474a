package netsetup

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/macgen"
)

// Kind is what a link is, as far as a lab is concerned.
type Kind int

// The kinds of links. The zero value is invalid.
const (
	_ Kind = iota
	KindBridge
	KindTap
	KindOther
)

// String returns the kind as error messages call it.
func (k Kind) String() string {
	switch k {
	case KindBridge:
		return "bridge"
	case KindTap:
		return "tap"
	case KindOther:
		return "link"
	default:
		return fmt.Sprintf("Kind(%d)", int(k))
	}
}

// Link is a network interface as the kernel describes it.
type Link struct {
	Name      string
	Index     int
	Kind      Kind
	Up        bool // Administratively up.
	Carrier   bool // The cable is in: for a tap, some process such as QEMU has it open.
	Master    string
	MAC       macgen.MAC // Zero for links without an Ethernet address.
	Addresses []netip.Prefix
	Ports     []string // Of a bridge, sorted; other labs' and foreign ones too.

	Owner    Owner // Zero, unless the link carries the mark of a lab.
	Alias    string
	Altnames []string

	// Of a bridge.
	STP               bool
	ForwardDelay      time.Duration
	MulticastSnooping bool

	inet6         bool // The kernel has IPv6.
	ipv6          bool // The host speaks IPv6 on it, or would if it were let.
	linkLocal     bool // The kernel gives it an IPv6 link-local address by itself.
	answersForAll bool // The host answers ARP for addresses of its other links.

	maxLearned *uint32 // Of a bridge: how many MAC addresses it learns. Nil where the kernel has no limit.
	master     int
	group      uint32
}

// Owned reports whether the link carries the mark of some lab.
func (l Link) Owned() bool { return l.Owner != Owner{} }

// OwnedBy reports whether the link carries the mark of that lab.
func (l Link) OwnedBy(lab string) bool { return l.Owned() && l.Owner.Lab == lab }

// Links returns every link of the namespace, sorted by name, with addresses. It costs two dumps,
// however many links there are.
func (h *Handle) Links(ctx context.Context) ([]Link, error) {
	links, err := h.bareLinks(ctx)
	if err != nil {
		return nil, err
	}
	messages, err := h.links.dump(dumpAddresses())
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	byIndex := make(map[int]*Link, len(links))
	for i := range links {
		byIndex[links[i].Index] = &links[i]
	}
	for _, message := range messages {
		index, prefix, err := decodeAddress(message)
		if err != nil {
			return nil, fmt.Errorf("list addresses: %w", err)
		}
		if link := byIndex[index]; link != nil { // Else it came between the two dumps.
			link.Addresses = append(link.Addresses, prefix)
		}
	}
	return links, nil
}

// bareLinks is Links without the addresses.
func (h *Handle) bareLinks(ctx context.Context) ([]Link, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	messages, err := h.links.dump(dumpLinks())
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	links := make([]Link, len(messages))
	byIndex := make(map[int]*Link, len(messages))
	for i, message := range messages {
		if links[i], err = decodeLink(message); err != nil {
			return nil, fmt.Errorf("list links: %w", err)
		}
	}
	slices.SortFunc(links, func(a, b Link) int { return cmp.Compare(a.Name, b.Name) })
	for i := range links {
		byIndex[links[i].Index] = &links[i]
	}
	for i := range links {
		if master := byIndex[links[i].master]; master != nil {
			links[i].Master = master.Name
			master.Ports = append(master.Ports, links[i].Name)
		}
	}
	return links, nil
}

// MACs returns the address of every link of the namespace with the link's name, so that no guest is
// given one of them.
func (h *Handle) MACs(ctx context.Context) (map[macgen.MAC]string, error) {
	links, err := h.bareLinks(ctx)
	if err != nil {
		return nil, err
	}
	macs := make(map[macgen.MAC]string, len(links))
	for _, link := range links {
		if !link.MAC.IsZero() {
			macs[link.MAC] = link.Name
		}
	}
	return macs, nil
}

// decodeLink reads the body of a RTM_NEWLINK message.
func decodeLink(message []byte) (Link, error) {
	if len(message) < unix.SizeofIfInfomsg {
		return Link{}, fmt.Errorf("read a link: %d bytes", len(message))
	}
	header := nl.DeserializeIfInfomsg(message)
	link := Link{Index: int(header.Index), Kind: KindOther, Up: header.Flags&unix.IFF_UP != 0}
	err := eachAttr(message[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) error {
		switch kind {
		case unix.IFLA_IFNAME:
			link.Name = unix.ByteSliceToString(value)
		case unix.IFLA_MASTER:
			link.master = int(number(value))
		case unix.IFLA_GROUP:
			link.group = number(value)
		case unix.IFLA_CARRIER:
			link.Carrier = number(value) != 0
		case unix.IFLA_ADDRESS:
			if len(value) == len(link.MAC) {
				link.MAC = macgen.MAC(value)
			}
		case unix.IFLA_IFALIAS:
			link.Alias = unix.ByteSliceToString(value)
		case unix.IFLA_PROP_LIST:
			return eachAttr(value, func(kind uint16, value []byte) error {
				if kind == unix.IFLA_ALT_IFNAME {
					link.Altnames = append(link.Altnames, unix.ByteSliceToString(value))
				}
				return nil
			})
		case unix.IFLA_LINKINFO:
			return link.decodeInfo(value)
		case unix.IFLA_AF_SPEC:
			return link.decodeFamilies(value)
		}
		return nil
	})
	if err != nil {
		return Link{}, fmt.Errorf("read link %q: %w", link.Name, err)
	}
	link.Owner = ownerOf(link.Alias, link.Altnames)
	return link, nil
}

// decodeInfo reads IFLA_LINKINFO. The kernel puts the kind before the data that depend on it.
func (l *Link) decodeInfo(info []byte) error {
	var kindName string
	return eachAttr(info, func(kind uint16, value []byte) error {
		switch {
		case kind == unix.IFLA_INFO_KIND:
			kindName = unix.ByteSliceToString(value)
			if kindName == "bridge" {
				l.Kind = KindBridge
			}
		case kind == unix.IFLA_INFO_DATA && kindName == "bridge":
			return eachAttr(value, l.bridgeOption)
		case kind == unix.IFLA_INFO_DATA && kindName == "tun":
			return eachAttr(value, func(kind uint16, value []byte) error {
				if kind == nl.IFLA_TUN_TYPE && number(value) == unix.IFF_TAP {
					l.Kind = KindTap
				}
				return nil
			})
		}
		return nil
	})
}

func (l *Link) bridgeOption(kind uint16, value []byte) error {
	switch kind {
	case nl.IFLA_BR_STP_STATE:
		l.STP = number(value) != 0
	case nl.IFLA_BR_FORWARD_DELAY:
		l.ForwardDelay = time.Duration(number(value)) * 10 * time.Millisecond // In ticks of USER_HZ, 100 per second.
	case nl.IFLA_BR_MCAST_SNOOPING:
		l.MulticastSnooping = number(value) != 0
	case unix.IFLA_BR_FDB_MAX_LEARNED:
		limit := number(value)
		l.maxLearned = &limit
	}
	return nil
}

// decodeFamilies reads IFLA_AF_SPEC: what the protocols keep for the link.
func (l *Link) decodeFamilies(spec []byte) error {
	return eachAttr(spec, func(family uint16, value []byte) error {
		return eachAttr(value, func(kind uint16, value []byte) error {
			switch family {
			case unix.AF_INET:
				l.decodeInet(kind, value)
			case unix.AF_INET6:
				l.decodeInet6(kind, value)
			}
			return nil
		})
	})
}

// decodeAddress reads the body of a RTM_NEWADDR message.
func decodeAddress(message []byte) (index int, prefix netip.Prefix, err error) {
	if len(message) < unix.SizeofIfAddrmsg {
		return 0, netip.Prefix{}, fmt.Errorf("read an address: %d bytes", len(message))
	}
	header := nl.DeserializeIfAddrmsg(message)
	err = eachAttr(message[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) error {
		// IFA_LOCAL is the link's own address; IPv6 has only IFA_ADDRESS.
		if kind == unix.IFA_LOCAL || (kind == unix.IFA_ADDRESS && !prefix.IsValid()) {
			if addr, ok := netip.AddrFromSlice(value); ok {
				prefix = netip.PrefixFrom(addr, int(header.Prefixlen))
			}
		}
		return nil
	})
	return int(header.Index), prefix, err
}

// eachAttr calls fn for every attribute in turn, without the flags in its type.
func eachAttr(data []byte, fn func(kind uint16, value []byte) error) error {
	for len(data) >= unix.SizeofRtAttr {
		length := int(nl.NativeEndian().Uint16(data))
		if length < unix.SizeofRtAttr || length > len(data) {
			return syscall.EBADMSG
		}
		kind := nl.NativeEndian().Uint16(data[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if err := fn(kind, data[unix.SizeofRtAttr:length]); err != nil {
			return err
		}
		data = data[min(len(data), (length+3)&^3):]
	}
	return nil
}

// number reads an integer attribute of 1, 2 or 4 bytes.
func number(value []byte) uint32 {
	switch len(value) {
	case 1:
		return uint32(value[0])
	case 2:
		return uint32(nl.NativeEndian().Uint16(value))
	case 4:
		return nl.NativeEndian().Uint32(value)
	default:
		return 0
	}
}
