package lab

import (
	"net/netip"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// subnet is a block of addresses with a meaning of its own.
type subnet struct {
	prefix  string
	meaning string
}

// reservedSubnets cannot be a lab's: the kernel treats them specially.
func reservedSubnets() []subnet {
	return []subnet{
		{"0.0.0.0/8", "0.0.0.0/8, which means this host"},
		{"127.0.0.0/8", "127.0.0.0/8, which never leaves a machine"},
		{"169.254.0.0/16", "169.254.0.0/16, which hosts without DHCP give themselves"},
		{"224.0.0.0/4", "224.0.0.0/4, the multicast groups"},
		{"240.0.0.0/4", "240.0.0.0/4, which is reserved"},
	}
}

// freeSubnets belong to nobody on the internet: RFC 1918, 6598, 5737 and 2544.
func freeSubnets() []string {
	return []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
		"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15",
	}
}

// checkBridges checks each bridge's address, and that no two subnets overlap.
// An address found wrong is unset, so that what depends on it is not reported.
func checkBridges(d *yamlfile.Decoder, spec *Spec) {
	for i := range spec.Bridges {
		b := &spec.Bridges[i]
		if b.Internet.Value == NAT && !b.Address.Set {
			d.Add(b.Internet.Pos, diag.NATWithoutAddr, diag.Args{"bridge": b.Name.Value})
		}
		if !b.Address.Set {
			continue
		}
		if !checkAddress(d, b) {
			b.Address = yamlfile.Field[netip.Prefix]{Pos: b.Address.Pos}
			// What the file says of DHCP cannot be judged without the address.
			b.DHCP = nil
			continue
		}
		for _, other := range spec.Bridges[:i] {
			if other.Address.Set && other.Address.Value.Overlaps(b.Address.Value) {
				d.Add(b.Address.Pos, diag.BridgesOverlap, diag.Args{
					"bridge": b.Name.Value, "subnet": b.Address.Value.Masked(),
					"other": other.Name.Value, "othersubnet": other.Address.Value.Masked(), "line": other.Address.Pos.Line,
				})
			}
		}
	}
}

// checkAddress reports whether a bridge's address can be used.
func checkAddress(d *yamlfile.Decoder, b *BridgeSpec) bool {
	address := b.Address.Value
	net := address.Masked()
	reason := ""
	switch {
	case net.Bits() > 30:
		reason = "it has no room for a guest"
	case net.Bits() < 8:
		reason = "it is larger than any private network"
	}
	if reason != "" {
		d.Add(b.Address.Pos, diag.BadPrefixLength, diag.Args{"subnet": net, "reason": reason})
		return false
	}
	for _, r := range reservedSubnets() {
		if netip.MustParsePrefix(r.prefix).Overlaps(net) {
			d.Add(b.Address.Pos, diag.ReservedSubnet, diag.Args{"subnet": net, "reason": r.meaning})
			return false
		}
	}
	if which := edge(net, address.Addr()); which != "" {
		d.Add(b.Address.Pos, diag.HostBitsZero, diag.Args{
			"address": address.Addr(), "which": which, "example": netip.PrefixFrom(net.Addr().Next(), net.Bits()),
		})
		return false
	}
	for _, free := range freeSubnets() {
		if p := netip.MustParsePrefix(free); p.Contains(net.Addr()) && p.Bits() <= net.Bits() {
			return true
		}
	}
	d.Add(b.Address.Pos, diag.PublicSubnet, diag.Args{"subnet": net, "bridge": b.Name.Value})
	return true
}

// edge says which of a subnet's two addresses that belong to no host a is:
// "network", "broadcast", or "" for neither.
func edge(net netip.Prefix, a netip.Addr) string {
	switch a {
	case net.Masked().Addr():
		return "network"
	case broadcast(net):
		return "broadcast"
	}
	return ""
}

// broadcast is the last address of a subnet, all host bits one.
func broadcast(net netip.Prefix) netip.Addr {
	n := addrNumber(net.Addr()) | uint32(uint64(1)<<(32-net.Bits())-1)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
