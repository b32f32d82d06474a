package diag

// dhcpFileEntries are KL055–KL079: what a lab file says about DHCP.
var dhcpFileEntries = []Entry{
	{
		Code: BadRange, Exit: ExitUsage, Args: []string{"value"},
		Summary: `{{quote .value}} is not a range of addresses`,
		Hint:    `write the first and the last with a dash: 192.168.1.2-192.168.1.10`,
		Explanation: `
A range is its first and its last address, both included, with a dash between
them; a single address is a range of one. (dhcpd.conf writes the same with a
space, "range 192.168.1.2 192.168.1.10;", and a dash there is a mistake. Each
program has its own language.) Several ranges are elements of the list.`,
	},
	{
		Code: RangeReversed, Exit: ExitUsage, Args: []string{"range", "first", "last"},
		Summary: `the range {{.range}} ends before it begins`,
		Hint:    `write {{.last}}-{{.first}}`,
		Explanation: `
The first address of a range must not be greater than the last. ISC dhcpd
quietly swaps them; kvmlab asks, since a reversed range is more often a wrong
digit than a wrong order.`,
	},
	{
		Code: RangeLeavesSubnet, Exit: ExitUsage, Args: []string{"range", "address", "subnet", "bridge"},
		Summary: `the range {{.range}} leaves {{.subnet}}{{if .bridge}}, the subnet of {{.bridge}}{{end}}: {{.address}} is outside`,
		Hint:    `keep both ends inside {{.subnet}}{{if .bridge}}, or change the address of {{.bridge}}{{end}}`,
		Explanation: `
Every address that the server lends must be in the subnet of the bridge it
serves: the client will use the bridge's mask, and with an address of another
subnet it could reach neither the server, to renew, nor its neighbours. Look at
the prefix length too: 192.168.1.1/28 ends at 192.168.1.15.`,
	},
	{
		Code: RangeHoldsBridge, Exit: ExitUsage, Args: []string{"range", "address", "bridge"},
		Summary: `the range {{.range}} holds {{.address}}, the address of {{.bridge}} itself`,
		Hint:    `begin the range after it, or divide it in two around it`,
		Explanation: `
The server would lend its own address to a client. Two machines would then
answer ARP for it, and who can reach whom would change by the minute. A good
server notices when it probes the address before the offer; a good
configuration does not let it come to that.`,
	},
	{
		Code: RangeHoldsEdge, Exit: ExitUsage, Args: []string{"range", "address", "which"},
		Summary: `the range {{.range}} holds {{.address}}, the {{.which}} address of the subnet`,
		Hint:    `leave it out: it belongs to no host`,
		Explanation: `
The first address of a subnet names the network and the last is its broadcast
address; no host can have either. In 192.168.1.0/24 the addresses from
192.168.1.1 to 192.168.1.254 can be lent.`,
	},
	{
		Code: RangesOverlap, Exit: ExitUsage, Args: []string{"range", "other", "line"},
		Summary: `the range {{.range}} shares addresses with {{.other}}`,
		Hint:    `{{.other}} is on line {{.line}}; make one of them shorter, or join them`,
		Explanation: `
The ranges of one bridge form its pool. An address that is in two of them is in
the pool once, so nothing bad would happen, but one of the two is surely not
what was meant.`,
	},
	{
		Code: DHCPWithoutAddress, Exit: ExitUsage, Args: []string{"bridge"},
		Summary: `{{.bridge}} has dhcp but no address`,
		Hint:    `give the bridge an address, such as 192.168.1.1/24, or write dhcp: off`,
		Explanation: `
The server speaks from the bridge's address: it is the server identifier of
option 54, and its prefix length is the mask of option 1. A bridge without an
address is a bare switch, good for a lab in which one of the guests is the
DHCP server.`,
	},
	{
		Code: DHCPWithoutRange, Exit: ExitUsage, Args: []string{"bridge", "ranges"},
		Summary: `dhcp of {{.bridge}} has nothing to lend: ` +
			`{{if .ranges}}all of its range is excluded{{else}}no range{{end}} and no reservations`,
		Hint: `add range: [192.168.1.2-192.168.1.10], reservations, or write dhcp: off`,
		Explanation: `
A DHCP server lends addresses from its ranges and keeps reserved ones for the
clients that they are for. With neither it would hear every DISCOVER and never
answer. If a guest should be the server, say dhcp: off.`,
	},
	{
		Code: FewAddresses, Severity: Warning, Args: []string{"bridge", "addresses", "clients"},
		Summary: `{{.bridge}} has {{.clients}} clients and {{.addresses}} {{if eq .addresses 1}}address{{else}}addresses{{end}} to lend`,
		Hint:    `the last ones will get none, unless that is the exercise; make the range longer`,
		Explanation: `
Each guest's NIC on the bridge asks for an address of its own, and a lent
address is free again only when its lease has run out. With a pool too small,
the server hears the DISCOVER of the last clients and stays silent; "kvmlab up"
would wait for them in vain. As an exercise in exhaustion it is just right.`,
	},
	{
		Code: BadDuration, Exit: ExitUsage, Args: []string{"key", "value"},
		Summary: `{{.key}}: {{quote .value}} is not a time in whole seconds`,
		Hint:    `write a number with its unit: 90s, 10m, 1h30m, 24h`,
		Explanation: `
Times are written as numbers with s, m or h after each. A number alone is
refused, since one reader takes 600 for seconds and another for minutes. DHCP
counts leases in whole seconds, so 1.5s cannot be said to a client.`,
	},
	{
		Code: LeaseTooShort, Exit: ExitUsage, Args: []string{"lease", "minimum"},
		Summary: `a lease of {{.lease}} is too short; the least is {{.minimum}}`,
		Hint:    `60s is short enough to watch a client renew at half the time`,
		Explanation: `
A client renews at half of its lease (T1) and asks everybody at seven eighths
(T2). Below half a minute these come so close together that clients no longer
play along: busybox udhcpc, for one, treats any shorter lease as 30 seconds and
goes on using an address that the server believes free. For seeing a whole
life of a lease in class, 60s does well.`,
	},
	{
		Code: LeaseTooLong, Exit: ExitUsage, Args: []string{"lease", "maximum"},
		Summary: `a lease of {{.lease}} is too long; the most is {{.maximum}}`,
		Hint:    `10m is the default; a day is long for a class`,
		Explanation: `
The lease time travels in option 51 as a 32-bit number of seconds, in which the
greatest value means for ever (RFC 2131, section 3.3). kvmlab stops at a year:
leases in a lab should come to an end.`,
	},
	{
		Code: ReservationGuest, Exit: ExitUsage, Args: []string{"guest", "suggestion", "known"},
		Summary: `there is no guest {{quote .guest}} to reserve an address for`,
		Hint: `{{if .suggestion}}did you mean {{quote .suggestion}}?` +
			`{{else if .known}}the guests are: {{join .known}}{{else}}the lab has no guests; give a mac instead{{end}}`,
		Explanation: `
A reservation names a guest of the same lab file. kvmlab looks up the MAC
address of the guest's NIC on this bridge, which is what the server goes by.
For a client that is not in the file, give its address: mac: 02:…`,
	},
	{
		Code: ReservationTwice, Exit: ExitUsage, Args: []string{"address", "line"},
		Summary: `{{.address}} is reserved twice`,
		Hint:    `the other reservation is on line {{.line}}; one address is for one client`,
		Explanation: `
A reservation promises an address to one client and keeps it from all others.
Promised to two, it could be kept to neither.`,
	},
	{
		Code: ReservationAgain, Exit: ExitUsage, Args: []string{"client", "line"},
		Summary: `{{.client}} has two reservations on this bridge`,
		Hint:    `the other one is on line {{.line}}; keep one of them`,
		Explanation: `
A client asks for one address and gets one, so a second reservation for the
same client could never be used, and which of the two would count would be a
matter of luck.`,
	},
	{
		Code: ReservationNoNIC, Exit: ExitUsage, Args: []string{"guest", "bridge"},
		Summary: `{{.guest}} has no NIC on {{.bridge}}`,
		Hint:    `move the reservation to a bridge that {{.guest}} is on, or give {{.guest}} a NIC with bridge: {{.bridge}}`,
		Explanation: `
The DHCP server of a bridge hears only what is sent on that bridge. A guest
without a network card there will never ask, so an address kept for it would
be lost to everybody.`,
	},
	{
		Code: ReservationWho, Exit: ExitUsage, Args: []string{"problem"},
		Summary: `a reservation is for a guest, a mac, a client-id or a circuit-id; this one has {{.problem}}`,
		Hint:    `write {guest: pc1, address: 192.168.1.5} or {mac: 02:00:00:00:00:05, address: 192.168.1.5}`,
		Explanation: `
The server recognises the client of a reservation by its MAC address, by the
client identifier that it sends, or by where a relay says that it is plugged in.
With guest, kvmlab looks the MAC address up; with mac, client-id or circuit-id,
it is given. Two of them could contradict each other.`,
	},
	{
		Code: UnknownOption, Exit: ExitUsage, Args: []string{"option", "suggestion"},
		Summary: `there is no DHCP option {{quote .option}}`,
		Hint: `{{if .suggestion}}did you mean {{quote .suggestion}}?` +
			`{{else}}docs/lab-file.md lists the names; any other option goes by its number, 1 to 254, with its bytes in hexadecimal{{end}}`,
		Explanation: `
Options are named as in dhcpd.conf, without the word "option": domain-name,
ntp-servers. They have numbers in RFC 2132 and later documents. An option that
kvmlab has no name for is given by its number, and then its value is the bytes
that travel, two hexadecimal digits each: 150: c0a80101.`,
	},
	{
		Code: OptionOwned, Exit: ExitUsage, Args: []string{"option", "instead"},
		Summary: `option {{.option}} cannot be set here: {{.instead}}`,
		Hint:    `remove it from options`,
		Explanation: `
Some options are the protocol's own (message type, server identifier, lease
time, what the client asked for), and some follow from the bridge's address or
from another key of the lab file. If they could be set here too, the same
thing would be said twice, and perhaps not alike.`,
	},
	{
		Code: BadOptionValue, Exit: ExitUsage, Args: []string{"option", "value", "want"},
		Summary: `option {{.option}} must be {{.want}}, not {{quote .value}}`,
		Hint:    `docs/lab-file.md shows an example of each kind of option`,
		Explanation: `
Each option has its kind, and the client reads the bytes accordingly: a text, an
address, a list of addresses, a number of one, two or four bytes, or a yes or
no in one byte. No option of this kind can be longer than 255 bytes.`,
	},
	{
		Code: DuplicateOption, Exit: ExitUsage, Args: []string{"option", "code", "line"},
		Summary: `option {{.option}} is given twice: it is number {{.code}}`,
		Hint:    `the other one is on line {{.line}}; keep one of them`,
		Explanation: `
A name and its number are the same option. In a message an option that appears
twice is joined into one long value (RFC 3396), which is surely not what was
meant here.`,
	},
	{
		Code: ReservationEdge, Exit: ExitUsage, Args: []string{"address", "which", "bridge"},
		Summary: `{{.address}} cannot be reserved: it is the {{.which}} address of {{.bridge}}`,
		Hint:    `choose another address of the subnet`,
		Explanation: `
Three addresses of a bridge's subnet are never lent: the first, which names the
network, the last, which is the broadcast address, and the bridge's own.`,
	},
	{
		Code: LeaseOrder, Exit: ExitUsage, Args: []string{"first", "firsttime", "second", "secondtime"},
		Summary: `{{.first}} ({{.firsttime}}) is longer than {{.second}} ({{.secondtime}})`,
		Hint:    `keep min-lease ≤ lease ≤ max-lease; those left out fit themselves to the others`,
		Explanation: `
A client may ask for a lease time in option 51. It gets that time, but no less
than min-lease and no more than max-lease; a client that asks for none gets
lease. So the three must be in order.`,
	},
	{
		Code: BadFault, Exit: ExitUsage, Args: []string{"fault", "reason"},
		Summary: `{{quote .fault}} is not a teaching fault: {{.reason}}`,
		Hint:    `kvmlab dhcp fault --help shows every fault with an example`,
		Explanation: `
A teaching fault makes the DHCP server do one thing wrong on purpose, so that a
class can find out what: drop=OFFER (every OFFER is lost), drop=OFFER#2 (the
second alone), delay=ACK:3s, duplicate=REQUEST, nak (a NAK for every good
REQUEST), router=192.168.1.254, mask=255.255.0.0, dns=192.168.1.9, pool-full (no
address for newcomers), lease=10s, silent.`,
	},
	{
		Code: BadClientID, Exit: ExitUsage, Args: []string{"value"},
		Summary: `{{quote .value}} is no identifier in hexadecimal`,
		Hint:    `write its bytes in hexadecimal, the type first: "01:02:00:5e:00:53:01"`,
		Explanation: `
The client identifier (option 61) is a type byte and what follows: 01 and the
MAC address from many clients, ff and a DUID from those of RFC 4361. It has two
bytes at least (RFC 2132, section 9.14). The circuit identifier is whatever the
relay sends, a name as well: eth0 is "65:74:68:30".`,
	},
}
