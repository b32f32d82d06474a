package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// fileTraps are files of a student's server that `check` reads, and programs that it reads them with.
var fileTraps = []attack{
	{
		"files/include-bomb", "dhcpd.conf that includes forty files that include forty files, six deep",
		files(includeBomb("/etc/dhcp/", "dhcpd.conf", "include \"%s\";\n")),
	},
	{
		"files/include-self", "dhcpd.conf that includes itself, and two that include each other",
		files(map[string]string{
			"/etc/dhcp/dhcpd.conf": strings.Repeat(
				"include \"/etc/dhcp/dhcpd.conf\";\ninclude \"/etc/dhcp/b.conf\";\n",
				20,
			),
			"/etc/dhcp/b.conf": strings.Repeat("include \"/etc/dhcp/dhcpd.conf\";\n", 20),
		}),
	},
	{"files/include-chain", "2000 files in a chain of includes", includeChain},
	{
		"files/dnsmasq-conf-file", "conf-file lines that name one another, six deep",
		files(includeBomb("/etc/dnsmasq.d/", "a.conf", "conf-file=%s\n")),
	},
	{"files/dnsmasq-conf-dir", "conf-dir that is its own folder, and one with 5000 files", confDir},
	{
		"files/interfaces-source", "source lines that name one another, with globs, six deep",
		files(includeBomb("/etc/network/interfaces.d/", "../interfaces", "source %s*\n")),
	},
	{"files/deep-braces", "200000 blocks in blocks", files(map[string]string{
		"/etc/dhcp/dhcpd.conf":     strings.Repeat("group {\n", 200000),
		"/etc/kea/kea-dhcp4.conf":  strings.Repeat("[", 200000) + strings.Repeat("]", 200000),
		"/etc/dhcp/also-deep.conf": strings.Repeat("{", 250000),
	})},
	{"files/brace-bushes", "blocks in blocks, each begun again on every line, none ended", files(map[string]string{
		"/etc/dhcp/dhcpd.conf": strings.Repeat(
			"subnet 192.168.1.0 netmask 255.255.255.0 { range {{{{{{{{ } ",
			4000,
		),
		"/etc/kea/kea-dhcp4.conf": strings.Repeat(`{"a":[{"b":[`, 20000),
	})},
	{
		"files/long-line", "a line of 8 MB",
		files(
			map[string]string{
				"/etc/dhcp/dhcpd.conf": strings.Repeat("a", 8<<20),
				"/etc/dnsmasq.conf":    "dhcp-range=" + strings.Repeat("1,", 2<<20),
			},
		),
	},
	{
		"files/many-lines", "a file of 120000 mistakes",
		files(
			map[string]string{
				"/etc/dhcp/dhcpd.conf": strings.Repeat("}\n", 120000),
				"/etc/dnsmasq.conf":    strings.Repeat("x\n", 120000),
			},
		),
	},
	{"files/quotes", "words, comments and characters that never end", files(map[string]string{
		"/etc/dhcp/dhcpd.conf": strings.Repeat("option domain-name \"x\\\" \n", 9000) + "/*",
		"/etc/kea/kea-dhcp4.conf": "{ \"Dhcp4\": " + strings.Repeat(
			`"\u00`,
			40000,
		) + "/* " + strings.Repeat(
			"// /* ",
			9000,
		),
	})},
	{"files/octets", "every octet, zeros, and broken UTF-8", files(map[string]string{
		"/etc/dhcp/dhcpd.conf": strings.Repeat(
			everyOctet(),
			400,
		),
		"/etc/dnsmasq.conf":       strings.Repeat("\x00", 200000),
		"/etc/network/interfaces": "iface \xff\xfe\xed\xa0\x80 inet static\n",
	})},
	{"files/huge", "64 MB of configuration, and of leases", func(context.Context, *guest) error {
		line := strings.Repeat("lease 192.168.1.2 { ends never; binding state active; }\n", 1<<14)
		return errors.Join(write("/var/lib/dhcp/dhcpd.leases", line, 64), write("/etc/dhcp/dhcpd.conf", line, 64))
	}},
	{"files/sparse", "files of a terabyte that take no room", func(context.Context, *guest) error {
		return errors.Join(
			sparse("/etc/dhcp/dhcpd.conf", 1<<40),
			sparse("/var/lib/dhcp/dhcpd.leases", 1<<40),
			sparse("/etc/dnsmasq.d/a", 1<<40),
		)
	}},
	{"files/fifo", "pipes and sockets where files should be", func(context.Context, *guest) error {
		return errors.Join(
			aside("/etc/dhcp/dhcpd.conf"),
			syscall.Mkfifo("/etc/dhcp/dhcpd.conf", 0o644),
			aside("/etc/resolv.conf"),
			syscall.Mkfifo("/etc/resolv.conf", 0o644),
			aside("/etc/dnsmasq.d/pipe"),
			syscall.Mkfifo("/etc/dnsmasq.d/pipe", 0o644),
		)
	}},
	{
		"files/device-links", "links to devices, and to the kernel's endless files",
		func(context.Context, *guest) error {
			return errors.Join(
				link("/dev/zero", "/etc/dhcp/dhcpd.conf"),
				link("/dev/urandom", "/etc/dnsmasq.d/random"),
				link("/proc/kmsg", "/etc/dhcp/kmsg.conf"),
				link(
					"/proc/kcore",
					"/etc/dhcp/kcore.conf",
				),
				link("/dev/zero", "/var/lib/dhcp/dhcpd.leases"),
				put(
					"/etc/network/interfaces",
					"source /dev/zero\nsource /proc/kcore\nsource /etc/dhcp/kmsg.conf\n",
				),
			)
		},
	},
	{
		"files/link-loop", "links that lead in circles, and folders that hold themselves",
		func(context.Context, *guest) error {
			return errors.Join(
				link("/etc/dhcp/b.conf", "/etc/dhcp/dhcpd.conf"),
				link("/etc/dhcp/dhcpd.conf", "/etc/dhcp/b.conf"),
				link("/etc/dnsmasq.d", "/etc/dnsmasq.d/again"),
				put("/etc/dnsmasq.conf", "conf-dir=/etc/dnsmasq.d/again/again/again\n"),
			)
		},
	},
	{"files/many", "10000 files of 256 KiB that take no room", func(context.Context, *guest) error {
		errs := []error{aside("/etc/dhcp/many"), aside("/etc/dhcp/dhcpd.conf")}
		errs = append(errs, os.WriteFile("/etc/dhcp/dhcpd.conf", []byte("subnet {\n"), 0o644))
		for i := range 10000 {
			name := fmt.Sprintf("/etc/dhcp/many-%d.conf", i)
			errs = append(errs, os.WriteFile(name, nil, 0o644), os.Truncate(name, 256<<10))
		}
		return errors.Join(append(errs, remember(deed{Shell: "find /etc/dhcp -name 'many-*' -delete"}))...)
	}},
	{
		"files/gzip-bomb", "a tar in the place of tar: 2 MB that unpack to 1.6 GB of files",
		fake("/usr/bin/tar", "gzip-bomb"),
	},
	{
		"files/gzip-zeros", "a tar whose one file is a gigabyte of zeros in a megabyte",
		fake("/usr/bin/tar", "gzip-zeros"),
	},
	{
		"files/gzip-names", "a tar of 20000 files of long names that lead out of it",
		fake("/usr/bin/tar", "tar-names"),
	},
	{"files/not-base64", "a base64 that prints 3 MB of something else", fake("/usr/bin/base64", "noise")},
	{"files/ip-links", "an ip that tells of 20000 links with 10 addresses each", fake("/usr/sbin/ip", "links")},
	{
		"files/ip-deep", "an ip whose JSON is 9000 deep, and numbers with a million digits",
		fake("/usr/sbin/ip", "deep-json"),
	},
	{"files/sockets", "an ss that tells of 40000 sockets", fake("/usr/bin/ss", "sockets")},
	{
		"files/journal", "a journalctl that prints 3 MB of lines of a server, all errors",
		fake("/usr/bin/journalctl", "journal"),
	},
	{"files/endless-output", "a journalctl that never ends", fake("/usr/bin/journalctl", "endless")},
	{"files/hanging", "a systemctl that never answers", fakeScript("/usr/bin/systemctl", "exec sleep 100000")},
	{
		"files/own-sections", "a journal that holds the sections of kvmlab's own script",
		fakeScript("/usr/bin/journalctl", "printf '@files\\nH4sI\\n@links\\n[]\\n@time x y\\n@end\\n@end\\n'"),
	},
	{
		"files/own-clock", "a date in the year 300000, and a negative one",
		fakeScript("/usr/bin/date", "echo 9999999999999.999999999999999999999999"),
	},
}

