package lab

import (
	"net/netip"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// How many elements the lists of a server's file can have.
const (
	maxInterfaces = 64
	maxSubnets    = 256
)

// serverKeys are the keys of the file of `kvmlab dhcp serve --config`.
func serverKeys() []key[serverSpec] {
	return []key[serverSpec]{
		scalarKey(key[serverSpec]{
			name: "version", required: true, schema: constant(Version),
			doc: "The edition of the file's language. Always 1.",
		}, "a number", parseVersion, func(s *serverSpec) *Field[int] { return &s.Version }),
		{
			name: "interfaces", schema: oneOrListOf(pattern(linkNameForm, maxLinkName), maxInterfaces),
			doc: "The interfaces to listen on; --interface takes their place.",
			read: func(d *decoder, n *yaml.Node, s *serverSpec) {
				d.oneOrMany(n, "interfaces", maxInterfaces, func(e *yaml.Node) {
					s.Interfaces = appendSet(s.Interfaces, readScalar(d, e, "interfaces", "a name", parseLinkName("interface")))
				})
			},
		},
		scalarKey(key[serverSpec]{
			name: "server-id", schema: ipv4(),
			doc: "The server identifier (option 54), one of the interface's addresses. By default its address in the subnet.",
		}, "an address", parseService, func(s *serverSpec) *Field[netip.Addr] { return &s.ServerID }),
		boolKey("echo-relay-info", true, "Whether what a relay adds (option 82) is sent back to it, as RFC 3046 wants.",
			func(s *serverSpec) *Field[bool] { return &s.EchoRelayInfo }),
		scalarKey(key[serverSpec]{
			name: "offer-hold", schema: defaulting(pattern(durationForm, 0), "45s"),
			doc: "How long an offered address is held for its client.",
		}, "a time such as 45s", parseLease, func(s *serverSpec) *Field[time.Duration] { return &s.OfferHold }),
		scalarKey(key[serverSpec]{
			name: "quarantine", schema: defaulting(pattern(durationForm, 0), "10m"),
			doc: "How long an address that somebody else uses stays out of use.",
		}, "a time such as 10m", parseLease, func(s *serverSpec) *Field[time.Duration] { return &s.Quarantine }),
		{
			name: "subnets", required: true,
			schema: listOf(objectSchema("A network and what is lent there.", subnetKeys()), maxSubnets),
			doc:    "The networks that are served.",
			read: func(d *decoder, n *yaml.Node, s *serverSpec) {
				s.Subnets = objects(d, n, "subnets", "a subnet", maxSubnets, subnetKeys(),
					func(one *subnetSpec, p diag.Pos, broken bool) { one.Pos, one.broken = p, broken })
			},
		},
	}
}

// subnetKeys are those of `dhcp` in a lab file, whose reservations name no guests.
func subnetKeys() []key[subnetSpec] {
	keys := []key[subnetSpec]{
		scalarKey(key[subnetSpec]{
			name: "subnet", required: true, schema: ipv4Prefix(),
			doc: "The network: 192.168.1.0/24.",
		}, "a network", parsePrefix, func(s *subnetSpec) *Field[netip.Prefix] { return &s.Subnet }),
		boolKey("relayed", false, "Whether the clients of the subnet are behind a relay: no interface need have an address in it.",
			func(s *subnetSpec) *Field[bool] { return &s.Relayed }),
	}
	for _, k := range allDHCPKeys() {
		read := k.read
		if k.name == "reservations" {
			read = func(d *decoder, n *yaml.Node, s *DHCPSpec) {
				s.Reservations = objects(d, n, "reservations", "a reservation", maxReservations, clientKeys(),
					func(r *ReservationSpec, p diag.Pos, broken bool) { r.Pos, r.broken = p, broken })
			}
		}
		keys = append(keys, key[subnetSpec]{
			name: k.name, doc: k.doc, schema: k.schema,
			read: func(d *decoder, n *yaml.Node, s *subnetSpec) { read(d, n, &s.DHCPSpec) },
		})
	}
	return keys
}
