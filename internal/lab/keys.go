package lab

import (
	"net/netip"

	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/macgen"
)

// How many elements the lists of a lab file can have.
const (
	maxBridges      = 64
	maxGuests       = 256
	maxNICs         = 8
	maxRanges       = 64
	maxServers      = 16 // DNS servers
	maxReservations = 1024
	maxFaults       = 32
	maxOptionValues = 63 // addresses in the 255 bytes of an option
	maxCPUs         = 16
)

func labKeys() []key[Spec] {
	return []key[Spec]{
		scalarKey(key[Spec]{
			name: "version", required: true, schema: constant(Version),
			doc: "The edition of the lab file's language. Always 1.",
		}, "a number", parseVersion, func(s *Spec) *Field[int] { return &s.Version }),
		scalarKey(key[Spec]{
			name: "name", required: true, schema: pattern(labNameForm, maxLabName),
			doc: "The lab's name: up to 40 small letters, digits and dashes. Domains are called <name>-<guest>.",
		}, "a name", parseLabName, func(s *Spec) *Field[string] { return &s.Name }),
		scalarKey(key[Spec]{
			name: "isolation", schema: words(Host, Host, Netns),
			doc: "Where bridges and taps live: in the host's own network namespace (host), or in one of the lab's own (netns).",
		}, "a word", parseWord(Host, Netns), func(s *Spec) *Field[Isolation] { return &s.Isolation }),
		{
			name: "bridges", schema: listOf(objectSchema("A bridge: one Ethernet segment.", bridgeKeys()), maxBridges),
			doc: "The lab's bridges.",
			read: func(d *decoder, n *yaml.Node, s *Spec) {
				s.Bridges = objects(d, n, "bridges", "a bridge", maxBridges, bridgeKeys(),
					func(b *BridgeSpec, p diag.Pos, _ bool) { b.Pos = p })
			},
		},
		{
			name: "guests", schema: listOf(objectSchema("A guest: one virtual machine.", guestKeys()), maxGuests),
			doc: "The lab's guests.",
			read: func(d *decoder, n *yaml.Node, s *Spec) {
				s.Guests = objects(d, n, "guests", "a guest", maxGuests, guestKeys(),
					func(g *GuestSpec, p diag.Pos, _ bool) { g.Pos = p })
			},
		},
	}
}

// objects reads a list of mappings; note takes down where each begins and
// whether a mistake was found in it.
func objects[T any](
	d *decoder, n *yaml.Node, what, where string, limit int, keys []key[T], note func(one *T, at diag.Pos, broken bool),
) []T {
	var all []T
	d.list(n, what, limit, func(element *yaml.Node) {
		var one T
		before := len(d.diags)
		ok := object(d, element, where, keys, &one)
		note(&one, d.pos(element), len(d.diags) > before)
		if ok {
			all = append(all, one)
		}
	})
	return all
}

func parseVersion(s scalar) (int, *diag.Diagnostic) {
	v, d := parseInt(s)
	if d == nil && v != Version {
		return 0, diag.New(diag.BadVersion, diag.Args{"version": v, "known": Version})
	}
	return v, d
}

func bridgeKeys() []key[BridgeSpec] {
	return []key[BridgeSpec]{
		scalarKey(key[BridgeSpec]{
			name: "name", required: true, schema: pattern(linkNameForm, maxLinkName),
			doc: "The link's name, up to 15 characters: br1.",
		}, "a name", parseLinkName("bridge"), func(b *BridgeSpec) *Field[string] { return &b.Name }),
		scalarKey(key[BridgeSpec]{
			name: "address", schema: ipv4Prefix(),
			doc: "The host's own address on the bridge with the prefix length of the subnet. Without it the bridge is a bare switch.",
		}, "an address", parsePrefix, func(b *BridgeSpec) *Field[netip.Prefix] { return &b.Address }),
		scalarKey(key[BridgeSpec]{
			name: "internet", schema: words(NoInternet, NoInternet, NAT),
			doc: "Whether guests get out of the lab: not at all (none), or through the host under its address (nat).",
		}, "a word", parseWord(NoInternet, NAT), func(b *BridgeSpec) *Field[Internet] { return &b.Internet }),
		{
			name: "dhcp", schema: either(offSchema(), objectSchema("What the DHCP server of the bridge hands out.", allDHCPKeys())),
			doc:  "What kvmlab's DHCP server hands out on this bridge, or off (also when left out) for no server.",
			read: readDHCP,
		},
	}
}

