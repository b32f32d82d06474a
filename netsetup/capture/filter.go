package capture

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// DHCPFilter passes what a DHCP exchange is made of: the messages themselves, ARP, and ICMP, with which servers and
// clients probe addresses.
const DHCPFilter = "arp or icmp or (udp and (port 67 or port 68))"

// FilterError says why an expression does not compile.
type FilterError struct {
	Expression string
	At         int // octet of Expression where the trouble begins
	Reason     string
}

// Error gives the reason and the place.
func (e *FilterError) Error() string {
	return fmt.Sprintf("filter %q, character %d: %s", e.Expression, e.At+1, e.Reason)
}

// Filter is a compiled expression.
type Filter struct {
	expression string
	raw        []bpf.RawInstruction
	vm         *bpf.VM
}

// CompileFilter compiles an expression in a subset of the pcap-filter language (pcap-filter(7)):
//
//	arp  icmp  udp  tcp  ip  ip6                     the protocol
//	[src|dst] host 192.168.1.2                       an IPv4 address, in IPv4 or ARP
//	[src|dst] net 192.168.1.0/24                     a network of them
//	ether [src|dst] host 02:00:5e:00:53:01           a MAC address
//	ether broadcast                                  ff:ff:ff:ff:ff:ff
//	[udp|tcp] [src|dst] port 67                      a port of UDP or TCP
//	not X   X and Y   X or Y   ( X )                 also ! && ||; "and" and "or" have the same precedence, as there
//
// As there, frames with a VLAN tag match no protocol. Everything else is a *FilterError.
func CompileFilter(expression string) (*Filter, error) {
	p := &filterParser{expression: expression}
	if err := p.split(); err != nil {
		return nil, err
	}
	node, err := p.parse()
	if err != nil {
		return nil, err
	}
	program, err := assemble(node)
	if err != nil {
		return nil, &FilterError{Expression: expression, Reason: err.Error()}
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, &FilterError{Expression: expression, Reason: err.Error()}
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		return nil, &FilterError{Expression: expression, Reason: err.Error()}
	}
	return &Filter{expression: expression, raw: raw, vm: vm}, nil
}

// String gives the expression.
func (f *Filter) String() string { return f.expression }

// MatchPacket reports whether a packet passes, whatever its link layer is. A nil Filter passes everything.
func (f *Filter) MatchPacket(p *Packet) bool { return f == nil || f.Match(p.asEthernet()) }

// Match reports whether an Ethernet frame passes. A nil Filter passes everything.
func (f *Filter) Match(frame []byte) bool {
	if f == nil {
		return true
	}
	n, err := f.vm.Run(frame)
	return err == nil && n > 0
}
