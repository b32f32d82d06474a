package dhcp_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/kvmlab/kvmlab/dhcp"
)

// TestDraft has other libraries read a message of a relay, and this one read it back.
func TestDraft(t *testing.T) {
	giaddr, mac := netip.MustParseAddr("10.0.0.1"), net.HardwareAddr{2, 0, 0x5e, 0, 0x53, 1}
	draft := dhcp.Draft{
		Type: dhcp.Request, Hops: 1, XID: 0x01020304, Broadcast: true, GIAddr: giaddr, CHAddr: dhcp.Ethernet([6]byte(mac)),
		Options: []dhcp.Option{dhcp.AddressesOption(dhcp.OptRequestedAddress, netip.MustParseAddr("10.0.0.9")), dhcp.SecondsOption(dhcp.OptLeaseTime, 60)},
	}
	packet := draft.AppendPacket(nil, netip.AddrPortFrom(giaddr, 67), dhcp.ToServers())
	seen := gopacket.NewPacket(packet, layers.LayerTypeIPv4, gopacket.Default)
	if err := seen.ErrorLayer(); err != nil {
		t.Fatal(err.Error())
	}
	udp, _ := seen.Layer(layers.LayerTypeUDP).(*layers.UDP)
	m, err := dhcpv4.FromBytes(udp.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if m.OpCode != dhcpv4.OpcodeBootRequest || m.HopCount != 1 || m.TransactionID != [4]byte{1, 2, 3, 4} || !m.IsBroadcast() ||
		m.GatewayIPAddr.String() != "10.0.0.1" || m.ClientHWAddr.String() != mac.String() || m.MessageType() != dhcpv4.MessageTypeRequest ||
		m.RequestedIPAddress().String() != "10.0.0.9" || m.IPAddressLeaseTime(0).Seconds() != 60 || len(udp.Payload) < 300 {
		t.Errorf("read as %s", m.Summary())
	}
	var back dhcp.Message
	if err := back.ParsePacket(packet, 67); err != nil || back.Type != dhcp.Request || back.GIAddr != giaddr || back.Hops != 1 {
		t.Errorf("read back: %v, %+v", err, back)
	}
	if err := back.ParsePacket(packet, 68); err == nil {
		t.Error("a message to port 67 was taken for one to port 68")
	}
	packet[len(packet)-1]++
	if err := back.ParsePacket(packet, 67); err == nil {
		t.Error("a wrong checksum was taken")
	}
}