func guestKeys() []key[GuestSpec] {
	return []key[GuestSpec]{
		scalarKey(key[GuestSpec]{
			name: "name", required: true, schema: pattern(hostnameForm, 63),
			doc: "The guest's name, which is its hostname: pc1.",
		}, "a name", parseGuestName, func(g *GuestSpec) *Field[string] { return &g.Name }),
		scalarKey(key[GuestSpec]{
			name: "image", schema: defaulting(pattern(imageNameForm, 64), DefaultImage),
			doc: "The image that the guest boots: micro, or another from kvmlab image list.",
		}, "a name", parseImageName, func(g *GuestSpec) *Field[string] { return &g.Image }),
		scalarKey(key[GuestSpec]{
			name: "memory", schema: pattern(sizeForm, 0),
			doc: "The guest's memory as a whole number of KiB, MiB or GiB. By default 128MiB for micro and 512MiB for other images.",
		}, "an amount such as 128MiB", parseSize, func(g *GuestSpec) *Field[Size] { return &g.Memory }),
		scalarKey(key[GuestSpec]{
			name: "cpus", schema: integer(1, maxCPUs, 1),
			doc: "How many virtual CPUs the guest has.",
		}, "a number", parseCPUs, func(g *GuestSpec) *Field[int] { return &g.CPUs }),
		scalarKey(key[GuestSpec]{
			name: "disk", schema: pattern(sizeForm, 0),
			doc: "The size of the guest's disk as a whole number of GiB, for an image that has one. By default the image's.",
		}, "an amount such as 8GiB", parseDisk, func(g *GuestSpec) *Field[Size] { return &g.Disk }),
		{
			name: "files", schema: listOf(objectSchema("A file of the guest.", fileKeys()), maxFiles),
			doc: "Files that the guest finds at its first start; a guest without a disk, at every start.",
			read: func(d *decoder, n *yaml.Node, g *GuestSpec) {
				g.Files = objects(d, n, "files", "a file", maxFiles, fileKeys(), func(f *FileSpec, p diag.Pos, _ bool) { f.Pos = p })
			},
		},
		{
			name: "nics", schema: listOf(objectSchema("A network card.", nicKeys()), maxNICs),
			doc: "The guest's network cards: eth0, eth1 and so on in this order.",
			read: func(d *decoder, n *yaml.Node, g *GuestSpec) {
				g.NICs = objects(d, n, "nics", "a NIC", 8*maxNICs, nicKeys(), func(c *NICSpec, p diag.Pos, _ bool) { c.Pos = p })
			},
		},
	}
}

func parseCPUs(s scalar) (int, *diag.Diagnostic) {
	n, d := parseInt(s)
	if d == nil && (n < 1 || n > maxCPUs) {
		return 0, diag.New(diag.BadCPUs, diag.Args{"cpus": n, "maximum": maxCPUs})
	}
	return n, d
}

func nicKeys() []key[NICSpec] {
	return []key[NICSpec]{
		scalarKey(key[NICSpec]{
			name: "bridge", required: true, schema: pattern(linkNameForm, maxLinkName),
			doc: "The bridge that the card is plugged into.",
		}, "the name of a bridge", parseReference, func(n *NICSpec) *Field[string] { return &n.Bridge }),
		autoKey(key[NICSpec]{
			name: "tap", schema: defaulting(pattern(linkNameForm, maxLinkName), "auto"),
			doc: "The name of the tap behind the card; auto takes the next free of tap1, tap2 and so on.",
		}, "a name or auto", parseLinkName("tap"), func(n *NICSpec) *Field[string] { return &n.Tap }),
		autoKey(key[NICSpec]{
			name: "mac", schema: defaulting(either(oneWord("auto"), macSchema()), "auto"),
			doc: "The card's MAC address, six bytes with colons; auto draws one that begins with 02 and keeps it.",
		}, "a MAC address or auto", parseMAC, func(n *NICSpec) *Field[macgen.MAC] { return &n.MAC }),
	}
}

// autoKey is a scalarKey whose value may be `auto`, which leaves the field unset.
func autoKey[T any, V comparable](
	k key[T], want string, parse func(scalar) (V, *diag.Diagnostic), field func(*T) *Field[V],
) key[T] {
	k.read = func(d *decoder, n *yaml.Node, into *T) {
		if literal(n) == "auto" {
			return
		}
		*field(into) = readScalar(d, n, k.name, want, parse)
	}
	return k
}

// literal is the text of a single value, also behind an alias, and "" otherwise.
func literal(n *yaml.Node) string {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}
