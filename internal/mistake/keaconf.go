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

// keaDefaultLease is how long Kea lends without being told, in seconds.
const keaDefaultLease = 7200

// The keys that a student writes. Kea refuses others; only a near miss of one of these is named here.
var (
	keaGlobalKeys = []string{
		"interfaces-config", "lease-database", "subnet4", "shared-networks", "valid-lifetime", "min-valid-lifetime",
		"max-valid-lifetime", "renew-timer", "rebind-timer", "option-data", "option-def", "authoritative", "loggers",
		"control-socket", "reservations", "client-classes", "expired-leases-processing",
	}
	keaSubnetKeys = []string{
		"subnet", "pools", "option-data", "reservations", "valid-lifetime", "min-valid-lifetime", "max-valid-lifetime",
		"interface", "id", "relay", "authoritative", "renew-timer", "rebind-timer", "client-class", "next-server",
	}
	keaOptionKeys      = []string{"name", "data", "code", "space", "csv-format", "always-send"}
	keaDatabaseKeys    = []string{"type", "persist", "name", "lfc-interval", "host", "port", "user", "password"}
	keaInterfaceKeys   = []string{"interfaces", "dhcp-socket-type", "outbound-interface", "re-detect"}
	keaReservationKeys = []string{
		"hw-address", "ip-address", "hostname", "client-id", "duid", "circuit-id", "flex-id", "option-data", "client-classes",
	}
)

// keaReader reads Kea's configuration, and reports what Kea would refuse.
type keaReader struct {
	*finder

	c *config
}

func (f *finder) readKea(p program) *config {
	r := &keaReader{f, &config{program: p, files: []string{keaPath}}}
	file := conffile.ParseKea(keaPath, f.seen.Files[keaPath].Text)
	for _, x := range file.Problems {
		if x.Kind == conffile.MissingClosing || x.Kind == conffile.UnclosedString {
			x.Kind = conffile.BadSyntax
		}
		f.problem(x)
	}
	dhcp4 := file.Root.Get("Dhcp4")
	r.keys(file.Root, []string{"Dhcp4"})
	r.keys(dhcp4, keaGlobalKeys)
	r.keys(dhcp4.Get("lease-database"), keaDatabaseKeys)
	r.keys(dhcp4.Get("interfaces-config"), keaInterfaceKeys)
	r.interfaces(dhcp4.Get("interfaces-config").Get("interfaces"))
	subnets := elementsOf(dhcp4.Get("subnet4"))
	for _, n := range elementsOf(dhcp4.Get("shared-networks")) {
		subnets = append(subnets, elementsOf(n.Get("subnet4"))...)
	}
	for _, n := range subnets[:min(len(subnets), maxSubnets)] {
		r.subnet(dhcp4, n)
	}
	r.reservations(elementsOf(dhcp4.Get("reservations")))
	r.optionNames(elementsOf(dhcp4.Get("option-data")))
	return r.c
}

func elementsOf(n *conffile.Node) []*conffile.Node {
	if n == nil {
		return nil
	}
	return n.Elements
}

// keys names the keys of an object that are nearly one that Kea has.
func (r *keaReader) keys(n *conffile.Node, known []string) {
	if n == nil {
		return
	}
	for _, m := range n.Members {
		if r.full() {
			return
		}
		if meant := yamlfile.Suggest(m.Key.Text, known); meant != "" && len(m.Key.Text) > 2 {
			r.add(rankSyntax, diag.New(diag.WordMisspelt, diag.Args{"given": m.Key.Text, "meant": meant}).At(m.Key.Pos))
		}
	}
}

// interfaces reads the cards to listen on: "eth1", "eth1/192.168.1.1" or "*".
func (r *keaReader) interfaces(n *conffile.Node) {
	for _, e := range elementsOf(n) {
		name, _, _ := strings.Cut(e.Text, "/")
		if name == "*" {
			r.c.all = true
			continue
		}
		r.c.listens = append(r.c.listens, conffile.Value{Text: name, Pos: e.Pos})
	}
	if len(r.c.listens) == 0 && !r.c.all {
		pos := diag.Pos{File: keaPath}
		if n != nil {
			pos = n.Pos
		}
		r.add(rankCard, diag.New(diag.KeaNoInterface, nil).At(pos))
	}
}

