package lab

import (
	"net/netip"

	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
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

func labKeys() []yamlfile.Key[Spec] {
	return []yamlfile.Key[Spec]{
		yamlfile.ScalarKey(yamlfile.Key[Spec]{
			Name: "version", Required: true, Schema: yamlfile.Constant(Version),
			Doc: "The edition of the lab file's language. Always 1.",
		}, "a number", parseVersion, func(s *Spec) *yamlfile.Field[int] { return &s.Version }),
		yamlfile.ScalarKey(yamlfile.Key[Spec]{
			Name: "name", Required: true, Schema: yamlfile.Pattern(labNameForm, maxLabName),
			Doc: "The lab's name: up to 40 small letters, digits and dashes. Domains are called <name>-<guest>, or <name>_<guest> for a guest with a dash in its name.",
		}, "a name", parseLabName, func(s *Spec) *yamlfile.Field[string] { return &s.Name }),
		yamlfile.ScalarKey(yamlfile.Key[Spec]{
			Name: "isolation", Schema: yamlfile.Words(Host, Host, Netns),
			Doc: "Where bridges and taps live: in the host's own network namespace (host), or in one of the lab's own (netns).",
		}, "a word", yamlfile.ParseWord(Host, Netns), func(s *Spec) *yamlfile.Field[Isolation] { return &s.Isolation }),
		hostKey(),
		{
			Name: "bridges", Schema: yamlfile.ListOf(yamlfile.ObjectSchema("A bridge: one Ethernet segment.", bridgeKeys()), maxBridges),
			Doc: "The lab's bridges.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *Spec) {
				s.Bridges = yamlfile.Objects(d, n, "bridges", "a bridge", maxBridges, bridgeKeys(),
					func(b *BridgeSpec, p diag.Pos, _ bool) { b.Pos = p })
			},
		},
		{
			Name: "guests", Schema: yamlfile.ListOf(yamlfile.ObjectSchema("A guest: one virtual machine.", guestKeys()), maxGuests),
			Doc: "The lab's guests.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, s *Spec) {
				s.Guests = yamlfile.Objects(d, n, "guests", "a guest", maxGuests, guestKeys(),
					func(g *GuestSpec, p diag.Pos, _ bool) { g.Pos = p })
			},
		},
	}
}

func parseVersion(s yamlfile.Scalar) (int, *diag.Diagnostic) {
	v, d := yamlfile.ParseInt(s)
	if d == nil && v != Version {
		return 0, diag.New(diag.BadVersion, diag.Args{"version": v, "known": Version})
	}
	return v, d
}

func bridgeKeys() []yamlfile.Key[BridgeSpec] {
	return []yamlfile.Key[BridgeSpec]{
		yamlfile.ScalarKey(yamlfile.Key[BridgeSpec]{
			Name: "name", Required: true, Schema: yamlfile.Pattern(linkNameForm, maxLinkName),
			Doc: "The link's name, up to 15 characters: br1.",
		}, "a name", parseLinkName("bridge"), func(b *BridgeSpec) *yamlfile.Field[string] { return &b.Name }),
		yamlfile.ScalarKey(yamlfile.Key[BridgeSpec]{
			Name: "address", Schema: ipv4Prefix(),
			Doc: "The host's own address on the bridge with the prefix length of the subnet. Without it the bridge is a bare switch.",
		}, "an address", yamlfile.ParsePrefix, func(b *BridgeSpec) *yamlfile.Field[netip.Prefix] { return &b.Address }),
		yamlfile.ScalarKey(yamlfile.Key[BridgeSpec]{
			Name: "internet", Schema: yamlfile.Words(NoInternet, NoInternet, NAT),
			Doc: "Whether guests get out of the lab: not at all (none), or through the host under its address (nat).",
		}, "a word", yamlfile.ParseWord(NoInternet, NAT), func(b *BridgeSpec) *yamlfile.Field[Internet] { return &b.Internet }),
		reachKey(),
		{
			Name: "dhcp", Schema: yamlfile.Either(offSchema(), yamlfile.ObjectSchema("What the DHCP server of the bridge hands out.", allDHCPKeys())),
			Doc:  "What kvmlab's DHCP server hands out on this bridge, or off (also when left out) for no server.",
			Read: readDHCP,
		},
	}
}

