package netsetup

import (
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// How much of what the whole host shares one lab can take.
const (
	// Its senders each make the host keep a neighbour, of which it has some thousand (net.ipv4.neigh.default.gc_thresh3).
	sendersPerLab, sendersPerCard = 32, 2
	sendersKept                   = time.Minute
	// New connections each make the host keep a record (nf_conntrack), for a minute or two.
	toHostPerSecond, toHostBurst = 50, 100
	outPerSecond, outBurst       = 100, 500
	// As long as a bridge keeps an address.
	macsKept = 5 * time.Minute
)

// The names that rules refer to.
const (
	sendersSet  = "senders"
	macsSet     = "macs"
	insideChain = "inside" // What comes from the lab's own subnets.
	hostMap     = "host"   // By the link that a packet for the host came in.
	leavingMap  = "leaving"
	enteringMap = "entering"
)

// private are the networks that are nobody's or somebody's own (RFC 6890): the school's, and those of other labs. They
// are not the internet.
func private() []netip.Prefix {
	var list []netip.Prefix
	for _, p := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
	} {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

// broadcasts are the addresses of everybody on a subnet.
func broadcasts(subnet netip.Prefix) []netip.Addr {
	bytes := subnet.Masked().Addr().As4()
	for bit := subnet.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	return []netip.Addr{netip.AddrFrom4(bytes), netip.AddrFrom4([4]byte{255, 255, 255, 255})}
}

func baseChain(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority, rules ...rule) chain {
	return chain{name: name, kind: nftables.ChainTypeFilter, hook: hook, priority: priority, rules: rules}
}

func postroutingChain(rules ...rule) chain {
	return chain{
		name: "postrouting", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPostrouting,
		priority: nftables.ChainPriorityNATSource, rules: rules,
	}
}

// inet is an inet table under construction, with the chains that every one has.
type inet struct {
	host, leaving, entering map[string]rule
	chains                  []chain
	untracked               []rule
	masqueraded             []rule
}

func newInet() *inet {
	return &inet{host: map[string]rule{}, leaving: map[string]rule{}, entering: map[string]rule{}}
}

// jump adds a chain for what passes a link in one direction.
func (t *inet) jump(by map[string]rule, link, name string, rules ...rule) {
	t.chains = append(t.chains, chain{name: name + "-" + link, rules: rules})
	by[link] = jump(name + "-" + link)
}

func (t *inet) table(sets ...addressSet) table {
	done := table{
		family: nftables.TableFamilyINet, sets: sets,
		maps: []linkMap{{hostMap, t.host}, {leavingMap, t.leaving}, {enteringMap, t.entering}},
		chains: append(t.chains,
			baseChain("input", nftables.ChainHookInput, nftables.ChainPriorityFilter, incoming(hostMap)),
			baseChain("forward", nftables.ChainHookForward, nftables.ChainPriorityFilter, incoming(leavingMap), outgoing(enteringMap))),
	}
	if len(t.untracked) > 0 {
		done.chains = append(done.chains, baseChain("prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw, t.untracked...))
	}
	if len(t.masqueraded) > 0 {
		done.chains = append(done.chains, postroutingChain(t.masqueraded...))
	}
	return done
}

// labTables is what a lab's tables hold in the namespace where its bridges are.
//
// With br_netfilter the kernel shows these chains also the frames that only cross a bridge, in and out on the
// same link; they are none of the rules' business, and each rule leaves them alone. IP packets that come in on a tap
// itself are those of frames to a reserved group address (01:80:c2:00:00:0x), which a bridge hands up past itself; no
// honest program sends such.
func (f Firewall) labTables() []table {
	t := newInet()
	if f.subnets() != nil {
		t.chains = append(t.chains, f.insideChain(from, remember(sendersSet, "ip saddr", expr.PayloadBaseNetworkHeader, ipSource, 4)))
	}
	for _, b := range f.Bridges {
		f.toHost(t, b)
		f.fromBridge(t, b)
		f.toBridge(t, b)
		for _, tap := range b.Taps {
			t.host[tap], t.leaving[tap] = drop(), drop()
		}
	}
	if f.cabled() {
		t.jump(t.host, UplinkName, "to-host", join(established(), accept()), drop()) // The host itself is not outside.
		t.masqueraded = []rule{join(out(UplinkName), masquerade())}
	}
	tables := []table{t.table(f.senders()), f.arpTable()}
	if f.LimitMACs {
		tables = append(tables, f.macTable())
	}
	return tables
}

// subnets are the lab's own.
func (f Firewall) subnets() []netip.Prefix {
	var list []netip.Prefix
	for _, b := range f.Bridges {
		if b.Address.IsValid() {
			list = append(list, b.Address.Masked())
		}
	}
	return list
}

// senders are the addresses from which guests have lately spoken to the host.
func (f Firewall) senders() addressSet {
	size := sendersPerLab
	for _, b := range f.Bridges {
		size += sendersPerCard * len(b.Taps)
	}
	return addressSet{name: sendersSet, key: nftables.TypeIPAddr, size: uint32(size), timeout: sendersKept}
}

// insideChain accepts what comes from the lab's own subnets, from a number of senders. Any guest may send for any
// subnet of the lab: there may be a router among them.
func (f Firewall) insideChain(from func(netip.Prefix) rule, remember rule) chain {
	c := chain{name: insideChain}
	for _, subnet := range f.subnets() {
		c.rules = append(c.rules, join(from(subnet), remember, accept()))
	}
	return c
}

// toHost lets in what the host is there for. What else comes is dropped and not refused: a host that is not there for
// guests does not answer them.
func (f Firewall) toHost(t *inet, b FirewallBridge) {
	if !b.Address.IsValid() {
		t.host[b.Name] = drop()
		t.untracked = append(t.untracked, join(in(b.Name), notrack()))
		return
	}
	address := b.Address.Addr()
	rules := []rule{
		join(ipv6(), drop()),
		join(notTo(append([]netip.Addr{address}, broadcasts(b.Address)...)...), drop()),
		// A redirect counts as related to any connection that it quotes.
		join(icmp("redirect", icmpRedirect), drop()),
		join(established(), accept()),
		join(tooMany(toHostPerSecond, toHostBurst), drop()),
	}
	dhcp := Service{"udp", 67}
	if b.DHCP || slices.Contains(f.Services, dhcp) {
		rules = append(rules, join(dport(dhcp), accept())) // From 0.0.0.0, too, and to everybody.
	}
	rules = append(rules, join(notTo(address), drop()), join(icmp("echo-request", icmpEcho), jump(insideChain)))
	for _, s := range f.Services {
		if s != dhcp {
			rules = append(rules, join(dport(s), jump(insideChain)))
		}
	}
	t.jump(t.host, b.Name, "to-host", append(rules, drop())...)
	// What guests send one another is not the host's to keep records of. With br_netfilter it would.
	untracked := []rule{in(b.Name), notTo(address)}
	if b.Out {
		untracked = append(untracked, to(b.Address.Masked()))
	}
	t.untracked = append(t.untracked, join(append(untracked, notrack())...))
}

// fromBridge forwards nothing, or with the way out what goes to the internet.
func (f Firewall) fromBridge(t *inet, b FirewallBridge) {
	stays := join(out(b.Name), back())
	switch {
	case !b.Out:
		t.jump(t.leaving, b.Name, "from", stays, drop())
	case f.Isolated:
		// Beyond the cable nobody can tell the lab's bridges apart.
		rules := []rule{stays, join(notOut(UplinkName), drop())}
		rules = append(rules, outward(b.Address.Masked(), b.Reach, f.reachOfOthers(b))...)
		t.jump(t.leaving, b.Name, "from", rules...)
	default:
		rules := append([]rule{stays}, outward(b.Address.Masked(), b.Reach, f.kept())...)
		t.jump(t.leaving, b.Name, "from", rules...)
		t.masqueraded = append(t.masqueraded, join(from(b.Address.Masked()), notOut(b.Name), masquerade()))
	}
}

// toBridge lets in only what a guest with the way out has asked for.
func (f Firewall) toBridge(t *inet, b FirewallBridge) {
	rules := []rule{join(in(b.Name), back())}
	if b.Out {
		rules = append(rules, join(established(), back()))
	}
	t.jump(t.entering, b.Name, "into", append(rules, drop())...)
}

// kept are the networks that the way out does not lead to.
func (f Firewall) kept() []netip.Prefix {
	return withoutNested(slices.Concat(private(), f.Own), nil)
}

// reachOfOthers are the networks that other bridges of the lab may reach, and this one may not.
func (f Firewall) reachOfOthers(b FirewallBridge) []netip.Prefix {
	var others []netip.Prefix
	for _, other := range f.Bridges {
		others = append(others, other.Reach...)
	}
	return withoutNested(others, b.Reach)
}

// outward forwards what comes from a subnet to anywhere but the networks that are kept; of these it may reach some.
func outward(subnet netip.Prefix, reach, kept []netip.Prefix) []rule {
	rules := []rule{
		join(ipv6(), drop()),
		join(notFrom(subnet), drop()),
		join(invalid(), drop()), // It would leave with the guest's own address.
		join(established(), back()),
		join(tooMany(outPerSecond, outBurst), drop()),
	}
	for _, p := range reach {
		rules = append(rules, join(to(p), back()))
	}
	for _, p := range kept {
		rules = append(rules, join(to(p), drop()))
	}
	return rules
}

// cableTables is what an isolated lab's table in the host's namespace holds.
func (f Firewall) cableTables(transfer netip.Prefix) []table {
	t, end := newInet(), hostEnd(f.Lab)
	var reach []netip.Prefix
	for _, b := range f.Bridges {
		reach = append(reach, b.Reach...)
	}
	t.jump(t.host, end, "to-host", join(established(), accept()), drop())
	t.jump(t.leaving, end, "from", outward(transfer, withoutNested(reach, nil), f.kept())...)
	t.jump(t.entering, end, "into", join(established(), back()), drop())
	t.masqueraded = []rule{join(from(transfer), notOut(end), masquerade())}
	return []table{t.table()}
}

// arpTable keeps the host's neighbours in bounds: it learns one from each sender that asks it. A probe (RFC 5227) is
// from nobody.
func (f Firewall) arpTable() table {
	guests := map[string]rule{}
	chains := []chain{f.insideChain(sentBy, remember(sendersSet, "arp saddr ip", expr.PayloadBaseNetworkHeader, arpSender, 4))}
	nobody := netip.PrefixFrom(netip.IPv4Unspecified(), 32)
	chains[0].rules = append([]rule{join(sentBy(nobody), accept())}, append(chains[0].rules, drop())...)
	for _, b := range f.Bridges {
		guests[b.Name] = drop()
		if b.Address.IsValid() {
			guests[b.Name] = jump(insideChain)
		}
		for _, tap := range b.Taps {
			guests[tap] = drop()
		}
	}
	input := nftables.ChainHookRef(0) // NF_ARP_IN; the family counts its hooks in its own way.
	return table{
		family: nftables.TableFamilyARP, sets: []addressSet{f.senders()}, maps: []linkMap{{hostMap, guests}},
		chains: append(chains, baseChain("input", input, nftables.ChainPriorityFilter, incoming(hostMap))),
	}
}

// macTable keeps what bridges learn in bounds, where the kernel does not: frames from more addresses are dropped.
func (f Firewall) macTable() table {
	guests := map[string]rule{}
	for _, b := range f.Bridges {
		for _, tap := range b.Taps {
			guests[tap] = jump(insideChain)
		}
	}
	const etherSource = 6
	learn := remember(macsSet, "ether saddr", expr.PayloadBaseLLHeader, etherSource, 6)
	before := nftables.ChainPriorityRef(-200) // "filter" of the family bridge.
	return table{
		family: nftables.TableFamilyBridge, maps: []linkMap{{hostMap, guests}},
		sets: []addressSet{{name: macsSet, key: nftables.TypeEtherAddr, size: MaxLearned, timeout: macsKept}},
		chains: []chain{
			{name: insideChain, rules: []rule{join(learn, back()), drop()}},
			baseChain("prerouting", nftables.ChainHookPrerouting, before, incoming(hostMap)),
		},
	}
}
