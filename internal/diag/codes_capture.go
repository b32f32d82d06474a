package diag

// captureEntries are KL520–KL529: seeing the wire.
var captureEntries = []Entry{
	{
		Code: NoCaptureFile, Exit: ExitUsage, Args: []string{"file", "found"},
		Summary: `{{quote .file}} is no capture that kvmlab can read: {{.found}}`,
		Hint:    `give a .pcap or .pcapng file, such as kvmlab capture -w FILE.pcapng, tcpdump -w or Wireshark write`,
		Explanation: `
watch --read wants a file of captured frames in the pcap or pcapng format. They
are told by their first four octets, not by the name: a1b2c3d4 or a1b23c4d (in
either byte order) begin a pcap, 0a0d0d0a begins a pcapng; either may be packed
by gzip. The frames may be Ethernet frames, those of "any" interface (Linux
cooked), IP packets without a link layer, or a loopback's.`,
	},
	{
		Code: FramesLeftOut, Severity: Warning, Args: []string{"file", "count", "types"},
		Summary: `{{.count}} frames in {{quote .file}} are not decoded, of link type {{.types}}`,
		Hint:    `they count in the packets' numbers, as in Wireshark, which can show them`,
		Explanation: `
A pcapng file may hold frames of several interfaces, and each interface says what
its frames begin with: its link type, a number of a public registry. kvmlab
reads Ethernet (1), Linux cooked (113, 276), raw IP (101, 228, 229) and loopback
(0, 108).`,
	},
	{
		Code: CaptureCut, Severity: Warning, Args: []string{"file", "count", "reason"},
		Summary: `{{quote .file}} breaks off after {{.count}} whole packets: {{.reason}}`,
		Hint:    `what was readable is shown; the program that wrote it was probably stopped in the middle`,
		Explanation: `
A capture is written packet by packet. When its writer is killed, or the disk is
full, the last packet is only half there. Everything before it is as good as in
a file that ends properly, so it is shown, with this warning.`,
	},
	{
		Code: BadFilter, Exit: ExitUsage, Args: []string{"filter", "reason"},
		Summary: `--filter {{quote .filter}} is not understood: {{.reason}}`,
		Hint:    `examples: guest=pc1, kind=dhcp, kind=offer, 'udp port 67 or arp', 'host 192.168.1.2'`,
		Explanation: `
A filter is guest=NAME, kind=KIND, or an expression such as tcpdump takes. Of the
latter's language kvmlab knows a part: host, net, port, src, dst, ether host,
ether broadcast, arp, icmp, udp, tcp, ip, ip6, and, or, not and brackets. What it
does not know it refuses, instead of letting the wrong packets through.`,
	},
	{
		Code: FramesDropped, Severity: Warning, Args: []string{"count", "link"},
		Summary: `{{.count}} frames of {{.link}} were lost: they came faster than they were taken`,
		Hint:    `ask for less, for example --filter kind=dhcp, or write to a faster disk`,
		Explanation: `
The kernel keeps frames for a reader until its buffer is full; what comes then is
dropped and counted. The wire itself loses nothing by that: only the picture of
it has gaps, and this is how many.`,
	},
	{
		Code: NarrowTerminal, Severity: Warning, Args: []string{"width", "need"},
		Summary: `this terminal has {{.width}} columns, and the ladder needs {{.need}}`,
		Hint:    `make the window wider; until then every packet is a sentence`,
		Explanation: `
The ladder diagram has a column for each station, the time on the left and the
words on the right. In a narrow window nothing of it could be read, so watch
prints sentences, as with --plain.`,
	},
	{
		Code: BadAnswers, Exit: ExitUsage, Args: []string{"file", "reason"},
		Summary: `the answers in {{quote .file}} cannot be read: {{.reason}}`,
		Hint:    `one answer in a line: PACKET FIELD ANSWER, for example: 2 dst_mac broadcast`,
		Explanation: `
watch --predict --answers FILE compares answers that were written beforehand with
the capture. Each line has the packet's number, the field and the answer. The
fields are type, dst_mac, dst_ip, dst_port, server_id and offered. Lines that
begin with # are for people.`,
	},
}
