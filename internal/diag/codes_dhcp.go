package diag

// dhcpEntries are KL500–KL507: the DHCP server at work.
var dhcpEntries = []Entry{
	{
		Code: DHCPListen, Exit: ExitHost, Args: []string{"interface"},
		Summary: `the DHCP server cannot listen on {{.interface}}`,
		Hint:    `see who has the port: sudo ss -lnup 'sport = :67'`,
		Explanation: `
A DHCP server needs UDP port 67, and a packet socket on the interface, since
clients that have no address yet can only be answered with frames made by hand.
Another server on the same host may hold the port: dnsmasq of libvirt's default
network, isc-dhcp-server, systemd-networkd. ("grep 67" in the output of ss also
finds process numbers with 67 in them; the filter 'sport = :67' does not.)`,
	},
	{
		Code: PoolExhausted, Severity: Warning, Args: []string{"bridge", "client"},
		Summary: `no address is left on {{.bridge}} for {{.client}}`,
		Hint:    `make the range longer, the lease shorter, or wait; kvmlab leases shows who holds what`,
		Explanation: `
Every address of the pool is lent, offered, reserved or in quarantine after a
conflict. A server with nothing to offer stays silent (RFC 2131 has no message
for it), and the client goes on asking.`,
	},
	{
		Code: LeaseStore, Exit: ExitFailed, Args: []string{"path"},
		Summary: `the leases in {{.path}} cannot be read`,
		Hint:    `kvmlab down removes the lab with its leases; the guests ask again at the next up`,
		Explanation: `
Leases are kept in a journal with a checksum for each record. A record that was
cut off by a power failure is normal and is dropped; this is more: something in
the middle is not what was written. The server goes on with what it can read, and
tells of it; it may lend an address that somebody still uses.`,
	},
	{
		Code: LeaseNotDurable, Exit: ExitFailed, Args: []string{"path"},
		Summary: `a lease could not be written to {{.path}}; no more are given`,
		Hint:    `make room on the disk or mend it: df {{.path}}`,
		Explanation: `
The ACK is a promise, and it leaves only when the lease is safely on the disk:
a server that forgot it after a power cut would lend the same address twice.
The disk is full or failing, so the server acknowledges nothing until that is
mended. Clients that have a lease keep it until it runs out.`,
	},
	{
		Code: DHCPSilent, Severity: Warning, Args: []string{"bridge", "port"},
		Summary: `the DHCP server of {{.bridge}} keeps silent: {{.port}} is plugged in and is not the lab's`,
		Hint:    `take it out: sudo ip link set {{.port}} nomaster; the server goes on by itself`,
		Explanation: `
With a foreign port the segment is larger than the lab; behind it may be the
school's network. A second DHCP server there would give wrong addresses to
people who have nothing to do with the class, so kvmlab's stops at once and
starts again when the port is gone.`,
	},
	{
		Code: LeaseStoreLocked, Exit: ExitHost, Args: []string{"path"},
		Summary: `another DHCP server has the leases in {{.path}} open`,
		Hint:    `stop it first, or use another directory: --leases DIR`,
		Explanation: `
Two servers that write one set of leases would overwrite each other's promises.
The lock belongs to the running process and goes away with it.`,
	},
	{
		Code: DHCPInterface, Exit: ExitHost, Args: []string{"interface", "subnet"},
		Summary: `{{.interface}} has no address in {{.subnet}}`,
		Hint:    `give it one first: sudo ip addr add … dev {{.interface}}`,
		Explanation: `
A server serves the subnet that it is in itself: its own address goes into
option 54, and clients send their renewals there. So its interface needs a
static address before the server starts. Forgetting that is the most frequent
mistake with every DHCP server; dhcpd says "No subnet declaration for eth1 (no
IPv4 addresses)".`,
	},
	{
		Code: ClonedClient, Severity: Warning, Args: []string{"bridge", "first", "second"},
		Summary: `{{.first}} and {{.second}} on {{.bridge}} send the same client identifier`,
		Hint:    `they are clones of one disk: give one a new /etc/machine-id`,
		Explanation: `
A client may send an identifier in option 61, and the server then knows it by
that and no longer by its MAC address (RFC 2131, section 4.2). Many clients make
it from /etc/machine-id, which two copies of one disk share. To the server they
are one client, which gets one address, and both use it.`,
	},
}
