package lab

import (
	"net/netip"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// Server is what `kvmlab dhcp serve` serves: a DHCP server without a lab.
type Server struct {
	// Interfaces are the links that it listens on.
	Interfaces []string
	// ServerID is the server identifier (option 54), the zero Addr for the
	// interface's address.
	ServerID netip.Addr
	Subnets  []ServedSubnet
	// DropRelayInfo leaves option 82 out of replies.
	DropRelayInfo bool
	// OfferHold and Quarantine are as in the DHCP server's configuration; zero is
	// its default.
	OfferHold, Quarantine time.Duration
}

// ServedSubnet is one network of a Server.
type ServedSubnet struct {
	Prefix netip.Prefix
	// Relayed means that no interface of the server is in it: its clients come
	// through a relay.
	Relayed bool
	DHCP    DHCP
}

// serverSpec is a server's file or flags as they were written.
type serverSpec struct {
	Version       yamlfile.Field[int]
	Interfaces    []yamlfile.Field[string]
	ServerID      yamlfile.Field[netip.Addr]
	EchoRelayInfo yamlfile.Field[bool]
	OfferHold     yamlfile.Field[time.Duration]
	Quarantine    yamlfile.Field[time.Duration]
	Subnets       []subnetSpec
}

// subnetSpec is an element of `subnets`: the keys of `dhcp` in a lab file, with
// the network that they are about.
type subnetSpec struct {
	DHCPSpec

	Subnet  yamlfile.Field[netip.Prefix]
	Relayed yamlfile.Field[bool]
}

// ParseServer reads the file of `kvmlab dhcp serve --config`. interfaces, from
// flags, take the place of those in the file. The error is a [diag.List] with
// every mistake, as from [Parse].
func ParseServer(file string, src []byte, interfaces []string) (*Server, error) {
	d := &yamlfile.Decoder{}
	spec := &serverSpec{}
	readServer(d, spec, file, src)
	if len(interfaces) > 0 {
		spec.Interfaces = nil
		for _, name := range interfaces {
			spec.Interfaces = append(spec.Interfaces, flagField(d, "--interface", name, parseLinkName("interface")))
		}
	}
	return server(d, spec, diag.Pos{File: file})
}

// readServer is the counterpart of parse.
func readServer(d *yamlfile.Decoder, spec *serverSpec, file string, src []byte) {
	if root, ok := d.Open(file, src); ok {
		yamlfile.Object(d, root, "the server", serverKeys(), spec)
	}
}

// server checks what has been read and makes the Server of it. whole is where to
// point when something is missing.
func server(d *yamlfile.Decoder, spec *serverSpec, whole diag.Pos) (*Server, error) {
	if len(d.Diags.Errors()) == 0 {
		if len(spec.Interfaces) == 0 {
			d.Add(whole, diag.MissingKey, diag.Args{"key": "interfaces", "where": "the server"})
		}
		if len(spec.Subnets) == 0 {
			d.Add(whole, diag.MissingKey, diag.Args{"key": "subnets", "where": "the server"})
		}
	}
	checkInterfaces(d, spec.Interfaces)
	for i := range spec.Subnets {
		checkSubnet(d, spec, i)
	}
	d.Diags.Sort()
	if err := d.Diags.Err(); err != nil {
		return nil, err
	}
	return spec.resolve(), nil
}

func checkInterfaces(d *yamlfile.Decoder, names []yamlfile.Field[string]) {
	seen := make(map[string]int)
	for _, name := range names {
		if line, ok := seen[name.Value]; ok {
			d.Add(name.Pos, diag.DuplicateName, diag.Args{"kind": "interface", "name": name.Value, "line": line})
		}
		seen[name.Value] = name.Pos.Line
	}
}

// checkSubnet checks one subnet, and that it overlaps none before it.
func checkSubnet(d *yamlfile.Decoder, spec *serverSpec, i int) {
	s := &spec.Subnets[i]
	if !s.Subnet.Set {
		return
	}
	net := s.Subnet.Value
	switch {
	case net != net.Masked():
		d.Add(s.Subnet.Pos, diag.BadSubnet, diag.Args{"subnet": net, "suggestion": net.Masked()})
		return
	case net.Bits() > 30:
		d.Add(s.Subnet.Pos, diag.BadPrefixLength, diag.Args{"subnet": net, "reason": "it has no room for a client"})
		return
	case net.Bits() < 8:
		d.Add(s.Subnet.Pos, diag.BadPrefixLength, diag.Args{"subnet": net, "reason": "it is larger than any private network"})
		return
	}
	for _, other := range spec.Subnets[:i] {
		if other.Subnet.Set && other.Subnet.Value.Overlaps(net) {
			d.Add(s.Subnet.Pos, diag.SubnetsOverlap, diag.Args{
				"subnet": net, "other": other.Subnet.Value, "line": other.Subnet.Pos.Line,
			})
		}
	}
	if !s.assigns() {
		d.Add(s.Pos, diag.NothingToLend, diag.Args{"subnet": net, "ranges": len(s.Ranges)})
	}
	checkServed(d, segment{net: net, dhcp: &s.DHCPSpec})
}

// resolve fills in the defaults. A server alone names no router and no DNS server
// unless it is told to: it need not be one itself.
func (spec *serverSpec) resolve() *Server {
	s := &Server{
		Interfaces: values(spec.Interfaces), ServerID: spec.ServerID.Value,
		DropRelayInfo: !spec.EchoRelayInfo.Or(true), OfferHold: spec.OfferHold.Value, Quarantine: spec.Quarantine.Value,
	}
	for i := range spec.Subnets {
		sub := &spec.Subnets[i]
		s.Subnets = append(s.Subnets, ServedSubnet{
			Prefix: sub.Subnet.Value, Relayed: sub.Relayed.Value, DHCP: *newDHCP(&sub.DHCPSpec, netip.Addr{}),
		})
	}
	return s
}
