package check

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// Assertion is what a check asserts: a kind, and the settings of that kind. The other settings are not set.
type Assertion struct {
	Kind string
	Pos  diag.Pos

	Guest, NIC, From, To             yamlfile.Field[string]
	Server                           yamlfile.Field[string] // a guest, "kvmlab", or "none"
	Bridge, Name, Master             yamlfile.Field[string]
	Type, L2, L3, At, Field          yamlfile.Field[string]
	Unit, Process                    yamlfile.Field[string]
	Path, Format, Key, Value, Match  yamlfile.Field[string]
	Run                              yamlfile.Field[string]
	Address                          yamlfile.Field[netip.Addr]
	Range                            yamlfile.Field[lab.Range]
	Port, Status, Count              yamlfile.Field[int]
	Up, Exists, Host, Active, Follow yamlfile.Field[bool]
	Options                          map[string]string
	Ask                              Texts
}

// kind is a kind of assertion.
type kind struct {
	doc            string
	needs, accepts []string // settings
	// asked says that it is about an exchange of a guest, or of a station that asks.
	asked bool
	// fresh says that guests are asked to begin a new exchange first, so that the wire shows what is so now.
	fresh bool
	try   func(ctx context.Context, a *Assertion, e *scene) (Verdict, error)
}

// kinds are all assertions by their name in checks.yaml.
func kinds() map[string]kind {
	return map[string]kind{
		"exchange": {
			doc:   "A complete DISCOVER, OFFER, REQUEST, ACK of a guest: one xid, one server.",
			asked: true, accepts: []string{"guest", "nic", "server"}, fresh: true, try: tryExchange,
		},
		"server": {
			doc:   "Who answers a guest's DISCOVER: one server and no other, or none.",
			asked: true, needs: []string{"server"}, accepts: []string{"guest", "nic"}, fresh: true, try: tryServer,
		},
		"offer": {
			doc:   "What an OFFER or ACK (type) to a guest carries: options, an address in a range, its destination on the link (l2) and in IP (l3).",
			asked: true, accepts: []string{"guest", "nic", "type", "options", "range", "address", "l2", "l3"}, fresh: true, try: tryOffer,
		},
		"lease": {
			doc:   "A guest's lease in the records of the server itself: kvmlab's store, or the lease file in a guest.",
			asked: true, accepts: []string{"guest", "nic", "server", "range", "address"}, fresh: true, try: tryLease,
		},
		"applied": {
			doc:   "The address, default route and resolver of a guest are what the last ACK said.",
			needs: []string{"guest"}, accepts: []string{"nic"}, fresh: true, try: tryApplied,
		},
		"renewal": {
			doc:   "A guest has renewed its lease by unicast (T1), or by broadcast (T2), or given its address up at the end (expiry).",
			needs: []string{"guest", "at"}, accepts: []string{"nic"}, try: tryRenewal,
		},
		"message": {
			doc:   "A message (type: NAK, RELEASE, DECLINE, INFORM and others) from or to a guest was on the wire.",
			asked: true, needs: []string{"type"}, accepts: []string{"guest", "nic", "server"}, try: tryMessage,
		},
		"silence": {
			doc:   "A guest asks, and a server (or anybody: any) does not answer.",
			asked: true, needs: []string{"server"}, accepts: []string{"guest", "nic"}, fresh: true, try: trySilence,
		},
		"ping": {
			doc:   "One guest reaches another, or an address, by ICMP echo.",
			needs: []string{"from", "to"}, try: tryPing,
		},
		"arp": {
			doc:   "One guest knows another, or an address, on its link.",
			needs: []string{"from", "to"}, try: tryARP,
		},
		"port": {
			doc:   "A UDP socket of a guest listens on a port, perhaps of a process, perhaps on a card.",
			needs: []string{"guest", "port"}, accepts: []string{"nic", "process"}, try: tryPort,
		},
		"service": {
			doc:   "A unit of systemd in a guest is active (or not, with active: false) and has a process.",
			needs: []string{"guest", "unit"}, accepts: []string{"active", "process"}, try: tryService,
		},
		"file": {
			doc:   "A file in a guest: there or not, matching an expression (RE2), or with a value under a key of its format.",
			needs: []string{"guest", "path"}, accepts: []string{"exists", "match", "format", "key", "value"}, try: tryFile,
		},
		"link": {
			doc:   "A link of the lab's network namespace: there, up, in a bridge.",
			needs: []string{"name"}, accepts: []string{"exists", "up", "master"}, try: tryLink,
		},
		"answer": {
			doc:   "What the student answers to a question: a field of the newest message of a type to or from a guest, or of the one that shows a moment of its lease (at), taken from the lab's own capture; the MAC address of its card (mac); or a fixed value.",
			needs: []string{"ask"}, accepts: []string{"guest", "nic", "type", "at", "server", "field", "value"}, try: tryAnswer,
		},
		"command": {
			doc:   "A script in a guest, or on the host in the lab's namespace, ends with a status and prints what matches.",
			needs: []string{"run"}, accepts: []string{"guest", "host", "status", "match"}, try: tryCommand,
		},
	}
}

