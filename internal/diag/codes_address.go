package diag

// addressEntries are KL041–KL054: the bridges' addresses.
var addressEntries = []Entry{
	{
		Code: OutsideSubnet, Exit: ExitUsage, Args: []string{"what", "address", "subnet", "bridge"},
		Summary: `{{.what}} {{.address}} is not in {{.subnet}}{{if .bridge}}, the subnet of {{.bridge}}{{end}}`,
		Hint:    `choose an address of {{.subnet}}{{if .bridge}}, or change the address of {{.bridge}}{{end}}`,
		Explanation: `
A host reaches directly only the addresses of its own subnet: it compares the
other address with its own under the mask, and asks with ARP only for those
that agree. 192.168.1.1/24 means that the first 24 bits, 192.168.1, are the
subnet. A client that is lent an address of another subnet, or told a router
outside its own, cannot talk to anybody on the segment, not even to the router
that should help it out.`,
	},
	{
		Code: BadAddress, Exit: ExitUsage, Args: []string{"key", "value", "want"},
		Summary: `{{.key}}: {{quote .value}} is not {{.want}}`,
		Hint:    `an IPv4 address is four numbers from 0 to 255 with dots between them, without leading zeros`,
		Explanation: `
An IPv4 address is 32 bits, written as four decimal bytes: 192.168.1.1. Leading
zeros are refused because some programs read 010 as eight (octal) and others
as ten. A bridge's address carries the length of the subnet's prefix as well,
192.168.1.1/24, where ifconfig and dhcpd.conf would write the mask
255.255.255.0.`,
	},
	{
		Code: NoPrefixLength, Exit: ExitUsage, Args: []string{"address"},
		Summary: `the address {{.address}} has no prefix length`,
		Hint:    `write {{.address}}/24 for the mask 255.255.255.0`,
		Explanation: `
An address alone does not say how large its subnet is. The number after the
slash does: it counts the bits of the network part. /24 is the mask
255.255.255.0 with 254 hosts, /25 is 255.255.255.128 with 126, /16 is
255.255.0.0. "ip addr add" without it takes /32, a network of one host, which
is a well-known trap.`,
	},
	{
		Code: HostBitsZero, Exit: ExitUsage, Args: []string{"address", "which", "example"},
		Summary: `{{.address}} is the {{.which}} address of its subnet and cannot belong to a host`,
		Hint:    `give the bridge one in between, for example {{.example}}`,
		Explanation: `
In each subnet two addresses belong to no host. The first, all host bits zero,
names the network itself. The last, all host bits one, is the broadcast
address: what is sent there is for everybody. In 192.168.1.0/24 these are
192.168.1.0 and 192.168.1.255.`,
	},
	{
		Code: BridgesOverlap, Exit: ExitUsage, Args: []string{"bridge", "subnet", "other", "othersubnet", "line"},
		Summary: `{{.subnet}} of {{.bridge}} overlaps {{.othersubnet}} of {{.other}}`,
		Hint:    `{{.other}} is on line {{.line}}; give {{.bridge}} a subnet of its own, such as 192.168.2.1/24`,
		Explanation: `
The host has an address on both bridges. When it sends to an address that lies
in the subnets of both, its routing table can name only one of them, so guests
on the other would never get an answer. Two segments that do not know of each
other may use the same addresses, but not with the host on both; for that,
leave the address of one out, or make two labs with --isolate.`,
	},
	{
		Code: BadPrefixLength, Exit: ExitUsage, Args: []string{"subnet", "reason"},
		Summary: `the subnet {{.subnet}} cannot be used: {{.reason}}`,
		Hint:    `use a prefix length from /8 to /30; /24 is usual in class`,
		Explanation: `
A /31 or /32 leaves no room: with the network's and the broadcast address taken
away, the bridge and at least one guest need four addresses, a /30. Shorter
than /8 is larger than any private network (10.0.0.0/8 is the largest, RFC
1918).`,
	},
	{
		Code: ReservedSubnet, Exit: ExitUsage, Args: []string{"subnet", "reason"},
		Summary: `the subnet {{.subnet}} cannot be used: it is in {{.reason}}`,
		Hint:    `use a private one: 192.168.1.1/24, 10.0.0.1/24 or 172.16.0.1/24`,
		Explanation: `
Some ranges have a meaning of their own that the kernel enforces: 0.0.0.0/8 is
"this host", 127.0.0.0/8 never leaves the machine, 169.254.0.0/16 is what hosts
give themselves when no DHCP server answers (RFC 3927), 224.0.0.0/4 are
multicast groups, and 240.0.0.0/4 is reserved. The ranges for private use are
10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 (RFC 1918).`,
	},
	{
		Code: PublicSubnet, Severity: Warning, Args: []string{"subnet", "bridge"},
		Summary: `the subnet {{.subnet}} of {{.bridge}} is not a private one`,
		Hint:    `while the lab is up, this host cannot reach the real owners of these addresses; 192.168.0.0/16 and 10.0.0.0/8 are free to use`,
		Explanation: `
These addresses belong to somebody on the internet. The lab works all the same,
but a route to them through the lab's bridge hides the real ones from this
host. RFC 1918 keeps 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 for private
networks, and RFC 5737 keeps 192.0.2.0/24, 198.51.100.0/24 and 203.0.113.0/24
for examples.`,
	},
	{
		Code: NATWithoutAddr, Exit: ExitUsage, Args: []string{"bridge"},
		Summary: `{{.bridge}} has internet: nat but no address`,
		Hint:    `give the bridge an address, such as 192.168.1.1/24: it is the guests' router`,
		Explanation: `
The way out of the lab leads through the host: guests send to the bridge's
address as their router, and the host forwards under an address of its own. A
bridge without an address is a bare switch that the host is not part of.`,
	},
	{
		Code: UnusableAddress, Exit: ExitUsage, Args: []string{"key", "address", "reason"},
		Summary: `{{.key}}: {{.address}} cannot be the address of a host: it is {{.reason}}`,
		Hint:    `give the address of the machine that does the service`,
		Explanation: `
Some addresses never belong to one machine: 0.0.0.0 means "none" or "any",
255.255.255.255 is everybody on the segment, 224.0.0.0 and up are multicast
groups, and 127.0.0.1 is each machine's own inside. As a router or a DNS server
they would send the clients to nobody or to themselves.`,
	},
}
