package station

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/macgen"
)

// hostName is what a station calls itself (option 12), so that the records of a server say who it was.
const hostName = "kvmlab-station"

// client is a client in the states INIT, SELECTING, REQUESTING and BOUND (RFC 2131 section 4.4), or one behind a relay
// which is the station, too. It takes the first offer, and does not look whether the address is free: it never uses it.
type client struct {
	*stage

	xid   uint32
	offer dhcp.Message // what it was offered last; its type is 0 before
	from  macgen.MAC   // who sent that
	bound bool
}

func newClient(s *stage) *client {
	var xid [4]byte
	rand.Read(xid[:]) // never fails since Go 1.24
	return &client{stage: s, xid: binary.BigEndian.Uint32(xid[:])}
}

// speak says what the client's state asks for.
func (c *client) speak() error {
	switch {
	case c.bound:
		return nil
	case c.offer.Type == dhcp.Offer:
		return c.ask(dhcp.Request, dhcp.AddressesOption(dhcp.OptRequestedAddress, c.offer.YIAddr), c.server())
	}
	return c.ask(dhcp.Discover)
}

// server names the server that was chosen.
func (c *client) server() dhcp.Option {
	return dhcp.AddressesOption(dhcp.OptServerID, c.offer.Address(dhcp.OptServerID))
}

// wanted is the parameter request list: what clients usually ask for, and what exercises are about.
var wanted = []byte{
	dhcp.OptSubnetMask, dhcp.OptRouter, dhcp.OptDNS, dhcp.OptHostname, dhcp.OptDomainName, 26, 28, dhcp.OptStaticRoutes, 42,
	dhcp.OptLeaseTime, dhcp.OptRenewalTime, dhcp.OptRebindingTime, 66, 67, 119, dhcp.OptClasslessRoutes,
}

// ask sends a message to every server: as a client to whom no address belongs, or as the relay that has heard one.
func (c *client) ask(kind dhcp.MessageType, options ...dhcp.Option) error {
	m := dhcp.Draft{Type: kind, XID: c.xid, CHAddr: dhcp.Ethernet(c.mac), Options: append(options,
		dhcp.StringOption(dhcp.OptHostname, hostName), dhcp.Option{Code: dhcp.OptParameterList, Value: wanted})}
	from := netip.AddrPortFrom(netip.IPv4Unspecified(), dhcp.ClientPort)
	if c.part.Role == Relay {
		m.Hops, m.GIAddr = 1, c.part.Address.Addr()
		from = netip.AddrPortFrom(m.GIAddr, dhcp.ServerPort)
	}
	return c.send(everybody, typeIPv4, m.AppendPacket(nil, from, dhcp.ToServers()))
}

// hear takes an answer of a server.
func (c *client) hear(f frame) error {
	port := uint16(dhcp.ClientPort)
	if c.part.Role == Relay {
		port = dhcp.ServerPort
	}
	var m dhcp.Message
	if f.kind != typeIPv4 || m.ParsePacket(f.packet, port) != nil || m.XID != c.xid || m.CHAddr != dhcp.Ethernet(c.mac) {
		return nil
	}
	switch {
	case m.Type == dhcp.Offer && c.offer.Type == 0:
		c.offer, c.from = m, f.from
		return c.speak()
	case m.Type == dhcp.Ack:
		c.bound = true
	case m.Type == dhcp.Nak && !c.bound:
		c.offer = dhcp.Message{} // the next DISCOVER comes when patience is over
	}
	return nil
}

// leave gives the address back (RFC 2131 section 4.4.6): by unicast, and through the relay when that is a router.
func (c *client) leave() error {
	if !c.bound {
		return nil
	}
	m := dhcp.Draft{
		Type: dhcp.Release, XID: c.xid, CIAddr: c.offer.YIAddr, CHAddr: dhcp.Ethernet(c.mac),
		Options: []dhcp.Option{c.server()},
	}
	return c.send(c.from, typeIPv4, m.AppendPacket(nil, netip.AddrPortFrom(c.offer.YIAddr, dhcp.ClientPort),
		netip.AddrPortFrom(c.offer.Address(dhcp.OptServerID), dhcp.ServerPort)))
}
