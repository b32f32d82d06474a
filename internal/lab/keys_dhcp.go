package lab

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/macgen"
)

// readDHCP reads `dhcp`: a mapping, or off. YAML 1.1 readers turn a bare off
// into false, so false means the same.
func readDHCP(d *decoder, n *yaml.Node, b *BridgeSpec) {
	switch word := literal(n); {
	case word == "off" || word == "false":
		return
	case word != "":
		d.add(d.pos(n), diag.NotOneOf, diag.Args{
			"key": "dhcp", "value": word, "suggestion": "", "allowed": []string{"off", "a mapping with range, lease and so on"},
		})
		return
	}
	before := len(d.diags)
	spec := &DHCPSpec{Pos: d.pos(n)}
	if object(d, n, "dhcp", allDHCPKeys(), spec) {
		spec.broken = len(d.diags) > before
		b.DHCP = spec
	}
}

// allDHCPKeys are the keys under `dhcp`.
func allDHCPKeys() []key[DHCPSpec] {
	return slices.Concat(dhcpKeys(), clientDHCPKeys(), policyKeys())
}

func dhcpKeys() []key[DHCPSpec] {
	return []key[DHCPSpec]{
		{
			name: "range", schema: oneOrListOf(rangeSchema(), maxRanges),
			doc: "The addresses to lend, first-last, both included; several ranges as a list.",
			read: func(d *decoder, n *yaml.Node, s *DHCPSpec) {
				d.oneOrMany(n, "range", maxRanges, func(e *yaml.Node) {
					s.Ranges = appendSet(s.Ranges, readScalar(d, e, "range", "first-last", parseRange))
				})
			},
		},
		{
			name: "exclude", schema: oneOrListOf(rangeSchema(), maxRanges),
			doc: "Addresses inside range that are not lent, written like range.",
			read: func(d *decoder, n *yaml.Node, s *DHCPSpec) {
				d.oneOrMany(n, "exclude", maxRanges, func(e *yaml.Node) {
					s.Exclude = appendSet(s.Exclude, readScalar(d, e, "exclude", "first-last", parseRange))
				})
			},
		},
		scalarKey(key[DHCPSpec]{
			name: "lease", schema: defaulting(pattern(durationForm, 0), "10m"),
			doc: "How long an address is lent: 90s, 10m, 1h30m. At least 30s and at most a year.",
		}, "a time such as 10m", parseLease, func(s *DHCPSpec) *Field[time.Duration] { return &s.Lease }),
		scalarKey(key[DHCPSpec]{
			name: "min-lease", schema: pattern(durationForm, 0),
			doc: "The least time that a client that asks for a time (option 51) gets.",
		}, "a time such as 1m", parseLease, func(s *DHCPSpec) *Field[time.Duration] { return &s.MinLease }),
		scalarKey(key[DHCPSpec]{
			name: "max-lease", schema: pattern(durationForm, 0),
			doc: "The most time that a client that asks for a time (option 51) gets. By default lease.",
		}, "a time such as 1h", parseLease, func(s *DHCPSpec) *Field[time.Duration] { return &s.MaxLease }),
		{
			name: "dns", schema: oneOrListOf(ipv4(), maxServers),
			doc: "The DNS servers that clients are told (option 6). By default the bridge's address; [] for none.",
			read: func(d *decoder, n *yaml.Node, s *DHCPSpec) {
				s.DNSSet = true
				d.oneOrMany(n, "dns", maxServers, func(e *yaml.Node) {
					s.DNS = appendSet(s.DNS, readScalar(d, e, "dns", "an address", parseService))
				})
			},
		},
		{
			name: "router", schema: either(oneWord("none"), ipv4()),
			doc: "The default gateway that clients are told (option 3). By default the bridge's address; none for no router.",
			read: func(d *decoder, n *yaml.Node, s *DHCPSpec) {
				if literal(n) == "none" {
					s.Router = Field[netip.Addr]{Pos: d.pos(n), Set: true}
					return
				}
				s.Router = readScalar(d, n, "router", "an address or none", parseService)
			},
		},
	}
}