// Kinds are the names of all kinds of assertion, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds())) }

// settings are the keys of all kinds.
func settings() []yamlfile.Key[Assertion] {
	text := textField[Assertion]
	word := func(name, doc string, field func(*Assertion) *yamlfile.Field[string], words ...string) yamlfile.Key[Assertion] {
		var enum []any
		for _, w := range words {
			enum = append(enum, w)
		}
		return yamlfile.ScalarKey(yamlfile.Key[Assertion]{Name: name, Schema: &jsonschema.Schema{Enum: enum}, Doc: doc},
			"a word", oneOf(words...), field)
	}
	number := func(name, doc string, field func(*Assertion) *yamlfile.Field[int]) yamlfile.Key[Assertion] {
		return yamlfile.ScalarKey(yamlfile.Key[Assertion]{Name: name, Schema: &jsonschema.Schema{Type: "integer"}, Doc: doc},
			"a number", yamlfile.ParseInt, field)
	}
	return []yamlfile.Key[Assertion]{
		text("guest", "A guest of the lab.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.Guest }),
		text("nic", "A card of the guest; by default eth0.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.NIC }),
		text("from", "The guest that asks.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.From }),
		text("to", "A guest, or an address.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.To }),
		text("server", "A guest; kvmlab for the embedded server; none; any.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.Server }),
		text("name", "A link's name.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.Name }),
		text("master", "The bridge that a link is in.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.Master }),
		word("type", "A type of DHCP message.", func(a *Assertion) *yamlfile.Field[string] { return &a.Type }, messageTypes()...),
		word("l2", "Where a frame goes on the link.", func(a *Assertion) *yamlfile.Field[string] { return &a.L2 }, "broadcast", "client"),
		word("l3", "Where a packet goes in IP.", func(a *Assertion) *yamlfile.Field[string] { return &a.L3 }, "broadcast", "address"),
		word("at", "Which moment of a lease.", func(a *Assertion) *yamlfile.Field[string] { return &a.At }, "T1", "T2", "expiry"),
		word("field", "A field of a packet.", func(a *Assertion) *yamlfile.Field[string] { return &a.Field }, answerFields()...),
		text("unit", "A unit of systemd.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.Unit }),
		text("process", "The name of a process.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.Process }),
		text("path", "A path in the guest.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.Path }),
		word("format", "What the file is.", func(a *Assertion) *yamlfile.Field[string] { return &a.Format }, formats()...),
		text("key", "Where in the file: see docs/scenarios.md.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.Key }),
		text("value", "What must be there.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.Value }),
		yamlfile.ScalarKey(yamlfile.Key[Assertion]{
			Name: "match", Schema: &jsonschema.Schema{Type: "string"}, Doc: "A regular expression (RE2) that must be found.",
		}, "an expression", parseExpression, func(a *Assertion) *yamlfile.Field[string] { return &a.Match }),
		text("run", "A script for /bin/sh.", false, func(a *Assertion) *yamlfile.Field[string] { return &a.Run }),
		yamlfile.ScalarKey(yamlfile.Key[Assertion]{Name: "address", Schema: &jsonschema.Schema{Type: "string"}, Doc: "An address."},
			"an address", yamlfile.ParseAddr, func(a *Assertion) *yamlfile.Field[netip.Addr] { return &a.Address }),
		yamlfile.ScalarKey(yamlfile.Key[Assertion]{Name: "range", Schema: &jsonschema.Schema{Type: "string"}, Doc: "A range of addresses."},
			"a range", lab.ParseRange, func(a *Assertion) *yamlfile.Field[lab.Range] { return &a.Range }),
		number("port", "A UDP port.", func(a *Assertion) *yamlfile.Field[int] { return &a.Port }),
		number("status", "The exit status; by default 0.", func(a *Assertion) *yamlfile.Field[int] { return &a.Status }),
		yamlfile.BoolKey("up", true, "Whether the link is up.", func(a *Assertion) *yamlfile.Field[bool] { return &a.Up }),
		yamlfile.BoolKey("exists", true, "Whether it is there.", func(a *Assertion) *yamlfile.Field[bool] { return &a.Exists }),
		yamlfile.BoolKey("host", false, "On the host, in the lab's network namespace.", func(a *Assertion) *yamlfile.Field[bool] { return &a.Host }),
		yamlfile.BoolKey("active", true, "Whether the unit is active.", func(a *Assertion) *yamlfile.Field[bool] { return &a.Active }),
		{
			Name: "options", Schema: mapSchema("Values by the number of the option."),
			Doc:  "Options that the message carries: values by number, lists with commas.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, a *Assertion) { a.Options = readMap(d, n, "options") },
		},
		textKey("ask", "The question.", false, func(a *Assertion) *Texts { return &a.Ask }),
	}
}

// settingsOf are the keys of one kind.
func settingsOf(k kind) []yamlfile.Key[Assertion] {
	var out []yamlfile.Key[Assertion]
	for _, s := range settings() {
		s.Required = slices.Contains(k.needs, s.Name)
		if s.Required || slices.Contains(k.accepts, s.Name) {
			out = append(out, s)
		}
	}
	return out
}

// assertionKeys are the kinds as keys of a mapping, of which there must be one.
func assertionKeys() []yamlfile.Key[[]*Assertion] {
	all := kinds()
	var keys []yamlfile.Key[[]*Assertion]
	for _, name := range Kinds() {
		k := all[name]
		keys = append(keys, yamlfile.Key[[]*Assertion]{
			Name: name, Doc: k.doc, Schema: yamlfile.ObjectSchema(k.doc, settingsOf(k)),
			Read: func(d *yamlfile.Decoder, n *yaml.Node, into *[]*Assertion) {
				a := &Assertion{Kind: name, Pos: d.Pos(n)}
				yamlfile.Object(d, n, name, settingsOf(k), a)
				*into = append(*into, a)
			},
		})
	}
	return keys
}

func assertSchema() *jsonschema.Schema {
	s := yamlfile.ObjectSchema("One assertion.", assertionKeys())
	s.MinProperties, s.MaxProperties = new(1), new(1)
	return s
}

func readAssertion(d *yamlfile.Decoder, n *yaml.Node) *Assertion {
	var found []*Assertion
	before := len(d.Diags)
	if !yamlfile.Object(d, n, "assert", assertionKeys(), &found) {
		return nil
	}
	if len(found) != 1 {
		if len(d.Diags) == before {
			d.Wrong(n, "assert", "one kind of assertion")
		}
		return nil
	}
	return found[0]
}
