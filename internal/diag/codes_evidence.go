package diag

// evidenceEntries are KL380–KL395: what has happened to evidence and who may read it, and files that people hand over.
var evidenceEntries = []Entry{
	{
		Code: Flooded, Severity: Warning, Args: []string{"who", "count", "kind", "time"},
		Summary: `{{.who}} sent {{.count}} {{.kind}} packets in 1 s, at {{.time}}`,
		Hint:    `kvmlab watch --since up shows the last of them; what the other stations have sent is still there`,
		Explanation: `
So many packets are no exercise but a flood: a ping -f, a loop, a program that
tries something out. It does not touch the evidence of the others: DHCP, ARP and
ICMP have a budget for each sender, so a station pushes out only what it has sent
itself. The count is that of the worst second since the lab's supervisor began.`,
	},
	{
		Code: FloodedByMany, Severity: Warning, Args: []string{"senders", "count", "kind", "time"},
		Summary: `{{.senders}} unknown addresses sent {{.count}} packets in 1 s, most of them {{.kind}}, at {{.time}}`,
		Hint:    `one guest makes up addresses, most likely: look for macchanger, mausezahn or a loop of ip link set address`,
		Explanation: `
Nobody has so many network cards: somebody makes up source addresses, which is
what fills a switch's address table or exhausts a DHCP pool. The lab's own cards
keep their evidence whatever happens; of strangers, those are kept who have sent
more than one packet.`,
	},
	{
		Code: TooManyReaders, Args: []string{"lab", "most"},
		Summary: `{{.most}} programs read the packets or events of lab {{quote .lab}} already`,
		Hint:    `end a kvmlab watch, capture or check that is still running for it, and say it again`,
		Explanation: `
A lab's supervisor serves so many readers at once and no more, so that nobody can
use up its memory and files. One that reads nothing for a minute loses its place.`,
	},
	{
		Code: CaptureUnkept, Severity: Warning, Args: []string{"count", "lab"},
		Summary: `the disk had no room for {{.count}} captured packets of lab {{quote .lab}}`,
		Hint:    `make room where /var/lib/kvmlab lies: df -h /var/lib/kvmlab`,
		Explanation: `
Captured packets are written to the lab's captures folder. While the disk is full
they are shown but not kept, except DHCP, ARP and ICMP, which stay in memory and
are written when there is room again. What was kept before is not touched.`,
	},
	{
		Code: ScenarioOpenToOthers, Exit: ExitUsage, Args: []string{"path", "reason"},
		Summary: `others could change this scenario: {{quote .path}}: {{.reason}}`,
		Hint:    `copy the folder to a place of your own, or take the right away: chmod -R go-w FOLDER`,
		Explanation: `
What a scenario says is done by root: its lab is built, its scripts run. So only
root, or the user behind sudo, may be able to change it: the folder, its files,
and the folders that it lies in. A folder that everybody can write to and that has
the sticky bit, such as /tmp, may be one of these.`,
	},
	{
		Code: ScenarioOddFile, Exit: ExitUsage, Args: []string{"path", "reason"},
		Summary: `{{quote .path}} cannot be a file of a scenario: {{.reason}}`,
		Hint:    `put a plain file of at most 1 MiB there`,
		Explanation: `
A scenario comes from somebody, perhaps by mail. Its files are read by root, so
they must be what they look like: a link could lead to another file of the host, a
device or a FIFO could be read for ever.`,
	},
	{
		Code: HostScriptsNeedYes, Exit: ExitUsage, Args: []string{"scenario", "count", "lines"},
		Summary: `{{.scenario}} runs {{.count}} scripts on this computer as root (checks.yaml, lines {{.lines}})`,
		Hint:    `read them: kvmlab scenario show FOLDER; if you trust them, add --allow-host-steps`,
		Explanation: `
Steps with "host: true" run on the host and not in a guest: they can do what root
can do. kvmlab knows what its own scenarios do; of others it asks you first. What
you allow holds for this lab, until it goes: its check, solve and reset run the
copy that was made when you said yes.`,
	},
	{
		Code: ScenarioNotKept, Exit: ExitUsage, Args: []string{"lab", "dir"},
		Summary: `lab {{quote .lab}} has no copy of its scenario`,
		Hint:    `make one: sudo kvmlab scenario up {{.dir}}`,
		Explanation: `
A scenario is copied when its lab comes up, and read only from that copy, so that
nobody can change it later. This lab was brought up by a kvmlab that did not do
so yet.`,
	},
	{
		Code: OutputOdd, Exit: ExitUsage, Args: []string{"path", "reason"},
		Summary: `{{quote .path}} is not written to: {{.reason}}`,
		Hint:    `give another name, or remove what is there`,
		Explanation: `
The file is written by root. A symbolic link would lead root to another file, and
what belongs to somebody else is not kvmlab's to replace. The new file belongs to
the user behind sudo.`,
	},
	{
		Code: ImageChecksum, Exit: ExitUsage, Args: []string{"file", "want", "got"},
		Summary: `{{quote .file}} is not the file that was meant: its SHA-256 is {{.got}}, and not {{.want}}`,
		Hint:    `download it again, and take the checksum from a page that its maker signs`,
		Explanation: `
A cloud image is a whole system that guests will run. Its maker publishes a
checksum; with --sha256 kvmlab imports the file only when it is that very file.
What was summed up is what was imported: the file is read once.`,
	},
}
