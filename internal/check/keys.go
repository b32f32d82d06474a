package check

import (
	"net/netip"
	"regexp"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// How many elements the lists of a checks.yaml can have.
const (
	maxChecks  = 100
	maxHints   = 3
	maxSteps   = 64
	maxPoints  = 100
	maxWithin  = 10 * time.Minute
	maxListing = 32
)

var (
	idForm   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	codeForm = regexp.MustCompile(`^KL[0-9]{3}$`)
)

func fileKeys() []yamlfile.Key[File] {
	return []yamlfile.Key[File]{
		yamlfile.ScalarKey(yamlfile.Key[File]{
			Name: "version", Required: true, Schema: yamlfile.Constant(Version),
			Doc: "The edition of the language of checks. Always 1.",
		}, "a number", parseVersion, func(f *File) *yamlfile.Field[int] { return &f.Version }),
		yamlfile.BoolKey("solve", true, "Whether `kvmlab scenario solve` may apply the solution.",
			func(f *File) *yamlfile.Field[bool] { return &f.Solve }),
		{
			Name: "task", Schema: yamlfile.ObjectSchema("The DHCP server that a guest is to become.", taskKeys()),
			Doc: "What a guest is to do as a DHCP server, so that the cause of a failed check is looked for in its files.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, f *File) {
				f.Task = &Task{Pos: d.Pos(n)}
				yamlfile.Object(d, n, "the task", taskKeys(), f.Task)
			},
		},
		{
			Name: "checks", Required: true, Doc: "What must be so, in the order in which a student comes to it.",
			Schema: yamlfile.ListOf(yamlfile.ObjectSchema("A check.", checkKeys()), maxChecks),
			Read: func(d *yamlfile.Decoder, n *yaml.Node, f *File) {
				for _, c := range yamlfile.Objects(d, n, "checks", "a check", maxChecks, checkKeys(),
					func(c *Check, p diag.Pos, _ bool) { c.Pos = p }) {
					f.Checks = append(f.Checks, &c)
				}
			},
		},
		yamlfile.BoolKey("draw", false, "The exercise begins solved but for one of the listed mistakes, drawn from a seed.",
			func(f *File) *yamlfile.Field[bool] { return &f.Draw }),
		stepsKey("start", "What is done once, when the exercise begins.", func(f *File) *[]Step { return &f.Start }),
		stepsKey("solution", "What solves the exercise; it may be applied more than once.", func(f *File) *[]Step { return &f.Solution }),
		{
			Name: "mistakes", Doc: "What students get wrong. `kvmlab scenario test` makes each and looks what the checks say.",
			Schema: yamlfile.ListOf(yamlfile.ObjectSchema("A mistake.", mistakeKeys()), maxChecks),
			Read: func(d *yamlfile.Decoder, n *yaml.Node, f *File) {
				f.Mistakes = yamlfile.Objects(d, n, "mistakes", "a mistake", maxChecks, mistakeKeys(),
					func(m *Mistake, p diag.Pos, _ bool) { m.Pos = p })
			},
		},
	}
}

func checkKeys() []yamlfile.Key[Check] {
	return []yamlfile.Key[Check]{
		yamlfile.ScalarKey(yamlfile.Key[Check]{
			Name: "id", Required: true, Schema: yamlfile.Pattern(idForm, 40), Doc: "The check's name: small letters, digits and dashes.",
		}, "a name", parseID, func(c *Check) *yamlfile.Field[string] { return &c.ID }),
		yamlfile.ScalarKey(yamlfile.Key[Check]{
			Name: "points", Schema: yamlfile.Integer(0, maxPoints, 1), Doc: "What it is worth.",
		}, "a number", parsePoints, func(c *Check) *yamlfile.Field[int] { return &c.Points }),
		{
			Name: "needs", Schema: yamlfile.OneOrListOf(yamlfile.Pattern(idForm, 40), maxListing),
			Doc: "The checks without which this one makes no sense.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, c *Check) {
				d.OneOrMany(n, "needs", maxListing, func(e *yaml.Node) {
					c.Needs = yamlfile.AppendSet(c.Needs, yamlfile.ReadScalar(d, e, "needs", "the id of a check", filled))
				})
			},
		},
		yamlfile.ScalarKey(yamlfile.Key[Check]{
			Name: "within", Schema: &jsonschema.Schema{Type: "string"}, Doc: "How long to try again before it counts as failed: 30s.",
		}, "a time such as 30s", parseWithin, func(c *Check) *yamlfile.Field[time.Duration] { return &c.Within }),
		textKey("message", "What must be so, in a few words.", true, func(c *Check) *Texts { return &c.Message }),
		{
			Name: "hints", Schema: yamlfile.ListOf(textsSchema(), maxHints),
			Doc: "Up to three hints, each more open than the one before.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, c *Check) {
				d.List(n, "hints", maxHints, func(e *yaml.Node) { c.Hints = append(c.Hints, readTexts(d, e, "a hint")) })
			},
		},
		{
			Name: "station", Schema: yamlfile.ObjectSchema("A station.", stationKeys()),
			Doc: "What kvmlab itself plays on a bridge while the check is tried. Without a guest, the assertion is about it.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, c *Check) {
				c.Station = &Station{Pos: d.Pos(n)}
				yamlfile.Object(d, n, "the station", stationKeys(), c.Station)
			},
		},
		{
			Name: "assert", Required: true, Schema: assertSchema(), Doc: "The assertion: one kind and its settings.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, c *Check) { c.Assert = readAssertion(d, n) },
		},
	}
}

