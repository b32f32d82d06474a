package lab

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

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
	if object(d, n, "dhcp", dhcpKeys(), spec) {
		spec.broken = len(d.diags) > before
		b.DHCP = spec
	}
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
		scalarKey(key[DHCPSpec]{
			name: "lease", schema: defaulting(pattern(durationForm, 0), "10m"),
			doc: "How long an address is lent: 90s, 10m, 1h30m. At least 30s and at most a year.",
		}, "a time such as 10m", parseLease, func(s *DHCPSpec) *Field[time.Duration] { return &s.Lease }),
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
			read: readOptions,
		},
	}
}

func appendSet[V any](all []Field[V], one Field[V]) []Field[V] {
	if !one.Set {
		return all
	}
	return append(all, one)
}

func reservationKeys() []key[ReservationSpec] {
	return []key[ReservationSpec]{
		scalarKey(key[ReservationSpec]{
			name: "guest", schema: pattern(hostnameForm, 63),
			doc: "The guest that the address is for; its first card on this bridge counts.",
		}, "the name of a guest", parseReference, func(r *ReservationSpec) *Field[string] { return &r.Guest }),
		scalarKey(key[ReservationSpec]{
			name: "mac", schema: macSchema(),
			doc: "The MAC address of a client that is not a guest of the lab.",
		}, "a MAC address", parseMAC, func(r *ReservationSpec) *Field[macgen.MAC] { return &r.MAC }),
		scalarKey(key[ReservationSpec]{
			name: "address", required: true, schema: ipv4(),
			doc: "The address that is kept.",
		}, "an address", parseAddr, func(r *ReservationSpec) *Field[netip.Addr] { return &r.Address }),
	}
}

// readOptions reads the mapping `options`, whose keys are names or numbers of
// DHCP options and whose values are single values or lists of them.
func readOptions(d *decoder, n *yaml.Node, s *DHCPSpec) {
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
			s.Options = append(s.Options, OptionSpec{
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