// clientDHCPKeys are about single clients, and about what else clients are told.
func clientDHCPKeys() []key[DHCPSpec] {
	return []key[DHCPSpec]{
		{
			name: "reservations", schema: listOf(reservationSchema(), maxReservations),
			doc: "Addresses that are kept for one client each, inside the ranges or outside.",
			read: func(d *decoder, n *yaml.Node, s *DHCPSpec) {
				s.Reservations = objects(d, n, "reservations", "a reservation", maxReservations, reservationKeys(),
					func(r *ReservationSpec, p diag.Pos, broken bool) { r.Pos, r.broken = p, broken })
			},
		},
		{
			name: "options", schema: optionsSchema(),
			doc:  "More DHCP options by name or number, for clients that ask for them.",
			read: func(d *decoder, n *yaml.Node, s *DHCPSpec) { readOptions(d, n, &s.Options) },
		},
		scalarKey(key[DHCPSpec]{
			name: "next-server", schema: ipv4(),
			doc: "The server that clients which boot from the network go on with (siaddr); see options 66 and 67 too.",
		}, "an address", parseService, func(s *DHCPSpec) *Field[netip.Addr] { return &s.NextServer }),
		{
			name: "faults", schema: oneOrListOf(&jsonschema.Schema{Type: "string"}, maxFaults),
			doc: "What the server is to do wrong from the start, for teaching: drop=OFFER#2, delay=ACK:3s, duplicate=REQUEST, nak, " +
				"router=, mask= or dns= and an address, pool-full, lease=10s, silent. See kvmlab dhcp fault.",
			read: func(d *decoder, n *yaml.Node, s *DHCPSpec) {
				d.oneOrMany(n, "faults", maxFaults, func(e *yaml.Node) {
					s.Faults = appendSet(s.Faults, readScalar(d, e, "faults", "a fault such as drop=OFFER", parseFault))
				})
			},
		},
	}
}

// policyKeys are the choices that the standards leave to whoever runs a server.
func policyKeys() []key[DHCPSpec] {
	return []key[DHCPSpec]{
		boolKey("authoritative", false,
			"Whether a client that asks for a lease nobody knows of is told no (NAK); otherwise it hears nothing, as there may be another server.",
			func(s *DHCPSpec) *Field[bool] { return &s.Authoritative }),
		boolKey("match-client-id", true,
			"Whether a client that sends an identifier (option 61) is known by it; false goes by the MAC alone, for guests cloned from one disk.",
			func(s *DHCPSpec) *Field[bool] { return &s.MatchClientID }),
		boolKey("probe", true,
			"Whether an address is looked for by ARP before it is offered to a client for the first time.",
			func(s *DHCPSpec) *Field[bool] { return &s.Probe }),
		boolKey("rapid-commit", false,
			"Whether a client that asks for it gets its ACK at once, without OFFER and REQUEST (option 80).",
			func(s *DHCPSpec) *Field[bool] { return &s.RapidCommit }),
		boolKey("auto-configure", true,
			"Whether a client that gets no address may make one up (169.254.x.x); false tells those that ask not to (option 116).",
			func(s *DHCPSpec) *Field[bool] { return &s.AutoConfigure }),
		scalarKey(key[DHCPSpec]{
			name: "ipv6-only-wait", schema: pattern(durationForm, 0),
			doc: "For how long clients that can do with IPv6 alone are to do without an IPv4 address (option 108).",
		}, "a time such as 30m", parseLease, func(s *DHCPSpec) *Field[time.Duration] { return &s.IPv6OnlyWait }),
	}
}

// boolKey is a key that is true or false.
func boolKey[T any](name string, usual bool, doc string, field func(*T) *Field[bool]) key[T] {
	schema := &jsonschema.Schema{Type: "boolean", Default: json.RawMessage(strconv.FormatBool(usual))}
	return scalarKey(key[T]{name: name, schema: schema, doc: doc}, "true or false", parseBool, field)
}

func parseBool(s scalar) (bool, *diag.Diagnostic) {
	if s.value == "true" || s.value == "false" {
		return s.value == "true", nil
	}
	return false, diag.New(diag.NotOneOf, diag.Args{
		"key": s.key, "value": s.value, "suggestion": "", "allowed": []string{"true", "false"},
	})
}

func appendSet[V any](all []Field[V], one Field[V]) []Field[V] {
	if !one.Set {
		return all
	}
	return append(all, one)
}

// reservationKeys are the keys of a reservation in a lab file.
func reservationKeys() []key[ReservationSpec] {
	guest := scalarKey(key[ReservationSpec]{
		name: "guest", schema: pattern(hostnameForm, 63),
		doc: "The guest that the address is for; its first card on this bridge counts.",
	}, "the name of a guest", parseReference, func(r *ReservationSpec) *Field[string] { return &r.Guest })
	return append([]key[ReservationSpec]{guest}, clientKeys()...)
}

