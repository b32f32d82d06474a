package mistake

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/internal/conffile"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// dnsmasqDefaultLease is how long dnsmasq lends without being told, in seconds.
const dnsmasqDefaultLease = 3600

// dnsmasqWords are the options that a student of DHCP writes; only a near miss of one is named.
var dnsmasqWords = []string{
	"dhcp-range", "dhcp-option", "dhcp-host", "dhcp-authoritative", "dhcp-leasefile", "dhcp-option-force", "dhcp-boot",
	"dhcp-lease-max", "dhcp-ignore", "dhcp-mac", "dhcp-script", "dhcp-broadcast", "dhcp-match", "dhcp-hostsfile",
	"dhcp-optsfile", "dhcp-proxy", "dhcp-relay", "dhcp-userclass", "dhcp-vendorclass", "dhcp-sequential-ip",
	"dhcp-fqdn", "dhcp-generate-names", "dhcp-ignore-names", "dhcp-no-override", "dhcp-remoteid", "dhcp-circuitid",
	"dhcp-subscrid", "dhcp-duid", "dhcp-client-update", "dhcp-alternate-port", "dhcp-name-match", "dhcp-pxe-vendor",
	"dhcp-rapid-commit", "dhcp-reply-delay", "dhcp-ttl", "dhcp-hostsdir", "dhcp-optsdir", "dhcp-scriptuser",
	"dhcp-luascript", "dhcp-ignore-clid", "dhcp-split-relay", "read-ethers", "log-dhcp", "quiet-dhcp",
	"interface", "except-interface", "no-dhcp-interface", "no-dhcpv4-interface", "no-dhcpv6-interface",
	"listen-address", "bind-interfaces", "bind-dynamic", "port", "domain", "domain-needed", "bogus-priv", "no-resolv",
	"no-hosts", "server", "local", "address", "expand-hosts", "conf-dir", "conf-file", "user", "group", "no-ping",
	"resolv-file", "strict-order", "no-poll", "addn-hosts", "cache-size", "log-queries", "log-facility", "localise-queries",
	"enable-tftp", "tftp-root", "pid-file", "local-service", "filterwin2k", "stop-dns-rebind", "rebind-localhost-ok",
	"txt-record", "srv-host", "cname", "host-record", "mx-host", "mx-target", "no-negcache", "dnssec", "alias",
	"interface-name", "auth-server", "auth-zone", "enable-ra", "ra-param", "no-daemon", "keep-in-foreground",
}

// dnsmasqOptions are dnsmasq's names of the options that differ from dhcpd's; the last is the number.
var dnsmasqOptions = map[string][]string{
	"routers": {"router", "3"}, "domain-name-servers": {"dns-server", "6"}, "domain-name": {"domain-name", "15"},
	"ntp-servers": {"ntp-server", "42"}, "broadcast-address": {"28"}, "subnet-mask": {"netmask", "1"},
	"domain-search": {"domain-search", "119"},
}

// dnsmasqNames are the names of options that dnsmasq knows (dnsmasq --help dhcp).
var dnsmasqNames = strings.Fields(`
	netmask time-offset router dns-server log-server lpr-server boot-file-size domain-name swap-server root-path
	extension-path ip-forward-enable non-local-source-routing policy-filter max-datagram-reassembly default-ttl
	mtu all-subnets-local router-discovery router-solicitation static-route trailer-encapsulation arp-timeout
	ethernet-encap tcp-ttl tcp-keepalive nis-domain nis-server ntp-server netbios-ns netbios-dd netbios-nodetype
	netbios-scope x-windows-fs x-windows-dm T1 T2 vendor-class nis+-domain nis+-server tftp-server bootfile-name
	mobile-ip-home smtp-server pop3-server nntp-server irc-server user-class rapid-commit client-arch
	client-interface-id client-machine-id posix-timezone tzdb-timezone ipv6-only domain-search sip-server
	classless-static-route vendor-id-encap tftp-server-address server-ip-address`)

// dnsmasqReader reads dnsmasq's configuration, and reports what dnsmasq would refuse.
type dnsmasqReader struct {
	*finder

	file *conffile.DnsmasqFile
	c    *config
	sent map[string]setting // see options; they are the same for every range
}

