package mistake

import (
	"net"
	"net/netip"
	"time"
)

// Program is a DHCP server that Debian has.
type Program uint8

// The programs. The zero value is invalid.
const (
	_ Program = iota
	// ISC is dhcpd of isc-dhcp-server.
	ISC
	// Kea is kea-dhcp4 of kea-dhcp4-server.
	Kea
	// Dnsmasq is dnsmasq.
	Dnsmasq
)

// Task is what a student is asked to do in a guest, and what the host knows. What is left zero is not asked, and not
// judged.
type Task struct {
	// Interface is the card that is to be served, such as eth1.
	Interface string
	// Address is the server's own address there with the subnet's length: 192.168.1.1/24.
	Address netip.Prefix
	// Subnet is the network in which addresses are to be lent; zero is that of Address. Another one is served through a
	// relay. A task with several subnets is one Task for each.
	Subnet netip.Prefix
	// Relay is set when the guest is not to serve but to hand over what it hears on the card to a server with this address.
	Relay netip.Addr
	// Ranges are the addresses to be lent; empty leaves the choice to the student.
	Ranges []Range
	// Lease is the lease time asked, zero for any.
	Lease time.Duration
	// Options are the options that clients are to get.
	Options []Option
	// Authoritative says that a wrong REQUEST is to be answered by a NAK.
	Authoritative bool
	Reservations  []Reservation
	// Programs are those that the task allows; empty allows all.
	Programs []Program
	// Answers are what the student has typed to questions.
	Answers []Answer

	Host Host
}

// Range is a closed interval of addresses.
type Range struct{ First, Last netip.Addr }

// Option is a DHCP option by its name in dhcpd.conf, routers or domain-name-servers, with its values as text.
type Option struct {
	Name   string
	Values []string
}

// Reservation is an address that is to be kept for one card of a guest.
type Reservation struct {
	// Guest and NIC name the card for people: pc1, eth0.
	Guest, NIC string
	MAC        net.HardwareAddr
	// Others are the cards with which it may be confused: those of the same guest, and of the other guests.
	Others  []NIC
	Address netip.Addr
}

// NIC is a card of a guest, as the lab knows it.
type NIC struct {
	Guest, Name string
	MAC         net.HardwareAddr
}

// Question is what an [Answer] answers.
type Question uint8

// The questions that have a published wrong answer. The zero value is invalid.
const (
	_ Question = iota
	// ServerAddress asks for the IP address of the DHCP server.
	ServerAddress
)

// Answer is what a student has typed.
type Answer struct {
	To   Question
	Text string
}

// Host is what the host and the wire know.
type Host struct {
	// Taps are those that the lab needs, as they are; nil when they were not looked at.
	Taps []Tap
	// Strays are links of the host that look like taps of nobody: tap0, which the kernel names when no name is given.
	Strays []string
	// NICs are the cards of the lab's guests, as their domains have them.
	NICs []NIC
	// Server is the card of the student's guest on the served segment; the zero NIC when it is not known.
	Server NIC
	// Others are the guest's cards on other segments.
	Others []NIC
	// Answering are the servers that were seen to answer on the segment that is to be served.
	Answering []Answering
	// Leases are those that clients have got on it, oldest first.
	Leases []Lease
}

// Tap is a tap of the lab.
type Tap struct {
	Name string
	// Guest and NIC are what is plugged into it.
	Guest, NIC string
	// Want is the bridge that it belongs to, Bridge the one that it is in, or "".
	Want, Bridge string
	Exists, Up   bool
}

// Answering is a DHCP server that was seen on the wire.
type Answering struct {
	// Address is its option 54, or the packets' source.
	Address netip.Addr
	// MAC is the Ethernet source of its packets.
	MAC net.HardwareAddr
	// Who names it for people when the lab knows: pc3, kvmlab; may be empty.
	Who string
	// Seen is when it answered last.
	Seen time.Time
}

// Lease is a lease that was acknowledged on the wire.
type Lease struct {
	Address netip.Addr
	MAC     net.HardwareAddr
	// Server is option 54.
	Server netip.Addr
	// Time is when the ACK was seen, by the host's clock.
	Time time.Time
	// Span is the lease time (option 51), zero when it is not known.
	Span time.Duration
	// Options are the values of the ACK's options by their numbers, lists with commas; nil when they are not known.
	Options map[string]string
}