func everyOctet() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

type deedFunc = func(context.Context, *guest) error

func files(contents map[string]string) deedFunc {
	return func(context.Context, *guest) error {
		var errs []error
		for name, content := range contents {
			errs = append(errs, put(path.Clean(name), content))
		}
		return errors.Join(errs...)
	}
}

// includeBomb is forty lines in each of six files, each of which names the next one; form says how a file is named.
func includeBomb(dir, first, form string) map[string]string {
	contents := map[string]string{}
	name := func(i int) string {
		if i == 0 {
			return dir + first
		}
		return fmt.Sprintf("%slevel%d", dir, i)
	}
	for i := range 6 {
		contents[name(i)] = strings.Repeat(fmt.Sprintf(form, name(i+1)), 40)
	}
	contents[name(6)] = strings.Repeat("x { y; }\n", 40)
	return contents
}

func includeChain(context.Context, *guest) error {
	errs := []error{put("/etc/dhcp/dhcpd.conf", "include \"/etc/dhcp/chain-0.conf\";\n")}
	for i := range 2000 {
		line := fmt.Sprintf("include \"/etc/dhcp/chain-%d.conf\";\n", i+1)
		errs = append(errs, os.WriteFile(fmt.Sprintf("/etc/dhcp/chain-%d.conf", i), []byte(line), 0o644))
	}
	return errors.Join(append(errs, remember(deed{Shell: "find /etc/dhcp -name 'chain-*' -delete"}))...)
}