func taskKeys() []yamlfile.Key[Task] {
	return []yamlfile.Key[Task]{
		textField("guest", "The guest that is to serve.", true, func(t *Task) *yamlfile.Field[string] { return &t.Guest }),
		textField("nic", "Its card on the served network: eth1.", true, func(t *Task) *yamlfile.Field[string] { return &t.NIC }),
		yamlfile.ScalarKey(yamlfile.Key[Task]{
			Name: "address", Required: true, Schema: &jsonschema.Schema{Type: "string"},
			Doc: "Its address there, with the length of the subnet's prefix.",
		}, "an address such as 192.168.1.1/24", yamlfile.ParsePrefix, func(t *Task) *yamlfile.Field[netip.Prefix] { return &t.Address }),
		yamlfile.ScalarKey(yamlfile.Key[Task]{
			Name: "relay", Schema: &jsonschema.Schema{Type: "string"},
			Doc: "The guest is not to serve but to relay what it hears on the card, to the server with this address.",
		}, "an address", yamlfile.ParseAddr, func(t *Task) *yamlfile.Field[netip.Addr] { return &t.Relay }),
		yamlfile.ScalarKey(yamlfile.Key[Task]{
			Name: "range", Schema: &jsonschema.Schema{Type: "string"}, Doc: "What it is to lend: 192.168.1.2-192.168.1.10.",
		}, "a range", lab.ParseRange, func(t *Task) *yamlfile.Field[lab.Range] { return &t.Range }),
		yamlfile.ScalarKey(yamlfile.Key[Task]{
			Name: "lease", Schema: &jsonschema.Schema{Type: "string"}, Doc: "The lease time that is asked.",
		}, "a time", parseSpan, func(t *Task) *yamlfile.Field[time.Duration] { return &t.Lease }),
		yamlfile.BoolKey("authoritative", false, "Whether a wrong REQUEST is to be answered by a NAK.",
			func(t *Task) *yamlfile.Field[bool] { return &t.Authoritative }),
		{
			Name: "programs", Schema: yamlfile.OneOrListOf(&jsonschema.Schema{Enum: []any{"isc", "kea", "dnsmasq"}}, 3),
			Doc: "The programs that the task allows. By default all.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, t *Task) {
				d.OneOrMany(n, "programs", 3, func(e *yaml.Node) {
					t.Programs = yamlfile.AppendSet(t.Programs,
						yamlfile.ReadScalar(d, e, "programs", "a program", oneOf("isc", "kea", "dnsmasq")))
				})
			},
		},
		{
			Name: "options", Schema: mapSchema("Options by their names in dhcpd.conf."), Doc: "Options that clients are to get.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, t *Task) { t.Options = readMap(d, n, "options") },
		},
		{
			Name: "reservations", Doc: "Addresses that are to be kept for guests.",
			Schema: yamlfile.ListOf(yamlfile.ObjectSchema("A reservation.", reservationKeys()), maxListing),
			Read: func(d *yamlfile.Decoder, n *yaml.Node, t *Task) {
				t.Reservations = yamlfile.Objects(d, n, "reservations", "a reservation", maxListing, reservationKeys(),
					func(*Reservation, diag.Pos, bool) {})
			},
		},
	}
}

func reservationKeys() []yamlfile.Key[Reservation] {
	return []yamlfile.Key[Reservation]{
		textField("guest", "Whom the address is for.", true, func(r *Reservation) *yamlfile.Field[string] { return &r.Guest }),
		textField("nic", "Its card; by default eth0.", false, func(r *Reservation) *yamlfile.Field[string] { return &r.NIC }),
		yamlfile.ScalarKey(yamlfile.Key[Reservation]{
			Name: "address", Required: true, Schema: &jsonschema.Schema{Type: "string"}, Doc: "The address.",
		}, "an address", yamlfile.ParseAddr, func(r *Reservation) *yamlfile.Field[netip.Addr] { return &r.Address }),
	}
}

