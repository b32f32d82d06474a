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

// check looks at one statement as dhcpd's parser does (server/confpars.c, common/parse.c). What it does not know well
// it leaves to dhcpd's own words.
func (s *statements) check(x *conffile.Statement) {
	first := strings.ToLower(x.Words[0].Text)
	switch {
	case x.Words[0].Quoted:
	case first == "subnet":
		s.checkSubnet(x)
	case first == "range":
		s.checkRange(x)
	case first == "option":
		s.checkOption(x)
	case first == "hardware":
		s.checkHardware(x)
	case first == "host" && x.Block:
		s.host(x)
	case first == "fixed-address":
		s.checkFixed(x)
	case strings.HasSuffix(first, "-lease-time"):
		s.checkTime(x)
	case !conffile.IsStatement(first):
		s.checkUnknown(x)
	}
}

// checkUnknown names a word that dhcpd does not have. A function call, or a name that an expression defines, is none.
func (s *statements) checkUnknown(x *conffile.Statement) {
	word := x.Words[0]
	if !isASCII(word.Text) || s.inExpression(x) || len(x.Words) > 1 && (x.Words[1].Text == "(" || x.Words[1].Text == "=") {
		return
	}
	if !startsWithLetter(word.Text) {
		s.add(rankSyntax, diag.New(diag.WordUnknown, diag.Args{"given": word.Text}).At(word.Pos))
		return
	}
	if conffile.OptionKind(word.Text) != 0 {
		// "routers 192.168.1.1;": the option's name without the word option.
		s.add(rankSyntax, diag.New(diag.WordMisspelt, diag.Args{"given": word.Text, "meant": "option " + word.Text}).At(word.Pos))
		return
	}
	known := append(conffile.StatementWords(), "authoritative")
	if meant := yamlfile.Suggest(strings.ToLower(word.Text), known); meant != "" {
		s.add(rankSyntax, diag.New(diag.WordMisspelt, diag.Args{"given": word.Text, "meant": meant}).At(word.Pos))
		return
	}
	if len(x.Words) > 1 || x.Block {
		s.add(rankSyntax, diag.New(diag.WordUnknown, diag.Args{"given": word.Text}).At(word.Pos))
	}
}

// inExpression says whether a statement stands where dhcpd's language for expressions is spoken.
func (s *statements) inExpression(x *conffile.Statement) bool {
	for p := x.Parent; p != nil; p = p.Parent {
		if !p.Is("subnet") && !p.Is("host") && !p.Is("group") && !p.Is("pool") && !p.Is("shared-network") {
			return true
		}
	}
	return false
}

func startsWithLetter(text string) bool {
	return text != "" && (text[0] >= 'a' && text[0] <= 'z' || text[0] >= 'A' && text[0] <= 'Z')
}

func (s *statements) checkSubnet(x *conffile.Statement) {
	if len(x.Words) < 2 {
		return
	}
	if address, _, ok := strings.Cut(x.Words[1].Text, "/"); ok {
		if _, err := netip.ParseAddr(address); err == nil {
			s.add(rankSyntax, diag.New(diag.PrefixForMask, diag.Args{"given": x.Words[1].Text}).At(x.Words[1].Pos))
			return
		}
	}
	address, ok := s.address(x.Words[1])
	if !ok || len(x.Words) != 4 || !x.Block {
		if ok && len(x.Words) == 3 && !x.Is("subnet", x.Words[1].Text, "netmask") { // the word netmask is missing
			s.add(rankSyntax, diag.New(diag.WordMisspelt, diag.Args{"given": x.Words[2].Text, "meant": "netmask"}).At(x.Words[2].Pos))
		}
		return
	}
	if !strings.EqualFold(x.Words[2].Text, "netmask") {
		s.add(rankSyntax, diag.New(diag.WordMisspelt, diag.Args{"given": x.Words[2].Text, "meant": "netmask"}).At(x.Words[2].Pos))
		return
	}
	mask := x.Words[3]
	if n, err := strconv.Atoi(strings.TrimPrefix(mask.Text, "/")); err == nil && n >= 0 && n <= 32 {
		s.add(rankSyntax, diag.New(diag.PrefixForMask, diag.Args{"given": mask.Text}).At(mask.Pos))
		return
	}
	if _, ok := s.address(mask); !ok {
		return
	}
	bits, ok := conffile.MaskBits(mask.Text)
	if !ok {
		s.add(rankSyntax, diag.New(diag.AddressUnreadable, diag.Args{"given": mask.Text}).At(mask.Pos))
		return
	}
	prefix := netip.PrefixFrom(address, bits)
	if prefix != prefix.Masked() {
		s.add(rankSyntax, diag.New(diag.SubnetHostBits, diag.Args{"address": address, "mask": mask.Text}).At(x.Words[1].Pos))
		prefix = prefix.Masked()
	}
	if len(s.subnets) < maxSubnets {
		s.subnet(x, prefix)
	}
}

