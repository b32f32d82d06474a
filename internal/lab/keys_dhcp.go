package lab

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
	"github.com/kvmlab/kvmlab/macgen"
)

// readDHCP reads `dhcp`: a mapping, or off. YAML 1.1 readers turn a bare off
// into false, so false means the same.
func readDHCP(d *yamlfile.Decoder, n *yaml.Node, b *BridgeSpec) {
	switch word := literal(n); {
	case word == "off" || word == "false":
		return
	case word != "":
		d.Add(d.Pos(n), diag.NotOneOf, diag.Args{
			"key": "dhcp", "value": word, "suggestion": "", "allowed": []string{"off", "a mapping with range, lease and so on"},
		})
		return
	}
	before := len(d.Diags)
	spec := &DHCPSpec{Pos: d.Pos(n)}
	if yamlfile.Object(d, n, "dhcp", allDHCPKeys(), spec) {
		spec.broken = len(d.Diags) > before
		b.DHCP = spec
	}
}

// allDHCPKeys are the keys under `dhcp`.
func allDHCPKeys() []yamlfile.Key[DHCPSpec] {
	return slices.Concat(dhcpKeys(), clientDHCPKeys(), policyKeys())
}

func dhcpKeys() []yamlfile.Key[DHCPSpec] {
	return []yamlfile.Key[DHCPSpec]{
		{
			Name: "range", Schema: yamlfile.OneOrListOf(rangeSchema(), maxRanges),
			Doc: "The addresses to lend, first-last, both included; several ranges as a list.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *DHCPSpec) {
				d.OneOrMany(n, "range", maxRanges, func(e *yaml.Node) {
					s.Ranges = yamlfile.AppendSet(s.Ranges, yamlfile.ReadScalar(d, e, "range", "first-last", ParseRange))
				})
			},
		},
		{
			Name: "exclude", Schema: yamlfile.OneOrListOf(rangeSchema(), maxRanges),
			Doc: "Addresses inside range that are not lent, written like range.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *DHCPSpec) {
				d.OneOrMany(n, "exclude", maxRanges, func(e *yaml.Node) {
					s.Exclude = yamlfile.AppendSet(s.Exclude, yamlfile.ReadScalar(d, e, "exclude", "first-last", ParseRange))
				})
			},
		},
		yamlfile.ScalarKey(yamlfile.Key[DHCPSpec]{
			Name: "lease", Schema: yamlfile.Defaulting(yamlfile.Pattern(durationForm, 0), "10m"),
			Doc: "How long an address is lent: 90s, 10m, 1h30m. At least 30s and at most a year.",
		}, "a time such as 10m", parseLease, func(s *DHCPSpec) *yamlfile.Field[time.Duration] { return &s.Lease }),
		yamlfile.ScalarKey(yamlfile.Key[DHCPSpec]{
			Name: "min-lease", Schema: yamlfile.Pattern(durationForm, 0),
			Doc: "The least time that a client that asks for a time (option 51) gets. By default 30s, or lease if that is less.",
		}, "a time such as 1m", parseLease, func(s *DHCPSpec) *yamlfile.Field[time.Duration] { return &s.MinLease }),
		yamlfile.ScalarKey(yamlfile.Key[DHCPSpec]{
			Name: "max-lease", Schema: yamlfile.Pattern(durationForm, 0),
			Doc: "The most time that a client that asks for a time (option 51) gets. By default lease.",
		}, "a time such as 1h", parseLease, func(s *DHCPSpec) *yamlfile.Field[time.Duration] { return &s.MaxLease }),
		{
			Name: "dns", Schema: yamlfile.OneOrListOf(ipv4(), maxServers),
			Doc: "The DNS servers that clients are told (option 6). By default the bridge's address; [] for none.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *DHCPSpec) {
				s.DNSSet = true
				d.OneOrMany(n, "dns", maxServers, func(e *yaml.Node) {
					s.DNS = yamlfile.AppendSet(s.DNS, yamlfile.ReadScalar(d, e, "dns", "an address", parseService))
				})
			},
		},
		{
			Name: "router", Schema: yamlfile.Either(yamlfile.OneWord("none"), ipv4()),
			Doc: "The default gateway that clients are told (option 3). By default the bridge's address; none for no router.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *DHCPSpec) {
				if literal(n) == "none" {
					s.Router = yamlfile.Field[netip.Addr]{Pos: d.Pos(n), Set: true}
					return
				}
				s.Router = yamlfile.ReadScalar(d, n, "router", "an address or none", parseService)
			},
		},
	}
}

