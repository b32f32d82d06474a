package netsetup

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

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

func verdict(kind expr.VerdictKind, chain string) rule {
	text := strings.TrimSpace(verdictWords()[kind] + " " + chain)
	return rule{text, []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}}
}

func verdictWords() map[expr.VerdictKind]string {
	return map[expr.VerdictKind]string{
		expr.VerdictAccept: "accept", expr.VerdictDrop: "drop", expr.VerdictReturn: "return", expr.VerdictJump: "jump",
	}
}

func accept() rule           { return verdict(expr.VerdictAccept, "") }
func drop() rule             { return verdict(expr.VerdictDrop, "") }
func back() rule             { return verdict(expr.VerdictReturn, "") } // To the chain that jumped here.
func jump(chain string) rule { return verdict(expr.VerdictJump, chain) }
func masquerade() rule       { return rule{"masquerade", []expr.Any{&expr.Masq{}}} }
func notrack() rule          { return rule{"notrack", []expr.Any{&expr.Notrack{}}} }

// in and out match the name of a link, which may come and go.
func in(name string) rule     { return link("iifname", expr.MetaKeyIIFNAME, expr.CmpOpEq, name) }
func out(name string) rule    { return link("oifname", expr.MetaKeyOIFNAME, expr.CmpOpEq, name) }
func notOut(name string) rule { return link("oifname", expr.MetaKeyOIFNAME, expr.CmpOpNeq, name) }

func link(word string, key expr.MetaKey, op expr.CmpOp, name string) rule {
	if op == expr.CmpOpNeq {
		word += " !="
	}
	return rule{word + ` "` + name + `"`, []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: linkKey(name)},
	}}
}

// linkKey is a link's name as nftables compares it.
func linkKey(name string) []byte {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return padded
}

// byLink looks the name of a link up in a map of verdicts.
func byLink(word string, key expr.MetaKey, name string) rule {
	return rule{word + " vmap @" + name, []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Lookup{SourceRegister: 1, SetName: name, IsDestRegSet: true},
	}}
}

func incoming(name string) rule { return byLink("iifname", expr.MetaKeyIIFNAME, name) }
func outgoing(name string) rule { return byLink("oifname", expr.MetaKeyOIFNAME, name) }

// state matches what conntrack makes of a packet: established and related belong to a connection that was let through
// before.
func state(words string, bits uint32) rule {
	mask, zero := binaryutil.NativeEndian.PutUint32(bits), binaryutil.NativeEndian.PutUint32(0)
	return rule{"ct state " + words, []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: zero},
	}}
}

func established() rule {
	return state("established,related", expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}
func invalid() rule { return state("invalid", expr.CtStateBitINVALID) }

// tooMany matches packets that begin a connection when more than so many have come in a second.
func tooMany(perSecond uint64, burst uint32) rule {
	return join(state("new", expr.CtStateBitNEW), rule{
		fmt.Sprintf("limit rate over %d/second burst %d packets", perSecond, burst),
		[]expr.Any{&expr.Limit{Type: expr.LimitTypePkts, Rate: perSecond, Unit: expr.LimitTimeSecond, Burst: burst, Over: true}},
	})
}

// protocol matches the network protocol, which the chains of an inet table see both of.
func protocol(word string, number byte) rule {
	return rule{"meta nfproto " + word, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
	}}
}

func ipv6() rule { return protocol("ipv6", unix.NFPROTO_IPV6) }

// ip makes a rule one about IPv4 packets, without a word: nft adds that by itself.
func ip(r rule) rule {
	return rule{r.text, append(protocol("ipv4", unix.NFPROTO_IPV4).exprs, r.exprs...)}
}

// Where addresses are in a packet, in bytes from the beginning of its header.
const (
	ipSource, ipDestination = 12, 16 // RFC 791, section 3.1.
	arpSender               = 14     // RFC 826, over Ethernet.
)

func from(prefix netip.Prefix) rule { return ip(addressed("ip saddr", ipSource, expr.CmpOpEq, prefix)) }

func to(prefix netip.Prefix) rule {
	return ip(addressed("ip daddr", ipDestination, expr.CmpOpEq, prefix))
}

func notFrom(prefix netip.Prefix) rule {
	return ip(addressed("ip saddr", ipSource, expr.CmpOpNeq, prefix))
}

// notTo matches packets to none of the addresses.
func notTo(addresses ...netip.Addr) rule {
	var all []rule
	for _, a := range addresses {
		all = append(all, addressed("ip daddr", ipDestination, expr.CmpOpNeq, netip.PrefixFrom(a, a.BitLen())))
	}
	return ip(join(all...))
}

func sentBy(prefix netip.Prefix) rule {
	return addressed("arp saddr ip", arpSender, expr.CmpOpEq, prefix)
}

func addressed(word string, offset uint32, op expr.CmpOp, prefix netip.Prefix) rule {
	if op == expr.CmpOpNeq {
		word += " !="
	}
	text := prefix.Masked().String()
	if prefix.IsSingleIP() {
		text = prefix.Addr().String()
	}
	r := rule{word + " " + text, []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
	}}
	if !prefix.IsSingleIP() {
		mask := net.CIDRMask(prefix.Bits(), 32)
		r.exprs = append(r.exprs, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)})
	}
	r.exprs = append(r.exprs, &expr.Cmp{Op: op, Register: 1, Data: prefix.Masked().Addr().AsSlice()})
	return r
}

// transport matches the protocol over IP.
func transport(number byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
	}
}

// The types of ICMP messages (RFC 792) that the rules know.
const icmpRedirect, icmpEcho = 5, 8

func icmp(word string, kind byte) rule {
	return ip(rule{"icmp type " + word, append(transport(unix.IPPROTO_ICMP),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind}})})
}

// dport matches the destination port of TCP or UDP.
func dport(s Service) rule {
	number := map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP}[s.Protocol]
	return rule{fmt.Sprintf("%s dport %d", s.Protocol, s.Port), append(transport(number),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(s.Port)})}
}

// remember puts the sender's address into a set, or keeps it there for longer. When the set is full, the rule does not
// match.
func remember(set, what string, base expr.PayloadBase, offset, length uint32) rule {
	return rule{"update @" + set + " { " + what + " }", []expr.Any{
		&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: length},
		&expr.Dynset{SrcRegKey: 1, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE},
	}}
}
