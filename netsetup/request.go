package netsetup

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/macgen"
)

// The requests that netsetup makes. A link is named by its index, which no renaming and no second
// link of the same name can turn into another's; only a link that was made a moment ago under a
// temporary name is named by that.

// skipStats leaves counters out of the answer (RTEXT_FILTER_SKIP_STATS).
const skipStats = 1 << 3

func linkRequest(message, flags, index int, attrs ...*nl.RtAttr) *nl.NetlinkRequest {
	request := nl.NewNetlinkRequest(message, flags)
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(index)
	request.AddData(header)
	for _, attr := range attrs {
		request.AddData(attr)
	}
	return request
}

func stringAttr(kind int, text string) *nl.RtAttr { return nl.NewRtAttr(kind, nl.ZeroTerminated(text)) }

// nested makes an attribute of attributes.
func nested(kind int, children ...*nl.RtAttr) *nl.RtAttr {
	attr := nl.NewRtAttr(kind|unix.NLA_F_NESTED, nil)
	for _, child := range children {
		attr.AddChild(child)
	}
	return attr
}

func dumpLinks() *nl.NetlinkRequest {
	return linkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP, 0, nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats)))
}

// getLink asks for one link by name (unix.IFLA_IFNAME) or alternative name (unix.IFLA_ALT_IFNAME).
func getLink(by int, name string) *nl.NetlinkRequest {
	return linkRequest(unix.RTM_GETLINK, 0, 0, nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats)), stringAttr(by, name))
}

// newBridge makes a bridge whose MAC address is set, and so does not follow its ports' addresses as
// they come and go: guests keep the address of their router.
func newBridge(name string, mac macgen.MAC) *nl.NetlinkRequest {
	return linkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0,
		stringAttr(unix.IFLA_IFNAME, name),
		nl.NewRtAttr(unix.IFLA_ADDRESS, mac[:]),
		bridgeInfo(
			nl.NewRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0)),
			nl.NewRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0)),
			nl.NewRtAttr(nl.IFLA_BR_MCAST_SNOOPING, nl.Uint8Attr(0)),
			nl.NewRtAttr(unix.IFLA_BR_FDB_MAX_LEARNED, nl.Uint32Attr(MaxLearned)))) // Passed over by Linux before 6.8.
}

// setBridge changes one option of a bridge.
func setBridge(index, option int, value []byte) *nl.NetlinkRequest {
	return linkRequest(unix.RTM_NEWLINK, 0, index, bridgeInfo(nl.NewRtAttr(option, value)))
}

func bridgeInfo(options ...*nl.RtAttr) *nl.RtAttr {
	return nested(unix.IFLA_LINKINFO, nl.NewRtAttr(unix.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge")), nested(unix.IFLA_INFO_DATA, options...))
}

// altnameOn puts an alternative name on a link; index 0 means the link called name.
func altnameOn(index int, name, altname string) *nl.NetlinkRequest {
	list := nested(unix.IFLA_PROP_LIST, stringAttr(unix.IFLA_ALT_IFNAME, altname))
	if index != 0 {
		return linkRequest(unix.RTM_NEWLINKPROP, unix.NLM_F_CREATE|unix.NLM_F_EXCL, index, list)
	}
	return linkRequest(unix.RTM_NEWLINKPROP, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, stringAttr(unix.IFLA_IFNAME, name), list)
}

// setLink changes several things of a link in one request. The kernel renames before it brings the link
// up, so that also Linux before 6.2, which renamed only links that are down, takes both at once.
func setLink(index int, up bool, attrs ...*nl.RtAttr) *nl.NetlinkRequest {
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, 0)
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(index)
	if up {
		header.Flags, header.Change = unix.IFF_UP, unix.IFF_UP
	}
	request.AddData(header)
	for _, attr := range attrs {
		request.AddData(attr)
	}
	return request
}

func setDown(index int) *nl.NetlinkRequest {
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, 0)
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index, header.Change = int32(index), unix.IFF_UP
	request.AddData(header)
	return request
}

func deleteLink(index int) *nl.NetlinkRequest { return linkRequest(unix.RTM_DELLINK, 0, index) }

func groupAttr(group uint32) *nl.RtAttr { return nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)) }

// deleteGroup removes every link of a group in one go. The kernel waits only once until nothing refers to
// them any more; that wait is some 10 ms, and most of the time that removing a link takes.
func deleteGroup(group uint32) *nl.NetlinkRequest {
	return linkRequest(unix.RTM_DELLINK, 0, 0, groupAttr(group))
}

func dumpAddresses() *nl.NetlinkRequest {
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
	return request
}

// address adds an IPv4 address with its subnet's broadcast address (RTM_NEWADDR), or removes it
// (RTM_DELADDR).
func address(message, flags, index int, prefix netip.Prefix) *nl.NetlinkRequest {
	request := nl.NewNetlinkRequest(message, flags)
	header := nl.NewIfAddrmsg(unix.AF_INET)
	header.Index, header.Prefixlen = uint32(index), uint8(prefix.Bits())
	request.AddData(header)
	addr := prefix.Addr().AsSlice()
	request.AddData(nl.NewRtAttr(unix.IFA_LOCAL, addr))
	request.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, addr))
	if prefix.Bits() < 31 { // RFC 3021: a /31 has no broadcast address.
		broadcast := make([]byte, len(addr))
		for i, mask := range net.CIDRMask(prefix.Bits(), 8*len(addr)) {
			broadcast[i] = addr[i] | ^mask
		}
		request.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, broadcast))
	}
	return request
}