// clientDHCPKeys are about single clients, and about what else clients are told.
func clientDHCPKeys() []yamlfile.Key[DHCPSpec] {
	return []yamlfile.Key[DHCPSpec]{
		{
			Name: "reservations", Schema: yamlfile.ListOf(reservationSchema(), maxReservations),
			Doc: "Addresses that are kept for one client each, inside the ranges or outside.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *DHCPSpec) {
				s.Reservations = yamlfile.Objects(d, n, "reservations", "a reservation", maxReservations, reservationKeys(),
					func(r *ReservationSpec, p diag.Pos, broken bool) { r.Pos, r.broken = p, broken })
			},
		},
		{
			Name: "options", Schema: optionsSchema(),
			Doc:  "More DHCP options by name or number, for clients that ask for them.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *DHCPSpec) { readOptions(d, n, &s.Options) },
		},
		yamlfile.ScalarKey(yamlfile.Key[DHCPSpec]{
			Name: "next-server", Schema: ipv4(),
			Doc: "The server that clients which boot from the network go on with (siaddr); see options 66 and 67 too.",
		}, "an address", parseService, func(s *DHCPSpec) *yamlfile.Field[netip.Addr] { return &s.NextServer }),
		{
			Name: "faults", Schema: yamlfile.OneOrListOf(&jsonschema.Schema{Type: "string"}, maxFaults),
			Doc: "What the server is to do wrong from the start, for teaching: drop=OFFER#2, delay=ACK:3s, duplicate=REQUEST, nak, " +
				"router=, mask= or dns= and an address, pool-full, lease=10s, silent. See kvmlab dhcp fault.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *DHCPSpec) {
				d.OneOrMany(n, "faults", maxFaults, func(e *yaml.Node) {
					s.Faults = yamlfile.AppendSet(s.Faults, yamlfile.ReadScalar(d, e, "faults", "a fault such as drop=OFFER", parseFault))
				})
			},
		},
	}
}

// policyKeys are the choices that the standards leave to whoever runs a server.
func policyKeys() []yamlfile.Key[DHCPSpec] {
	return []yamlfile.Key[DHCPSpec]{
		yamlfile.BoolKey("authoritative", false,
			"Whether a client that asks for a lease nobody knows of is told no (NAK); otherwise it hears nothing, as there may be another server.",
			func(s *DHCPSpec) *yamlfile.Field[bool] { return &s.Authoritative }),
		yamlfile.BoolKey("match-client-id", true,
			"Whether a client that sends an identifier (option 61) is known by it; false goes by the MAC alone, for guests cloned from one disk.",
			func(s *DHCPSpec) *yamlfile.Field[bool] { return &s.MatchClientID }),
		yamlfile.BoolKey("probe", true,
			"Whether an address is looked for by ARP before it is offered to a client for the first time.",
			func(s *DHCPSpec) *yamlfile.Field[bool] { return &s.Probe }),
		yamlfile.BoolKey("rapid-commit", false,
			"Whether a client that asks for it gets its ACK at once, without OFFER and REQUEST (option 80).",
			func(s *DHCPSpec) *yamlfile.Field[bool] { return &s.RapidCommit }),
		yamlfile.BoolKey("auto-configure", true,
			"Whether a client that gets no address may make one up (169.254.x.x); false tells those that ask not to (option 116).",
			func(s *DHCPSpec) *yamlfile.Field[bool] { return &s.AutoConfigure }),
		yamlfile.ScalarKey(yamlfile.Key[DHCPSpec]{
			Name: "ipv6-only-wait", Schema: yamlfile.Pattern(durationForm, 0),
			Doc: "For how long clients that can do with IPv6 alone are to do without an IPv4 address (option 108).",
		}, "a time such as 30m", parseLease, func(s *DHCPSpec) *yamlfile.Field[time.Duration] { return &s.IPv6OnlyWait }),
	}
}

// reservationKeys are the keys of a reservation in a lab file.
func reservationKeys() []yamlfile.Key[ReservationSpec] {
	guest := yamlfile.ScalarKey(yamlfile.Key[ReservationSpec]{
		Name: "guest", Schema: yamlfile.Pattern(hostnameForm, 63),
		Doc: "The guest that the address is for; its first card on this bridge counts.",
	}, "the name of a guest", parseReference, func(r *ReservationSpec) *yamlfile.Field[string] { return &r.Guest })
	return append([]yamlfile.Key[ReservationSpec]{guest}, clientKeys()...)
}