func stepKeys() []yamlfile.Key[Step] {
	return []yamlfile.Key[Step]{
		textField("guest", "The guest that the script runs in, as root.", false, func(s *Step) *yamlfile.Field[string] { return &s.Guest }),
		yamlfile.BoolKey("host", false, "The script runs on the host, in the lab's network namespace.",
			func(s *Step) *yamlfile.Field[bool] { return &s.Host }),
		textField("run", "The script, for /bin/sh.", false, func(s *Step) *yamlfile.Field[string] { return &s.Run }),
		textField("answer", "The check whose question is answered.", false, func(s *Step) *yamlfile.Field[string] { return &s.Answer }),
		textField("value", "The answer; left out, the right one.", false, func(s *Step) *yamlfile.Field[string] { return &s.Value }),
	}
}

func mistakeKeys() []yamlfile.Key[Mistake] {
	return []yamlfile.Key[Mistake]{
		textField("name", "What it is called.", true, func(m *Mistake) *yamlfile.Field[string] { return &m.Name }),
		stepsKey("steps", "How it is made, after the solution was applied.", func(m *Mistake) *[]Step { return &m.Steps }),
		textField("fails", "The first check that must fail.", true, func(m *Mistake) *yamlfile.Field[string] { return &m.Fails }),
		yamlfile.ScalarKey(yamlfile.Key[Mistake]{
			Name: "finds", Schema: yamlfile.Pattern(codeForm, 0), Doc: "The code of the cause that must be named first.",
		}, "a code such as KL703", filled, func(m *Mistake) *yamlfile.Field[string] { return &m.Finds }),
	}
}

func stepsKey[T any](name, doc string, field func(*T) *[]Step) yamlfile.Key[T] {
	return yamlfile.Key[T]{
		Name: name, Doc: doc, Schema: yamlfile.ListOf(yamlfile.ObjectSchema("A step.", stepKeys()), maxSteps),
		Read: func(d *yamlfile.Decoder, n *yaml.Node, into *T) {
			*field(into) = yamlfile.Objects(d, n, name, "a step", maxSteps, stepKeys(), func(s *Step, p diag.Pos, _ bool) { s.Pos = p })
		},
	}
}

// textField is a key with any text.
func textField[T any](name, doc string, required bool, field func(*T) *yamlfile.Field[string]) yamlfile.Key[T] {
	return yamlfile.ScalarKey(yamlfile.Key[T]{
		Name: name, Required: required, Schema: &jsonschema.Schema{Types: []string{"string", "number", "boolean"}}, Doc: doc,
	}, "a text", filled, field)
}

func mapSchema(doc string) *jsonschema.Schema {
	return &jsonschema.Schema{
		Type: "object", Description: doc,
		AdditionalProperties: &jsonschema.Schema{Types: []string{"string", "number", "boolean"}},
	}
}

// readMap reads a mapping from words to texts.
func readMap(d *yamlfile.Decoder, n *yaml.Node, where string) map[string]string {
	out := map[string]string{}
	d.Mapping(n, where, "a mapping from name to value", func(name, value *yaml.Node) {
		if f := yamlfile.ReadScalar(d, value, where+" "+name.Value, "a text", filled); f.Set {
			out[name.Value] = f.Value
		}
	})
	return out
}

func parseVersion(s yamlfile.Scalar) (int, *diag.Diagnostic) {
	v, d := yamlfile.ParseInt(s)
	if d == nil && v != Version {
		return 0, diag.New(diag.BadVersion, diag.Args{"version": v, "known": Version})
	}
	return v, d
}

func parseID(s yamlfile.Scalar) (string, *diag.Diagnostic) {
	if !idForm.MatchString(s.Value) {
		return "", diag.New(diag.BadCheckID, diag.Args{"id": s.Value})
	}
	return s.Value, nil
}

func parsePoints(s yamlfile.Scalar) (int, *diag.Diagnostic) {
	v, d := yamlfile.ParseInt(s)
	if d == nil && v > maxPoints {
		return 0, diag.New(diag.TooLarge, diag.Args{"what": "a check is worth " + s.Value + " points", "limit": maxPoints})
	}
	return v, d
}

func parseSpan(s yamlfile.Scalar) (time.Duration, *diag.Diagnostic) {
	span, err := time.ParseDuration(s.Value)
	if err != nil || span <= 0 {
		return 0, diag.New(diag.BadDuration, diag.Args{"key": s.Key, "value": s.Value})
	}
	return span, nil
}

func parseWithin(s yamlfile.Scalar) (time.Duration, *diag.Diagnostic) {
	span, d := parseSpan(s)
	if d == nil && span > maxWithin {
		return 0, diag.New(diag.TooLarge, diag.Args{"what": "a check is given " + s.Value, "limit": maxWithin})
	}
	return span, d
}
