package station

import (
	"net"
	"net/netip"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/macgen"
)

// rogueLease is how long a rogue server lends addresses, in seconds: whoever falls for it is free again soon.
const rogueLease = 60

// rogue is a server that looks for nothing and nobody: it offers at once, with itself as router and resolver.
type rogue struct {
	*stage

	lent map[macgen.MAC]netip.Addr
	next netip.Addr
}

func (*rogue) speak() error { return nil }
func (*rogue) leave() error { return nil }

func (r *rogue) hear(f frame) error {
	var m dhcp.Message
	if f.kind != typeIPv4 || m.ParsePacket(f.packet, dhcp.ServerPort) != nil {
		return nil
	}
	mac, ok := m.CHAddr.MAC()
	if !ok {
		return nil
	}
	chosen := m.Address(dhcp.OptServerID)
	switch {
	case m.Type == dhcp.Discover:
		return r.reply(dhcp.Offer, &m, mac)
	case m.Type == dhcp.Request && (chosen == r.part.Address.Addr() || !chosen.IsValid() && m.CIAddr == r.lent[mac]):
		return r.reply(dhcp.Ack, &m, mac)
	}
	return nil
}

// lend is the address for a client, the same for each one; not valid when none is left.
func (r *rogue) lend(mac macgen.MAC) netip.Addr {
	if _, known := r.lent[mac]; !known && !r.part.Last.Less(r.next) {
		r.lent[mac] = r.next
		r.next = r.next.Next()
	}
	return r.lent[mac]
}

// reply sends an OFFER or ACK to where RFC 2131 section 4.1 says.
func (r *rogue) reply(kind dhcp.MessageType, m *dhcp.Message, mac macgen.MAC) error {
	address, self := r.lend(mac), r.part.Address.Addr()
	if !address.IsValid() {
		return nil
	}
	mask, _ := netip.AddrFromSlice(net.CIDRMask(r.part.Address.Bits(), 32))
	out := dhcp.Draft{
		Type: kind, XID: m.XID, Broadcast: m.Broadcast(), CIAddr: m.CIAddr, YIAddr: address, CHAddr: m.CHAddr,
		Options: []dhcp.Option{
			dhcp.AddressesOption(dhcp.OptServerID, self), dhcp.SecondsOption(dhcp.OptLeaseTime, rogueLease),
			dhcp.AddressesOption(dhcp.OptSubnetMask, mask), dhcp.AddressesOption(dhcp.OptRouter, self),
			dhcp.AddressesOption(dhcp.OptDNS, self),
		},
	}
	to, ip := mac, address
	if m.Broadcast() && m.CIAddr.IsUnspecified() {
		to, ip = everybody, dhcp.ToServers().Addr()
	}
	return r.send(to, typeIPv4, out.AppendPacket(nil, netip.AddrPortFrom(self, dhcp.ServerPort),
		netip.AddrPortFrom(ip, dhcp.ClientPort)))
}