func guestKeys() []yamlfile.Key[GuestSpec] {
	return []yamlfile.Key[GuestSpec]{
		yamlfile.ScalarKey(yamlfile.Key[GuestSpec]{
			Name: "name", Required: true, Schema: yamlfile.Pattern(hostnameForm, 63),
			Doc: "The guest's name, which is its hostname: pc1.",
		}, "a name", parseGuestName, func(g *GuestSpec) *yamlfile.Field[string] { return &g.Name }),
		yamlfile.ScalarKey(yamlfile.Key[GuestSpec]{
			Name: "image", Schema: yamlfile.Defaulting(yamlfile.Pattern(imageNameForm, 64), DefaultImage),
			Doc: "The image that the guest boots: micro, debian, or an imported one (kvmlab image list).",
		}, "a name", parseImageName, func(g *GuestSpec) *yamlfile.Field[string] { return &g.Image }),
		yamlfile.ScalarKey(yamlfile.Key[GuestSpec]{
			Name: "memory", Schema: yamlfile.Pattern(sizeForm, 0),
			Doc: "The guest's memory as a whole number of KiB, MiB or GiB. By default 128MiB for micro and 512MiB for other images.",
		}, "an amount such as 128MiB", parseSize, func(g *GuestSpec) *yamlfile.Field[Size] { return &g.Memory }),
		yamlfile.ScalarKey(yamlfile.Key[GuestSpec]{
			Name: "cpus", Schema: yamlfile.Integer(1, maxCPUs, 1),
			Doc: "How many virtual CPUs the guest has.",
		}, "a number", parseCPUs, func(g *GuestSpec) *yamlfile.Field[int] { return &g.CPUs }),
		yamlfile.ScalarKey(yamlfile.Key[GuestSpec]{
			Name: "disk", Schema: yamlfile.Pattern(sizeForm, 0),
			Doc: "The size of the guest's disk as a whole number of GiB, for an image that has one, at least 4GiB. By default the image's.",
		}, "an amount such as 8GiB", parseDisk, func(g *GuestSpec) *yamlfile.Field[Size] { return &g.Disk }),
		{
			Name: "files", Schema: yamlfile.ListOf(yamlfile.ObjectSchema("A file of the guest.", fileKeys()), maxFiles),
			Doc: "Files that the guest finds at its first start; a guest without a disk, at every start.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, g *GuestSpec) {
				g.Files = yamlfile.Objects(d, n, "files", "a file", maxFiles, fileKeys(), func(f *FileSpec, p diag.Pos, _ bool) { f.Pos = p })
			},
		},
		{
			Name: "nics", Schema: yamlfile.ListOf(yamlfile.ObjectSchema("A network card.", nicKeys()), maxNICs),
			Doc: "The guest's network cards: eth0, eth1 and so on in this order.",
			Read: func(d *yamlfile.Decoder, n *yaml.Node, g *GuestSpec) {
				g.NICs = yamlfile.Objects(d, n, "nics", "a NIC", 8*maxNICs, nicKeys(), func(c *NICSpec, p diag.Pos, _ bool) { c.Pos = p })
			},
		},
	}
}

func parseCPUs(s yamlfile.Scalar) (int, *diag.Diagnostic) {
	n, d := yamlfile.ParseInt(s)
	if d == nil && (n < 1 || n > maxCPUs) {
		return 0, diag.New(diag.BadCPUs, diag.Args{"cpus": n, "maximum": maxCPUs})
	}
	return n, d
}

func nicKeys() []yamlfile.Key[NICSpec] {
	return []yamlfile.Key[NICSpec]{
		yamlfile.ScalarKey(yamlfile.Key[NICSpec]{
			Name: "bridge", Required: true, Schema: yamlfile.Pattern(linkNameForm, maxLinkName),
			Doc: "The bridge that the card is plugged into.",
		}, "the name of a bridge", parseReference, func(n *NICSpec) *yamlfile.Field[string] { return &n.Bridge }),
		autoKey(yamlfile.Key[NICSpec]{
			Name: "tap", Schema: yamlfile.Defaulting(yamlfile.Pattern(linkNameForm, maxLinkName), "auto"),
			Doc: "The name of the tap behind the card; auto takes the next free of tap1, tap2 and so on.",
		}, "a name or auto", parseLinkName("tap"), func(n *NICSpec) *yamlfile.Field[string] { return &n.Tap }),
		autoKey(yamlfile.Key[NICSpec]{
			Name: "mac", Schema: yamlfile.Defaulting(yamlfile.Either(yamlfile.OneWord("auto"), macSchema()), "auto"),
			Doc: "The card's MAC address, six bytes with colons; auto draws one that begins with 02 and keeps it.",
		}, "a MAC address or auto", parseMAC, func(n *NICSpec) *yamlfile.Field[macgen.MAC] { return &n.MAC }),
	}
}

// autoKey is a scalarKey whose value may be `auto`, which leaves the field unset.
func autoKey[T any, V comparable](
	k yamlfile.Key[T], want string, parse func(yamlfile.Scalar) (V, *diag.Diagnostic), field func(*T) *yamlfile.Field[V],
) yamlfile.Key[T] {
	k.Read = func(d *yamlfile.Decoder, n *yaml.Node, into *T) {
		if literal(n) == "auto" {
			return
		}
		*field(into) = yamlfile.ReadScalar(d, n, k.Name, want, parse)
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