func (f *finder) readDnsmasq(p program) *config {
	file := conffile.ParseDnsmasq(dnsmasqPath, f.texts(), dnsmasqDir)
	r := &dnsmasqReader{finder: f, file: file, c: &config{program: p, files: []string{dnsmasqPath}}}
	r.sent = r.options()
	for _, x := range file.Problems {
		f.problem(x)
	}
	for _, line := range file.Lines {
		if name := line.Name.Pos.File; !slices.Contains(r.c.files, name) {
			r.c.files = append(r.c.files, name)
		}
		if !r.full() {
			r.line(line)
		}
	}
	if len(file.Get("dhcp-authoritative")) > 0 {
		for i := range r.c.subnets {
			r.c.subnets[i].authoritative = true
		}
	}
	r.c.all = len(r.c.listens) == 0
	return r.c
}

func (r *dnsmasqReader) line(line conffile.DnsmasqLine) {
	name := line.Name.Text
	switch name {
	case "interface":
		for _, v := range line.Fields {
			if !strings.HasSuffix(v.Text, "*") && v.Text != "lo" {
				r.c.listens = append(r.c.listens, v)
			}
		}
	case "dhcp-range":
		r.dhcpRange(line)
	case "dhcp-host":
		r.dhcpHost(line)
	case "dhcp-option":
		r.dhcpOption(line)
	case "dhcp-relay":
		r.dhcpRelay(line)
	default:
		meant := yamlfile.Suggest(name, dnsmasqWords)
		if meant != "" && len(name) > 3 && isASCII(name) {
			r.add(rankSyntax, diag.New(diag.WordMisspelt, diag.Args{"given": name, "meant": meant}).At(line.Name.Pos))
		}
	}
	if strings.HasSuffix(line.Value.Text, ";") && strings.HasPrefix(name, "dhcp-") {
		r.add(rankSyntax, diag.New(diag.SignStray, diag.Args{"given": ";"}).At(line.Value.Pos))
	}
}

// dhcpRange reads [tags,]first,last[,mask[,broadcast]][,lease].
func (r *dnsmasqReader) dhcpRange(line conffile.DnsmasqLine) {
	fields := line.Fields
	for len(fields) > 0 && (strings.Contains(fields[0].Text, ":") || strings.HasPrefix(fields[0].Text, "interface")) {
		fields = fields[1:]
	}
	if len(fields) == 0 || !isASCII(line.Value.Text) {
		return
	}
	first, err := netip.ParseAddr(fields[0].Text)
	switch {
	case err != nil && strings.Contains(fields[0].Text, "-"):
		r.add(rankSyntax, diag.New(diag.RangeDash, diag.Args{"given": fields[0].Text}).At(fields[0].Pos))
		return
	case err != nil:
		r.add(rankSyntax, diag.New(diag.RangeUnreadable, diag.Args{"given": fields[0].Text}).At(fields[0].Pos))
		return
	case !first.Is4() || len(fields) < 2:
		return
	}
	last, err := netip.ParseAddr(fields[1].Text)
	if err != nil {
		if end := fields[1].Text; strings.Count(end, ".") > 1 {
			r.add(rankSyntax, diag.New(diag.RangeUnreadable, diag.Args{"given": first.String() + "," + end}).At(fields[1].Pos))
		}
		return // static, proxy, or what dnsmasq itself complains of
	}
	if last.Less(first) {
		first, last = last, first // as dnsmasq does
	}
	s := subnet{
		prefix: r.network(first), pos: line.Name.Pos, lease: dnsmasqDefaultLease, leasePos: line.Value.Pos,
		ranges: []lent{{Range{first, last}, line.Value.Pos}}, options: r.sent,
	}
	for _, v := range fields[2:] {
		r.rangeField(v, first, &s)
	}
	if len(r.c.subnets) < maxSubnets {
		r.c.subnets = append(r.c.subnets, s)
	}
}

// network is that of the guest's card which holds an address: dnsmasq takes the mask from there.
func (r *dnsmasqReader) network(a netip.Addr) netip.Prefix {
	for _, l := range r.seen.Links {
		for _, p := range l.Addresses {
			if p.Contains(a) {
				return p.Masked()
			}
		}
	}
	if r.want.Address.Contains(a) {
		return r.want.Address.Masked()
	}
	return netip.PrefixFrom(a, 24).Masked()
}

