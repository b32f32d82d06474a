package mistake

import (
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/internal/conffile"
	"github.com/kvmlab/kvmlab/internal/diag"
)

// dhcpdDefaultLease is how long dhcpd lends without being told (12 hours), and at most, in seconds.
const (
	dhcpdDefaultLease = 43200
	dhcpdMaxLease     = 86400
)

// readISC reads dhcpd's configuration, and reports what dhcpd would refuse.
func (f *finder) readISC(p program) *config {
	texts := f.texts()
	c := &config{program: p, files: []string{dhcpdFile(texts), defaultsPath}}
	defaults := conffile.ParseDefaults(defaultsPath, texts[defaultsPath])
	d := conffile.ParseDHCPD(c.files[0], texts)
	f.misnamed(d, texts, c.files[0])
	for _, x := range d.Problems {
		f.problem(x)
	}
	s := &statements{finder: f, doc: d, defined: map[string]bool{}}
	d.All(func(x *conffile.Statement) bool {
		if len(x.Words) > 2 && x.Is("option", x.Words[1].Text, "code") {
			s.defined[strings.ToLower(x.Words[1].Text)] = true
		}
		if file := x.Pos().File; !slices.Contains(c.files, file) {
			c.files = append(c.files, file)
		}
		return true
	})
	d.All(func(x *conffile.Statement) bool {
		s.check(x)
		return !f.full()
	})
	c.subnets, c.hosts = s.subnets, s.hosts
	if _, there := texts[defaultsPath]; there {
		f.defaults(defaults, c)
	} else {
		c.all = true
	}
	return c
}

// dhcpdFile is the file that Debian's start script gives to dhcpd.
func dhcpdFile(texts map[string]string) string {
	if v, ok := conffile.ParseDefaults(defaultsPath, texts[defaultsPath]).Get("DHCPDv4_CONF"); ok && v.Text != "" {
		return v.Text
	}
	return dhcpdPath
}

// misnamed looks for a configuration in a file beside the one that dhcpd reads.
func (f *finder) misnamed(d *conffile.DHCPD, texts map[string]string, right string) {
	if declaresSubnet(d) {
		return
	}
	for _, name := range sortedKeys(texts) {
		base := path.Base(name)
		if name == right || !strings.HasPrefix(base, "dhcp") || base == "dhcpd6.conf" || strings.HasSuffix(base, ".leases") {
			continue
		}
		// What it includes lies here by itself.
		other := conffile.ParseDHCPD(name, map[string]string{name: texts[name]})
		if declaresSubnet(other) {
			f.add(rankSyntax, diag.New(diag.ConfigMisnamed, diag.Args{"file": name}).At(diag.Pos{File: name}))
		}
	}
}

func declaresSubnet(d *conffile.DHCPD) bool {
	found := false
	d.All(func(s *conffile.Statement) bool {
		found = found || s.Block && s.Is("subnet")
		return !found
	})
	return found
}

// defaults reads which cards Debian's start script gives to dhcpd.
func (f *finder) defaults(d *conffile.DefaultsFile, c *config) {
	spaced, foreignEnd := false, false
	for _, p := range d.Problems {
		if p.Kind == conffile.ForeignCharacter && !foreignEnd {
			foreignEnd = true // every line has it
			f.add(rankCard, foreign(p.Text).At(p.Pos))
		}
		if p.Kind == conffile.SpacedAssignment && strings.HasPrefix(p.Text, "INTERFACES") {
			spaced = true
			f.add(rankCard, diag.New(diag.AssignmentSpaced, diag.Args{"variable": p.Text}).At(p.Pos))
		}
	}
	v4, _ := d.Get("INTERFACESv4")
	old, hasOld := d.Get("INTERFACES")
	if strings.TrimSpace(old.Text) != "" && hasOld && v4.Text == "" {
		f.add(rankCard, diag.New(diag.InterfacesOldName, nil).At(old.Pos))
		v4 = old
	}
	for name := range strings.FieldsSeq(strings.TrimSuffix(v4.Text, "\r")) {
		c.listens = append(c.listens, conffile.Value{Text: name, Pos: v4.Pos})
	}
	if len(c.listens) > 0 {
		return
	}
	c.all = true
	if !spaced && !foreignEnd {
		f.add(rankCard, diag.New(diag.InterfacesEmpty, nil).At(cmpPos(v4.Pos, diag.Pos{File: defaultsPath})))
	}
}

func cmpPos(a, b diag.Pos) diag.Pos {
	if a.IsZero() {
		return b
	}
	return a
}

// statements goes through a dhcpd.conf, and collects subnets and hosts.
type statements struct {
	*finder

	doc     *conffile.DHCPD
	defined map[string]bool // the options that the file makes, in small letters
	subnets []subnet
	hosts   []host
}

