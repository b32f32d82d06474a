package netsetup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrNoTransfer means that no transfer network is free: the host uses all that were tried.
var ErrNoTransfer = errors.New("no free transfer network")

// transferBits is the size of a transfer network: two addresses, .1 for the host and .2 for the lab.
const transferBits = 30

// firstTransfer is the transfer network that a lab gets unless the host uses its addresses.
func firstTransfer(lab string) netip.Prefix { return transferAt(lab, 0) }

// transferAt is the n-th candidate: spread by the lab's name over 100.64.0.0/10, which RFC 6598 keeps for
// such links between a provider and its customers, and, should the host be such a customer, over
// 198.18.0.0/15 (RFC 2544), which no network outside of a laboratory uses.
func transferAt(lab string, n int) netip.Prefix {
	pool := netip.MustParsePrefix("100.64.0.0/10")
	if n%2 == 1 {
		pool = netip.MustParsePrefix("198.18.0.0/15")
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", lab, n))
	base := pool.Addr().As4()
	size := uint32(1) << (32 - pool.Bits())
	address := binary.BigEndian.Uint32(base[:]) + binary.BigEndian.Uint32(sum[:])%size&^3
	return netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, address))), transferBits)
}

// ends are the addresses of the two ends of a cable.
func ends(transfer netip.Prefix) (host, lab netip.Prefix) {
	first := transfer.Masked().Addr().Next()
	return netip.PrefixFrom(first, transferBits), netip.PrefixFrom(first.Next(), transferBits)
}

// transferOf reads a lab's transfer network off the host's end of its cable. It is invalid when there is no
// cable, or none that works.
func (h *Handle) transferOf(lab string) (netip.Prefix, error) {
	end, err := h.find(hostEnd(lab), uplinkOwner(lab))
	if err != nil || end == nil || !end.Up || !end.Carrier {
		return netip.Prefix{}, err
	}
	addresses, err := h.addresses(end.Index)
	if err != nil {
		return netip.Prefix{}, err
	}
	for _, a := range addresses {
		if host, _ := ends(a.Masked()); a == host {
			return a.Masked(), nil
		}
	}
	return netip.Prefix{}, nil
}

// connect lays the cable between the host and the lab's namespace, anew if there is one that does not work,
// and returns its transfer network.
func (h *Handle) connect(ctx context.Context, inside *Handle, want Firewall) (netip.Prefix, error) {
	transfer, err := h.transferOf(want.Lab)
	if err != nil {
		return transfer, err
	}
	if transfer.IsValid() {
		problem, err := inside.uplinkDrift(want.Lab, transfer)
		if err != nil || problem == "" {
			return transfer, err
		}
	}
	owner := uplinkOwner(want.Lab)
	for _, side := range []*Handle{h, inside} { // What is left of an old one.
		if _, err := side.removeLink(ctx, hostEnd(want.Lab), owner); err != nil {
			return transfer, err
		}
	}
	if transfer, err = h.freeTransfer(ctx, want); err != nil {
		return transfer, err
	}
	return transfer, h.lay(inside, want.Lab, transfer)
}

// freeTransfer finds a transfer network that neither the host nor the lab uses.
func (h *Handle) freeTransfer(ctx context.Context, want Firewall) (netip.Prefix, error) {
	const attempts = 32
next:
	for n := range attempts {
		candidate := transferAt(want.Lab, n)
		for _, b := range want.Bridges {
			if b.Address.IsValid() && b.Address.Overlaps(candidate) {
				continue next
			}
		}
		taken, err := h.Overlaps(ctx, candidate)
		if err != nil {
			return netip.Prefix{}, err
		}
		if len(taken) == 0 {
			return candidate, nil
		}
	}
	return netip.Prefix{}, ErrNoTransfer
}