// address reads an IPv4 address and reports one that cannot be read.
func (s *statements) address(w conffile.Word) (netip.Addr, bool) {
	a, err := netip.ParseAddr(w.Text)
	if err != nil || !a.Is4() {
		if isASCII(w.Text) {
			s.add(rankSyntax, diag.New(diag.AddressUnreadable, diag.Args{"given": w.Text}).At(w.Pos))
		}
		return a, false
	}
	return a, true
}

func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r > '~' }) < 0
}

func (s *statements) checkRange(x *conffile.Statement) {
	v := x.Rest(1)
	if !isASCII(v.Text) {
		return
	}
	r, ok := dhcpdRange(x)
	if !ok {
		s.badRange(x, v)
		return
	}
	outer := x.Parent
	for outer != nil && !outer.Is("subnet") {
		outer = outer.Parent
	}
	if outer == nil || len(outer.Words) != 4 {
		return
	}
	address, err := netip.ParseAddr(outer.Words[1].Text)
	bits, ok := conffile.MaskBits(outer.Words[3].Text)
	if err != nil || !ok {
		return
	}
	prefix := netip.PrefixFrom(address, bits).Masked()
	for _, a := range []netip.Addr{r.First, r.Last} {
		if !prefix.Contains(a) {
			s.add(rankRefused, diag.New(diag.RangeOutside, diag.Args{"address": a, "subnet": prefix}).At(v.Pos))
			return
		}
	}
}

// badRange says what is wrong with a range that is not one or two addresses.
func (s *statements) badRange(x *conffile.Statement, v conffile.Value) {
	if strings.Contains(v.Text, ". ") || strings.Contains(v.Text, " .") {
		return // to dhcpd "192.168.1. 39" is an address
	}
	if strings.Contains(v.Text, "-") && !strings.Contains(v.Text, "dynamic") {
		s.add(rankSyntax, diag.New(diag.RangeDash, diag.Args{"given": v.Text}).At(v.Pos))
		return
	}
	if len(x.Words) == 2 || len(x.Words) == 3 {
		for _, w := range x.Words[1:] {
			if _, ok := s.address(w); !ok {
				return
			}
		}
	}
	s.add(rankSyntax, diag.New(diag.RangeUnreadable, diag.Args{"given": v.Text}).At(v.Pos))
}

func (s *statements) checkHardware(x *conffile.Statement) {
	if len(x.Words) != 3 || !x.Is("hardware", "ethernet") {
		return
	}
	w := x.Words[2]
	mac, err := net.ParseMAC(padMAC(w.Text))
	switch {
	case strings.Count(w.Text, "-") > 1:
		s.add(rankSyntax, diag.New(diag.HardwareDashes, diag.Args{"given": w.Text}).At(w.Pos))
	case !isASCII(w.Text):
	case err != nil || len(mac) != 6:
		s.add(rankMeaning, diag.New(diag.AddressUnreadable, diag.Args{"given": w.Text}).At(w.Pos))
	case mac[0]&1 == 1:
		s.add(rankMeaning, diag.New(diag.MACOfGroup, diag.Args{"mac": w.Text}).At(w.Pos))
	}
}

// checkFixed looks at addresses only: a name is looked up when dhcpd starts.
func (s *statements) checkFixed(x *conffile.Statement) {
	for _, w := range x.Words[1:] {
		if w.Text != "," && w.Text != "" && w.Text[0] >= '0' && w.Text[0] <= '9' {
			s.address(w)
		}
	}
}