// clientKeys are the keys of a reservation where there are no guests.
func clientKeys() []yamlfile.Key[ReservationSpec] {
	return []yamlfile.Key[ReservationSpec]{
		yamlfile.ScalarKey(yamlfile.Key[ReservationSpec]{
			Name: "mac", Schema: macSchema(),
			Doc: "The MAC address of a client that is not a guest of the lab.",
		}, "a MAC address", parseMAC, func(r *ReservationSpec) *yamlfile.Field[macgen.MAC] { return &r.MAC }),
		yamlfile.ScalarKey(yamlfile.Key[ReservationSpec]{
			Name: "client-id", Schema: &jsonschema.Schema{Type: "string"},
			Doc: "The identifier that the client sends (option 61), in place of its MAC: bytes in hexadecimal, its type first.",
		}, "bytes in hexadecimal", parseClientID, func(r *ReservationSpec) *yamlfile.Field[string] { return &r.ClientID }),
		yamlfile.ScalarKey(yamlfile.Key[ReservationSpec]{
			Name: "circuit-id", Schema: &jsonschema.Schema{Type: "string"},
			Doc: "What a relay calls the port that the client is plugged into (option 82.1), in place of its MAC: bytes in hexadecimal.",
		}, "bytes in hexadecimal", parseCircuitID, func(r *ReservationSpec) *yamlfile.Field[string] { return &r.Circuit }),
		yamlfile.ScalarKey(yamlfile.Key[ReservationSpec]{
			Name: "address", Required: true, Schema: ipv4(),
			Doc: "The address that is kept.",
		}, "an address", yamlfile.ParseAddr, func(r *ReservationSpec) *yamlfile.Field[netip.Addr] { return &r.Address }),
		yamlfile.ScalarKey(yamlfile.Key[ReservationSpec]{
			Name: "hostname", Schema: yamlfile.Pattern(hostnameForm, 63),
			Doc: "The name that the client is told (option 12). By default the guest's.",
		}, "a hostname", parseGuestName, func(r *ReservationSpec) *yamlfile.Field[string] { return &r.Hostname }),
		{
			Name: "options", Schema: optionsSchema(),
			Doc:  "DHCP options for this client alone, before those of all.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, r *ReservationSpec) { readOptions(d, n, &r.Options) },
		},
	}
}

// parseClientID reads a client identifier: 2 to 255 bytes (RFC 2132, section 9.14).
func parseClientID(s yamlfile.Scalar) (string, *diag.Diagnostic) { return parseHex(s, 2, 255) }

// parseCircuitID reads a circuit identifier, which with its head has room in option 82 (RFC 3046, section 2.0).
func parseCircuitID(s yamlfile.Scalar) (string, *diag.Diagnostic) { return parseHex(s, 1, 253) }

// parseHex reads bytes in hexadecimal, with colons or without.
func parseHex(s yamlfile.Scalar, least, most int) (string, *diag.Diagnostic) {
	digits := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(s.Value))
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) < least || len(b) > most {
		return "", diag.New(diag.BadClientID, diag.Args{"value": s.Value})
	}
	return digits, nil
}

// readOptions reads the mapping `options`, whose keys are names or numbers of
// DHCP options and whose values are single values or lists of them.
func readOptions(d *yamlfile.Decoder, n *yaml.Node, into *[]OptionSpec) {
	codes := make(map[uint8]int)
	d.Mapping(n, "options", "a mapping from option to value", func(name, value *yaml.Node) {
		kind, problem := findOption(name.Value)
		if problem != nil {
			d.Diags.Add(problem.At(d.Pos(name)))
			return
		}
		if line, ok := codes[kind.code]; ok {
			d.Add(d.Pos(name), diag.DuplicateOption, diag.Args{"option": name.Value, "code": kind.code, "line": line})
			return
		}
		codes[kind.code] = name.Line
		if text, ok := readOptionValue(d, value, name.Value, kind); ok {
			*into = append(*into, OptionSpec{
				Pos: d.Pos(name), Option: Option{Name: optionLabel(name.Value), Code: kind.code, Value: text},
			})
		}
	})
}

// optionLabel is the name under which an option is kept: none for a number.
func optionLabel(written string) string {
	if _, err := strconv.Atoi(written); err == nil {
		return ""
	}
	return written
}

// readOptionValue checks each value against the option's kind and joins them.
func readOptionValue(d *yamlfile.Decoder, n *yaml.Node, name string, kind optionKind) (string, bool) {
	var parts []string
	ok := true
	each := func(e *yaml.Node) {
		f := yamlfile.ReadScalar(d, e, "option "+name, kind.want(), func(s yamlfile.Scalar) (string, *diag.Diagnostic) {
			if !kind.accepts(s.Value) {
				return "", diag.New(diag.BadOptionValue, diag.Args{"option": name, "want": kind.want(), "value": s.Value})
			}
			return s.Value, nil
		})
		ok = ok && f.Set
		parts = append(parts, f.Value)
	}
	before := len(d.Diags)
	if kind.many() {
		d.OneOrMany(n, "option "+name, maxOptionValues, each)
	} else {
		each(n)
	}
	ok = ok && len(parts) > 0 && len(d.Diags) == before
	if len(parts) == 0 && len(d.Diags) == before {
		d.Wrong(n, "option "+name, kind.want())
	}
	return strings.Join(parts, ","), ok
}