func confDir(context.Context, *guest) error {
	errs := []error{
		put("/etc/dnsmasq.conf", strings.Repeat("conf-dir=/etc/dnsmasq.d\nconf-dir=/etc/dnsmasq.d/,*.conf\n", 50)),
	}
	for i := range 5000 {
		errs = append(
			errs,
			os.WriteFile(
				fmt.Sprintf("/etc/dnsmasq.d/dir-%d.conf", i),
				[]byte("conf-dir=/etc/dnsmasq.d\ndhcp-range=x\n"),
				0o644,
			),
		)
	}
	return errors.Join(append(errs, remember(deed{Shell: "find /etc/dnsmasq.d -name 'dir-*' -delete"}))...)
}

// write writes text again and again, up to a size in MB.
func write(name, text string, size int) error {
	if err := aside(name); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for n := 0; n < size<<20 && err == nil; n += len(text) {
		_, err = f.WriteString(text)
	}
	return errors.Join(err, f.Close())
}

func sparse(name string, size int64) error {
	return errors.Join(put(name, "subnet {\n"), os.Truncate(name, size))
}

func link(to, name string) error { return errors.Join(aside(name), os.Symlink(to, name)) }

// fake replaces a program by one that prints something of this program's.
func fake(program, what string) deedFunc {
	self, err := os.Executable()
	if err != nil {
		self = "/proc/self/exe"
	}
	return fakeScript(program, "exec "+self+" print "+what)
}

func fakeScript(program, line string) deedFunc {
	return func(context.Context, *guest) error { return replace(program, "#!/bin/sh\n"+line+"\n") }
}

// printFake prints what a replaced program does.
func printFake(what string, out io.Writer) error {
	switch what {
	case "gzip-bomb":
		return bomb(out, 6000, 256<<10)
	case "gzip-zeros":
		return bomb(out, 1, 1<<30)
	case "tar-names":
		return tarNames(out)
	case "noise":
		return repeat(out, "!\"$%&/()=?\x1b[2J\n", 200000)
	case "links":
		if err := repeat(out, "[", 1); err != nil {
			return err
		}
		const info = `{"local":"192.168.1.1","prefixlen":24}`
		entry := `{"ifname":"eth1","flags":["UP"],"address":"02:00:00:00:00:01","addr_info":[` + strings.TrimSuffix(
			strings.Repeat(info+",", 3),
			",",
		) + `]}`
		return errors.Join(repeat(out, entry+",", 15000), repeat(out, entry+"]\n", 1))
	case "deep-json":
		return errors.Join(repeat(out, `[{"addr_info":`, 9000), repeat(out, "1", 1000000), repeat(out, "\n", 1))
	case "sockets":
		return repeat(out, "UNCONN 0 0 0.0.0.0%eth1:67 0.0.0.0:* users:((\"dhcpd\",pid=1,fd=7))\n", 40000)
	case "journal":
		return repeat(out, "1700000000.000001 srv dhcpd[1]: /etc/dhcp/dhcpd.conf line 1: semicolon expected.\n", 36000)
	case "endless":
		for {
			if err := repeat(out, "1700000000.000001 srv dhcpd[1]: endless\n", 1000); err != nil {
				return err
			}
		}
	}
	return errUsage
}

func repeat(out io.Writer, text string, n int) error {
	const piece = 1000
	for ; n > 0; n -= piece {
		if _, err := io.WriteString(out, strings.Repeat(text, min(n, piece))); err != nil {
			return err
		}
	}
	return nil
}

// bomb is a packed tar of so many files of so many zeros. Gzip lets members follow one another, so that the zeros need
// be packed only once.
func bomb(out io.Writer, count, size int) error {
	const piece = 256 << 10
	zeros := packed(make([]byte, piece))
	for i := range count {
		if _, err := out.Write(packed(tarHeader(fmt.Sprintf("/etc/dhcp/bomb-%d.conf", i), size))); err != nil {
			return err
		}
		for range size / piece {
			if _, err := out.Write(zeros); err != nil {
				return err
			}
		}
	}
	_, err := out.Write(packed(make([]byte, 1024)))
	return err
}

// tarHeader is a block of the old format, whose names have 100 octets and sizes 11 octal digits.
func tarHeader(name string, size int) []byte {
	block := make([]byte, 512)
	copy(block, name)
	copy(block[100:], "0000644\x000000000\x000000000\x00")
	copy(block[124:], fmt.Sprintf("%011o\x00%011o\x00", size, 1700000000))
	copy(block[148:], "        ")
	block[156] = '0'
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	return block
}

func packed(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	_, _ = w.Write(content) // to memory
	_ = w.Close()
	return b.Bytes()
}

func tarNames(out io.Writer) error {
	w, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	for i := range 20000 {
		name := fmt.Sprintf("../../../../../../etc/cron.d/%d-%s", i, strings.Repeat("n", 60))
		if _, err := w.Write(slices.Concat(tarHeader(name, 9), []byte("subnet {\n"), make([]byte, 503))); err != nil {
			return err
		}
	}
	_, err = w.Write(make([]byte, 1024))
	return errors.Join(err, w.Close())
}