func (s *statements) checkTime(x *conffile.Statement) {
	if len(x.Words) < 2 {
		return
	}
	w := x.Words[1]
	_, err := strconv.Atoi(w.Text)
	switch {
	case w.Text == "=":
		s.add(rankSyntax, diag.New(diag.EqualsSign, diag.Args{"given": x.Words[0].Text}).At(w.Pos))
	case err != nil && w.Text != "" && w.Text[0] >= '0' && w.Text[0] <= '9' || err == nil && len(x.Words) == 3 && isUnit(x.Words[2].Text):
		s.add(rankSyntax, diag.New(diag.TimeNotSeconds, diag.Args{"given": x.Rest(1).Text}).At(w.Pos))
	}
}

func isUnit(word string) bool {
	return slices.Contains([]string{"s", "m", "h", "d", "sec", "min", "seconds", "minutes", "hours", "days"}, word)
}

func (s *statements) checkOption(x *conffile.Statement) {
	if len(x.Words) < 2 {
		return
	}
	name := x.Words[1]
	if !isASCII(name.Text) || name.Quoted || s.defines(x) {
		return
	}
	// "domain-name servers": a name whose parts are words of their own.
	parts := []string{name.Text}
	for _, w := range x.Words[2:min(len(x.Words), 5)] {
		if w.Quoted || !startsWithLetter(w.Text) {
			break
		}
		if parts = append(parts, w.Text); conffile.OptionKind(strings.Join(parts, "-")) != 0 {
			pos := name.Pos
			pos.Width = max(w.Pos.Column+w.Pos.Width-pos.Column, 1)
			s.add(rankSyntax, diag.New(diag.OptionSplit, diag.Args{"given": strings.Join(parts, " ")}).At(pos))
			return
		}
	}
	kind := conffile.OptionKind(name.Text)
	if kind == 0 {
		if !strings.Contains(name.Text, ".") {
			s.misspelt(name)
		}
		return
	}
	if len(x.Words) > 2 && x.Words[2].Text != "=" {
		s.checkValues(x, name.Text, kind)
	}
}

// defines says whether a statement makes an option, or uses one that was made: option NAME code N = TYPE.
func (s *statements) defines(x *conffile.Statement) bool {
	if x.Is("option", "space") || len(x.Words) > 2 && strings.EqualFold(x.Words[2].Text, "code") {
		return true
	}
	return s.defined[strings.ToLower(x.Words[1].Text)]
}

func (s *statements) misspelt(name conffile.Word) {
	if meant := nearOption(name.Text); meant != "" {
		s.add(rankSyntax, diag.New(diag.OptionMisspelt, diag.Args{"given": name.Text, "meant": meant}).At(name.Pos))
	}
}

// checkValues looks at the values of an option by their kind.
func (s *statements) checkValues(x *conffile.Statement, name string, kind byte) {
	values := x.Words[2:]
	switch kind {
	case 't':
		// A single word without a dot dhcpd takes for a text all the same.
		if !values[0].Quoted && isASCII(values[0].Text) && strings.ContainsAny(values[0].Text, ". @:") {
			s.add(rankSyntax, diag.New(diag.QuotesMissing, diag.Args{"option": name}).At(values[0].Pos))
		}
	case 'a':
		if name == "policy-filter" || name == "static-routes" {
			return // pairs, whose halves have a space between them
		}
		for i, w := range values {
			switch {
			case i > 0 && w.Text != "," && values[i-1].Text != ",":
				s.add(rankSyntax, diag.New(diag.CommaMissing, diag.Args{"option": name}).At(w.Pos))
				return
			case w.Quoted:
				s.add(rankSyntax, diag.New(diag.AddressUnreadable, diag.Args{"given": `"` + w.Text + `"`}).At(w.Pos))
				return
			case w.Text != "," && w.Text[0] >= '0' && w.Text[0] <= '9' && !strings.ContainsFunc(w.Text, isLetter):
				if _, ok := s.address(w); !ok {
					return
				}
			}
		}
	}
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
