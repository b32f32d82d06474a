package diag

// mistakeFileEntries are KL700–KL729: the files of a student's DHCP server.
var mistakeFileEntries = []Entry{
	{
		Code: ConfigMisnamed, Exit: ExitChecks, Args: []string{"file"},
		Summary: `the configuration is in {{.file}}, a file that dhcpd does not read`,
		Hint:    `compare the file's name, letter by letter, with the one in the program's manual: man 5 dhcpd.conf`,
		Explanation: `
A daemon reads the file whose name was built into it or is in its arguments, and
no other: dhcpd reads /etc/dhcp/dhcpd.conf, with the "d" of daemon. A file beside
it with a similar name is not an error to anybody; it is just not read, and the
server starts with the configuration that came with the package.`,
	},
	{
		Code: BracketForBrace, Exit: ExitChecks, Args: []string{"given"},
		Summary: `{{.given}} stands where a brace belongs`,
		Hint:    `the block of a subnet stands between { and }`,
		Explanation: `
In dhcpd.conf a declaration such as subnet, host or group holds its statements
between braces: subnet … { … }. Parentheses are for expressions only. dhcpd says
"expecting left brace", and then complains about each line that it could not put
anywhere: read the first message and mend that one.`,
	},
	{
		Code: SemicolonMissing, Exit: ExitChecks, Args: []string{"statement"},
		Summary: `the statement {{quote .statement}} does not end with a semicolon`,
		Hint:    `look at the end of this line, even if the program names the next one`,
		Explanation: `
Every statement of dhcpd.conf ends with a semicolon; the end of a line means
nothing. So dhcpd reads on and notices only at the next word that something is
missing: its "semicolon expected" names the line after the mistake. When a
program reports an error in a line that looks right, look at the one before.`,
	},
	{
		Code: BraceUnclosed, Exit: ExitChecks, Args: []string{"block"},
		Summary: `the block of {{quote .block}} is not closed`,
		Hint:    `each { needs its }; count them, and set in what is inside to see them`,
		Explanation: `
dhcpd reads to the end of the file, still inside the block, and says "unexpected
end of file". It cannot tell where the brace was forgotten, only that one is
missing at the end. Lines that are set in by their depth make it visible.`,
	},
	{
		Code: BraceMissing, Exit: ExitChecks, Args: []string{"block"},
		Summary: `the block of {{quote .block}} is not opened`,
		Hint:    `something belongs between this line and the first statement of the block`,
		Explanation: `
After the head of a declaration (subnet 192.168.1.0 netmask 255.255.255.0) comes
an opening brace, then its statements, then a closing one. dhcpd says "expecting
left brace" at the word that it found in its place.`,
	},
	{
		Code: SignStray, Exit: ExitChecks, Args: []string{"given"},
		Summary: `this {{quote .given}} belongs to nothing`,
		Hint:    `take it out, or look above it for the { that it was to close`,
		Explanation: `
A closing brace without an opening one, or a semicolon behind a block or another
semicolon, is an error to dhcpd ("expecting a declaration"). Semicolons end
statements; a block ends with its brace and takes none.`,
	},
	{
		Code: QuoteUnclosed, Exit: ExitChecks, Args: []string{"text"},
		Summary: `the string that begins with {{quote .text}} has no closing quotation mark`,
		Hint:    `put a " at its end, before the semicolon or comma`,
		Explanation: `
Between quotation marks everything is text, semicolons, braces and line ends
too. A string that is not closed swallows the rest of the file up to the next
quotation mark, and the error that the program reports is far below.`,
	},
	{
		Code: ForeignChar, Exit: ExitChecks, Args: []string{"name", "code"},
		Summary: `there is a character that the program does not know: {{.name}} ({{.code}})`,
		Hint:    `delete the word and type it again by hand, instead of pasting it`,
		Explanation: `
Web pages and word processors put in characters that look like others or like
nothing: soft hyphens (U+00AD) where a word may be divided, no-break spaces, curly
quotation marks, long dashes. To a program they are other characters, and the
message that it gives rarely says so. "cat -A FILE" shows them as M-BM-- and the
like; what you type yourself has none.`,
	},
	{
		Code: WordMisspelt, Exit: ExitChecks, Args: []string{"given", "meant"},
		Summary: `{{quote .given}} is no word of this language`,
		Hint:    `is {{quote .meant}} meant?`,
		Explanation: `
A configuration file is a small language with a fixed vocabulary, in English. A
word that dhcpd does not know it takes for an expression, so that its message is
"semicolon expected" and not "unknown word"; a single one, such as
"authoritativ;", it even accepts, and does nothing.`,
	},
	{
		Code: WordUnknown, Exit: ExitChecks, Args: []string{"given"},
		Summary: `no statement of dhcpd.conf begins with {{quote .given}}`,
		Hint:    `the statements are listed in man 5 dhcpd.conf`,
		Explanation: `
Each statement begins with a word that says what it is: subnet, range, option,
host, default-lease-time and so on, always in English. A word that dhcpd does
not know it takes for an expression, so that it complains of a missing semicolon
instead.`,
	},
	{
		Code: OptionMisspelt, Exit: ExitChecks, Args: []string{"given", "meant"},
		Summary: `there is no option {{quote .given}}`,
		Hint:    `is {{quote .meant}} meant? The names are listed in man 5 dhcp-options`,
		Explanation: `
Options travel as numbers (3 for the router, 6 for DNS servers) and have names
only in the configuration. Each program has its own: dhcpd and Kea say routers
and domain-name-servers, in the plural since an option holds a list; dnsmasq
says router and dns-server. dhcpd refuses a name that it does not know.`,
	},
	{
		Code: OptionSplit, Exit: ExitChecks, Args: []string{"given"},
		Summary: `{{quote .given}} is written as several words`,
		Hint:    `the name of an option is one word; its parts are joined by dashes`,
		Explanation: `
A space ends a word. "option domain-name servers 192.168.1.1" sets the option
domain-name, another one, to something that is no text, and dhcpd complains of a
missing semicolon. The option for DNS servers has one long name,
domain-name-servers.`,
	},
	{
		Code: QuotesMissing, Exit: ExitChecks, Args: []string{"option"},
		Summary: `the value of the option {{.option}} is a text and stands without quotation marks`,
		Hint:    `put the text between " and "`,
		Explanation: `
Each option has a type. Addresses and numbers are written as they are; texts,
such as a domain name, between quotation marks. Without them dhcpd takes the
first word for a name, finds a dot, and says "semicolon expected".`,
	},
	{
		Code: CommaMissing, Exit: ExitChecks, Args: []string{"option"},
		Summary: `the values of {{.option}} are not separated by commas`,
		Hint:    `write a comma between the addresses`,
		Explanation: `
An option that holds a list takes its elements with commas between them, and one
semicolon at the end. After an address without a comma dhcpd expects the end of
the statement. (The two ends of a range are no list: there a space is right.)`,
	},
	{
		Code: RangeDash, Exit: ExitChecks, Args: []string{"given"},
		Summary: `the range {{quote .given}} is written with a dash`,
		Hint:    `see how the examples in the program's manual write the two ends of a range`,
		Explanation: `
Each program has its own language for one and the same thing: dhcpd writes the
first and the last address with a space between them, dnsmasq with a comma, Kea
with a dash inside a string. dhcpd answers a dash with "expecting numeric value"
or "Bogus number".`,
	},
	{
		Code: RangeUnreadable, Exit: ExitChecks, Args: []string{"given"},
		Summary: `{{quote .given}} is not a range of addresses`,
		Hint:    `a range is its first and its last address, in the way that this program writes them`,
		Explanation: `
A range has two ends, both included; in dhcpd.conf a single address is a range
of one. A range in dhcpd.conf whose last address comes first is accepted: dhcpd
exchanges the two. Kea refuses it.`,
	},
	{
		Code: RangeOutside, Exit: ExitChecks, Args: []string{"address", "subnet"},
		Summary: `{{.address}} is not in the subnet {{.subnet}}`,
		Hint:    `compare the range with the subnet around it, octet by octet`,
		Explanation: `
A server lends addresses of the network that its clients are in: with an address
of another network they could reach neither the server nor each other. dhcpd
refuses to start ("bad range, address … not in subnet …"), and Kea too; dnsmasq
starts and lends nothing.`,
	},
	{
		Code: SubnetHostBits, Exit: ExitChecks, Args: []string{"address", "mask"},
		Summary: `{{.address}} is the address of a host, not of a network with the mask {{.mask}}`,
		Hint:    `a network's own address has zeros wherever its mask has zeros`,
		Explanation: `
A subnet is named by its lowest address, in which all bits of the host part are
zero. The server's own address is written elsewhere, on its card. dhcpd says
"bad subnet number/mask combination".`,
	},
	{
		Code: PrefixForMask, Exit: ExitChecks, Args: []string{"given"},
		Summary: `{{quote .given}} gives the mask as a length, which this program does not read`,
		Hint:    `write the mask as four octets`,
		Explanation: `
A mask can be written as the number of its ones (/24) or as four octets
(255.255.255.0); both mean the same. dhcpd.conf knows the second form only, after
the word netmask, and so does the dhcp-range of dnsmasq; Kea and "ip addr" want
the first.`,
	},
	{
		Code: AddressUnreadable, Exit: ExitChecks, Args: []string{"given"},
		Summary: `{{quote .given}} is not an address of the kind that belongs here`,
		Hint:    `an IPv4 address has four numbers up to 255, a MAC address six pairs of hexadecimal digits`,
		Explanation: `
IPv4 addresses and masks are four numbers from 0 to 255 with dots; in a mask, the
ones come first and only zeros follow. Hardware addresses are six octets in
hexadecimal with colons. dhcpd accepts a hardware address of fewer octets without
a word, and then no card ever matches it.`,
	},
	{
		Code: EqualsSign, Exit: ExitChecks, Args: []string{"given"},
		Summary: `the statement {{quote .given}} is written with =`,
		Hint:    `in dhcpd.conf a space stands between a name and its value`,
		Explanation: `
The shell's files, such as /etc/default/isc-dhcp-server, and dnsmasq.conf write
NAME=VALUE; dhcpd.conf writes a name, a space, its value and a semicolon. Here =
belongs to expressions only.`,
	},
	{
		Code: TimeNotSeconds, Exit: ExitChecks, Args: []string{"given"},
		Summary: `the time {{quote .given}} is not a number of seconds`,
		Hint:    `write how many seconds it is, without a unit`,
		Explanation: `
In a DHCP packet a lease time is a number of seconds (option 51, four octets),
and dhcpd.conf and Kea write it so. Only dnsmasq knows 10m and 1h. dhcpd says
"expecting number".`,
	},
	{
		Code: IncludeMissing, Exit: ExitChecks, Args: []string{"file"},
		Summary: `the file {{.file}} is included and is not there`,
		Hint:    `see whether it exists, and under which name: ls -l`,
		Explanation: `
include puts another file's text in its place. dhcpd does not start without it
("Can't open …: No such file or directory"). A path that does not begin with /
is looked for in the directory in which the program was started.`,
	},
	{
		Code: HardwareDashes, Exit: ExitChecks, Args: []string{"given"},
		Summary: `the hardware address {{quote .given}} is written with dashes`,
		Hint:    `on Linux its octets are separated as "ip link" shows them`,
		Explanation: `
Windows shows MAC addresses with dashes, Linux with colons; they are the same six
octets. dhcpd says "expecting numeric value" at a dash, Kea "invalid host
identifier value".`,
	},
	{
		Code: MACOfGroup, Exit: ExitChecks, Args: []string{"mac"},
		Summary: `{{.mac}} is a multicast address, which no card can have`,
		Hint:    `look at the first octet: its lowest bit must be 0, so its second digit is even`,
		Explanation: `
The lowest bit of a MAC address's first octet says whether it means one card (0)
or a group (1). Frames are sent to groups, never from one, so libvirt and the
kernel refuse such an address for a card, and a reservation for it never
matches. With 02 in front an address is that of one card, and local.`,
	},
	{
		Code: ProgramRefuses, Exit: ExitChecks, Args: []string{"program", "words"},
		Summary: `{{.program}} does not start with this file: {{.words}}`,
		Hint:    `look at the line that it names, and at the one before`,
		Explanation: `
Programs check their files before they start: dhcpd -t, kea-dhcp4 -t FILE and
dnsmasq --test do nothing else. Only the first message counts; those after it are
often its consequences. systemctl restart says no more than that it failed:
the reason is in the journal (journalctl -u …).`,
	},
	{
		Code: CommaTrailing, Severity: Warning,
		Summary: `there is a comma too many`,
		Hint:    `take it out: in JSON a comma stands between two elements`,
		Explanation: `
JSON has no comma behind the last element of a list, and no two in a row. Kea
2.2, which Debian 12 has, only warns ("Extraneous comma. A piece of configuration
may have been omitted."); older versions and every other program that reads JSON
refuse the file. "kea-dhcp4 -t FILE" gives line and column.`,
	},
	{
		Code: JSONBroken, Exit: ExitChecks, Args: []string{"found"},
		Summary: `the JSON is broken here, at {{quote .found}}`,
		Hint:    `check quotation marks, commas between elements, and that each bracket is closed`,
		Explanation: `
Kea's configuration is JSON, with comments: names and texts between quotation
marks, a colon between a name and its value, commas between elements, and every
{ and [ closed by its own } and ]. "kea-dhcp4 -t FILE" gives line and column of
the first place that it cannot read, which is behind the mistake.`,
	},
}