// lay makes the pair, one end here and one in the lab's namespace, and gives it marks, addresses and a route.
func (h *Handle) lay(inside *Handle, lab string, transfer netip.Prefix) error {
	owner, name := uplinkOwner(lab), hostEnd(lab)
	peer := nl.NewRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(UplinkName))
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(inside.namespace.Fd())))
	answers, err := h.links.exchange(
		linkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0,
			stringAttr(unix.IFLA_IFNAME, name),
			nested(unix.IFLA_LINKINFO,
				nl.NewRtAttr(unix.IFLA_INFO_KIND, nl.NonZeroTerminated("veth")), nested(unix.IFLA_INFO_DATA, peer))),
		altnameOn(0, name, owner.Altname()), // In the same send, so that SIGKILL finds it marked.
		getLink(unix.IFLA_IFNAME, name))
	if err == nil {
		err = errors.Join(answers[0].err, answers[1].err)
	}
	if err != nil {
		return fmt.Errorf("make the cable to the host: %w", classify(err))
	}
	here, err := foundLink(answers[2])
	if err != nil || here == nil {
		return errors.Join(fmt.Errorf("find the cable to the host: %w", ErrNotFound), err)
	}
	hostAddress, labAddress := ends(transfer)
	if err := h.plug(*here, owner, hostAddress, false); err != nil {
		return err
	}
	there, err := inside.find(UplinkName, owner)
	if foreign := new(ForeignError); errors.As(err, &foreign) && foreign.Owner == (Owner{}) {
		there, err = inside.linkNamed(UplinkName) // The end that was made above, not yet marked.
	}
	if err != nil || there == nil {
		return errors.Join(fmt.Errorf("find the lab's end of the cable: %w", ErrNotFound), err)
	}
	if err := inside.plug(*there, owner, labAddress, true); err != nil {
		return err
	}
	_, err = inside.links.do(defaultRoute(hostAddress.Addr(), there.Index))
	return err
}

// plug marks one end of a cable, gives it its address and brings it up.
func (h *Handle) plug(end Link, owner Owner, addr netip.Prefix, mark bool) error {
	if end.ipv6 {
		if err := h.silenceIPv6(end.Name); err != nil {
			return err
		}
	}
	var requests []*nl.NetlinkRequest
	if mark {
		requests = append(requests, altnameOn(end.Index, "", owner.Altname()))
	}
	requests = append(requests,
		setLink(end.Index, true, nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(owner.Alias())), sealed(end.inet6)),
		address(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, end.Index, addr))
	_, err := h.links.do(requests...)
	return err
}

// linkNamed finds a link by its name, whosever it is.
func (h *Handle) linkNamed(name string) (*Link, error) {
	answers, err := h.links.exchange(getLink(unix.IFLA_IFNAME, name))
	if err != nil {
		return nil, fmt.Errorf("look for link %q: %w", name, classify(err))
	}
	return foundLink(answers[0])
}

// defaultRoute sends everything without a better route to a router on a link.
func defaultRoute(router netip.Addr, index int) *nl.NetlinkRequest {
	request := nl.NewNetlinkRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	header := nl.NewRtMsg()
	header.Family = unix.AF_INET
	request.AddData(header)
	request.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, router.AsSlice()))
	request.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	return request
}

// uplinkDrift tells in words what is wrong with the lab's end of its cable.
func (h *Handle) uplinkDrift(lab string, transfer netip.Prefix) (string, error) {
	end, err := h.find(UplinkName, uplinkOwner(lab))
	if err != nil {
		return "", err
	}
	if end == nil || !end.Up {
		return "has no cable to the host", nil
	}
	routes, err := h.routes()
	if err != nil {
		return "", err
	}
	router, _ := ends(transfer)
	for _, r := range routes {
		via, _ := netip.AddrFromSlice(r.Gw)
		everything := r.Dst == nil
		if !everything {
			bits, _ := r.Dst.Mask.Size()
			everything = bits == 0
		}
		if everything && via.Unmap() == router.Addr() && r.LinkIndex == end.Index {
			return "", nil
		}
	}
	return "has no route to the host", nil
}

// cableCommands are the commands that lay the cable by hand.
func cableCommands(lab string, transfer netip.Prefix) []string {
	ns, end := NamespaceName(lab), hostEnd(lab)
	host, own := ends(transfer)
	return []string{
		fmt.Sprintf("ip link add %s type veth peer name %s netns %s", end, UplinkName, ns),
		SealCommands(end)[0], SealCommands(end)[1],
		fmt.Sprintf("ip addr add %s dev %s", host, end),
		fmt.Sprintf("ip link set %s up", end),
		fmt.Sprintf("ip netns exec %s %s", ns, SealCommands(UplinkName)[0]),
		fmt.Sprintf("ip netns exec %s %s", ns, SealCommands(UplinkName)[1]),
		fmt.Sprintf("ip -n %s addr add %s dev %s", ns, own, UplinkName),
		fmt.Sprintf("ip -n %s link set %s up", ns, UplinkName),
		fmt.Sprintf("ip -n %s route add default via %s", ns, host.Addr()),
	}
}
