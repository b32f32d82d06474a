package diag

// guestFileEntries are KL080–KL099: the guests in a lab file.
var guestFileEntries = []Entry{
	{
		Code: BadMAC, Exit: ExitUsage, Args: []string{"value"},
		Summary: `{{quote .value}} is not a MAC address`,
		Hint:    `write six pairs of hexadecimal digits with colons, 02:12:34:56:78:9a, or mac: auto`,
		Explanation: `
A MAC address is 48 bits, written as six bytes in hexadecimal: digits 0 to 9
and letters a to f. With auto, kvmlab draws one at random that begins with 02,
and keeps it when the lab is brought up again.`,
	},
	{
		Code: MulticastMAC, Exit: ExitUsage, Args: []string{"mac", "suggestion"},
		Summary: `{{.mac}} is a multicast address and cannot belong to a network card`,
		Hint:    `its first byte is odd; use an even one, such as {{.suggestion}}`,
		Explanation: `
The lowest bit of the first byte says whether an Ethernet address means one
card (0) or a group (1); ff:ff:ff:ff:ff:ff, everybody, is the extreme. A
source address with that bit set is invalid: the kernel refuses it for a link,
and switches drop its frames. The next bit says who gave the address: the
card's maker (0) or whoever runs the network (1). One card and locally given
make 02, 06, 0a or 0e.`,
	},
	{
		Code: ZeroMAC, Exit: ExitUsage,
		Summary: `00:00:00:00:00:00 cannot belong to a network card`,
		Hint:    `write mac: auto, or an address that begins with 02`,
		Explanation: `
The address of all zeros means "none". The kernel does not accept it for an
interface, and DHCP servers take it for a broken client.`,
	},
	{
		Code: DuplicateMAC, Exit: ExitUsage, Args: []string{"mac", "guest", "other", "line"},
		Summary: `{{.guest}} and {{.other}} have the same MAC address {{.mac}}`,
		Hint:    `it was already given on line {{.line}}; change one of them, or write mac: auto`,
		Explanation: `
A bridge learns behind which port a MAC address is from the frames that come
in. With one address behind two ports it changes its mind with every frame, and
each guest gets part of the other's traffic. The DHCP server, which knows
clients by their MAC address, would give both the same lease.`,
	},
	{
		Code: UniversalMAC, Severity: Warning, Args: []string{"mac", "suggestion"},
		Summary: `{{.mac}} is not locally administered: it may belong to a real card`,
		Hint:    `set the second lowest bit of the first byte: {{.suggestion}}`,
		Explanation: `
The second lowest bit of the first byte tells addresses that makers burn into
their cards (0) from those that are given locally (1). An address that you
choose yourself should have it set, so that it can never meet a real card's.
52:54:00, which many virtual machines use, has it set; 00:16:3e, Xen's, is
registered and has not. The lab works either way.`,
	},
	{
		Code: BadSize, Exit: ExitUsage, Args: []string{"key", "value"},
		Summary: `{{.key}}: {{quote .value}} is not an amount of memory`,
		Hint:    `write a whole number and MiB or GiB: 128MiB, 1GiB`,
		Explanation: `
A MiB is 1024 × 1024 bytes. M and MB are refused: to some they are a million
bytes, to others a MiB. Write 1536MiB for one and a half GiB.`,
	},
	{
		Code: MemorySmall, Exit: ExitUsage, Args: []string{"guest", "memory", "minimum", "image"},
		Summary: `{{.memory}} is too little for {{.guest}}: {{quote .image}} needs {{.minimum}}`,
		Hint:    `write memory: {{.minimum}} or more, or leave the key out`,
		Explanation: `
The kernel, its page tables and the unpacked initramfs must all fit before the
first program of the guest runs. With less memory the guest dies in the middle
of its boot, with a kernel panic that shows only on its console and after a
long wait, so kvmlab does not try.`,
	},
	{
		Code: MemoryLarge, Exit: ExitUsage, Args: []string{"memory", "maximum"},
		Summary: `{{.memory}} of memory for one guest is too much; the most is {{.maximum}}`,
		Hint:    `a micro guest is happy with 128MiB, a debian guest with 512MiB`,
		Explanation: `
This is far more than a lab guest can use, and is probably a slip of the unit
(GiB for MiB).`,
	},
	{
		Code: BadCPUs, Exit: ExitUsage, Args: []string{"cpus", "maximum"},
		Summary: `{{.cpus}} is no number of CPUs for a guest; it can have 1 to {{.maximum}}`,
		Hint:    `one is enough for every exercise`,
		Explanation: `
More virtual CPUs than the host has make a guest slower, not faster: they wait
for each other. One boots quickest.`,
	},
	{
		Code: TooManyNICs, Exit: ExitUsage, Args: []string{"guest", "count", "maximum"},
		Summary: `{{.guest}} has {{.count}} NICs; the most is {{.maximum}}`,
		Hint:    `divide the guest's work among two guests`,
		Explanation: `
Each card is a device of its own, and the small machine that micro guests run
on has only so many places for devices. A router between that many networks is
better built from two.`,
	},
	{
		Code: GuestNoNIC, Severity: Warning, Args: []string{"guest"},
		Summary: `{{.guest}} has no NIC and is connected to nothing`,
		Hint:    `add nics: [{bridge: br1}], unless that is the exercise`,
		Explanation: `
A guest without a network card boots and has a console, and that is all. In a
networking lab it is most often a forgotten "nics".`,
	},
	{
		Code: MACTaken, Exit: ExitHost, Args: []string{"mac", "guest", "nic"},
		Summary: `{{.mac}}, wanted for {{.nic}} of {{.guest}}, is already in use on this host`,
		Hint:    `write mac: auto, or find its owner with: ip -br link`,
		Explanation: `
The lab file fixes this MAC address, and an interface of this host, or a guest
of another lab, has it already. On one segment two cards with one address take
each other's frames; on two segments it works until somebody joins them.`,
	},
	{
		Code: NoFreeMAC, Exit: ExitFailed, Args: []string{"guest", "nic"},
		Summary: `no MAC address could be drawn for {{.nic}} of {{.guest}}`,
		Hint:    `try again; if it stays so, give fixed ones in the lab file`,
		Explanation: `
kvmlab draws MAC addresses from the system's random generator and throws away
those that are in use. Either the generator failed, or every draw was taken,
which among a million million addresses does not happen by chance.`,
	},
	{
		Code: SharedSegment, Severity: Warning, Args: []string{"guest", "bridge"},
		Summary: `{{.guest}} has two NICs on {{.bridge}}`,
		Hint:    `with both in one subnet Linux answers for either on both; put one on another bridge unless that is the exercise`,
		Explanation: `
A host with two interfaces in one subnet has two routes to the same place, and
Linux answers ARP for any of its addresses on any interface (the "ARP flux").
Which card the traffic takes is then hard to foresee. It works, and both get a
lease, but it seldom teaches what was meant.`,
	},
	{
		Code: BadDisk, Exit: ExitUsage, Args: []string{"disk", "minimum", "maximum"},
		Summary: `a disk of {{.disk}} cannot be: {{.minimum}} is the least, {{.maximum}} the most`,
		Hint:    `leave the key out for {{.minimum}}`,
		Explanation: `
A guest's disk begins as its image's, and can be larger but not smaller. Only
what the guest writes takes room on the host.`,
	},
	{
		Code: BadFilePath, Exit: ExitUsage, Args: []string{"path"},
		Summary: `{{quote .path}} is no path of a file in a guest`,
		Hint:    `write it from the root, without . and .. in it: /etc/dhcp/dhcpd.conf`,
		Explanation: `
The files of a guest are put in place before its system starts, so there is no
home directory yet that a path could begin at. Colons and control characters
cannot be in it.`,
	},
	{
		Code: BadFileMode, Exit: ExitUsage, Args: []string{"mode"},
		Summary: `{{quote .mode}} are no permissions of a file`,
		Hint:    `write three octal digits as for chmod, in quotes: "0644", or "0755" for a program`,
		Explanation: `
Each digit is the sum of 4 (read), 2 (write) and 1 (execute): first the owner's,
then the group's, then everybody else's.`,
	},
	{
		Code: DiskUnused, Exit: ExitUsage, Args: []string{"guest", "image"},
		Summary: `{{.guest}} has the image {{.image}}, which lives in memory and has no disk`,
		Hint:    `leave disk out, or choose image: debian`,
		Explanation: `
A micro guest is the same again after every start: what it changes is in its
memory. A debian guest has a disk, which keeps what is done to it.`,
	},
}
