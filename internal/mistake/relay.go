package mistake

import (
	"net/netip"
	"slices"

	"github.com/kvmlab/kvmlab/internal/conffile"
	"github.com/kvmlab/kvmlab/internal/diag"
)

// relay is what a program hands over: what it hears at one of its own addresses, to a server.
type relay struct {
	local, server       netip.Addr
	localPos, serverPos diag.Pos
}

// dhcpRelay reads dnsmasq's local address[,server[#port]][,interface].
func (r *dnsmasqReader) dhcpRelay(line conffile.DnsmasqLine) {
	x := relay{localPos: line.Value.Pos, serverPos: line.Value.Pos}
	for i, v := range line.Fields[:min(2, len(line.Fields))] {
		address, err := netip.ParseAddr(v.Text)
		if err != nil {
			return // dnsmasq itself complains, or a name or port that says more than is known here
		}
		if i == 0 {
			x.local, x.localPos = address, v.Pos
		} else {
			x.server, x.serverPos = address, v.Pos
		}
	}
	r.c.relays = append(r.c.relays, x)
}

// relays compares what is handed over with the task of a relay.
func (f *finder) relays(c *config) {
	local, server := f.want.Address.Addr(), f.want.Relay
	right := func(x relay) bool { return x.local == local && (x.server == server || !x.server.IsValid()) }
	switch {
	case f.spoiled() || slices.ContainsFunc(c.relays, right):
	case len(c.relays) == 0:
		f.add(rankMeaning, diag.New(diag.RelayMissing, diag.Args{"program": c.program.name, "server": server}))
	default:
		if x := c.relays[0]; x.local != local {
			f.add(rankMeaning, diag.New(diag.RelayLocal, diag.Args{"got": x.local, "want": local}).At(x.localPos))
		} else {
			f.add(rankMeaning, diag.New(diag.RelayServer, diag.Args{"got": x.server, "want": server}).At(x.serverPos))
		}
	}
}
