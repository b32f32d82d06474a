package netsetup

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rule is a rule as nft writes it, and as the kernel takes it.
type rule struct {
	text  string
	exprs []expr.Any
}

// join makes one rule of its parts.
func join(parts ...rule) rule {
	var words []string
	var all rule
	for _, p := range parts {
		words = append(words, p.text)
		all.exprs = append(all.exprs, p.exprs...)
	}
	all.text = strings.Join(words, " ")
	return all
}

const returns, accepts, drops = expr.VerdictReturn, expr.VerdictAccept, expr.VerdictDrop

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

var (
	accept     = rule{"accept", verdict(accepts)}
	drop       = rule{"drop", verdict(drops)}
	masquerade = rule{"masquerade", []expr.Any{&expr.Masq{}}}
)

// link matches the name of a link, which may come and go.
func link(word string, key expr.MetaKey, op expr.CmpOp, name string) rule {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	if op == expr.CmpOpNeq {
		word += " !="
	}
	return rule{word + ` "` + name + `"`, []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: padded},
	}}
}

func in(name string) rule     { return link("iifname", expr.MetaKeyIIFNAME, expr.CmpOpEq, name) }
func notIn(name string) rule  { return link("iifname", expr.MetaKeyIIFNAME, expr.CmpOpNeq, name) }
func out(name string) rule    { return link("oifname", expr.MetaKeyOIFNAME, expr.CmpOpEq, name) }
func notOut(name string) rule { return link("oifname", expr.MetaKeyOIFNAME, expr.CmpOpNeq, name) }

// established matches what belongs to a connection that was let through before.
func established() rule {
	bits := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	zero := binaryutil.NativeEndian.PutUint32(0)
	return rule{"ct state established,related", []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: bits, Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: zero},
	}}
}

// from matches the source address.
func from(prefix netip.Prefix) rule {
	const sourceOffset = 12 // RFC 791, section 3.1.
	return rule{"ip saddr " + prefix.Masked().String(), []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: sourceOffset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: net.CIDRMask(prefix.Bits(), 32), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: prefix.Masked().Addr().AsSlice()},
	}}
}

func forwardChain(rules ...rule) chain {
	return chain{
		name: "forward", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookForward,
		priority: nftables.ChainPriorityFilter, rules: rules,
	}
}

func postroutingChain(rules ...rule) chain {
	return chain{
		name: "postrouting", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPostrouting,
		priority: nftables.ChainPriorityNATSource, rules: rules,
	}
}

// hostTable is what a lab's table in the host's namespace holds. transfer is an isolated lab's transfer network.
//
// With br_netfilter the kernel shows these chains also the frames that only cross a bridge, in and out on the
// same link; they are none of the rules' business, and each rule leaves them alone.
func (n NAT) hostTable(transfer netip.Prefix) []chain {
	if n.Isolated {
		end := hostEnd(n.Lab)
		input := chain{
			name: "input", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookInput, priority: nftables.ChainPriorityFilter,
			rules: []rule{join(in(end), established(), accept), join(in(end), drop)}, // The host itself is not outside.
		}
		return []chain{
			input,
			forwardChain(join(notIn(end), out(end), established(), accept), join(notIn(end), out(end), drop)),
			postroutingChain(join(from(transfer), notOut(end), masquerade)),
		}
	}
	var forward, postrouting []rule
	for _, b := range n.Bridges {
		if b.Out {
			forward = append(forward, join(notIn(b.Name), out(b.Name), established(), accept), join(notIn(b.Name), out(b.Name), drop))
			postrouting = append(postrouting, join(from(b.Subnet), notOut(b.Name), masquerade))
		}
	}
	return []chain{forwardChain(forward...), postroutingChain(postrouting...)}
}

// insideTable is what the table in an isolated lab's own namespace holds. That forwards now: only from the
// bridges with a way out to the cable, and back.
func (n NAT) insideTable() []chain {
	rules := []rule{join(in(UplinkName), established(), accept)}
	for _, b := range n.Bridges {
		rules = append(rules, join(in(b.Name), out(b.Name), accept)) // A frame that br_netfilter shows.
		if b.Out {
			rules = append(rules, join(in(b.Name), out(UplinkName), accept))
		}
	}
	forward := forwardChain(rules...)
	forward.drop = true
	input := chain{
		name: "input", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookInput, priority: nftables.ChainPriorityFilter,
		rules: []rule{join(in(UplinkName), established(), accept), join(in(UplinkName), drop)},
	}
	return []chain{input, forward, postroutingChain(join(out(UplinkName), masquerade))}
}

// NATCommands returns the commands that make the way out by hand, without its marks.
func NATCommands(n NAT) []string {
	var commands []string
	transfer := firstTransfer(n.Lab)
	inside := "ip netns exec " + NamespaceName(n.Lab) + " "
	if n.Isolated {
		for _, command := range tableCommands(n.Lab, n.insideTable()) {
			commands = append(commands, inside+command)
		}
		commands = append(commands, cableCommands(n.Lab, transfer)...)
	}
	commands = append(commands, tableCommands(n.Lab, n.hostTable(transfer))...)
	if n.Isolated {
		commands = append(commands, inside+"sysctl -w net.ipv4.ip_forward=1")
	}
	return commands
}

func tableCommands(lab string, chains []chain) []string {
	table := "ip " + NamespaceName(lab) + " "
	commands := []string{"nft add table " + strings.TrimSpace(table)}
	for _, c := range chains {
		policy := "accept"
		if c.drop {
			policy = "drop"
		}
		commands = append(commands, "nft 'add chain "+table+c.name+" { type "+string(c.kind)+" hook "+c.name+
			" priority "+map[bool]string{true: "srcnat", false: "filter"}[c.kind == nftables.ChainTypeNAT]+"; policy "+policy+"; }'")
		for _, r := range c.rules {
			commands = append(commands, "nft 'add rule "+table+c.name+" "+r.text+"'")
		}
	}
	return slices.Clip(commands)
}
