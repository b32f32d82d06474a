package diag

// dhcpServeEntries are KL508–KL529: `kvmlab dhcp`.
var dhcpServeEntries = []Entry{
	{
		Code: NoInterface, Exit: ExitHost, Args: []string{"interface", "suggestion"},
		Summary: `there is no interface {{quote .interface}} here`,
		Hint:    `{{if .suggestion}}did you mean {{quote .suggestion}}?{{else}}ip -brief link lists them{{end}}`,
		Explanation: `
Interfaces belong to a network namespace, and a program sees those of its own.
A lab with isolation: netns has its bridges in the namespace kvmlab-<lab>:
sudo ip netns exec kvmlab-<lab> ip -brief link.`,
	},
	{
		Code: ServerIDElsewhere, Exit: ExitUsage, Args: []string{"address", "interface"},
		Summary: `the server identifier {{.address}} is not an address of {{.interface}}`,
		Hint:    `see what addresses it has: ip -brief addr show dev {{.interface}}`,
		Explanation: `
A client sends its renewals to the server identifier (option 54) by unicast. If
that is not an address of the server's interface they never arrive, and every
client has to broadcast when seven eighths of its lease are over. With several
interfaces the server identifier cannot be the same on all of them.`,
	},
	{
		Code: SubnetNotOnLink, Exit: ExitHost, Args: []string{"subnet", "interfaces"},
		Summary: `none of {{.interfaces}} has an address in {{.subnet}}`,
		Hint:    `give one an address there, or write relayed: true if its clients are behind a relay`,
		Explanation: `
A broadcast stays on its segment, so a server hears only clients of the subnets
that it is in itself, and those whose DISCOVER a relay passes on. A subnet that
is neither would never be asked for: usually a digit is wrong, in the subnet or
in the interface's address.`,
	},
	{
		Code: BadSubnet, Exit: ExitUsage, Args: []string{"subnet", "suggestion"},
		Summary: `{{.subnet}} is an address inside a subnet, not a subnet`,
		Hint:    `write {{.suggestion}}`,
		Explanation: `
The bits behind the prefix length number the hosts, and they are zero in the
name of a network: 192.168.1.0/24. ISC dhcpd says "bad subnet number/mask
combination" to the same mistake.`,
	},
	{
		Code: SubnetsOverlap, Exit: ExitUsage, Args: []string{"subnet", "other", "line"},
		Summary: `the subnets {{.subnet}} and {{.other}} overlap`,
		Hint:    `{{.other}} is on line {{.line}}; one address can be in one of them only`,
		Explanation: `
The server finds a client's subnet by an address: of its own interface, or of
the relay (giaddr). If that address were in two subnets, which of the two pools
the client gets would be a matter of luck.`,
	},
	{
		Code: NothingToLend, Exit: ExitUsage, Args: []string{"subnet", "ranges"},
		Summary: `there is nothing to lend in {{.subnet}}: ` +
			`{{if .ranges}}all of its range is excluded, or the server's own,{{else}}no range{{end}} and no reservations`,
		Hint: `add --range first-last or --reserve MAC=IP; in a file, range or reservations`,
		Explanation: `
A DHCP server lends addresses from its ranges and keeps reserved ones for the
clients that they are for. With neither it would hear every DISCOVER and never
answer.`,
	},
	{
		Code: DuplicateFlagOption, Exit: ExitUsage, Args: []string{"option", "code"},
		Summary: `option {{.option}} is given twice: it is number {{.code}}`,
		Hint:    `keep one of them; several values go into one, with commas: --option ntp-servers=10.0.0.1,10.0.0.2`,
		Explanation: `
A name and its number are the same option, and --domain is option 15. In a
message an option that appears twice is joined into one long value (RFC 3396),
which is surely not what was meant here.`,
	},
	{
		Code: NobodyAnswers, Exit: ExitFailed, Args: []string{"interface", "wait"},
		Summary: `no DHCP server on {{.interface}} answers within {{.wait}}`,
		Hint:    `wait longer (--wait 10s), and see whether the DISCOVER leaves: sudo tcpdump -eni {{.interface}} port 67`,
		Explanation: `
A DISCOVER was broadcast, from a MAC address made up for it, and no OFFER came
back. There may be no server, or none with an address left; the link may be
down; or the server only knows certain clients. ISC dhcpd pings an address
before it offers it, which takes a second, and dnsmasq takes three. A server on
this same computer does not hear what the computer sends: sudo ss -lnup
'sport = :67' shows whether there is one.`,
	},
	{
		Code: LeaseStoreForeign, Exit: ExitHost, Args: []string{"path", "reason"},
		Summary: `the leases in {{.path}} are not for this kvmlab: {{.reason}}`,
		Hint:    `use another directory: --leases DIR`,
		Explanation: `
The directory of a lease store holds files leases-00000001.journal and so on. A
later kvmlab may have written them in a form that this one does not know, and
it does not touch what it cannot read.`,
	},
	{
		Code: LeaseStoreFailed, Exit: ExitHost, Args: []string{"path", "reason"},
		Summary: `leases cannot be kept in {{.path}}: {{.reason}}`,
		Hint:    `look at it with ls -ld {{.path}} and df -h {{.path}}, or name another directory: --leases DIR`,
		Explanation: `
A lease is on the disk before its ACK leaves, so that a power cut cannot make two
clients out of one address. The system refuses that here: the disk is full or
read-only, or the directory is none, or belongs to somebody else.`,
	},
	{
		Code: NotEthernet, Exit: ExitHost, Args: []string{"interface"},
		Summary: `{{.interface}} carries no Ethernet frames, so DHCP cannot be served on it`,
		Hint:    `name a bridge, a tap or a network card; ip -brief link lists them`,
		Explanation: `
A client that has no address yet is answered by its MAC address, which only a
link layer like Ethernet's has. A tun carries IP packets alone, and a loopback
leads nowhere.`,
	},
	{
		Code: MasksDiffer, Severity: Warning, Args: []string{"interface", "address", "subnet"},
		Summary: `{{.interface}} itself has {{.address}}, and its clients will get the mask of {{.subnet}}`,
		Hint:    `let both have the same prefix length: ip addr show dev {{.interface}}`,
		Explanation: `
The mask says which addresses are neighbours on the wire. If the server's is
shorter, it looks for stations on the wire that clients try to reach through a
router; if it is longer, it is the other way round. Some pairs can then talk in
one direction only, which is hard to find.`,
	},
	{
		Code: SecondSubnet, Exit: ExitHost, Args: []string{"interface", "subnet", "address"},
		Summary: `{{.interface}} is in {{.subnet}} too, and clients on it are served from the subnet of {{.address}}`,
		Hint:    `serve one subnet on each interface; relayed: true if clients of the other come through a relay`,
		Explanation: `
A DISCOVER tells the server on which interface it came in, and not which of two
subnets on the same wire its sender would like. ISC dhcpd has shared-network for
that; kvmlab serves one subnet on an interface.`,
	},
	{
		Code: BridgeNotServed, Exit: ExitUsage, Args: []string{"bridge", "lab"},
		Summary: `{{.lab}} has no DHCP server on {{.bridge}}: its lab file says dhcp: off there, or nothing`,
		Hint:    `write dhcp: {range: …} under {{.bridge}} in the lab file, and bring the lab up anew`,
		Explanation: `
kvmlab's DHCP server can be silenced and woken on the bridges that the lab file
gives it something to lend on. On the others there is nothing to turn on: a
guest is meant to be the server there, or nobody.`,
	},
	{
		Code: WhichBridge, Exit: ExitUsage, Args: []string{"lab", "known"},
		Summary: `{{.lab}} serves DHCP on several bridges`,
		Hint:    `say which: --bridge, one of {{join .known}}`,
		Explanation: `
With one bridge that is served there is no need to name it. With several, a
fault or a silence on the wrong one would be hard to notice.`,
	},
	{
		Code: NoSuchBridge, Exit: ExitUsage, Args: []string{"bridge", "lab", "known", "suggestion"},
		Summary: `{{.lab}} has no bridge {{quote .bridge}}`,
		Hint: `{{if .suggestion}}did you mean {{quote .suggestion}}?` +
			`{{else if .known}}its bridges are: {{join .known}}{{else}}it has no bridges{{end}}`,
		Explanation: `
Bridges are named in the lab file, under bridges. kvmlab status shows them with
their addresses and who answers DHCP on each.`,
	},
}
