package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// filterToken is a word, bracket or operator of an expression.
type filterToken struct {
	text string
	at   int
}

// filterParser parses by recursive descent.
type filterParser struct {
	expression string
	tokens     []filterToken
	next       int
	depth      int
}

// maxDepth bounds nesting, so that no expression exhausts the stack.
const maxDepth = 64

func (p *filterParser) fail(at int, format string, args ...any) error {
	return &FilterError{Expression: p.expression, At: at, Reason: fmt.Sprintf(format, args...)}
}

// split cuts the expression into tokens.
func (p *filterParser) split() error {
	for at := 0; at < len(p.expression); {
		switch c := p.expression[at]; {
		case c == ' ' || c == '\t' || c == '\n':
			at++
		case c == '(' || c == ')' || c == '!':
			p.tokens = append(p.tokens, filterToken{string(c), at})
			at++
		case strings.HasPrefix(p.expression[at:], "&&") || strings.HasPrefix(p.expression[at:], "||"):
			p.tokens = append(p.tokens, filterToken{p.expression[at : at+2], at})
			at += 2
		case wordChar(c):
			end := at
			for end < len(p.expression) && wordChar(p.expression[end]) {
				end++
			}
			p.tokens = append(p.tokens, filterToken{strings.ToLower(p.expression[at:end]), at})
			at = end
		default:
			return p.fail(at, "%q is not understood here; kvmlab knows a subset of pcap-filter: %s", c, filterWords)
		}
	}
	return nil
}

const filterWords = "host, net, port, ether host, ether broadcast, src, dst, arp, icmp, udp, tcp, ip, ip6, and, or, not, ( )"

func wordChar(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte(".:/-_", c) >= 0
}

// peek is the next token; after the last one it is empty and stands at the end.
func (p *filterParser) peek() filterToken {
	if p.next < len(p.tokens) {
		return p.tokens[p.next]
	}
	return filterToken{at: len(p.expression)}
}

// accept takes the next token if it is one of words.
func (p *filterParser) accept(words ...string) bool {
	for _, word := range words {
		if p.peek().text == word {
			p.next++
			return true
		}
	}
	return false
}

func (p *filterParser) parse() (filterNode, error) {
	if len(p.tokens) == 0 {
		return nil, p.fail(0, "the expression is empty")
	}
	node, err := p.chain()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.text != "" {
		return nil, p.fail(t.at, "%q is not understood here; \"and\" or \"or\" is missing before it, or it is not in kvmlab's "+
			"subset of pcap-filter: %s", t.text, filterWords)
	}
	return node, nil
}

// chain is X and Y or Z, from the left: pcap-filter gives both the same precedence.
func (p *filterParser) chain() (filterNode, error) {
	left, err := p.negated()
	for err == nil {
		var right filterNode
		switch {
		case p.accept("and", "&&"):
			if right, err = p.negated(); err == nil {
				left = allOf{left, right}
			}
		case p.accept("or", "||"):
			if right, err = p.negated(); err == nil {
				left = anyOf{left, right}
			}
		default:
			return left, nil
		}
	}
	return nil, err
}

func (p *filterParser) negated() (filterNode, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(p.peek().at, "nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case p.accept("not", "!"):
		inner, err := p.negated()
		return noneOf{inner}, err
	case p.accept("("):
		inner, err := p.chain()
		if err == nil && !p.accept(")") {
			err = p.fail(p.peek().at, "a closing bracket is missing")
		}
		return inner, err
	default:
		return p.primitive()
	}
}

// direction says which of two addresses or ports is meant.
type direction uint8

const (
	either direction = iota
	source
	destination
)

func (p *filterParser) direction() direction {
	switch {
	case p.accept("src"):
		return source
	case p.accept("dst"):
		return destination
	default:
		return either
	}
}

func (p *filterParser) primitive() (filterNode, error) {
	t := p.peek()
	switch {
	case p.accept("arp"):
		return etherType(TypeARP), nil
	case p.accept("ip"):
		return etherType(TypeIPv4), nil
	case p.accept("ip6"):
		return etherType(TypeIPv6), nil
	case p.accept("icmp"):
		return allOf{etherType(TypeIPv4), compare{off: 23, size: 1, value: protoICMP}}, nil
	case p.accept("udp"):
		return p.transport(protoUDP)
	case p.accept("tcp"):
		return p.transport(protoTCP)
	case p.accept("ether"):
		return p.ether()
	}
	way := p.direction()
	switch {
	case p.accept("host"):
		return p.host(way)
	case p.accept("net"):
		return p.network(way)
	case p.accept("port"):
		return p.port(way, protoUDP, protoTCP)
	case t.text == "":
		return nil, p.fail(t.at, "the expression ends where a condition was expected")
	}
	t = p.peek()
	return nil, p.fail(t.at, "%q is not in kvmlab's subset of pcap-filter: %s", t.text, filterWords)
}