// rangeField reads a mask or a lease time behind a range.
func (r *dnsmasqReader) rangeField(v conffile.Value, first netip.Addr, s *subnet) {
	if strings.HasPrefix(v.Text, "/") {
		r.add(rankSyntax, diag.New(diag.PrefixForMask, diag.Args{"given": v.Text}).At(v.Pos))
		return
	}
	if mask, err := netip.ParseAddr(v.Text); err == nil {
		if bits, ok := conffile.MaskBits(mask.String()); ok && bits > 0 {
			s.prefix = netip.PrefixFrom(first, bits).Masked()
		}
		return
	}
	if seconds, ok := dnsmasqTime(v.Text); ok {
		s.lease, s.leasePos = seconds, v.Pos
	}
}

// dnsmasqTime reads a number of seconds, or one with the unit s, m, h, d or w.
func dnsmasqTime(text string) (int, bool) {
	units := map[byte]int{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}
	unit := 1
	if text != "" {
		if u, ok := units[text[len(text)-1]|0x20]; ok {
			text, unit = text[:len(text)-1], u
		}
	}
	n, err := strconv.Atoi(text)
	return n * unit, err == nil && n > 0
}

// options are those of the task that dnsmasq is told to send, or sends by itself: itself as router and DNS server.
func (r *dnsmasqReader) options() map[string]setting {
	found := map[string]setting{}
	self := r.want.Address.Addr().String()
	for _, o := range r.want.Options {
		switch o.Name {
		case "routers", "domain-name-servers":
			found[o.Name] = setting{values: []string{self}}
		case "subnet-mask", "broadcast-address":
			found[o.Name] = setting{values: o.Values}
		case "domain-name":
			if v, err := r.file.Lookup("domain"); err == nil && len(v) > 0 {
				name, _, _ := strings.Cut(v[0].Text, ",")
				found[o.Name] = setting{[]string{name}, v[0].Pos}
			}
		}
		names := dnsmasqOptions[o.Name]
		for _, line := range r.file.Get("dhcp-option") {
			at := slices.IndexFunc(line.Fields, func(v conffile.Value) bool {
				return slices.Contains(names, strings.TrimPrefix(v.Text, "option:"))
			})
			if at < 0 {
				continue
			}
			s := setting{pos: line.Value.Pos}
			for _, v := range line.Fields[at+1:] {
				if v.Text == "0.0.0.0" { // the machine itself
					v.Text = self
				}
				s.values = append(s.values, v.Text)
			}
			found[o.Name] = s
		}
	}
	return found
}

// dhcpOption names an option whose name is nearly one that dnsmasq has; it says router where dhcpd says routers.
func (r *dnsmasqReader) dhcpOption(line conffile.DnsmasqLine) {
	for _, v := range line.Fields {
		name, ok := strings.CutPrefix(v.Text, "option:")
		if !ok || slices.ContainsFunc(dnsmasqNames, func(known string) bool { return strings.EqualFold(name, known) }) {
			continue
		}
		meant := yamlfile.Suggest(strings.ToLower(name), dnsmasqNames)
		for ours, theirs := range dnsmasqOptions {
			if name == ours && slices.Contains(dnsmasqNames, theirs[0]) {
				meant = theirs[0]
			}
		}
		if meant != "" && isASCII(name) {
			r.add(rankSyntax, diag.New(diag.OptionMisspelt, diag.Args{"given": name, "meant": meant}).At(v.Pos))
		}
	}
}

func (r *dnsmasqReader) dhcpHost(line conffile.DnsmasqLine) {
	h := host{pos: line.Value.Pos, macPos: line.Value.Pos}
	for _, v := range line.Fields {
		if mac, err := net.ParseMAC(v.Text); err == nil && len(mac) == 6 {
			h.mac, h.macPos = mac, v.Pos
			if mac[0]&1 == 1 {
				r.add(rankMeaning, diag.New(diag.MACOfGroup, diag.Args{"mac": v.Text}).At(v.Pos))
			}
		} else if a, err := netip.ParseAddr(v.Text); err == nil {
			h.address, h.pos = a, v.Pos
		}
	}
	if len(r.c.hosts) < maxHosts {
		r.c.hosts = append(r.c.hosts, h)
	}
}