// clientKeys are the keys of a reservation where there are no guests.
func clientKeys() []key[ReservationSpec] {
	return []key[ReservationSpec]{
		scalarKey(key[ReservationSpec]{
			name: "mac", schema: macSchema(),
			doc: "The MAC address of a client that is not a guest of the lab.",
		}, "a MAC address", parseMAC, func(r *ReservationSpec) *Field[macgen.MAC] { return &r.MAC }),
		scalarKey(key[ReservationSpec]{
			name: "client-id", schema: &jsonschema.Schema{Type: "string"},
			doc: "The identifier that the client sends (option 61), in place of its MAC: bytes in hexadecimal, its type first.",
		}, "bytes in hexadecimal", parseClientID, func(r *ReservationSpec) *Field[string] { return &r.ClientID }),
		scalarKey(key[ReservationSpec]{
			name: "address", required: true, schema: ipv4(),
			doc: "The address that is kept.",
		}, "an address", parseAddr, func(r *ReservationSpec) *Field[netip.Addr] { return &r.Address }),
		scalarKey(key[ReservationSpec]{
			name: "hostname", schema: pattern(hostnameForm, 63),
			doc: "The name that the client is told (option 12). By default the guest's.",
		}, "a hostname", parseGuestName, func(r *ReservationSpec) *Field[string] { return &r.Hostname }),
		{
			name: "options", schema: optionsSchema(),
			doc:  "DHCP options for this client alone, before those of all.",
			read: func(d *decoder, n *yaml.Node, r *ReservationSpec) { readOptions(d, n, &r.Options) },
		},
	}
}

// parseClientID reads a client identifier: 2 to 255 bytes (RFC 2132, section 9.14).
func parseClientID(s scalar) (string, *diag.Diagnostic) {
	digits := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(s.value))
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) < 2 || len(b) > 255 {
		return "", diag.New(diag.BadClientID, diag.Args{"value": s.value})
	}
	return digits, nil
}

// readOptions reads the mapping `options`, whose keys are names or numbers of
// DHCP options and whose values are single values or lists of them.
func readOptions(d *decoder, n *yaml.Node, into *[]OptionSpec) {
	n, ok := d.follow(n)
	if !ok {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, "options", "a mapping from option to value")
		return
	}
	d.open = append(d.open, n)
	defer func() { d.open = d.open[:len(d.open)-1] }()
	seen := make(map[string]int)
	codes := make(map[uint8]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if !d.keyName(name, "options", seen) {
			continue
		}
		kind, problem := findOption(name.Value)
		if problem != nil {
			d.diags.Add(problem.At(d.pos(name)))
			continue
		}
		if line, ok := codes[kind.code]; ok {
			d.add(d.pos(name), diag.DuplicateOption, diag.Args{"option": name.Value, "code": kind.code, "line": line})
			continue
		}
		codes[kind.code] = name.Line
		if text, ok := readOptionValue(d, value, name.Value, kind); ok {
			*into = append(*into, OptionSpec{
				Pos: d.pos(name), Option: Option{Name: optionLabel(name.Value), Code: kind.code, Value: text},
			})
		}
	}
}

// optionLabel is the name under which an option is kept: none for a number.
func optionLabel(written string) string {
	if _, err := strconv.Atoi(written); err == nil {
		return ""
	}
	return written
}

// readOptionValue checks each value against the option's kind and joins them.
func readOptionValue(d *decoder, n *yaml.Node, name string, kind optionKind) (string, bool) {
	var parts []string
	ok := true
	each := func(e *yaml.Node) {
		f := readScalar(d, e, "option "+name, kind.want(), func(s scalar) (string, *diag.Diagnostic) {
			if !kind.accepts(s.value) {
				return "", diag.New(diag.BadOptionValue, diag.Args{"option": name, "want": kind.want(), "value": s.value})
			}
			return s.value, nil
		})
		ok = ok && f.Set
		parts = append(parts, f.Value)
	}
	before := len(d.diags)
	if kind.many() {
		d.oneOrMany(n, "option "+name, maxOptionValues, each)
	} else {
		each(n)
	}
	ok = ok && len(parts) > 0 && len(d.diags) == before
	if len(parts) == 0 && len(d.diags) == before {
		d.wrong(n, "option "+name, kind.want())
	}
	return strings.Join(parts, ","), ok
}
