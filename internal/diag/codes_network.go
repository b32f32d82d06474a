package diag

// networkEntries are KL200–KL219: links, names and addresses on the host.
var networkEntries = []Entry{
	{
		Code: ForeignLink, Exit: ExitHost, Args: []string{"name", "kind"},
		Summary: `there is already a {{.kind}} called {{quote .name}} on this host, and it is not kvmlab's`,
		Hint:    `give the lab's a different name, remove the other (ip link del {{.name}}), or use --isolate`,
		Explanation: `
kvmlab marks every link that it makes with an alias ("ip link show" prints it)
and changes or deletes nothing without that mark, whatever its name. This link
has none: it was made by hand, by another program, or by an earlier exercise.
With --isolate the lab gets a network namespace of its own, where every name
is free.`,
	},
	{
		Code: KernelNameLong, Exit: ExitUsage, Args: []string{"name", "length"},
		Summary: `the link name {{quote .name}} has {{.length}} bytes; the kernel takes 15`,
		Hint:    `choose a shorter one`,
		Explanation: `
The kernel keeps interface names in 16 bytes (IFNAMSIZ), one of them a final
zero. Longer names exist only as "altnames" beside the real one.`,
	},
	{
		Code: SubnetOverlap, Exit: ExitHost, Args: []string{"subnet", "bridge", "other", "via"},
		Summary: `{{.subnet}} of {{.bridge}} is already on this host: {{.other}} on {{.via}}`,
		Hint:    `bring the lab up with --isolate, or change the subnet in the lab file`,
		Explanation: `
The host has a route or an address that covers the lab's subnet. With both, its
routing table would send traffic for one to the other: the lab's guests could
become unreachable, or worse, the school's own network, gateway included. With
--isolate the lab has a routing table of its own and every lab can use
192.168.1.0/24 at once. "ip route get 192.168.1.2" shows where such a packet
goes today.`,
	},
	{
		Code: NetworkDenied, Exit: ExitHost, Args: []string{"action"},
		Summary: `the kernel does not permit this user to {{.action}}`,
		Hint:    `run kvmlab with sudo; in a container it needs CAP_NET_ADMIN`,
		Explanation: `
Changing network interfaces needs the capability CAP_NET_ADMIN in the network
namespace that is changed. Root has it on a normal host. In containers even
root lacks it unless it was granted.`,
	},
	{
		Code: ForeignPort, Exit: ExitHost, Args: []string{"bridge", "port"},
		Summary: `{{.port}} is plugged into {{.bridge}} and is not the lab's`,
		Hint:    `take it out: sudo ip link set {{.port}} nomaster`,
		Explanation: `
A bridge joins everything that is plugged into it. With a foreign port, the
physical card perhaps, the lab's DHCP server would answer the school's PCs and
the school's server the lab's guests. kvmlab's server falls silent at once when
it sees one, and "up" does not go on.`,
	},
	{
		Code: LinkWrongKind, Exit: ExitHost, Args: []string{"name", "want", "got"},
		Summary: `{{quote .name}} carries this lab's mark but is a {{.got}}, not a {{.want}}`,
		Hint:    `kvmlab down removes it; then bring the lab up again`,
		Explanation: `
The link has the alias that kvmlab writes, so it counts as the lab's, and yet it
is of another kind than the lab file says. The lab file may have changed while
the lab was up, or somebody copied the alias.`,
	},
	{
		Code: MACOnHost, Exit: ExitHost, Args: []string{"mac", "link"},
		Summary: `the MAC address {{.mac}} already belongs to {{.link}}`,
		Hint:    `write mac: auto for the guest`,
		Explanation: `
The bridge would learn the address on the wrong port: an address of the host
itself is always delivered to the host, so the guest would never hear an
answer. The tap's own address must differ from the guest's for the same reason.`,
	},
	{
		Code: NetworkFailed, Exit: ExitFailed, Args: []string{"action"},
		Summary: `the kernel refused to {{.action}}`,
		Hint:    `kvmlab doctor looks for the usual reasons`,
		Explanation: `
The request was well-formed and permitted, and the kernel still said no; the
cause is its own word for it. Another program may have changed the same link at
the same moment (NetworkManager, systemd-networkd, Docker).`,
	},
	{
		Code: ForeignNamespace, Exit: ExitHost, Args: []string{"namespace"},
		Summary: `there is already a network namespace {{quote .namespace}}, and it is not kvmlab's`,
		Hint:    `rename the lab (--name), or remove the namespace: sudo ip netns del {{.namespace}}`,
		Explanation: `
An isolated lab lives in a network namespace called kvmlab-<lab>. One of that
name exists, but without the marks that kvmlab leaves in it, so kvmlab will
not touch it.`,
	},
	{
		Code: ForeignTable, Exit: ExitHost, Args: []string{"table"},
		Summary: `there is already an nftables table {{quote .table}}, and it is not kvmlab's`,
		Hint:    `rename the lab (--name), or remove the table: sudo nft delete table inet {{.table}}`,
		Explanation: `
What a lab's guests may reach is said by tables of nftables that are called
kvmlab-<lab> and carry a mark. One of that name exists without the mark, so
kvmlab will not touch it. "nft list ruleset" shows what it does and of which
family it is.`,
	},
	{
		Code: NotForwarding, Exit: ExitHost,
		Summary: `the lab file asks for internet: nat, and this host forwards no packets`,
		Hint:    `let it: sudo sysctl -w net.ipv4.ip_forward=1`,
		Explanation: `
Guests reach the outside through the host, which must pass their packets on as a
router does. kvmlab does not turn that on by itself: the setting is for the
whole host and joins all of its networks, the school's among them, which is for
its administrator to decide. A line net.ipv4.ip_forward=1 in a file under
/etc/sysctl.d keeps it over a restart.`,
	},
	{
		Code: NotYetSupported, Exit: ExitUsage, Args: []string{"what"},
		Summary: `this version of kvmlab cannot do {{.what}} yet`,
		Hint:    `remove it from the lab file, or use a newer kvmlab; kvmlab version shows which one this is`,
		Explanation: `
The lab file is right, and its meaning is settled, but the part of kvmlab that
would carry it out is not in this version. It is refused, not ignored, because
a lab that lacks something silently teaches the wrong thing.`,
	},
}
