package diag

// mistakeNetworkEntries are KL730–KL769: what a student's DHCP server does, against what was asked.
var mistakeNetworkEntries = []Entry{
	{
		Code: SubnetUndeclared, Exit: ExitChecks, Args: []string{"subnet", "program"},
		Summary: `the subnet {{.subnet}} is not declared in the configuration of {{.program}}`,
		Hint:    `declare the network that is to be served, as ip -brief address shows it on the server's card`,
		Explanation: `
A server finds out what to lend by the card on which a question came in: the
card's own address says in which network the client is, and that network must
be declared. dhcpd says "No subnet declaration for eth1", with the card's address
in brackets, and ignores the card.`,
	},
	{
		Code: RangeMissing, Exit: ExitChecks, Args: []string{"subnet"},
		Summary: `the subnet {{.subnet}} has no range of addresses to lend`,
		Hint:    `inside the subnet's block, say which addresses may be lent`,
		Explanation: `
To declare a network says where it is, not what may be given away. Without a
range (in Kea, a pool) only reserved addresses are lent; to everybody else the
server is silent, and dhcpd writes "no free leases" to the journal.`,
	},
	{
		Code: RangeDiffers, Exit: ExitChecks, Args: []string{"got", "want"},
		Summary: `the server may lend {{.got}}; asked is {{.want}}`,
		Hint:    `compare both ends of the range with the task`,
		Explanation: `
Both ends of a range are lent. Addresses that machines have by themselves, the
server's own first of all, must stay outside, or two machines would have one
address. All ranges of a subnet count together.`,
	},
	{
		Code: OptionNotAsAsked, Exit: ExitChecks, Args: []string{"option", "got", "want"},
		Summary: `clients get {{if .got}}{{.got}}{{else}}nothing{{end}} for the option {{.option}}; asked is {{.want}}`,
		Hint:    `options may stand at the top, for all, or in a subnet, for its clients; the inner one wins`,
		Explanation: `
An address alone is not enough for a client: the router (option 3), the DNS
servers (6) and the domain (15) come with it as options, if the server has been
told them and the client asks for them. "kvmlab watch" shows what an ACK carried.`,
	},
	{
		Code: LeaseDiffers, Exit: ExitChecks, Args: []string{"got", "want"},
		Summary: `addresses are lent for {{.got}} seconds; asked is {{.want}}`,
		Hint:    `see which statement sets the lease time, and which one limits it`,
		Explanation: `
The lease time goes to the client as option 51; after half of it the client
renews. dhcpd takes default-lease-time for clients that ask for none, and never
more than max-lease-time; Kea takes valid-lifetime; dnsmasq the end of dhcp-range.`,
	},
	{
		Code: NotAuthoritative, Exit: ExitChecks, Args: []string{"program"},
		Summary: `{{.program}} does not know that it is in charge of this network, so it sends no NAK`,
		Hint:    `one word in its configuration says so; look for "authoritative" in its manual`,
		Explanation: `
A client that comes from another network asks for the address that it had there.
A server that is in charge answers with a NAK, and the client starts anew at
once. One that may not be the only server stays silent, because the address could
be another's affair, and the client waits. dhcpd and Kea assume the second until
they are told.`,
	},
	{
		Code: ReservationAbsent, Exit: ExitChecks, Args: []string{"guest", "nic", "address"},
		Summary: `nothing reserves {{.address}} for {{.nic}} of {{.guest}}`,
		Hint:    `a reservation joins the card's MAC address with the address that it is to get`,
		Explanation: `
A reservation is found by what the client sends: its MAC address, or its client
identifier. dhcpd writes host … { hardware ethernet …; fixed-address …; }, Kea has
a list reservations, dnsmasq dhcp-host. A client that has a lease already keeps it
until it asks anew.`,
	},
	{
		Code: ReservationNIC, Exit: ExitChecks, Args: []string{"guest", "nic", "mac", "owner"},
		Summary: `the reservation for {{.nic}} of {{.guest}} has the MAC {{.mac}}, which is that of {{.owner}}`,
		Hint:    `each card has its own MAC: look at the one that asks for the address, with ip link`,
		Explanation: `
A machine with two cards has two MAC addresses, and a DISCOVER carries the one of
the card that it leaves by. "ip -brief link" shows them all; "kvmlab watch" shows
the one that asked.`,
	},
	{
		Code: ReservationNobody, Exit: ExitChecks, Args: []string{"guest", "nic", "mac"},
		Summary: `the reservation for {{.nic}} of {{.guest}} has the MAC {{.mac}}, which is that of no card of the lab`,
		Hint:    `compare it digit by digit with what ip link shows in that guest`,
		Explanation: `
A server looks up the MAC address of the client that asks. One wrong digit, and
the reservation belongs to a card that does not exist: nothing is wrong with the
file, and the client gets some address from the range.`,
	},
	{
		Code: ReservationInPool, Exit: ExitChecks, Args: []string{"address"},
		Summary: `{{.address}} is reserved, and also in the range that is lent to everybody`,
		Hint:    `take a reserved address from outside the range, or make the range smaller`,
		Explanation: `
dhcpd does not take a fixed-address out of the range. It may lend it to another
client while its owner is away, and when the owner comes back, two machines have
one address. (Kea and dnsmasq do keep a reserved address free.)`,
	},
	{
		Code: InterfacesOldName, Severity: Warning,
		Summary: `the variable INTERFACES is outdated`,
		Hint:    `it still works, with a warning; the variable for IPv4 is INTERFACESv4`,
		Explanation: `
The start script of Debian's isc-dhcp-server has one variable for IPv4 and one for
IPv6. INTERFACES is of the time before; when INTERFACESv4 is empty, the script
takes it over and says that this will not last.`,
	},
	{
		Code: AssignmentSpaced, Exit: ExitChecks, Args: []string{"variable"},
		Summary: `there are spaces around the = of {{.variable}}`,
		Hint:    `this file is read by the shell: NAME=VALUE is one word`,
		Explanation: `
/etc/default/isc-dhcp-server is run by /bin/sh. To a shell, NAME = VALUE is the
command NAME with two arguments: it says "not found", and the variable stays
empty. The start script then believes that nothing was chosen: it starts dhcpd for
every card, and a server for IPv6, which fails.`,
	},
	{
		Code: InterfaceUnknown, Exit: ExitChecks, Args: []string{"given"},
		Summary: `there is no card {{quote .given}} in this machine`,
		Hint:    `see what the cards are called: ip -brief link`,
		Explanation: `
dhcpd says the same, "No subnet declaration for … (no IPv4 addresses)", for a card
that does not exist, for one without an address and for one that is down: it
looks for the card's addresses and finds none. The list of "ip -brief address"
tells which of the three it is.`,
	},
	{
		Code: InterfaceOther, Exit: ExitChecks, Args: []string{"given", "want"},
		Summary: `the server is told to serve {{.given}}; the clients are behind {{.want}}`,
		Hint:    `find out which card is in the network that is to be served: ip -brief address`,
		Explanation: `
A server listens on the cards that it is told to, and broadcasts do not pass from
one network to another: a DISCOVER that comes in on a card that is not served is
not even seen. Where it is told: INTERFACESv4 in /etc/default/isc-dhcp-server,
interfaces-config in Kea, interface= in dnsmasq.`,
	},
	{
		Code: InterfacesEmpty, Exit: ExitChecks,
		Summary: `no card is named that isc-dhcp-server is to serve`,
		Hint:    `name it in /etc/default/isc-dhcp-server`,
		Explanation: `
With INTERFACESv4 and INTERFACESv6 both empty the start script starts two servers
for all cards. The one for IPv6 has no configuration and fails, so that systemd
calls the whole service failed, while the one for IPv4 goes on and lends
addresses. A unit's state alone says little: look at the process and its sockets.`,
	},
	{
		Code: KeaNoInterface, Exit: ExitChecks,
		Summary: `Kea is told to listen on no card`,
		Hint:    `look for "interfaces-config" at the top of the file`,
		Explanation: `
Kea starts without complaint when its list of interfaces is empty, as in the file
that comes with the package: it could be given one later by a command. It then
has no socket on port 67 and hears nothing: ss -lnup 'sport = :67' shows none.`,
	},
	{
		Code: AddressMissing, Exit: ExitChecks, Args: []string{"link"},
		Summary: `{{.link}} of the server has no IPv4 address`,
		Hint:    `a DHCP server gives itself none: set a fixed one on the card first`,
		Explanation: `
A server is a client of nobody: the card that it serves needs a fixed address,
and by it the server knows which network it is in. It must be there before the
server starts. dhcpd says "No subnet declaration for eth1 (no IPv4 addresses)",
although the subnet may be declared perfectly well.`,
	},
	{
		Code: AddressNotApplied, Exit: ExitChecks, Args: []string{"link"},
		Summary: `the address of {{.link}} is written down but the card does not have it`,
		Hint:    `/etc/network/interfaces is read when a card is brought up: see man ifup`,
		Explanation: `
A file of settings changes nothing by itself. ifup reads /etc/network/interfaces
and gives the card what stands there; at boot that is done for cards with "auto".
"ip -brief address" shows what the card really has. Then the server must be
started anew, because it looks at the cards only when it starts.`,
	},
	{
		Code: AddressOther, Exit: ExitChecks, Args: []string{"link", "got", "want"},
		Summary: `{{.link}} of the server has {{.got}}; asked is {{.want}}`,
		Hint:    `compare it with the task, then see where it is set: /etc/network/interfaces or ip addr`,
		Explanation: `
The address of the card decides which network the server is in, and goes to the
clients as the server's identity (option 54), to which they send their renewals.
An address of another network makes the declared subnet one that is nowhere.`,
	},
	{
		Code: MaskOther, Exit: ExitChecks, Args: []string{"link", "got", "want"},
		Summary: `{{.link}} of the server has the mask /{{.got}}; asked is /{{.want}}`,
		Hint:    `see where the card's address is set, and with which length`,
		Explanation: `
dhcpd does not compare the card's mask with the subnet that it serves: it lends
addresses as if nothing were wrong. But the server itself thinks that its network
is larger or smaller than it is; with /32 it believes to be alone and reaches no
client by unicast, so that renewals and pings fail.`,
	},
	{
		Code: CardDown, Exit: ExitChecks, Args: []string{"link"},
		Summary: `{{.link}} of the server is down`,
		Hint:    `bring it up: see man ip-link, or ifup if the card is in /etc/network/interfaces`,
		Explanation: `
A card can have an address and be down; it then neither sends nor receives, and
dhcpd does not see its address: it says "no IPv4 addresses". "ip -brief link"
shows UP or DOWN. What is set by "ip" by hand is gone after a reboot.`,
	},
	{
		Code: ServerNotRunning, Exit: ExitChecks, Args: []string{"program", "unit"},
		Summary: `{{.program}} does not run`,
		Hint:    `start it and see what it says: systemctl restart {{.unit}}, then journalctl -u {{.unit}}`,
		Explanation: `
A file is only read when its program starts, and a program that has found an error
in it does not stay. systemctl status shows whether the service runs and the last
lines that it has written; "ps -e" and ss -lnup 'sport = :67' show the process
itself and its socket.`,
	},
	{
		Code: ServerNotRestarted, Exit: ExitChecks, Args: []string{"program", "file", "unit"},
		Summary: `{{.file}} was changed after {{.program}} had read it`,
		Hint:    `start the server anew: systemctl restart {{.unit}}`,
		Explanation: `
A daemon reads its files once, when it starts, and goes on with what it has read.
A change is in the file at once and in the server only after a restart. Compare
"ls -l --time-style=full-iso FILE" with the time in "systemctl status".`,
	},
	{
		Code: ServedElsewhere, Exit: ExitChecks, Args: []string{"program", "got", "want"},
		Summary: `{{.program}} listens on {{.got}}; the clients are behind {{.want}}`,
		Hint:    `ss -0lnp shows on which cards it listens`,
		Explanation: `
"ss -lnup" shows 0.0.0.0:67 for dhcpd whatever it serves, because that socket is
not the one by which it hears clients without an address. For them it has a packet
socket on each card, and "ss -0lnp" shows those: *:eth1. A DHCP server on the
wrong card may disturb a network that has its own.`,
	},
	{
		Code: TapUnnamed, Exit: ExitChecks, Args: []string{"found", "want"},
		Summary: `there is a tap {{.found}} with a name that the kernel chose, and no {{.want}}`,
		Hint:    `say what the tap is to be called when you make it: man ip-tuntap`,
		Explanation: `
"ip tuntap add mode tap" without a name makes a tap all the same: the kernel calls
it tap0, or the next free number. Whoever then looks for tap1 finds nothing.
"ip -d link show type tun" lists the taps of the host.`,
	},
	{
		Code: TapMissing, Exit: ExitChecks, Args: []string{"tap", "guest", "nic"},
		Summary: `there is no tap {{.tap}} for {{.nic}} of {{.guest}}`,
		Hint:    `list what there is with ip -brief link, and make what is missing`,
		Explanation: `
A tap is a network card of the host whose cable ends in a program: QEMU reads from
it what the guest is to receive, and writes to it what the guest sends. Without
its tap a guest's card is connected to nothing.`,
	},
	{
		Code: TapIdle, Exit: ExitChecks, Args: []string{"tap", "bridge", "plugged"},
		Summary: `{{if .plugged}}the tap {{.tap}} is down{{else}}the tap {{.tap}} is not in the bridge {{.bridge}}{{end}}`,
		Hint:    `bridge link shows which taps are in a bridge, ip -brief link which are up`,
		Explanation: `
A tap is new in no bridge and down. To be a socket of the switch it needs both:
ip link set TAP master BRIDGE and ip link set TAP up. A bridge forwards nothing
from or to a port that is down, and the guest notices only that nobody answers.`,
	},
	{
		Code: TwoServers, Exit: ExitChecks, Args: []string{"servers"},
		Summary: `another DHCP server answers on this network: {{join .servers}}`,
		Hint:    `find out by the MAC address who the other is, and stop it`,
		Explanation: `
Every server on a network hears each DISCOVER and may answer; a client takes one
offer, usually the first. With two servers it depends on who is quicker which
router and which DNS a client gets, and both may lend one address. The Ethernet
source of the OFFERs tells them apart: kvmlab watch shows it.`,
	},
	{
		Code: LeaseOutside, Exit: ExitChecks, Args: []string{"address", "server"},
		Summary: `a client has got {{.address}} from {{.server}}, which is not in the range that was asked`,
		Hint:    `compare the range in the file with the task, and when the client got its lease`,
		Explanation: `
A lease outlives the configuration from which it came: after a change of the range
a client keeps its old address until the server refuses to renew it, or until it
asks anew. So look at the time of the lease first, then at the file.`,
	},
	{
		Code: BroadcastIsNobody, Exit: ExitChecks, Args: []string{"given"},
		Summary: `{{.given}} is not the server's address: it means everybody on this network`,
		Hint:    `look at who sends the OFFER, and at option 54 in it`,
		Explanation: `
A client sends its DISCOVER to 255.255.255.255 just because it does not know any
server's address yet. That is a destination for everybody; no machine has it, and
nothing is ever sent from it. The server answers with its own address as source
and names it in option 54, and that is the one which renewals go to.`,
	},
	{
		Code: RelayMissing, Exit: ExitChecks, Args: []string{"program", "server"},
		Summary: `{{.program}} is not told to hand anything over to {{.server}}`,
		Hint:    `look for "relay" in the manual of {{.program}}`,
		Explanation: `
A broadcast ends at the router. A relay hears it there and carries it to the
server in a packet for the server alone, so it must be told which server that is.`,
	},
	{
		Code: RelayLocal, Exit: ExitChecks, Args: []string{"got", "want"},
		Summary: `the relay listens at {{.got}}; the clients are on the side of {{.want}}`,
		Hint:    `ip -brief address shows which card has which address: take that of the clients' network`,
		Explanation: `
The relay's own address says at which card it listens, and it is also what it
writes into giaddr, by which the server knows what network the client is in.`,
	},
	{
		Code: RelayServer, Exit: ExitChecks, Args: []string{"got", "want"},
		Summary: `the relay hands over to {{.got}}; the server is {{.want}}`,
		Hint:    `compare it with the address of the server: ip -brief address in the server`,
		Explanation: `
The relay sends what it has heard to this one address. If nobody is there, or
somebody who is no DHCP server, the client hears nothing, and the relay no error.`,
	},
}
