package diag

// borderEntries are KL130–KL149: what guests may reach beyond their bridges.
var borderEntries = []Entry{
	{
		Code: BadService, Exit: ExitUsage, Args: []string{"value"},
		Summary: `{{quote .value}} is not a service of this computer`,
		Hint:    `write the protocol and the port, such as tcp/80 or udp/123`,
		Explanation: `
Guests reach nothing of the computer that their lab runs on but its address on
their bridge, by DHCP, ARP and ping. host: {allow: [tcp/80]} in the lab file
opens more, one port of TCP or UDP at a time, from 1 to 65535.`,
	},
	{
		Code: AllowForNobody, Exit: ExitUsage, Args: []string{"service"},
		Summary: `{{.service}} is allowed, and no bridge has an address to reach it at`,
		Hint:    `give a bridge an address, such as 192.168.1.1/24, or remove host`,
		Explanation: `
Guests reach this computer at the address of their bridge and nowhere else. A
bridge without an address is a bare switch that the computer is not part of, so
there is nobody to talk to.`,
	},
	{
		Code: BadNetwork, Exit: ExitUsage, Args: []string{"value"},
		Summary: `{{quote .value}} is not a network that guests could get to`,
		Hint:    `write an address, such as 10.0.0.53, or a network with its prefix length, such as 10.0.0.0/24`,
		Explanation: `
reach names what guests with internet: nat get to beside the internet: single
IPv4 addresses, or networks whose address has no host bits (10.0.0.0/24, not
10.0.0.1/24). 0.0.0.0/0 would be everything, this computer's own networks
included, and is refused: name what the lesson needs.`,
	},
	{
		Code: ReachWithoutNAT, Exit: ExitUsage, Args: []string{"bridge", "network"},
		Summary: `{{.bridge}} is to reach {{.network}}, and has no internet: nat`,
		Hint:    `write internet: nat for the bridge, or remove reach`,
		Explanation: `
Without internet: nat nothing that guests send leaves their lab, so that there
is no way to any network. reach only adds networks to that way.`,
	},
	{
		Code: SealRefused, Exit: ExitHost, Args: []string{"action"},
		Summary: `{{.action}}: IPv6 cannot be switched off on the link`,
		Hint:    `in a container, mount /proc/sys writable, or switch IPv6 off for the container (net.ipv6.conf.default.disable_ipv6=1)`,
		Explanation: `
A guest that sends a Router Advertisement gives every computer on its bridge
that speaks IPv6 an address and a default route. So kvmlab switches IPv6 off on
its links, for this computer alone, by files under /proc/sys/net/ipv6/conf;
guests speak IPv6 among themselves as they like. Here these files cannot be
written, and the lab is not brought up without it.`,
	},
	{
		Code: ManyNetworks, Exit: ExitHost,
		Summary: `this computer has routes to too many networks for a lab with internet: nat`,
		Hint:    `use internet: none, or bring the lab up on a computer that is no router of a large network`,
		Explanation: `
A lab's way out leads to the internet and to none of the networks that this
computer has a route to: each is named in the lab's nftables table. A router
that knows thousands would need a table of thousands of rules for each lab.`,
	},
	{
		Code: NoNftables, Exit: ExitHost,
		Summary: `the kernel has no nftables, or not the parts that a lab's firewall is made of`,
		Hint:    `load them: sudo modprobe -a nf_tables nft_ct nft_limit nft_masq; kvmlab doctor tries it`,
		Explanation: `
What guests may reach is said by tables of nftables, of the families inet and
arp, with sets, maps, connection tracking and limits. Debian's kernels have them
as modules, which are loaded when they are first used. A lab is not brought up
without its firewall.`,
	},
	{
		Code: ForwardDropped, Severity: Warning, Args: []string{"policy"},
		Summary: `another firewall of this computer forwards only what it knows of ({{.policy}}): labs with internet: nat may not get out`,
		Hint: `let the lab's bridge pass there, with Docker: sudo iptables -I DOCKER-USER -i br1 -j ACCEPT; ` +
			`sudo iptables -I DOCKER-USER -o br1 -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`,
		Explanation: `
Every firewall of a computer can drop a packet, and none can overrule another.
kvmlab's own tables only ever drop. Docker, ufw and firewalld forward nothing by
default but what they know of, and do not know of a lab's bridge: guests with
internet: nat get no answer. Labs with internet: none do not mind. With ufw it
is "sudo ufw route allow in on br1", with firewalld a policy from the zone of
the bridge to that of the outer card.`,
	},
}
