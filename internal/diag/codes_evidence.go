package diag

// evidenceEntries are KL380–KL389: what has happened to evidence, and who may read it.
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
}
