package watch

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// mac is a MAC address as a map's key.
type mac [6]byte

func macOf(a capture.HardwareAddr) (m mac, ok bool) {
	if len(a) != len(m) {
		return m, false
	}
	copy(m[:], a)
	return m, true
}

// String writes the address with colons.
func (m mac) String() string { return capture.HardwareAddr(m[:]).String() }

// group reports whether the address is a broadcast or multicast one (IEEE 802 section 8.2.2).
func (m mac) group() bool { return m[0]&1 == 1 }

// Role says what a station was seen to be.
type Role uint8

// The roles.
const (
	Stranger Role = iota // nothing is known of it
	Client
	Relay
	Server
)

// Names knows the stations on a wire: those that it was told of, and those that give themselves away by what they send.
// It may be used by several goroutines.
type Names struct {
	mu    sync.RWMutex // packets are read by one goroutine and drawn by another
	named map[mac]string
	taken map[string]int // how often a name was wanted
	roles map[mac]Role
	known int // stations that gave themselves away
}

// stationsKept bounds memory: those who come later are called by their addresses.
const stationsKept = 4096

// NewNames knows nobody yet.
func NewNames() *Names {
	return &Names{named: map[mac]string{}, taken: map[string]int{}, roles: map[mac]Role{}}
}

// Tell says what a station is called.
func (n *Names) Tell(address capture.HardwareAddr, name string, role Role) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m, ok := macOf(address); ok && name != "" && n.named[m] == "" {
		n.name(m, name)
		n.roles[m] = role
	}
}

// name gives a station a name that no other has.
func (n *Names) name(m mac, name string) {
	free := name
	for n.taken[free] > 0 {
		n.taken[name]++ // where to go on for the next of that name, of whom a flood can bring thousands
		free = fmt.Sprintf("%s-%d", name, n.taken[name])
	}
	n.named[m] = free
	n.taken[free]++
}

// Learn looks at who sent a packet: replies come from a server or a relay, requests with a giaddr from a relay, others
// from a client, which may tell its name in option 12.
func (n *Names) Learn(p *capture.Packet) {
	if p.DHCP == nil || p.From() == nil || p.UDP == nil {
		return
	}
	sender, ok := macOf(p.From())
	if !ok || sender.group() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case p.DHCP.Op == 2 && sentByServer(p):
		n.found(sender, Server, "server")
	case p.DHCP.Op == 2, p.DHCP.GIAddr != netip.IPv4Unspecified():
		n.found(sender, Relay, "relay")
	default:
		n.found(sender, Client, hostName(p.DHCP))
	}
	if client, ok := macOf(p.DHCP.CHAddr); ok && p.DHCP.Op == 1 && client != sender {
		n.found(client, Client, hostName(p.DHCP)) // behind a relay
	}
}

// sentByServer tells a server's reply from one that a relay has passed on: the relay is then the one that giaddr names.
func sentByServer(p *capture.Packet) bool {
	return p.DHCP.GIAddr == netip.IPv4Unspecified() || p.IP == nil || p.IP.Source != p.DHCP.GIAddr
}

func (n *Names) found(m mac, role Role, name string) {
	if _, before := n.roles[m]; !before {
		if n.known >= stationsKept {
			return
		}
		n.known++
	}
	if n.roles[m] < role {
		n.roles[m] = role
	}
	if n.named[m] == "" && name != "" {
		n.name(m, name)
	}
}

// hostName is what a client calls itself, if that is a name one can print.
func hostName(d *capture.DHCP) string {
	option := d.Option(12)
	if option == nil {
		return ""
	}
	name, _ := option.Value.(string)
	if len(name) > 32 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '\\' }) {
		return "" // a backslash: there is something in it that is only made visible
	}
	return name
}

// The names of addresses that are not one station's.
const (
	Everybody = "broadcast"
	Group     = "multicast"
)

// Of names the station behind an address: its name, its MAC address, or broadcast or multicast.
func (n *Names) Of(address capture.HardwareAddr) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	m, ok := macOf(address)
	switch {
	case !ok:
		return address.String()
	case address.Broadcast():
		return Everybody
	case m.group():
		return Group
	case n.named[m] != "":
		return n.named[m]
	}
	return m.String()
}

// Role is what the station behind an address was seen to be.
func (n *Names) Role(address capture.HardwareAddr) Role {
	m, _ := macOf(address)
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.roles[m]
}