// transport is "udp" alone, or with a port.
func (p *filterParser) transport(proto uint32) (filterNode, error) {
	begin := p.next
	way := p.direction()
	if p.accept("port") {
		return p.port(way, proto)
	}
	if p.next != begin {
		return nil, p.fail(p.peek().at, "\"port\" was expected")
	}
	return anyOf{
		allOf{etherType(TypeIPv4), compare{off: 23, size: 1, value: proto}},
		allOf{etherType(TypeIPv6), compare{off: 20, size: 1, value: proto}},
	}, nil
}

func (p *filterParser) ether() (filterNode, error) {
	if p.accept("broadcast") {
		return macAt(0, [6]byte{255, 255, 255, 255, 255, 255}), nil
	}
	way := p.direction()
	p.accept("host")
	t := p.peek()
	mac, err := net.ParseMAC(t.text)
	if err != nil || len(mac) != 6 {
		return nil, p.fail(t.at, "a MAC address such as 02:00:5e:00:53:01 was expected, not %q", t.text)
	}
	p.next++
	return directed(way, macAt(6, [6]byte(mac)), macAt(0, [6]byte(mac))), nil
}

func (p *filterParser) host(way direction) (filterNode, error) {
	t := p.peek()
	addr, err := netip.ParseAddr(t.text)
	if err != nil || !addr.Is4() {
		return nil, p.fail(t.at, "an IPv4 address was expected, not %q", t.text)
	}
	p.next++
	return within(way, netip.PrefixFrom(addr, 32)), nil
}

func (p *filterParser) network(way direction) (filterNode, error) {
	t := p.peek()
	prefix, err := netip.ParsePrefix(t.text)
	if err != nil || !prefix.Addr().Is4() || prefix != prefix.Masked() {
		return nil, p.fail(t.at, "a network such as 192.168.1.0/24 was expected, not %q", t.text)
	}
	p.next++
	return within(way, prefix), nil
}

// within matches addresses in IPv4 and in ARP, as pcap-filter's host does.
func within(way direction, prefix netip.Prefix) filterNode {
	mask := uint32(0)
	if prefix.Bits() > 0 {
		mask = ^uint32(0) << (32 - prefix.Bits())
	}
	addr := prefix.Addr().As4()
	value := binary.BigEndian.Uint32(addr[:])
	at := func(off uint32) filterNode { return compare{off: off, size: 4, mask: mask, masked: true, value: value} }
	return anyOf{
		allOf{etherType(TypeIPv4), directed(way, at(26), at(30))},
		allOf{etherType(TypeARP), directed(way, at(28), at(38))},
	}
}

func (p *filterParser) port(way direction, protos ...uint32) (filterNode, error) {
	t := p.peek()
	port, err := strconv.ParseUint(t.text, 10, 16)
	if err != nil {
		return nil, p.fail(t.at, "a port from 0 to 65535 was expected, not %q", t.text)
	}
	p.next++
	var v4, v6 filterNode
	for _, proto := range protos {
		v4 = orElse(v4, compare{off: 23, size: 1, value: proto})
		v6 = orElse(v6, compare{off: 20, size: 1, value: proto})
	}
	at4 := func(off uint32) filterNode { return behindIPv4{off: off, value: uint32(port)} }
	at6 := func(off uint32) filterNode { return compare{off: off, size: 2, value: uint32(port)} }
	firstFragment := compare{off: 20, size: 2, mask: 0x1fff, masked: true}
	return anyOf{
		allOf{allOf{etherType(TypeIPv4), v4}, allOf{firstFragment, directed(way, at4(14), at4(16))}},
		allOf{allOf{etherType(TypeIPv6), v6}, directed(way, at6(54), at6(56))},
	}, nil
}

func orElse(left, right filterNode) filterNode {
	if left == nil {
		return right
	}
	return anyOf{left, right}
}

func directed(way direction, src, dst filterNode) filterNode {
	switch way {
	case source:
		return src
	case destination:
		return dst
	default:
		return anyOf{src, dst}
	}
}

func etherType(t EtherType) filterNode { return compare{off: 12, size: 2, value: uint32(t)} }

// macAt compares the six octets at off.
func macAt(off uint32, mac [6]byte) filterNode {
	return allOf{
		compare{off: off + 2, size: 4, value: binary.BigEndian.Uint32(mac[2:])},
		compare{off: off, size: 2, value: uint32(binary.BigEndian.Uint16(mac[:]))},
	}
}