func (r *keaReader) subnet(global, n *conffile.Node) {
	r.keys(n, keaSubnetKeys)
	name := n.Get("subnet")
	if name == nil {
		return
	}
	prefix, err := netip.ParsePrefix(name.Text)
	if err != nil {
		r.add(rankRefused, diag.New(diag.AddressUnreadable, diag.Args{"given": name.Text}).At(name.Pos))
		return
	}
	s := subnet{prefix: prefix.Masked(), pos: name.Pos, lease: keaDefaultLease, leasePos: name.Pos, options: map[string]setting{}}
	for _, from := range []*conffile.Node{global, n} { // the inner one wins
		if v := from.Get("valid-lifetime"); v != nil {
			if seconds, err := strconv.Atoi(v.Text); err == nil && v.Kind == conffile.Plain {
				s.lease, s.leasePos = seconds, v.Pos
			} else {
				r.add(rankSyntax, diag.New(diag.TimeNotSeconds, diag.Args{"given": v.Text}).At(v.Pos))
			}
		}
		if v := from.Get("authoritative"); v != nil {
			s.authoritative = v.Text == "true"
		}
	}
	r.options(elementsOf(global.Get("option-data")), &s)
	r.options(elementsOf(n.Get("option-data")), &s)
	r.optionNames(elementsOf(n.Get("option-data")))
	for _, pool := range elementsOf(n.Get("pools")) {
		r.keys(pool, []string{"pool", "option-data"})
		if v := pool.Get("pool"); v != nil {
			r.pool(v, &s)
		}
	}
	r.reservations(elementsOf(n.Get("reservations")))
	if card := n.Get("interface"); card != nil && r.seen.Links != nil && r.link(card.Text) == nil {
		r.add(rankRefused, diag.New(diag.InterfaceUnknown, diag.Args{"given": card.Text}).At(card.Pos))
	}
	r.c.subnets = append(r.c.subnets, s)
}

// pool reads "first - last" or a prefix.
func (r *keaReader) pool(v *conffile.Node, s *subnet) {
	found, ok := keaRange(v.Text)
	if !ok {
		r.add(rankRefused, diag.New(diag.RangeUnreadable, diag.Args{"given": v.Text}).At(v.Pos))
		return
	}
	for _, a := range []netip.Addr{found.First, found.Last} {
		if !s.prefix.Contains(a) {
			r.add(rankRefused, diag.New(diag.RangeOutside, diag.Args{"address": a, "subnet": s.prefix}).At(v.Pos))
			return
		}
	}
	if len(s.ranges) < maxRanges {
		s.ranges = append(s.ranges, lent{found, v.Pos})
	}
}

// keaRange reads a pool; Kea takes out all white space first.
func keaRange(text string) (Range, bool) {
	text = strings.Join(strings.Fields(text), "")
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return Range{prefix.Masked().Addr(), lastOf(prefix)}, true
	}
	first, last, ok := strings.Cut(text, "-")
	a, errA := netip.ParseAddr(first)
	b, errB := netip.ParseAddr(last)
	return Range{a, b}, ok && errA == nil && errB == nil && !b.Less(a)
}

// lastOf is the highest address of an IPv4 prefix.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		a[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(a)
}

// options reads those that the task asks for of option-data.
func (r *keaReader) options(list []*conffile.Node, s *subnet) {
	for _, o := range list {
		name, data := o.Get("name"), o.Get("data")
		if name == nil || data == nil || !slices.ContainsFunc(r.want.Options, func(want Option) bool { return want.Name == name.Text }) {
			continue
		}
		if o.Get("code") != nil || conffile.OptionKind(name.Text) != 0 {
			s.options[name.Text] = setting{splitList(data.Text), data.Pos}
		}
	}
}

// optionNames looks at the names in option-data.
func (r *keaReader) optionNames(list []*conffile.Node) {
	for _, o := range list {
		r.keys(o, keaOptionKeys)
		name := o.Get("name")
		if name == nil || o.Get("code") != nil || conffile.OptionKind(name.Text) != 0 {
			continue
		}
		if meant := nearOption(name.Text); meant != "" {
			r.add(rankRefused, diag.New(diag.OptionMisspelt, diag.Args{"given": name.Text, "meant": meant}).At(name.Pos))
		}
	}
}

// nearOption is the option that a name is nearly.
func nearOption(name string) string {
	if conffile.OptionKind(name+"s") != 0 { // "router" is nearer to routers than to anything
		return name + "s"
	}
	return yamlfile.Suggest(strings.ToLower(name), conffile.OptionNames())
}

func (r *keaReader) reservations(list []*conffile.Node) {
	for _, n := range list {
		if len(r.c.hosts) == maxHosts {
			return
		}
		r.keys(n, keaReservationKeys)
		h := host{pos: n.Pos, macPos: n.Pos}
		if v := n.Get("hw-address"); v != nil {
			h.macPos = v.Pos
			mac, err := net.ParseMAC(v.Text)
			switch {
			case strings.Contains(v.Text, "-"):
				r.add(rankRefused, diag.New(diag.HardwareDashes, diag.Args{"given": v.Text}).At(v.Pos))
			case err == nil && mac[0]&1 == 1:
				r.add(rankMeaning, diag.New(diag.MACOfGroup, diag.Args{"mac": v.Text}).At(v.Pos))
			}
			h.mac = mac
		}
		if v := n.Get("ip-address"); v != nil {
			h.address, _ = netip.ParseAddr(v.Text)
			h.pos = v.Pos
		}
		r.c.hosts = append(r.c.hosts, h)
	}
}
