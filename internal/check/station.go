package check

import (
	"net/netip"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/station"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// Station is what kvmlab itself plays on a bridge while a check is tried.
type Station struct {
	Pos     diag.Pos
	Plays   yamlfile.Field[string]
	Bridge  yamlfile.Field[string]
	Number  yamlfile.Field[int]
	Address yamlfile.Field[netip.Prefix]
	Range   yamlfile.Field[lab.Range]

	segment int // the bridge's place in the lab
}

// Part is the station's part: the client with number 1 unless it says otherwise.
func (s *Station) Part() station.Part {
	role := station.Role(1 + slices.Index(station.Roles(), s.Plays.Or(station.Client.String())))
	return station.Part{
		Role: role, Number: s.Number.Or(1), Bridge: s.Bridge.Value, Segment: s.segment, Address: s.Address.Value,
		First: s.Range.Value.First, Last: s.Range.Value.Last,
	}
}

// asks reports whether the station begins an exchange, which a check can be about.
func (s *Station) asks() bool { return s != nil && s.Part().Role.Asks() }

// intrudes reports whether the station changes what guests go through, so that nothing else can be tried beside it.
func (s *Station) intrudes() bool { return s != nil && !s.Part().Role.Asks() }

func stationKeys() []yamlfile.Key[Station] {
	var roles []any
	for _, role := range station.Roles() {
		roles = append(roles, role)
	}
	return []yamlfile.Key[Station]{
		yamlfile.ScalarKey(yamlfile.Key[Station]{
			Name: "plays", Schema: yamlfile.Defaulting(&jsonschema.Schema{Enum: roles}, station.Client.String()),
			Doc: "client: asks for an address, and gives it back when the checks are over. relay: asks as a relay. rogue: answers as a DHCP server. squatter: has an address.",
		}, "a word", oneOf(station.Roles()...), func(s *Station) *yamlfile.Field[string] { return &s.Plays }),
		textField("bridge", "The bridge of the lab that it is plugged into.", true, func(s *Station) *yamlfile.Field[string] { return &s.Bridge }),
		yamlfile.ScalarKey(yamlfile.Key[Station]{
			Name: "number", Schema: yamlfile.Integer(1, station.Most, 1), Doc: "Which station it is; another one is another client.",
		}, "a number", parseStationNumber, func(s *Station) *yamlfile.Field[int] { return &s.Number }),
		yamlfile.ScalarKey(yamlfile.Key[Station]{
			Name: "address", Schema: &jsonschema.Schema{Type: "string"},
			Doc: "The address of a relay (giaddr), rogue or squatter; a rogue's with the length of the prefix.",
		}, "an address", parseAddrOrPrefix, func(s *Station) *yamlfile.Field[netip.Prefix] { return &s.Address }),
		yamlfile.ScalarKey(yamlfile.Key[Station]{
			Name: "range", Schema: &jsonschema.Schema{Type: "string"}, Doc: "What a rogue lends.",
		}, "a range", lab.ParseRange, func(s *Station) *yamlfile.Field[lab.Range] { return &s.Range }),
	}
}

// parseAddrOrPrefix reads an address; without a length it stands for itself alone.
func parseAddrOrPrefix(s yamlfile.Scalar) (netip.Prefix, *diag.Diagnostic) {
	if a, err := netip.ParseAddr(s.Value); err == nil && a.Is4() {
		return netip.PrefixFrom(a, 32), nil
	}
	return yamlfile.ParsePrefix(s)
}

func parseStationNumber(s yamlfile.Scalar) (int, *diag.Diagnostic) {
	v, d := yamlfile.ParseInt(s)
	if d == nil && (v < 1 || v > station.Most) {
		return 0, diag.New(diag.TooLarge, diag.Args{"what": "station " + s.Value, "limit": station.Most})
	}
	return v, d
}

// station checks what the settings of a station mean together, and in the lab.
func (p *parser) station(s *Station) {
	s.segment = p.bridge(s.Bridge)
	role, bad := s.Part().Role, ""
	switch {
	case role == station.Client && s.Address.Set:
		bad = "a client has no address of its own: it asks for one"
	case role != station.Client && !s.Address.Set:
		bad = "a relay, a rogue and a squatter need an address"
	case role == station.Rogue && (!s.Range.Set || s.Address.Value.Bits() == 32):
		bad = "a rogue needs a range to lend, and an address with the length of its prefix"
	case role != station.Rogue && s.Range.Set:
		bad = "only a rogue lends a range"
	}
	if bad != "" {
		p.Add(s.Pos, diag.BadSettings, diag.Args{"kind": "station", "reason": bad})
	}
}

// bridge checks the name of a bridge of the lab, and gives its place there.
func (p *parser) bridge(f yamlfile.Field[string]) int {
	var known []string
	for _, b := range p.spec.Bridges {
		known = append(known, b.Name.Value)
	}
	place := slices.Index(known, f.Value)
	if f.Set && place < 0 {
		p.Add(f.Pos, diag.BridgeNotInLab, diag.Args{"bridge": f.Value, "suggestion": yamlfile.Suggest(f.Value, known), "known": known})
	}
	return place
}

// subject checks that an assertion about an exchange says whose: a guest's, or the station's.
func (p *parser) subject(c *Check) {
	if kinds()[c.Assert.Kind].asked && !c.Assert.Guest.Set && !c.Station.asks() {
		p.Add(c.Assert.Pos, diag.MissingKey, diag.Args{"key": "guest", "where": c.Assert.Kind})
	}
}