// subnet notes what a declaration that is well formed says.
func (s *statements) subnet(x *conffile.Statement, prefix netip.Prefix) {
	net := subnet{prefix: prefix, pos: x.Pos(), options: map[string]setting{}}
	s.ranges(x.Inside, &net)
	if outer := x.Parent; outer != nil && outer.Is("shared-network") {
		// A pool may stand beside its subnet.
		shared := subnet{}
		for _, in := range outer.Inside {
			if in.Is("pool") {
				s.ranges(in.Inside, &shared)
			}
		}
		for _, r := range shared.ranges {
			if prefix.Contains(r.First) {
				net.ranges = append(net.ranges, r)
			}
		}
	}
	net.lease, net.leasePos = s.lease(x)
	for list := x; ; list = list.Parent {
		if a := s.authority(list); a != nil {
			net.authoritative = !a.Is("not")
			break
		}
		if list == nil {
			break
		}
	}
	for _, o := range s.want.Options {
		if st := s.doc.Effective(x, "option", o.Name); st != nil {
			v := st.Rest(2)
			net.options[o.Name] = setting{splitList(v.Text), v.Pos}
		}
	}
	s.subnets = append(s.subnets, net)
}

// authority is the last statement about authority in a block, nil for none.
func (s *statements) authority(block *conffile.Statement) *conffile.Statement {
	list := s.doc.Statements
	if block != nil {
		list = block.Inside
	}
	for _, x := range slices.Backward(list) {
		if !x.Block && (x.Is("authoritative") || x.Is("not", "authoritative")) {
			return x
		}
	}
	return nil
}

// ranges collects those of a block and of the pools in it.
func (s *statements) ranges(list []*conffile.Statement, net *subnet) {
	for _, x := range list {
		switch {
		case len(net.ranges) >= maxRanges:
			return
		case x.Is("pool"):
			s.ranges(x.Inside, net)
		case x.Is("range"):
			if r, ok := dhcpdRange(x); ok {
				net.ranges = append(net.ranges, lent{r, x.Rest(1).Pos})
			}
		}
	}
}

// dhcpdRange reads one or two addresses, in either order: dhcpd exchanges them.
func dhcpdRange(x *conffile.Statement) (Range, bool) {
	words := x.Words[1:]
	if len(words) > 0 && strings.EqualFold(words[0].Text, "dynamic-bootp") {
		words = words[1:]
	}
	if len(words) < 1 || len(words) > 2 {
		return Range{}, false
	}
	var r Range
	for i, w := range words {
		a, err := netip.ParseAddr(w.Text)
		if err != nil || !a.Is4() {
			return Range{}, false
		}
		if r.Last = a; i == 0 {
			r.First = a
		}
	}
	if r.Last.Less(r.First) {
		r.First, r.Last = r.Last, r.First
	}
	return r, true
}

// lease is what dhcpd grants a client that asks for no time.
func (s *statements) lease(x *conffile.Statement) (seconds int, pos diag.Pos) {
	seconds, limit, pos := dhcpdDefaultLease, dhcpdMaxLease, x.Pos()
	if st := s.doc.Effective(x, "default-lease-time"); st != nil {
		v := st.Rest(1)
		if n, err := strconv.Atoi(v.Text); err == nil {
			seconds, pos = n, v.Pos
		}
	}
	if st := s.doc.Effective(x, "max-lease-time"); st != nil {
		v := st.Rest(1)
		if n, err := strconv.Atoi(v.Text); err == nil {
			if limit = n; seconds > limit {
				pos = v.Pos
			}
		}
	}
	return min(seconds, limit), pos
}

// host reads a reservation.
func (s *statements) host(x *conffile.Statement) {
	if len(s.hosts) == maxHosts {
		return
	}
	h := host{pos: x.Pos(), macPos: x.Pos()}
	for _, in := range x.Inside {
		switch {
		case in.Is("hardware", "ethernet") && len(in.Words) == 3:
			h.mac, _ = net.ParseMAC(padMAC(in.Words[2].Text))
			h.macPos = in.Words[2].Pos
		case in.Is("fixed-address") && len(in.Words) == 2:
			h.address, _ = netip.ParseAddr(in.Words[1].Text)
			h.pos = in.Words[1].Pos
		}
	}
	s.hosts = append(s.hosts, h)
}

// padMAC gives every octet two digits, as net.ParseMAC wants them; dhcpd takes one, and zeros before them.
func padMAC(text string) string {
	parts := strings.Split(text, ":")
	for i, part := range parts {
		if part != "" {
			part = strings.TrimLeft(part, "0")
			parts[i] = strings.Repeat("0", max(2-len(part), 0)) + part
		}
	}
	return strings.Join(parts, ":")
}

// splitList cuts a list at its commas and takes quotation marks and spaces off.
func splitList(text string) []string {
	var values []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.Trim(strings.TrimSpace(part), `"`); part != "" {
			values = append(values, part)
		}
	}
	return values
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
