package lab

import (
	"encoding"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// What guests may reach beyond their bridges.
const (
	maxServices = 32
	maxReach    = 32
)

// Service is a port of TCP or UDP. In files it is the text of String.
type Service struct {
	Protocol string // tcp or udp
	Port     uint16 // 1 to 65535
}

var (
	_ encoding.TextMarshaler   = Service{}
	_ encoding.TextUnmarshaler = (*Service)(nil)
)

// String writes the service as a lab file does: "tcp/80".
func (s Service) String() string { return fmt.Sprintf("%s/%d", s.Protocol, s.Port) }

// MarshalText writes the service as String does.
func (s Service) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Service) UnmarshalText(text []byte) error {
	protocol, number, _ := strings.Cut(string(text), "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 || !serviceForm.Match(text) {
		return fmt.Errorf("read %q: not a service such as tcp/80", text)
	}
	*s = Service{Protocol: protocol, Port: uint16(port)}
	return nil
}

var (
	serviceForm = regexp.MustCompile(`^(tcp|udp)/[1-9][0-9]{0,4}$`)
	networkForm = regexp.MustCompile(`^` + ipv4Form + `(/([1-9]|[12][0-9]|3[0-2]))?$`)
)

func parseHostService(s yamlfile.Scalar) (service Service, d *diag.Diagnostic) {
	if service.UnmarshalText([]byte(s.Value)) != nil {
		return Service{}, diag.New(diag.BadService, diag.Args{"value": s.Value})
	}
	return service, nil
}

// parseNetwork reads a network with its prefix length, or a single address.
func parseNetwork(s yamlfile.Scalar) (netip.Prefix, *diag.Diagnostic) {
	bad := diag.New(diag.BadNetwork, diag.Args{"value": s.Value})
	if !networkForm.MatchString(s.Value) {
		return netip.Prefix{}, bad
	}
	if a, err := netip.ParseAddr(s.Value); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	network, err := netip.ParsePrefix(s.Value)
	if err != nil || network != network.Masked() {
		return netip.Prefix{}, bad
	}
	return network, nil
}

// hostKey is `host` of a lab.
func hostKey() yamlfile.Key[Spec] {
	return yamlfile.Key[Spec]{
		Name: "host", Schema: yamlfile.ObjectSchema("What guests may use of this computer.", hostKeys()),
		Doc: "What guests may use of this computer, beside DHCP, ARP and ping.",
		Read: func(d *yamlfile.Decoder, n *yaml.Node, s *Spec) {
			yamlfile.Object(d, n, "host", hostKeys(), s)
		},
	}
}

func hostKeys() []yamlfile.Key[Spec] {
	element := &jsonschema.Schema{Type: "string", Pattern: serviceForm.String()}
	return []yamlfile.Key[Spec]{{
		Name: "allow", Schema: yamlfile.OneOrListOf(element, maxServices),
		Doc: "Services that guests reach at the address of their bridge: tcp/80, udp/123.",
		Read: func(d *yamlfile.Decoder, n *yaml.Node, s *Spec) {
			d.OneOrMany(n, "allow", maxServices, func(e *yaml.Node) {
				one := yamlfile.ReadScalar(d, e, "allow", "a service such as tcp/80", parseHostService)
				s.HostAllow = yamlfile.AppendSet(s.HostAllow, one)
			})
		},
	}}
}

// reachKey is `reach` of a bridge.
func reachKey() yamlfile.Key[BridgeSpec] {
	element := &jsonschema.Schema{Type: "string", Pattern: networkForm.String()}
	return yamlfile.Key[BridgeSpec]{
		Name: "reach", Schema: yamlfile.OneOrListOf(element, maxReach),
		Doc: "Addresses and networks of this computer's surroundings that guests get to beside the internet, with internet: nat.",
		Read: func(d *yamlfile.Decoder, n *yaml.Node, b *BridgeSpec) {
			d.OneOrMany(n, "reach", maxReach, func(e *yaml.Node) {
				one := yamlfile.ReadScalar(d, e, "reach", "a network such as 10.0.0.0/24", parseNetwork)
				b.Reach = yamlfile.AppendSet(b.Reach, one)
			})
		},
	}
}

// checkBorder looks for what has no meaning: services twice or for nobody, networks without a way to them.
func checkBorder(d *yamlfile.Decoder, spec *Spec) {
	lines := map[Service]int{}
	for _, s := range spec.HostAllow {
		if line, twice := lines[s.Value]; twice {
			d.Add(s.Pos, diag.DuplicateName, diag.Args{"kind": "service", "name": s.Value.String(), "line": line})
			continue
		}
		lines[s.Value] = s.Pos.Line
	}
	addressed := slices.ContainsFunc(spec.Bridges, func(b BridgeSpec) bool { return b.Address.Set || b.Address.Pos.Line > 0 })
	if len(spec.HostAllow) > 0 && !addressed {
		d.Add(spec.HostAllow[0].Pos, diag.AllowForNobody, diag.Args{"service": spec.HostAllow[0].Value.String()})
	}
	for _, b := range spec.Bridges {
		if len(b.Reach) > 0 && b.Internet.Value != NAT {
			d.Add(b.Reach[0].Pos, diag.ReachWithoutNAT, diag.Args{"bridge": b.Name.Value, "network": b.Reach[0].Value.String()})
		}
	}
}
