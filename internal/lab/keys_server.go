package lab

import (
	"net/netip"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// How many elements the lists of a server's file can have.
const (
	maxInterfaces = 64
	maxSubnets    = 256
)

// serverKeys are the keys of the file of `kvmlab dhcp serve --config`.
func serverKeys() []yamlfile.Key[serverSpec] {
	return []yamlfile.Key[serverSpec]{
		yamlfile.ScalarKey(yamlfile.Key[serverSpec]{
			Name: "version", Required: true, Schema: yamlfile.Constant(Version),
			Doc: "The edition of the file's language. Always 1.",
		}, "a number", parseVersion, func(s *serverSpec) *yamlfile.Field[int] { return &s.Version }),
		{
			Name: "interfaces", Schema: yamlfile.OneOrListOf(yamlfile.Pattern(linkNameForm, maxLinkName), maxInterfaces),
			Doc: "The interfaces to listen on; --interface takes their place.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *serverSpec) {
				d.OneOrMany(n, "interfaces", maxInterfaces, func(e *yaml.Node) {
					s.Interfaces = yamlfile.AppendSet(s.Interfaces, yamlfile.ReadScalar(d, e, "interfaces", "a name", parseLinkName("interface")))
				})
			},
		},
		yamlfile.ScalarKey(yamlfile.Key[serverSpec]{
			Name: "server-id", Schema: ipv4(),
			Doc: "The server identifier (option 54), one of the interface's addresses. By default its address in the subnet.",
		}, "an address", parseService, func(s *serverSpec) *yamlfile.Field[netip.Addr] { return &s.ServerID }),
		yamlfile.BoolKey("echo-relay-info", true, "Whether what a relay adds (option 82) is sent back to it, as RFC 3046 wants.",
			func(s *serverSpec) *yamlfile.Field[bool] { return &s.EchoRelayInfo }),
		yamlfile.ScalarKey(yamlfile.Key[serverSpec]{
			Name: "offer-hold", Schema: yamlfile.Defaulting(yamlfile.Pattern(durationForm, 0), "45s"),
			Doc: "How long an offered address is held for its client.",
		}, "a time such as 45s", parseLease, func(s *serverSpec) *yamlfile.Field[time.Duration] { return &s.OfferHold }),
		yamlfile.ScalarKey(yamlfile.Key[serverSpec]{
			Name: "quarantine", Schema: yamlfile.Defaulting(yamlfile.Pattern(durationForm, 0), "10m"),
			Doc: "How long an address that somebody else uses stays out of use.",
		}, "a time such as 10m", parseQuarantine, func(s *serverSpec) *yamlfile.Field[time.Duration] { return &s.Quarantine }),
		{
			Name: "subnets", Required: true,
			Schema: yamlfile.ListOf(yamlfile.ObjectSchema("A network and what is lent there.", subnetKeys()), maxSubnets),
			Doc:    "The networks that are served.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *serverSpec) {
				s.Subnets = yamlfile.Objects(d, n, "subnets", "a subnet", maxSubnets, subnetKeys(),
					func(one *subnetSpec, p diag.Pos, broken bool) { one.Pos, one.broken = p, broken })
			},
		},
	}
}

// subnetKeys are those of `dhcp` in a lab file, whose reservations name no guests.
func subnetKeys() []yamlfile.Key[subnetSpec] {
	keys := []yamlfile.Key[subnetSpec]{
		yamlfile.ScalarKey(yamlfile.Key[subnetSpec]{
			Name: "subnet", Required: true, Schema: ipv4Prefix(),
			Doc: "The network: 192.168.1.0/24.",
		}, "a network", yamlfile.ParsePrefix, func(s *subnetSpec) *yamlfile.Field[netip.Prefix] { return &s.Subnet }),
		yamlfile.BoolKey("relayed", false, "Whether the clients of the subnet are behind a relay: no interface need have an address in it.",
			func(s *subnetSpec) *yamlfile.Field[bool] { return &s.Relayed }),
	}
	for _, k := range allDHCPKeys() {
		read := k.Read
		if k.Name == "reservations" {
			read = func(d *yamlfile.Decoder, n *yaml.Node, s *DHCPSpec) {
				s.Reservations = yamlfile.Objects(d, n, "reservations", "a reservation", maxReservations, clientKeys(),
					func(r *ReservationSpec, p diag.Pos, broken bool) { r.Pos, r.broken = p, broken })
			}
		}
		keys = append(keys, yamlfile.Key[subnetSpec]{
			Name: k.Name, Doc: k.Doc, Schema: k.Schema,
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *subnetSpec) { read(d, n, &s.DHCPSpec) },
		})
	}
	return keys
}
