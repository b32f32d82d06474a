package diag

// nameEntries are KL030–KL040: names in the lab file.
var nameEntries = []Entry{
	{
		Code: BadLabName, Exit: ExitUsage, Args: []string{"name", "reason"},
		Summary: `{{quote .name}} cannot be the name of a lab: {{.reason}}`,
		Hint:    `use up to 40 small letters, digits and single dashes, beginning with a letter: dhcp-class`,
		Explanation: `
The lab's name is used in many places: directories under /run and /var/lib, the
names of the libvirt domains (<lab>-<guest>), the mark that kvmlab puts on each
link, and the network namespace kvmlab-<lab>. So it keeps to what all of them
take: small letters, digits and dashes, a letter first, no dash at the end, at
most 40 characters.`,
	},
	{
		Code: LinkNameLong, Exit: ExitUsage, Args: []string{"name", "length", "kind"},
		Summary: `the name of the {{.kind}}, {{quote .name}}, has {{.length}} bytes; a link can have 15`,
		Hint:    `choose a shorter one, such as br1 or tap1`,
		Explanation: `
The Linux kernel keeps a network interface's name in 16 bytes (IFNAMSIZ), the
last of which is a zero, so 15 are left. "ip link add" refuses a longer name
just so. Letters with accents take two bytes each, another reason to do
without them here.`,
	},
	{
		Code: BadLinkName, Exit: ExitUsage, Args: []string{"name", "kind", "reason"},
		Summary: `no {{.kind}} can be called {{quote .name}}: {{.reason}}`,
		Hint:    `use letters, digits, dashes and dots, beginning with a letter: br1, tap1, lan-a`,
		Explanation: `
The kernel itself refuses only a slash, a colon, white space and the names "."
and "..". But interface names are typed in commands, used in files under
/proc/sys and /sys, and read by other programs, where a percent sign or a
quotation mark makes trouble, and "all", "default" and "lo" already mean
something. kvmlab keeps to letters, digits, dash, dot and underscore.`,
	},
	{
		Code: BadGuestName, Exit: ExitUsage, Args: []string{"name", "reason"},
		Summary: `{{quote .name}} cannot be the name of a guest: {{.reason}}`,
		Hint:    `use up to 63 small letters, digits and dashes, such as pc1 or dhcp-server`,
		Explanation: `
A guest's name is its hostname. It sends it to the DHCP server in option 12,
and it may end up in the DNS, where a label has at most 63 characters, letters,
digits and dashes, no dash first or last (RFC 1123, section 2.1). Underscores
and dots are no part of it. Capital letters are the same as small ones in the
DNS, so only small ones are taken.`,
	},
	{
		Code: DuplicateName, Exit: ExitUsage, Args: []string{"kind", "name", "line"},
		Summary: `there are two {{.kind}}s with the name {{quote .name}}`,
		Hint:    `the other one is on line {{.line}}; give one of them another name`,
		Explanation: `
Names are how everything else refers to a bridge or a guest: a NIC names its
bridge, a reservation its guest, "kvmlab console pc1" a guest. With two of one
name nobody could tell which is meant, and neither the kernel (for links) nor
libvirt (for domains) would take the second.`,
	},
	{
		Code: BridgeTapName, Exit: ExitUsage, Args: []string{"name", "line"},
		Summary: `{{quote .name}} is the name of both a bridge and a tap`,
		Hint:    `the bridge is on line {{.line}}; call the tap something else, such as tap1`,
		Explanation: `
A bridge and a tap are both network interfaces of the host, and a network
namespace has one list of names for all of them, whatever their kind. Look at
"ip link": each name appears once.`,
	},
	{
		Code: TapTwice, Exit: ExitUsage, Args: []string{"tap", "guest", "other", "line"},
		Summary: `{{.guest}} and {{.other}} would both be on {{.tap}}`,
		Hint:    `{{.tap}} was already given on line {{.line}}; a tap is one cable: give each NIC its own, or write tap: auto`,
		Explanation: `
A tap is a virtual cable with two ends: the host's, which is put into a bridge,
and the one that QEMU holds for the guest's network card. A second QEMU cannot
hold the same end; it would be refused with "Device or resource busy". Guests
that should be on one segment are on taps of their own in one bridge.`,
	},
	{
		Code: UnknownBridge, Exit: ExitUsage, Args: []string{"bridge", "suggestion", "known"},
		Summary: `there is no bridge {{quote .bridge}} in this lab`,
		Hint: `{{if .suggestion}}did you mean {{quote .suggestion}}?` +
			`{{else if .known}}the bridges are: {{join .known}}{{else}}add it to bridges{{end}}`,
		Explanation: `
A NIC is plugged into a bridge of the same lab file, by the bridge's name. A
bridge that exists on the host but is not in the file does not count: kvmlab
never touches what it did not build.`,
	},
	{
		Code: BadImageName, Exit: ExitUsage, Args: []string{"name"},
		Summary: `{{quote .name}} cannot be the name of an image`,
		Hint:    `micro is the small one that kvmlab builds; kvmlab image list shows those that you have`,
		Explanation: `
An image is named by a word of small letters, digits, dots and dashes: micro,
debian, or what was given to "kvmlab image import". It is a name in kvmlab's own
store, never a path, so that a lab file works on every host.`,
	},
}
